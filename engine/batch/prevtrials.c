/* SPDX-License-Identifier: Apache-2.0 */
/* See prevtrials.h. */
#include "engine/batch/prevtrials.h"

#include <string.h>

#include "engine/base/fs.h"
#include "engine/batch/dims.h"
#include "engine/run/describe.h"
#include "engine/run/store.h"

typedef enum { MODE_BATCH, MODE_SOURCECODE, MODE_OPERATION, N_MODES } Mode;
static const char *const mode_names[N_MODES] = {"batch", "sourcecode", "operation"};

struct PrevTrials {
    Mode mode;
    RunStore *store;
    char *wanted;     /* digest or operation */
    GHashTable *seen; /* names of folders with completed runs */
};

static gboolean parse_mode(const char *name, Mode *mode, GError **error)
{
    for (Mode m = 0; m < N_MODES; m++) {
        if (strcmp(mode_names[m], name) == 0) {
            *mode = m;
            return TRUE;
        }
    }
    g_set_error(error, BATCH_ERROR, BATCH_ERROR_OPTIONS,
            "prev-trials is '%s': use batch, sourcecode or operation", name);
    return FALSE;
}

/* What is compared; NULL in mode batch and where the run has none. */
static char *key_of(Mode mode, Run *run)
{
    if (mode == MODE_BATCH)
        return NULL;
    return mode == MODE_SOURCECODE ? run_attr_text(run, "sourcecode_digest")
                                   : run_format_operation(run);
}

PrevTrials *prev_trials_new(Run *batch_run, const char *mode, const char *runs_dir, GError **error)
{
    g_autoptr(Run) proto = run_batch_proto(batch_run);
    g_autoptr(PrevTrials) p = g_new0(PrevTrials, 1);
    p->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (!parse_mode(mode, &p->mode, error))
        return NULL;
    p->store = run_store_open_dir(p->mode == MODE_BATCH ? run_dir(batch_run) : runs_dir);
    p->wanted = proto ? key_of(p->mode, proto) : NULL;
    if (p->mode != MODE_BATCH && (!p->wanted || !*p->wanted)) {
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_DIMS,
                "Cannot find runs for batch proto in %s: missing %s",
                proto ? run_dir(proto) : run_dir(batch_run),
                p->mode == MODE_SOURCECODE ? "sourcecode digest" : "operation");
        return NULL;
    }
    return g_steal_pointer(&p);
}

void prev_trials_free(PrevTrials *p)
{
    if (!p)
        return;
    g_clear_pointer(&p->store, run_store_free);
    g_free(p->wanted);
    g_hash_table_unref(p->seen);
    g_free(p);
}

static gboolean is_wanted(const PrevTrials *p, Run *run)
{
    g_autofree char *key = key_of(p->mode, run);
    return p->mode == MODE_BATCH || g_strcmp0(key, p->wanted) == 0;
}

GPtrArray *prev_trials_more(PrevTrials *p)
{
    g_autoptr(GPtrArray) all = run_store_scan_folders(p->store, RUN_STORE_RUNS);
    GPtrArray *more = g_ptr_array_new_with_free_func((GDestroyNotify)run_unref);
    for (guint i = 0; i < all->len; i++) {
        /* Not the trial's id, where it is a batch's link to one. */
        const char *id = run_id(all->pdata[i]);
        if (g_hash_table_contains(p->seen, id))
            continue;
        g_autofree char *real = fs_realpath(run_dir(all->pdata[i]));
        g_autoptr(Run) run = real ? run_new(real, NULL) : NULL;
        if (!run || !run_exists(run) || run_status(run) != RUN_COMPLETED)
            continue;
        g_hash_table_add(p->seen, g_strdup(id));
        if (is_wanted(p, run))
            g_ptr_array_add(more, run_ref(run));
    }
    run_store_sort(more);
    for (guint i = 0; i < more->len / 2; i++) {
        gpointer swap = more->pdata[i];
        more->pdata[i] = more->pdata[more->len - 1 - i];
        more->pdata[more->len - 1 - i] = swap;
    }
    return more;
}
