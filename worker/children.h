/* SPDX-License-Identifier: Apache-2.0 */
/* Runs that a run made while it was executed here (a batch in it, a `guild run` that it called):
 * all that are in its task's own home beside it. They go home with the run, below
 * `.guild/children/ID/` of its list; the coordinator puts them where runs are. */
#pragma once

#include "worker/internal.h"

#define CHILDREN_PREFIX ".guild/children/"

/* Appends the files of all runs that the task's run made to `changes`, and makes links between them
 * relative, so that they hold wherever the runs will be. May be called on a thread. */
gboolean children_add(WTask *t, GPtrArray *changes, GError **error);
void children_offer(WTask *t); /* their content; again is nothing */
/* Withdraws what was offered. */
void children_clear(WTask *t);
