/* SPDX-License-Identifier: Apache-2.0 */
/* A home: the folder that keeps runs, as the reference lays it out (guild/var.py): `runs/`,
 * `trash/runs/` (deleted ones), `cache/`, `locks/`. Opening touches nothing; folders are made when
 * something is written. */
#pragma once

#include "engine/run/run.h"

typedef struct RunStore RunStore;

typedef enum { RUN_STORE_RUNS, RUN_STORE_TRASH } RunStoreWhere;

/* `home` need not exist. Never fails today; `error` is for stores that may. */
RunStore *run_store_open(const char *home, GError **error);
/* A folder of run directories that is not a home (an archive, a batch run's folder). Trash of it
 * is empty; it has no cache. */
RunStore *run_store_open_dir(const char *dir);
void run_store_free(RunStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RunStore, run_store_free)

const char *run_store_home(const RunStore *store); /* NULL for run_store_open_dir() */
const char *run_store_runs_dir(const RunStore *store);
const char *run_store_trash_dir(const RunStore *store); /* HOME/trash/runs */
const char *run_store_cache_dir(const RunStore *store); /* HOME/cache */
const char *run_store_locks_dir(const RunStore *store);
/* Makes runs/ and proves that it can be written; the error names the path. */
gboolean run_store_ensure(RunStore *store, GError **error);

/* A Run for HOME/runs/ID (id NULL: a new id). No I/O. */
Run *run_store_new_run(RunStore *store, const char *id);

/* Every folder (or link to one) with `.guild/opref`, in no order. $GUILD_RUNS_PARENT limits it to
 * the runs linked from that run, as in the reference. Array of Run*. */
GPtrArray *run_store_scan(RunStore *store, RunStoreWhere where);
/* The same without a look at the folders' insides: whatever could be a run. For the index, which
 * looks anyway. */
GPtrArray *run_store_scan_folders(RunStore *store, RunStoreWhere where);
/* The runs, newest first by run_timestamp_us(). Reads one or two attributes a run; for listings
 * see index.h. */
GPtrArray *run_store_list(RunStore *store, RunStoreWhere where);
/* Newest first in place. */
void run_store_sort(GPtrArray *runs);

/* The one run whose id begins with `id_prefix`, or with that very id. RUN_ERR_NOT_FOUND,
 * RUN_ERR_AMBIGUOUS. */
Run *run_store_find(RunStore *store, const char *id_prefix, GError **error);

/* Moves to the trash; a run of the same id there is kept under another name. */
gboolean run_store_delete(RunStore *store, Run *run, GError **error);
gboolean run_store_restore(RunStore *store, Run *run, GError **error);
/* Removes for good; refuses a directory outside of runs/ and trash/runs/. */
gboolean run_store_purge(RunStore *store, Run *run, GError **error);
/* TRUE if the run's directory is already HOME/runs/ID. */
gboolean run_store_is_restored(RunStore *store, Run *run);
