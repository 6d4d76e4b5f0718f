/* SPDX-License-Identifier: Apache-2.0 */
/* Long work of the coordinator on a thread (engine/base/apart.h): its loop renews everybody's
 * leases. Whoever asked may be gone when it is done, so `data` is the work's own. */
#pragma once

#include "coordinator/internal.h"

/* `work(data)` on a thread, `done(data)` on the loop, then `free(data)`. A coordinator that ends
 * waits for `work` and leaves `done` out. */
typedef struct Beside Beside;
Beside *beside_start(Coordinator *c, void (*work)(gpointer), void (*done)(gpointer),
        GDestroyNotify free, gpointer data);
/* apart_hurry(). Not once `done` was called. */
void beside_hurry(Beside *b);
void beside_end(Coordinator *c);
