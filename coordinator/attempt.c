/* SPDX-License-Identifier: Apache-2.0 */
/* A run directory before an attempt at it and between two: one that executes elsewhere is marked
 * with LOCK.remote under the reference's lock, so that nobody starts it here meanwhile, what the
 * last attempt printed and left is put aside under `.guild/attempts/N/`, and the run says how often
 * it was tried. A run that is not ours to start (somebody else did, or it has ended) is left as it
 * is. */
#include <stdio.h>
#include <string.h>

#include "coordinator/beside.h"
#include "coordinator/internal.h"
#include "coordinator/tidy.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/deps/dep.h"
#include "engine/deps/resolve.h"
#include "engine/run/lock.h"

#define LOCK_WAIT_MS 5000

static void keep_output(Run *run, int attempt)
{
    static const char *const kept[] = {"output", "output.index", NULL};
    g_autofree char *number = g_strdup_printf("%d", attempt);
    g_autofree char *base = run_guild_path(run, "attempts");
    g_autofree char *dir = g_build_filename(base, number, NULL);
    for (const char *const *name = kept; *name; name++) {
        g_autofree char *from = run_guild_path(run, *name);
        g_autofree char *to = g_build_filename(dir, *name, NULL);
        if (fs_exists(from) && fs_mkdirs(dir, NULL))
            rename(from, to);
    }
}

/* Upstream runs are resolved here, where they are, just before the run goes out; what its other
 * dependencies are was settled when it was made, and is said to its worker. On a thread where there
 * are upstream runs, with a store of its own: files may be copied. */
static gboolean resolve_upstream(const char *home, Run *run, GPtrArray *deps, GError **error)
{
    RunStore *store = run_store_open(home, error);
    DepsContext ctx = {
            .store = store, .filter = DEPS_ONLY_OPERATIONS, .within = run_store_runs_dir(store)};
    gboolean ok = store && deps_resolve(deps, run, &ctx, error);
    run_store_free(store);
    return ok;
}

static gboolean has_upstream(GPtrArray *deps)
{
    for (guint i = 0; i < deps->len; i++) {
        const GPtrArray *sources = ((const Dep *)deps->pdata[i])->resdef->sources;
        for (guint k = 0; k < sources->len; k++)
            if (!g_strcmp0(((const ResSource *)sources->pdata[k])->scheme, "operation"))
                return TRUE;
    }
    return FALSE;
}

/* Of a run that goes elsewhere: empty in place, where its worker sees to them. */
static GPtrArray *read_deps(Task *t, Run *run, GError **error)
{
    g_autoptr(Value) op = t->member->in_place ? NULL : run_try_attr(run, "op");
    return deps_for_data(value_map_get(op, "deps"), error);
}

static gboolean may_start(Run *run, GError **error)
{
    RunStatus status = run_status(run);
    if (status == RUN_PENDING || status == RUN_STAGED)
        return TRUE;
    g_set_error(error, COORDINATOR_ERROR, COORDINATOR_ERROR_STARTED,
            "its status is '%s' (expected 'pending')", run_status_name(status));
    return FALSE;
}

static gboolean mark_remote(Task *t, Run *run, GError **error)
{
    g_autoptr(HomeLock) lock =
            home_lock_acquire(t->job->c->home, RUN_LOCK_STATUS, LOCK_WAIT_MS, error);
    g_autofree char *path = run_guild_path(run, "LOCK.remote");
    return lock && may_start(run, error) && fs_write_own(path, t->member->name, -1, error);
}

/* In place the worker itself takes the run, under the lock. */
static gboolean claim(Task *t, Run *run, GError **error)
{
    return t->member->in_place ? may_start(run, error) : mark_remote(t, run, error);
}

/* Nothing of it need be put right or marked: it has no past, and its worker, in the same home,
 * looks under the lock whether somebody else has begun it. */
static gboolean is_untouched(const Task *t)
{
    return t->attempt == 1 && (t->job->c->local || (t->fresh && t->member->in_place));
}

/* ---- what takes long ---- */

typedef struct {
    Coordinator *c;
    guint64 task, lease;
    int last; /* the attempt before this one that left something; 0: none did */
    Run *run, *proto;
    GPtrArray *deps;
    GPtrArray *lost; /* inputs */
    AttemptReady ready;
    GError *error;
} Preparing;

static void preparing_free(gpointer preparing)
{
    Preparing *y = preparing;
    run_unref(y->run);
    if (y->proto)
        run_unref(y->proto);
    g_ptr_array_unref(y->deps);
    g_ptr_array_unref(y->lost);
    g_clear_error(&y->error);
    g_free(y);
}

static void prepare(gpointer preparing)
{
    Preparing *y = preparing;
    if (y->last && !tidy_run(y->run, y->last, y->proto, y->lost, &y->error))
        return;
    if (y->deps->len)
        resolve_upstream(y->c->home, y->run, y->deps, &y->error);
}

static void say_lost(const Preparing *y, Task *t)
{
    for (guint i = 0; i < y->lost->len; i++) {
        g_autofree char *text = g_strdup_printf(
                "Trial %s begins again with %s as attempt %d left it: no copy of it was found",
                t->run_id, (char *)y->lost->pdata[i], y->last);
        log_warning("%s", text);
        job_say(t->job, LOG_WARNING, "%s", text);
    }
}

static void on_prepared(gpointer preparing)
{
    Preparing *y = preparing;
    Task *t = task_still_given(y->c, y->task, y->lease);
    if (!t)
        return;
    if (t->member->in_place) {
        g_autofree char *remote = run_guild_path(y->run, "LOCK.remote");
        fs_remove(remote, NULL); /* from here on the worker marks it */
    }
    say_lost(y, t);
    y->ready(t, y->run, y->error);
}

/* A local batch has no worker that could be lost; what a trial left that failed it finds again. */
static gboolean is_to_be_tidied(const Task *t)
{
    return t->attempt > 1 && !t->job->c->local;
}

/* Takes `deps`. */
static void prepare_beside(Task *t, Run *run, GPtrArray *deps, AttemptReady ready)
{
    Coordinator *c = t->job->c;
    Preparing *y = g_new0(Preparing, 1);
    *y = (Preparing){c, t->id, t->lease, is_to_be_tidied(t) ? t->attempt - 1 : 0, run_ref(run),
            t->job->batch ? run_batch_proto(t->job->run) : NULL, deps,
            g_ptr_array_new_with_free_func(g_free), ready, NULL};
    t->reading = TRUE;
    beside_start(c, prepare, on_prepared, preparing_free, y);
}

/* What is over is over, before anything is moved. FALSE: it can't be begun. */
static gboolean clear_up(Task *t, Run *run, GError **error)
{
    gboolean ok = is_to_be_tidied(t) ? mark_remote(t, run, error) : claim(t, run, error);
    if (!ok)
        return FALSE;
    /* From here on this attribute says that this attempt ended: attempt_has_ended(). */
    run_del_attr(run, "exit_status");
    /* Steps that came with their project: each attempt makes the runs of its steps anew. */
    if (run_has_marker(run, "project"))
        run_unlink_neighbours(run);
    if (t->attempt > 1) {
        keep_output(run, t->attempt - 1);
        watch_restarted(t->job->c, t->run_id);
    }
    return (t->attempt == 1 && t->member->in_place) ||
           run_write_attr_int(run, "attempts", t->attempt, error);
}

void attempt_begin(Task *t, Run *run, AttemptReady ready)
{
    g_autoptr(GError) error = NULL;
    if (is_untouched(t)) {
        ready(t, run, NULL);
        return;
    }
    g_autoptr(GPtrArray) deps = clear_up(t, run, &error) ? read_deps(t, run, &error) : NULL;
    if (deps && (is_to_be_tidied(t) || has_upstream(deps))) {
        prepare_beside(t, run, g_steal_pointer(&deps), ready);
        return;
    }
    if (deps && deps->len)
        resolve_upstream(t->job->c->home, run, deps, &error);
    ready(t, run, error);
}

/* What executes elsewhere has its mark until all of its result is here. */
gboolean attempt_has_ended(Run *run)
{
    return run_has_attr(run, "exit_status") && !run_has_marker(run, "LOCK.remote");
}

/* What belongs to this machine, or to earlier attempts, stays here. */
static gboolean goes_out(const char *rel, gboolean is_dir, gpointer data)
{
    static const char *const stays[] = {".guild/LOCK", ".guild/LOCK.remote", ".guild/attempts",
            ".guild/output", ".guild/output.index", NULL};
    return !g_strv_contains(stays, rel);
}

GPtrArray *attempt_files(Coordinator *c, const char *dir, FileListFlags flags, GError **error)
{
    return filelist_scan_within(dir, run_store_runs_dir(c->store), flags | FILELIST_INLINE,
            goes_out, NULL, c->digests, error);
}

void attempt_skipped(Task *t, Run *run, const char *why)
{
    job_say(t->job, LOG_INFO, "Skipping %s because %s", t->run_id, why);
    task_end(t, (int)run_attr_int(run, "exit_status", 0), NULL);
}

void attempt_failed(Task *t, Run *run, const GError *error)
{
    g_autofree char *remote = run_guild_path(run, "LOCK.remote");
    if (g_error_matches(error, COORDINATOR_ERROR, COORDINATOR_ERROR_STARTED)) {
        attempt_skipped(t, run, error->message);
        return;
    }
    run_clear_marker(run, "PENDING");
    run_clear_marker(run, "STAGED");
    run_write_attr_string(run, "error", error->message, NULL);
    fs_remove(remote, NULL);
    task_say_error(t, "exited with an error: (1)", error->message);
    task_end(t, 1, error->message);
}
