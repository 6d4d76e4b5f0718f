/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: a submitted batch with its trials, or a single run; what happens to them until their end.
 * Where their trials come from is trials.c's. */
#include <string.h>
#include <unistd.h>

#include "coordinator/beside.h"
#include "coordinator/internal.h"
#include "coordinator/feed.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/op/label.h"
#include "engine/run/describe.h"

const char *job_run_id(Job *job)
{
    return run_id(job->run);
}

JobProgress job_progress(Job *j)
{
    gint64 total = j->feed ? feed_count(j->feed) : 1;
    JobProgress p = {.total = G_MAXUINT64,
            .done = j->n_done,
            .running = j->n_running,
            .failed = j->n_failed,
            .waiting = G_MAXUINT64};
    if (j->asked_all || total >= 0) {
        p.total = j->asked_all ? j->n_asked : (guint64)total;
        p.waiting = p.total - MIN(p.total, p.done + p.running);
    }
    return p;
}

static Value *progress_value(Job *j)
{
    JobProgress p = job_progress(j);
    Value *v = value_new_map();
    value_map_set_int(v, "done", (gint64)p.done);
    value_map_set_int(v, "running", (gint64)p.running);
    value_map_set_int(v, "failed", (gint64)p.failed);
    value_map_set_int(v, "left", p.waiting == G_MAXUINT64 ? -1 : (gint64)p.waiting);
    return v;
}

static void tell_progress(Job *j)
{
    JobProgress p = job_progress(j);
    if (j->listener.progress)
        j->listener.progress(j, &p, j->data);
    if (j->c->n_watches)
        watch_event(j->c, run_id(j->run), "progress", 0, progress_value(j));
}

void job_say(Job *j, int level, const char *fmt, ...)
{
    static const struct {
        int level;
        const char *name;
    } names[] = {{LOG_DEBUG, "DEBUG"}, {LOG_INFO, "INFO"}, {LOG_WARNING, "WARNING"},
            {LOG_ERROR, "ERROR"}};
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    const char *name = "INFO";
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (names[i].level == level)
            name = names[i].name;
    g_autofree char *line = g_strdup_printf("%s: [guild] %s\n", name, text);
    if (j->output)
        run_output_write(j->output, RUN_STDERR, line, strlen(line), NULL);
    if (j->listener.line)
        j->listener.line(j, level, text, j->data);
    if (j->c->n_watches) {
        Value *v = value_new_map();
        value_map_set_int(v, "level", level);
        value_map_set_string(v, "text", text);
        watch_event(j->c, run_id(j->run), "log", j->output ? strlen(line) : 0, v);
    }
    if (!j->c->local && level >= LOG_ERROR)
        log_warning("%s: %s", run_id(j->run), text);
}

void task_say_error(Task *t, const char *how, const char *why)
{
    if (t->job->batch)
        job_say(t->job, LOG_ERROR, "Trial %s %s %s", t->run_id, how, why);
    else
        log_warning("run %s %s %s", t->run_id, how, why);
}

void coordinator_job_log(Job *j, const char *line)
{
    if (!j->output)
        return;
    run_output_write(j->output, RUN_STDERR, line, strlen(line), NULL);
    run_output_write(j->output, RUN_STDERR, "\n", 1, NULL);
}

/* ---- ending ---- */

static void write_batch_end(Job *j)
{
    if (!j->batch)
        return;
    job_close_output(j);
    run_write_attr_int(j->run, "exit_status", j->exit_status, NULL);
    run_write_attr_int(j->run, "stopped", clock_timestamp_us(), NULL);
    run_delete_lock(j->run);
    run_clear_marker(j->run, "PENDING"); /* of one that could not begin */
    run_clear_marker(j->run, "STAGED");
    g_autofree char *remote = run_guild_path(j->run, "LOCK.remote");
    fs_remove(remote, NULL);
}

void job_store(Job *j)
{
    QueueJob q = {.id = j->id,
            .run = (char *)run_id(j->run),
            .batch = j->batch,
            .user = j->user,
            .priority = j->priority,
            .retries = j->retries,
            .retry_failed = j->retry_failed,
            .request = j->request,
            .options = j->options,
            .state = j->state,
            .submitted_us = j->submitted_us,
            .exit_status = j->exit_status};
    queue_put_job(j->c->queue, &q);
}

static gboolean end_job(gpointer data)
{
    Job *j = data;
    Coordinator *c = j->c;
    write_batch_end(j);
    j->state = j->stopping ? JOB_STOPPED : JOB_DONE;
    job_store(j);
    tell_progress(j);
    if (!c->local) {
        watch_end(c, run_id(j->run), j->exit_status);
        log_info("%s %s ended with status %d (%u done, %u failed)", j->batch ? "batch" : "run",
                run_id(j->run), j->exit_status, j->n_done, j->n_failed);
    }
    if (j->listener.ended)
        j->listener.ended(j, j->exit_status, j->data);
    g_hash_table_remove(c->jobs, &j->id);
    return G_SOURCE_REMOVE;
}

/* From a fresh turn of the loop: whoever made the last change may still hold the job. */
void job_maybe_end(Job *j)
{
    if (j->ended || !j->begun || !j->asked_all || g_hash_table_size(j->tasks) || j->staging ||
            j->making)
        return;
    j->ended = TRUE;
    j->ending = g_idle_source_new();
    g_source_set_priority(j->ending, G_PRIORITY_DEFAULT);
    g_source_set_callback(j->ending, end_job, j, NULL);
    g_source_attach(j->ending, j->c->context);
}

/* ---- trials ---- */

Task *job_task_new(Job *j, const char *id)
{
    Task *t = g_new0(Task, 1);
    t->id = queue_next_id(j->c->queue);
    t->job = j;
    t->run_id = g_strdup(id);
    g_hash_table_add(j->tasks, t);
    g_hash_table_insert(j->c->tasks, &t->id, t);
    return t;
}

static void enqueue_durable(const GError *error, gpointer data)
{
    Coordinator *c = ((gpointer *)data)[0];
    guint64 id = *(guint64 *)((gpointer *)data)[1];
    Task *t = g_hash_table_lookup(c->tasks, &id);
    g_free(((gpointer *)data)[1]);
    g_free(data);
    if (t && t->stage == TS_QUEUED && !t->handle)
        task_enqueue(t);
}

/* A trial may begin only when the queue knows of it: else a crash would make it twice. */
void task_enqueue_durably(Task *t)
{
    task_store(t, TASK_WAITING);
    gpointer *data = g_new0(gpointer, 2);
    data[0] = t->job->c;
    data[1] = g_memdup2(&t->id, sizeof t->id);
    queue_after(t->job->c->queue, enqueue_durable, data);
}

static void say_running(Task *t)
{
    Job *j = t->job;
    if (!j->op_name || !t->desc) {
        g_autoptr(Run) run = task_run(t);
        g_autoptr(Value) flags = run_try_attr(run, "flags");
        if (!j->op_name)
            j->op_name = run_format_operation(run);
        if (!t->desc)
            t->desc = run_flags_desc(flags);
    }
    job_say(j, LOG_INFO, "Running trial %s: %s (%s)", t->run_id, j->op_name, t->desc);
}

void job_task_started(Task *t)
{
    Job *j = t->job;
    j->n_running++;
    if (j->batch && !(j->said && g_hash_table_remove(j->said, t->run_id)))
        say_running(t);
    tell_progress(j);
}

static void fail_fast(Job *j, int exit_status)
{
    job_say(j, LOG_ERROR,
            "Stopping batch because a trial failed (pending trials can be started as needed)");
    j->exit_status = exit_status;
    coordinator_stop_job(j->c, j, -1, TRUE);
}

typedef struct {
    Coordinator *c;
    Run *run;
} Interim;

static void on_end_durable(const GError *error, gpointer data)
{
    g_autofree Interim *i = data;
    g_autoptr(Run) run = i->run;
    g_autoptr(GError) err = NULL;
    if (!error && !run_store_delete(i->c->store, run, &err))
        log_error("%s", err->message);
}

/* It goes when the queue has its end on disk: started again, we would look for it. Killed between
 * the two, we leave it. */
static void delete_interim(Job *j, Run *run)
{
    g_autofree char *name = run_format_operation(run);
    job_say(j, LOG_INFO, "Deleting interim run %s ('%s' is configured for deletion on success)",
            run_id(run), name);
    Interim *i = g_new0(Interim, 1);
    *i = (Interim){j->c, run_ref(run)};
    queue_after(j->c->queue, on_end_durable, i);
}

void job_task_ended(Task *t, int exit_status, const char *error)
{
    Job *j = t->job;
    if (exit_status == TASK_NOT_RUN) {
        job_maybe_end(j);
        return; /* it never ran, and stays pending */
    }
    j->n_done++;
    j->n_failed += exit_status != 0;
    if (j->batch)
        watch_end(j->c, t->run_id, exit_status);
    if (!j->batch)
        j->exit_status = exit_status;
    if (j->feed) {
        g_autoptr(Run) run = task_run(t);
        feed_tell(j->feed, run, exit_status == 0);
        if (exit_status == 0 && j->interim)
            delete_interim(j, run);
    }
    if (exit_status != 0 && j->batch && j->fail_fast && !j->stopping)
        fail_fast(j, exit_status);
    tell_progress(j);
    job_pump(j);
    job_maybe_end(j);
}

/* ---- stopping ---- */

static void stop_running(Task *t, gint64 grace_us, gboolean say)
{
    if (say && t->job->batch)
        job_say(t->job, LOG_INFO, "Stopping trial %s", t->run_id);
    task_stop(t, grace_us);
}

void coordinator_stop_job(Coordinator *c, Job *j, gint64 grace_us, gboolean stage_rest)
{
    gboolean first = grace_us >= 0 && !j->stopping;
    j->stopping = TRUE;
    j->stop_grace_us = grace_us;
    if (j->making && j->stage_only)
        beside_hurry(j->making);
    if (!stage_rest || !j->feed) {
        j->asked_all = TRUE;
        if (j->staging) {
            g_source_destroy(j->staging);
            g_clear_pointer(&j->staging, g_source_unref);
        }
    }
    g_autoptr(GList) tasks = g_hash_table_get_keys(j->tasks);
    for (GList *l = tasks; l; l = l->next) {
        Task *t = l->data;
        if (t->stage == TS_QUEUED)
            task_end(t, TASK_NOT_RUN, NULL);
        else if (t->stage == TS_GIVEN)
            task_recall(t);
        else if (grace_us >= 0)
            stop_running(t, grace_us, first);
    }
    if (first && j->batch)
        job_say(j, LOG_INFO, "Stopping batch (pending trials can be started as needed)");
    if (j->exit_status == 0 && grace_us >= 0)
        j->exit_status = -15;
    j->state = grace_us >= 0 ? JOB_STOPPING : JOB_ENDING;
    job_store(j);
    job_pump(j);
    job_maybe_end(j);
}

/* Here no other machine will come: what this one has not got it never will. Elsewhere one may. */
void job_check_fit(Job *j)
{
    Coordinator *c = j->c;
    if (!j->begun)
        return;
    SchedFit fit = j->stage_only || j->stopping ? SCHED_FITS : sched_fit(c->sched, &j->needs);
    if (fit != SCHED_NOWHERE || j->told_nowhere) {
        j->told_nowhere = fit == SCHED_NOWHERE;
        return;
    }
    j->told_nowhere = TRUE;
    g_autofree char *needs = request_describe(&j->needs);
    g_autofree char *why = sched_fit_why(c->sched, &j->needs);
    if (!c->local) {
        job_say(j, LOG_WARNING, "Waiting for %s: no worker has that (%s)", needs, why);
        return;
    }
    job_say(j, LOG_ERROR, "Trials ask for %s, which this machine has not got (%s)", needs, why);
    j->exit_status = 1;
    coordinator_stop_job(c, j, -1, TRUE);
}
