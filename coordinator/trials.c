/* SPDX-License-Identifier: Apache-2.0 */
/* Trials of a batch, asked of the optimizer and staged ahead of need: at once as many as workers
 * may want soon, the others when there is nothing better to do, so that all are on disk in the end.
 * An optimizer that learns from results is asked only when a slot is free. With --stage-trials each
 * is made ready for the user, and none is queued. */
#include "coordinator/beside.h"
#include "coordinator/feed.h"
#include "coordinator/internal.h"
#include "engine/base/apart.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/op/label.h"
#include "engine/op/op.h"
#include "engine/run/describe.h"

/* Waiting tasks below which more are staged before anything else. */
#define LOW_WATER 8
/* Trials are staged for so long in one turn of the loop: less than is read from the socket in one,
 * for workers that are not heard lose their leases. */
#define STAGE_TURN_US 5000

static void fail_job(Job *j, const char *message)
{
    job_say(j, LOG_ERROR, "%s", message);
    j->exit_status = 1;
    j->asked_all = TRUE;
}

static gboolean on_stage_again(gpointer data)
{
    Job *j = data;
    g_clear_pointer(&j->staging, g_source_unref);
    job_pump(j);
    return G_SOURCE_REMOVE;
}

/* The disk is full: it is gone on when it no longer is. */
static void stage_later(Job *j, const char *why)
{
    log_error("batch %s waits: %s", run_id(j->run), why);
    if (j->staging) {
        g_source_destroy(j->staging);
        g_source_unref(j->staging);
    }
    j->staging = g_timeout_source_new(1000);
    g_source_set_callback(j->staging, on_stage_again, j, NULL);
    g_source_attach(j->staging, j->c->context);
}

static void say_note(Job *j)
{
    const char *note = feed_note(j->feed);
    if (note)
        job_say(j, LOG_INFO, "%s", note);
}

/* ---- what is done with a trial on a thread ---- */

typedef struct {
    Job *job; /* does not end while it is `making` */
    Value *flags;
    Run *trial;
    GError *error;
    gboolean left; /* unstaged, for it was stopped or the coordinator ends */
} Making;

static void making_free(gpointer making)
{
    Making *m = making;
    value_unref(m->flags);
    g_clear_pointer(&m->trial, run_unref);
    g_clear_error(&m->error);
    g_free(m);
}

static void make_beside(
        Job *j, const Value *flags, Run *trial, void (*work)(gpointer), void (*done)(gpointer))
{
    Making *m = g_new0(Making, 1);
    *m = (Making){j, value_copy(flags), trial ? run_ref(trial) : NULL, NULL, FALSE};
    j->making = beside_start(j->c, work, done, making_free, m);
}

/* ---- trials made ready for the user (--stage-trials) ---- */

/* Here what it depends on is brought in; at a coordinator, on a thread, nothing is: a stranger's trial
 * resolves nothing on this machine. */
static gboolean stage_for_user(Coordinator *c, Run *trial, GError **error)
{
    OpRequest req = {.home = c->home};
    g_autoptr(Op) op = op_for_run(trial, NULL, &req, error);
    g_autoptr(Run) staged = !op        ? NULL
                            : c->local ? op_stage(op, FALSE, error)
                                       : op_stage_apart(op, error);
    return staged != NULL;
}

static void say_staging(Job *j, Run *trial)
{
    g_autoptr(Value) flags = run_try_attr(trial, "flags");
    g_autofree char *desc = run_flags_desc(flags);
    g_autofree char *op_name = run_format_operation(trial);
    job_say(j, LOG_INFO, "Staging trial %s: %s (%s)", run_id(trial), op_name, desc);
}

/* The queue remembers it, as it does trials that have ended: started again, the batch goes on
 * behind it. */
static void trial_staged(Job *j, Run *trial, const GError *error)
{
    QueueTask q = {.id = queue_next_id(j->c->queue),
            .job = j->id,
            .index = j->n_done++,
            .run = (char *)run_id(trial),
            .state = TASK_DONE};
    queue_put_task(j->c->queue, &q);
    if (error)
        job_say(j, LOG_ERROR, "Trial %s exited with an error: (1) %s", run_id(trial),
                error->message);
}

static void stage_beside(gpointer making)
{
    Making *m = making;
    m->left = !stage_for_user(m->job->c, m->trial, &m->error) && apart_is_unwanted();
    if (m->left)
        run_set_marker(m->trial, "PENDING", NULL);
}

static void on_staged(gpointer making)
{
    Making *m = making;
    Job *j = m->job;
    j->making = NULL;
    if (!m->left && m->error && coordinator_is_full(j->c, m->error)) {
        j->unstaged = run_ref(m->trial);
        stage_later(j, m->error->message);
        return;
    }
    if (!m->left)
        trial_staged(j, m->trial, m->error);
    job_pump(j);
    job_maybe_end(j);
}

/* FALSE: nothing more for now. */
static gboolean stage_trial(Job *j, Run *trial)
{
    if (!j->c->local) {
        make_beside(j, NULL, trial, stage_beside, on_staged);
        return FALSE;
    }
    g_autoptr(GError) error = NULL;
    stage_for_user(j->c, trial, &error);
    trial_staged(j, trial, error);
    return TRUE;
}

/* ---- trials made ---- */

/* What becomes of a trial that was made, or could not be. FALSE: nothing more for now. */
static gboolean trial_made(Job *j, const Value *flags, Run *trial, const GError *problem)
{
    if (!trial && coordinator_is_full(j->c, problem)) {
        j->stuck = value_ref((Value *)flags);
        stage_later(j, problem->message);
        return FALSE;
    }
    if (!trial) {
        fail_job(j, problem->message);
        return FALSE;
    }
    gint64 index = j->n_asked++;
    if (j->stopping)
        return TRUE; /* stays pending, for whoever starts it */
    if (j->stage_only) {
        say_staging(j, trial);
        return stage_trial(j, trial);
    }
    Task *t = job_task_new(j, run_id(trial));
    t->index = index;
    t->fresh = TRUE;
    t->desc = run_flags_desc(flags);
    task_enqueue_durably(t);
    return TRUE;
}

static void make_it(gpointer making)
{
    Making *m = making;
    m->trial = feed_stage(m->job->feed, m->flags, &m->error);
}

static void on_made(gpointer making)
{
    Making *m = making;
    m->job->making = NULL;
    trial_made(m->job, m->flags, m->trial, m->error);
    job_pump(m->job);
    job_maybe_end(m->job);
}

/* FALSE: nothing more for now. */
static gboolean make_trial(Job *j, const Value *flags)
{
    if (!j->c->local && feed_stages_long(j->feed)) {
        make_beside(j, flags, NULL, make_it, on_made);
        return FALSE;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(Run) trial = feed_stage(j->feed, flags, &error);
    return trial_made(j, flags, trial, error);
}

/* FALSE: nothing more to be had now. */
static gboolean ask_one(Job *j)
{
    if (j->asked_all || j->making)
        return FALSE;
    OptimizerState state = OPTIMIZER_READY;
    g_autoptr(GError) error = NULL;
    g_autoptr(Run) unstaged = g_steal_pointer(&j->unstaged);
    if (unstaged)
        return stage_trial(j, unstaged);
    g_autoptr(Value) flags = g_steal_pointer(&j->stuck);
    if (!flags) {
        flags = feed_ask(j->feed, &state, &error);
        if (state == OPTIMIZER_READY)
            say_note(j);
    }
    switch (state) {
    case OPTIMIZER_READY:
        return make_trial(j, flags);
    case OPTIMIZER_WAIT:
        if (j->stopping)
            j->asked_all = TRUE;
        return FALSE;
    case OPTIMIZER_DONE:
        j->asked_all = TRUE;
        return FALSE;
    case OPTIMIZER_FAILED:
        fail_job(j, error ? error->message : "the optimizer failed");
        return FALSE;
    }
    return FALSE;
}

/* Workers may run out of trials. */
static gboolean is_low(Job *j)
{
    guint slots = (guint)CLAMP(j->c->slots, 1, 100000);
    guint low = MAX(LOW_WATER, 2 * slots);
    if (j->stopping)
        return FALSE;
    if (feed_learns(j->feed))
        return g_hash_table_size(j->tasks) < slots;
    return sched_group_waiting(j->c->sched, j->group) < low &&
           g_hash_table_size(j->tasks) < low + 4 * slots;
}

/* FALSE: nothing more to be had now. */
static gboolean stage_while_low(Job *j)
{
    gint64 until_us = clock_monotonic_us() + STAGE_TURN_US;
    gboolean more = TRUE;
    while (more && is_low(j) && clock_monotonic_us() < until_us)
        more = ask_one(j);
    return more;
}

/* The source's place is taken by one that waits for the disk. */
static gboolean waits_for_disk(const Job *j)
{
    return j->stuck || j->unstaged;
}

static gboolean stage_idle(gpointer data)
{
    Job *j = data;
    gboolean ahead = !feed_learns(j->feed);
    gboolean more = is_low(j) ? stage_while_low(j) : ahead && ask_one(j);
    if (waits_for_disk(j))
        return G_SOURCE_REMOVE;
    if (more && (ahead || is_low(j))) {
        g_source_set_priority(j->staging, is_low(j) ? G_PRIORITY_DEFAULT : G_PRIORITY_LOW);
        return G_SOURCE_CONTINUE;
    }
    g_clear_pointer(&j->staging, g_source_unref);
    job_maybe_end(j);
    return G_SOURCE_REMOVE;
}

/* At once if workers may run out of them, else when there is nothing better to do. */
static void stage_rest_later(Job *j)
{
    int priority = is_low(j) ? G_PRIORITY_DEFAULT : G_PRIORITY_LOW;
    if (j->asked_all || waits_for_disk(j))
        return;
    if (j->staging) {
        g_source_set_priority(j->staging, priority);
        return;
    }
    j->staging = g_idle_source_new();
    g_source_set_priority(j->staging, priority);
    g_source_set_callback(j->staging, stage_idle, j, NULL);
    g_source_attach(j->staging, j->c->context);
}

/* FALSE: nothing may be asked for yet. */
static gboolean begin(Job *j)
{
    g_autoptr(GError) error = NULL;
    if (j->begun)
        return TRUE;
    if (!j->recorded)
        return FALSE;
    if (job_begin(j, &error)) {
        job_check_fit(j);
        return TRUE;
    }
    if (coordinator_is_full(j->c, error)) {
        stage_later(j, error->message);
        return FALSE;
    }
    j->begun = TRUE;
    fail_job(j, error->message);
    return TRUE;
}

void job_pump(Job *j)
{
    if (!j->feed || j->ended || !begin(j))
        return;
    /* Of many results in one turn only the first does so; the source goes on. */
    gboolean more = j->staging || stage_while_low(j);
    if (!feed_learns(j->feed) || (more && is_low(j)))
        stage_rest_later(j);
    else if (j->stopping)
        j->asked_all = TRUE; /* there is nothing to stage that it would still want */
    job_maybe_end(j);
}
