/* SPDX-License-Identifier: Apache-2.0 */
/* A run directory before an attempt at it and between two: one that executes elsewhere is marked
 * with LOCK.remote under the reference's lock, so that nobody starts it here meanwhile, what the
 * last attempt printed is put aside under `.guild/attempts/N/`, and the run says how often it was
 * tried. A run that is not ours to start (somebody else did, or it has ended) is left as it is. */
#include <stdio.h>
#include <string.h>

#include "coordinator/internal.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
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

/* Upstream runs are resolved here, where they are, just before the run goes out. */
static gboolean resolve_upstream(Task *t, Run *run, GError **error)
{
    g_autoptr(Value) op = run_try_attr(run, "op");
    g_autoptr(GPtrArray) deps = deps_for_data(value_map_get(op, "deps"), error);
    if (!deps)
        return FALSE;
    DepsContext ctx = {.store = t->job->c->store, .filter = DEPS_ONLY_OPERATIONS};
    return deps->len == 0 || deps_resolve(deps, run, &ctx, error);
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
    return lock && may_start(run, error) && fs_write(path, t->member->name, -1, error);
}

/* In place the worker itself takes the run, under the lock. */
static gboolean claim(Task *t, Run *run, GError **error)
{
    return t->member->in_place ? may_start(run, error) : mark_remote(t, run, error);
}

/* Nothing of it need be put right or marked: it has no past, and its worker, in the same home, looks
 * under the lock whether somebody else has begun it. */
static gboolean is_untouched(const Task *t)
{
    return t->attempt == 1 && (t->job->c->local || (t->fresh && t->member->in_place));
}

gboolean attempt_begin(Task *t, Run *run, GError **error)
{
    if (is_untouched(t))
        return TRUE;
    if (!claim(t, run, error))
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
    if ((t->attempt > 1 || !t->member->in_place) &&
            !run_write_attr_int(run, "attempts", t->attempt, error))
        return FALSE;
    return t->member->in_place || resolve_upstream(t, run, error);
}

gboolean attempt_has_ended(Run *run)
{
    return run_has_attr(run, "exit_status");
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
    return filelist_scan(dir, flags | FILELIST_FOLLOW_OUTSIDE | FILELIST_INLINE, goes_out, NULL,
            c->digests, error);
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
    run_write_attr_string(run, "error", error->message, NULL);
    fs_remove(remote, NULL);
    job_say(t->job, LOG_ERROR, "Trial %s exited with an error: (1) %s", t->run_id, error->message);
    task_end(t, 1, error->message);
}
