/* SPDX-License-Identifier: Apache-2.0 */
/* A run's directory made from its list of files: at once if that is short, else on a thread, for
 * the worker's loop renews the leases of all its tasks meanwhile. */
#pragma once

#include "worker/internal.h"

/* `done` is called once, on the worker's loop, perhaps before this returns; error NULL: it is
 * there. Until then nothing else may touch the task's directory, `files` and `before`. */
typedef void (*BuildDone)(WTask *t, const GError *error);
void build_start(WTask *t, BuildDone done);
/* Ends it soon and waits for that; `done` is not called any more. */
void build_cancel(WTask *t);
