/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions of the scheduler carried out, and the life of a task between its queue and its end. */
#include <string.h>
#include <unistd.h>

#include "coordinator/beside.h"
#include "coordinator/internal.h"
#include "coordinator/tidy.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/run/lock.h"

Run *task_run(Task *t)
{
    if (!t->job->batch)
        return run_ref(t->job->run);
    g_autofree char *dir = g_build_filename(run_store_runs_dir(t->job->c->store), t->run_id, NULL);
    return run_new(dir, t->run_id);
}

void task_store(Task *t, TaskState state)
{
    QueueTask q = {.id = t->id,
            .job = t->job->id,
            .index = t->index,
            .run = t->run_id,
            .state = state,
            .lease = t->lease,
            .attempt = t->attempt,
            .failures = t->failures,
            .worker = t->member ? t->member->session : NULL};
    queue_put_task(t->job->c->queue, &q);
}

void task_free(gpointer task)
{
    Task *t = task;
    result_orphan(t);
    result_abandon(t);
    for (int i = 0; i < 2; i++)
        if (t->line[i])
            g_string_free(t->line[i], TRUE);
    g_free(t->run_id);
    g_free(t->desc);
    value_unref(t->devices);
    g_free(t);
}

void task_unref_member(Task *t)
{
    if (t->member)
        g_hash_table_remove(t->member->tasks, t);
    t->member = NULL;
}

void task_release(Task *t)
{
    if (t->handle)
        sched_task_remove(t->job->c->sched, t->handle);
    t->handle = 0;
    if (t->stage == TS_RUNNING || t->stage == TS_RESULT)
        t->job->n_running -= t->job->n_running > 0;
}

void task_enqueue(Task *t)
{
    Coordinator *c = t->job->c;
    t->stage = TS_QUEUED;
    t->handle = sched_task_add(c->sched, t->job->group, &t->job->needs, t->id);
    dispatch_wake(c);
}

/* Back into the queue, at its front. */
static void requeue(Task *t)
{
    Coordinator *c = t->job->c;
    if (t->stage == TS_RUNNING || t->stage == TS_RESULT)
        t->job->n_running -= t->job->n_running > 0;
    result_abandon(t);
    task_unref_member(t);
    t->stage = TS_QUEUED;
    t->stop_asked = FALSE;
    t->output_told = 0;
    watch_output_end(t); /* no end of a line of another attempt */
    g_clear_pointer(&t->devices, value_unref);
    if (t->handle)
        sched_task_requeue(c->sched, t->handle);
    else
        t->handle = sched_task_add(c->sched, t->job->group, &t->job->needs, t->id);
    task_store(t, TASK_WAITING);
    dispatch_wake(c);
}

/* Begun in place without our having heard of it, and over: nobody else's. */
static gboolean begun_unheard(Task *t, Run *run)
{
    RunStatus status = run_status(run);
    return t->member && t->member->in_place && !t->reading && status != RUN_PENDING &&
           status != RUN_STAGED && !run_has_process(run);
}

void task_unheard_of(Task *t)
{
    g_autoptr(Run) run = task_run(t);
    if (begun_unheard(t, run))
        task_lost(t, "its worker was lost when it had just begun");
    else
        task_returned(t);
}

/* A user stopped it, or its batch: what was not begun stays pending, what was lost is not tried again. */
static gboolean is_unwanted(const Task *t)
{
    return t->job->stopping || t->stop_asked;
}

void task_returned(Task *t)
{
    g_autoptr(Run) run = task_run(t);
    g_autofree char *remote = run_guild_path(run, "LOCK.remote");
    unlink(remote);
    t->attempt -= t->attempt > 0;
    if (is_unwanted(t))
        task_end(t, TASK_NOT_RUN, NULL);
    else
        requeue(t);
}

/* As before its first start, as far as that can be told. */
static void make_pending(Task *t)
{
    g_autoptr(Run) run = task_run(t);
    g_autofree char *remote = run_guild_path(run, "LOCK.remote");
    run_set_marker(run, "PENDING", NULL);
    unlink(remote);
    run_delete_lock(run);
    run_del_attr(run, "exit_status");
    run_del_attr(run, "stopped");
}

static void give_up(Task *t, const char *why)
{
    g_autoptr(Run) run = task_run(t);
    g_autofree char *text = g_strdup_printf("gave up after %d attempts: %s", t->attempt, why);
    g_autofree char *remote = run_guild_path(run, "LOCK.remote");
    run_clear_marker(run, "PENDING");
    run_clear_marker(run, "STAGED");
    run_delete_lock(run);
    run_write_attr_string(run, "error", text, NULL);
    run_write_attr_int(run, "stopped", clock_timestamp_us(), NULL);
    run_write_attr_int(run, "exit_status", 1, NULL);
    unlink(remote);
    task_say_error(t, "ended in error:", text);
    task_end(t, 1, text);
}

void task_lost(Task *t, const char *why)
{
    Coordinator *c = t->job->c;
    int limit = t->job->retries >= 0 ? t->job->retries : c->retries;
    if (t->placing) { /* its result came in time, and will be recorded */
        task_unref_member(t);
        return;
    }
    result_abandon(t);
    if (result_recover(t))
        return;
    c->n_lost++;
    if (t->attempt - t->failures - t->spared > limit) {
        give_up(t, why);
        return;
    }
    make_pending(t);
    if (is_unwanted(t)) {
        task_end(t, TASK_NOT_RUN, NULL);
        return;
    }
    if (!c->local)
        log_info("run %s: attempt %d failed (%s); it is tried again", t->run_id, t->attempt, why);
    requeue(t);
}

void task_stop(Task *t, gint64 grace_us)
{
    if (t->stage == TS_QUEUED) {
        task_end(t, TASK_NOT_RUN, NULL);
        return;
    }
    t->stop_asked = TRUE;
    MsgStop m = {.task = t->id, .lease = t->lease, .grace_us = grace_us};
    if (t->member && t->member->peer)
        peer_send(t->member->peer, MSG_STOP, &m);
}

void task_end(Task *t, int exit_status, const char *error)
{
    Job *j = t->job;
    result_abandon(t);
    task_release(t);
    if (t->member)
        t->member->n_finished++;
    task_unref_member(t);
    t->stage = TS_ENDED;
    watch_output_end(t);
    task_store(t, exit_status == TASK_NOT_RUN ? TASK_LEFT : TASK_DONE);
    g_hash_table_remove(j->tasks, t);
    g_hash_table_steal(j->c->tasks, &t->id);
    job_task_ended(t, exit_status, error);
    task_free(t);
    dispatch_wake(j->c);
}

void task_handed_back(Task *t, const char *why)
{
    t->spared++;
    task_lost(t, why);
}

void task_again(Task *t)
{
    g_autoptr(Run) run = task_run(t);
    make_pending(t);
    if (!t->job->c->local)
        tidy_keep(run);
    requeue(t);
}

/* ---- handing out ---- */

static gboolean send_start(Task *t, Run *run, GPtrArray *files)
{
    Member *m = t->member;
    MsgStart start = {.task = t->id,
            .lease = t->lease,
            .attempt = (guint64)t->attempt,
            .run = t->run_id,
            .request = t->job->request,
            .want_output = t->job->want_output,
            .sync = t->job->sync};
    g_autofree char *rel = NULL;
    if (m->in_place) {
        gsize n = strlen(run_store_runs_dir(t->job->c->store));
        gboolean below = !strncmp(run_dir(run), run_store_runs_dir(t->job->c->store), n) &&
                         run_dir(run)[n] == '/';
        rel = g_strdup(below && !t->job->c->local ? run_dir(run) + n + 1 : run_dir(run));
        start.run_dir = rel;
        peer_send(m->peer, MSG_START, &start);
        return TRUE;
    }
    t->offer = transfer_offer(m->peer->xfer, run_dir(run), files);
    peer_send(m->peer, MSG_START, &start);
    MsgFiles head = {.task = t->id, .lease = t->lease};
    transfer_send_files(peer_transfer_send, m->peer, &head, files);
    return TRUE;
}

/* A long look through what a worker needs. */
typedef struct {
    Coordinator *c;
    guint64 task, lease;
    char *dir;
    GPtrArray *files;
    GError *error;
} Reading;

static void reading_free(gpointer reading)
{
    Reading *r = reading;
    g_clear_pointer(&r->files, g_ptr_array_unref);
    g_clear_error(&r->error);
    g_free(r->dir);
    g_free(r);
}

static void read_files(gpointer reading)
{
    Reading *r = reading;
    r->files = attempt_files(r->c, r->dir, FILELIST_PLAIN, &r->error);
}

static void on_read(gpointer reading);

static void read_beside(Task *t, Run *run)
{
    Reading *r = g_new0(Reading, 1);
    *r = (Reading){t->job->c, t->id, t->lease, g_strdup(run_dir(run)), NULL, NULL};
    t->reading = TRUE;
    beside_start(r->c, read_files, on_read, reading_free, r);
}

/* Everything the worker needs goes to it now, or soon. */
static gboolean send_out(Task *t, Run *run, GError **error)
{
    if (t->member->in_place)
        return send_start(t, run, NULL);
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) files = attempt_files(t->job->c, run_dir(run), FILELIST_BRIEF, &err);
    if (files)
        return send_start(t, run, files);
    if (!g_error_matches(err, G_FILE_ERROR, G_FILE_ERROR_AGAIN)) {
        g_propagate_error(error, g_steal_pointer(&err));
        return FALSE;
    }
    read_beside(t, run);
    return TRUE;
}

/* What can't be handed out ends in error, and says why. */
static void not_handed_out(Task *t, Run *run, const GError *error)
{
    Coordinator *c = t->job->c;
    if (coordinator_is_full(c, error)) {
        log_error("run %s waits: %s", t->run_id, error->message);
        dispatch_hold(c);
        task_returned(t);
    } else {
        attempt_failed(t, run, error);
    }
}

static void on_ready(Task *t, Run *run, const GError *cause)
{
    g_autoptr(GError) error = NULL;
    if (cause)
        not_handed_out(t, run, cause);
    else if (!send_out(t, run, &error))
        not_handed_out(t, run, error);
}

static void hand_out(Task *t)
{
    g_autoptr(Run) run = task_run(t);
    attempt_begin(t, run, on_ready);
}

static void not_begun(Task *t)
{
    g_autoptr(Run) run = task_run(t);
    g_autofree char *remote = run_guild_path(run, "LOCK.remote");
    unlink(remote);
    task_end(t, TASK_NOT_RUN, NULL);
}

Task *task_still_given(Coordinator *c, guint64 id, guint64 lease)
{
    Task *t = g_hash_table_lookup(c->tasks, &id);
    if (!t || t->lease != lease || t->stage != TS_GIVEN || c->closing)
        return NULL;
    t->reading = FALSE;
    if (is_unwanted(t)) {
        not_begun(t);
        return NULL;
    }
    if (!t->member || !t->member->peer)
        return NULL;
    t->member->worked_us = clock_monotonic_us();
    return t;
}

static void on_read(gpointer reading)
{
    Reading *r = reading;
    Task *t = task_still_given(r->c, r->task, r->lease);
    if (!t)
        return;
    g_autoptr(Run) run = task_run(t);
    if (r->files)
        send_start(t, run, r->files);
    else
        not_handed_out(t, run, r->error);
}

typedef struct {
    Coordinator *c;
    guint64 task, lease;
} Leased;

static void on_leased(const GError *error, gpointer data)
{
    g_autofree Leased *l = data;
    Task *t = g_hash_table_lookup(l->c->tasks, &l->task);
    if (!t || t->lease != l->lease || t->stage != TS_GIVEN || l->c->closing)
        return; /* its worker went meanwhile */
    t->reading = FALSE;
    if (is_unwanted(t))
        task_returned(t);
    else if (t->member && t->member->peer)
        hand_out(t);
}

/* The decision is made; from here on the task belongs to the worker. It hears of it when the lease
 * is on disk: started again after a crash, we know of every task that a worker may have begun. */
static void give(Coordinator *c, Task *t, Member *m)
{
    t->member = m;
    t->stage = TS_GIVEN;
    t->reading = TRUE; /* its worker knows nothing of it yet, and can't be blamed */
    t->unsure = FALSE;
    t->lease = queue_next_id(c->queue);
    t->attempt++;
    if (!g_hash_table_size(m->tasks))
        m->worked_us = clock_monotonic_us();
    g_hash_table_add(m->tasks, t);
    task_store(t, TASK_LEASED);
    Leased *l = g_new0(Leased, 1);
    *l = (Leased){c, t->id, t->lease};
    queue_after(c->queue, on_leased, l);
}

void task_recall(Task *t)
{
    MsgStop m = {.task = t->id, .lease = t->lease, .recall = TRUE};
    if (t->member && t->member->peer)
        peer_send(t->member->peer, MSG_STOP, &m);
}

#define MAX_DECISIONS 256 /* in one turn of the loop */

static gboolean on_hold_over(gpointer data)
{
    Coordinator *c = data;
    g_clear_pointer(&c->hold, g_source_unref);
    dispatch_wake(c);
    return G_SOURCE_REMOVE;
}

void dispatch_hold(Coordinator *c)
{
    if (c->hold)
        return;
    c->hold = g_timeout_source_new(1000);
    g_source_set_callback(c->hold, on_hold_over, c, NULL);
    g_source_attach(c->hold, c->context);
}

static gboolean dispatch(gpointer data)
{
    Coordinator *c = data;
    SchedDecision d;
    g_clear_pointer(&c->wake, g_source_unref);
    for (int i = 0; i < MAX_DECISIONS; i++) {
        if (c->hold || !sched_next(c->sched, clock_timestamp_us(), &d))
            return G_SOURCE_REMOVE;
        Task *t = g_hash_table_lookup(c->tasks, &d.data);
        Member *m = d.worker < c->by_handle->len ? c->by_handle->pdata[d.worker] : NULL;
        g_assert(t && m);
        if (d.action == SCHED_RECALL)
            task_recall(t);
        else
            give(c, t, m);
    }
    dispatch_wake(c);
    return G_SOURCE_REMOVE;
}

void dispatch_wake(Coordinator *c)
{
    if (c->wake || c->closing)
        return;
    c->wake = g_idle_source_new();
    g_source_set_priority(c->wake, G_PRIORITY_DEFAULT);
    g_source_set_callback(c->wake, dispatch, c, NULL);
    g_source_attach(c->wake, c->context);
}
