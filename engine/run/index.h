/* SPDX-License-Identifier: Apache-2.0 */
/* HOME/cache/runs/guild-index: a cache of what listings, filters and comparisons read, so that ten
 * thousand runs are listed in less than a tenth of a second. It is only a cache: each part of it
 * holds the stat data of the files that it was made from and is made again when they differ (runs
 * are changed in place by others, so every attribute that is asked for is looked at, not just
 * folders). Deleting it loses nothing; one that is broken, of another version or not writable is
 * replaced or done without, silently.
 *
 * Nothing is looked at before it is asked for: listing ten thousand runs of which twenty are shown
 * needs to know of all of them only that they are runs, and when they were started. */
#pragma once

#include "engine/run/store.h"

typedef struct RunIndex RunIndex;

/* Never NULL. Without a store (NULL) everything is read from disk. */
RunIndex *run_index_open(RunStore *store);
/* Runs that it gave snapshots keep it alive; with the last of them the cache is written, if there
 * is enough news for that. */
void run_index_close(RunIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RunIndex, run_index_close)

/* Gives each run that has none a snapshot (run_set_snapshot()), which looks at files, or at what
 * the cache knows of them, when it is asked. What it was asked once stays as it was then. */
void run_index_load(RunIndex *index, GPtrArray *runs);

/* The runs that pass a test, in their order. It is called by several threads, for each run by one
 * of them: asking is what takes time. The test may ask for scalars and attributes of runs that were
 * loaded, but not after run_index_expect_scalars(). */
typedef gboolean (*RunIndexTest)(Run *run, gpointer data);
GPtrArray *run_index_filter(GPtrArray *runs, RunIndexTest test, gpointer data);

/* Says whose scalars may be asked for: the first question then gets all of them at once, which is
 * faster than one after the other. */
void run_index_expect_scalars(RunIndex *index, GPtrArray *runs);
/* Scalars of a run, list of maps {prefix, tag, first_val, first_step, last_val, last_step, min_val,
 * min_step, max_val, max_step, avg_val, total, count} in the order of the reference's index. A new
 * reference, never NULL. Here and below, a run without a snapshot gets one. */
Value *run_index_scalars(RunIndex *index, Run *run);
/* The last value of a scalar "[PREFIX#]TAG", a new reference; NULL if there is none. */
Value *run_index_last_scalar(RunIndex *index, Run *run, const char *key);
/* Attributes of the operation's definition (opdef_attrs) and those that the run logged, a map less
 * the names of run_is_core_attr(). A new reference, never NULL. */
Value *run_index_attrs(RunIndex *index, Run *run);
/* run_named_attr() with logged attributes: core ones, logged, opdef_attrs, attribute files. */
Value *run_index_named_attr(RunIndex *index, Run *run, const char *name);
