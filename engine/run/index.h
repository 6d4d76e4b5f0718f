/* SPDX-License-Identifier: Apache-2.0 */
/* HOME/cache/runs/guild-index.db: a SQLite cache of what listings, filters and comparisons read,
 * so that ten thousand runs are listed in a tenth of a second. It is only a cache: each entry holds
 * the stat data of the files it was made from and is made again when they differ (runs are changed
 * in place by others, so every attribute that an entry holds is looked at, not just folders).
 * Deleting it loses nothing; one that is broken, of another version or not writable is replaced or
 * done without, silently. */
#pragma once

#include "engine/run/store.h"

typedef struct RunIndex RunIndex;

/* Never NULL. Without a store (NULL) everything is read from disk. */
RunIndex *run_index_open(RunStore *store);
void run_index_close(RunIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RunIndex, run_index_close)

/* Gives each run a snapshot (run_set_snapshot()), from the cache where that is still true. */
void run_index_load(RunIndex *index, GPtrArray *runs);
/* run_store_scan() and run_index_load() in one, for less than the sum. */
GPtrArray *run_index_scan(RunIndex *index, RunStore *store, RunStoreWhere where);
/* Says whose scalars may be asked for: the first question then gets all of them at once, which is
 * faster than one after the other. */
void run_index_expect_scalars(RunIndex *index, GPtrArray *runs);
/* Scalars of a run, list of maps {prefix, tag, first_val, first_step, last_val, last_step, min_val,
 * min_step, max_val, max_step, avg_val, total, count} in the order of the reference's index. A new
 * reference, never NULL. The index remembers what it gave: open a new one to look again. */
Value *run_index_scalars(RunIndex *index, Run *run);
/* Attributes of the operation's definition (opdef_attrs) and those that the run logged, a map less
 * the names of run_is_core_attr(). A new reference, never NULL. */
Value *run_index_attrs(RunIndex *index, Run *run);
/* run_named_attr() with logged attributes: core ones, logged, opdef_attrs, attribute files. */
Value *run_index_named_attr(RunIndex *index, Run *run, const char *name);
