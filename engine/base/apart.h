/* SPDX-License-Identifier: Apache-2.0 */
/* Long work done beside a main loop: a disk that is read for seconds must not keep a loop from what
 * others wait for, leases above all. The work runs on one of a few threads that the process shares;
 * what is to be done with its outcome runs on the loop. */
#pragma once

#include <glib.h>

typedef struct Apart Apart;

/* `work(data)` runs on a thread, then `done(data)` once on `context`; the Apart is gone when `done`
 * is called. What `work` touches nobody else may touch until then. */
Apart *apart_start(GMainContext *context, void (*work)(gpointer data), void (*done)(gpointer data),
        gpointer data);
/* The same for what takes moments and all wait for: it does not stand behind long work. */
Apart *apart_start_short(GMainContext *context, void (*work)(gpointer data),
        void (*done)(gpointer data), gpointer data);
/* Nobody wants to know any more: waits for `work` if it has begun, and `done` is not called. NULL
 * does no harm. */
void apart_cancel(Apart *a);
/* It need not be finished, but `done` is to be called all the same. Doesn't wait. */
void apart_hurry(Apart *a);
/* For work that may wait for others (a server): TRUE if it is on such a thread, and one of the two
 * above was called for it. */
gboolean apart_is_unwanted(void);
