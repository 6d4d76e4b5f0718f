/* SPDX-License-Identifier: Apache-2.0 */
/* How jobs begin, and begin again after the coordinator was restarted; what they ask for; how their
 * memory goes. What happens in between is batch.c's. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coordinator/feed.h"
#include "coordinator/internal.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

/* ---- beginning ---- */

void job_free(gpointer job)
{
    Job *j = job;
    g_autoptr(GList) tasks = g_hash_table_get_keys(j->tasks);
    for (GList *l = tasks; l; l = l->next) {
        Task *t = l->data;
        result_abandon(t);
        task_release(t);
        task_unref_member(t);
        g_hash_table_steal(j->c->tasks, &t->id);
        task_free(t);
    }
    g_hash_table_unref(j->tasks);
    GSource *sources[] = {j->staging, j->ending, j->deadline};
    for (guint i = 0; i < G_N_ELEMENTS(sources); i++)
        if (sources[i]) {
            g_source_destroy(sources[i]);
            g_source_unref(sources[i]);
        }
    job_close_output(j);
    g_clear_pointer(&j->said, g_hash_table_unref);
    if (j->group)
        sched_group_remove(j->c->sched, j->group);
    feed_free(j->feed);
    g_hash_table_remove(j->c->runs, run_id(j->run));
    run_unref(j->run);
    value_unref(j->stuck);
    g_clear_pointer(&j->unstaged, run_unref);
    g_free(j->user);
    g_free(j->op_name);
    value_unref(j->request);
    value_unref(j->options);
    g_strfreev(j->sync);
    g_free(j);
}

/* Lines that trials print are found in the batch's output too, and so are their scalars. */
static void on_output_line(RunStream stream, const char *line, gsize len, gpointer data)
{
    scalars_out_line(((Job *)data)->scalars, line, len);
}

typedef RunOutput *(*OpenOutput)(Run *, RunOutputLineFn, gpointer, GError **);

static gboolean open_output(Job *j, OpenOutput open_it, GError **error)
{
    g_autoptr(OutputRules) scalars = output_rules_new(OUTPUT_RULES_SCALARS, NULL);
    g_autoptr(OutputRules) attrs = output_rules_new(OUTPUT_RULES_ATTRS, NULL);
    j->scalars = scalars_out_new(j->run, scalars, NULL, attrs, NULL);
    j->output = open_it(j->run, on_output_line, j, error);
    return j->output != NULL;
}

void job_close_output(Job *j)
{
    g_clear_pointer(&j->output, run_output_close);
    g_clear_pointer(&j->scalars, scalars_out_free);
}

/* What the operation says in guild.yml, under what the submitter asked. */
static gboolean read_needs(Job *j, const Value *asked, GError **error)
{
    g_autoptr(Run) proto = j->batch ? run_batch_proto(j->run) : run_ref(j->run);
    g_autoptr(Value) own = proto ? run_try_attr(proto, "request") : NULL;
    j->request = request_merge(own, asked);
    const Value *sync = value_map_get(j->options, "sync");
    if (value_is_list(sync)) {
        g_autoptr(GStrvBuilder) b = g_strv_builder_new();
        for (gsize i = 0; i < value_list_size(sync); i++)
            if (value_is_string(value_list_at(sync, i)))
                g_strv_builder_add(b, value_get_string(value_list_at(sync, i)));
        j->sync = g_strv_builder_end(b);
    }
    return request_from_value(j->request, &j->needs, error);
}

static void on_thought(gpointer job)
{
    job_pump(job);
}

static gboolean deletes_on_success(Run *proto)
{
    g_autoptr(Value) op = run_try_attr(proto, "op");
    return value_truthy(value_map_get(op, "delete-on-success"));
}

static Job *job_new(Coordinator *c, guint64 id, Run *run, const JobOptions *o, GError **error)
{
    g_autoptr(Run) proto = run_batch_proto(run);
    g_autoptr(Value) params = run_try_attr(run, "run_params");
    Job *j = g_new0(Job, 1);
    j->c = c;
    j->id = id;
    j->run = run_ref(run);
    j->batch = proto != NULL;
    j->interim = proto && deletes_on_success(proto);
    j->user = g_strdup(o->user ? o->user : "");
    j->priority = o->priority;
    j->retries = o->retries;
    j->retry_failed = o->retry_failed;
    j->options = value_ref(o->options);
    j->want_output = o->want_output;
    j->stage_only = o->stage_only;
    j->fail_fast = value_map_bool(params, "fail_on_trial_error", FALSE);
    j->tasks = g_hash_table_new(NULL, NULL);
    j->submitted_us = clock_timestamp_us();
    if (!read_needs(j, o->request, error)) {
        job_free(j);
        return NULL;
    }
    j->group = sched_group_add(c->sched, j->user, j->priority, j->fail_fast);
    if (j->batch && !(j->feed = feed_new(run, run_store_runs_dir(c->store), error))) {
        job_free(j);
        return NULL;
    }
    if (j->feed)
        feed_think_apart(j->feed, c->context, on_thought, j);
    g_hash_table_insert(c->jobs, &j->id, j);
    g_hash_table_insert(c->runs, g_strdup(run_id(run)), j);
    return j;
}

/* Here the batch is this process. A coordinator's batch outlives it, and nobody may stop the
 * coordinator by stopping a batch. */
static gboolean batch_lock(Job *j, GError **error)
{
    g_autofree char *path = run_guild_path(j->run, "LOCK.remote");
    return j->c->local ? run_write_lock(j->run, getpid(), error)
                       : fs_write_own(path, "coordinator", -1, error);
}

static gboolean begin_batch(Job *j, GError **error)
{
    Run *run = j->run;
    run_del_attr(run, "exit_status");
    run_del_attr(run, "stopped");
    if (!run_write_attr_int(run, "started", clock_timestamp_us(), error) || !batch_lock(j, error) ||
            !open_output(j, run_output_open, error))
        return FALSE;
    run_clear_marker(run, "STAGED");
    run_clear_marker(run, "PENDING");
    return TRUE;
}

/* Its marks go last when it is begun, and it asks for no trial before. */
static gboolean is_begun(Run *run)
{
    return !run_has_marker(run, "STAGED") && !run_has_marker(run, "PENDING");
}

static gboolean on_deadline(gpointer data)
{
    Job *j = data;
    g_clear_pointer(&j->deadline, g_source_unref);
    job_say(j, LOG_INFO,
            "Stopping batch because its time is over (pending trials can be started as "
            "needed)");
    coordinator_stop_job(j->c, j, STOP_GRACE_US, TRUE);
    return G_SOURCE_REMOVE;
}

/* --stop-after, from when the batch started (which may be before we did). */
static void arm_deadline(Job *j)
{
    g_autoptr(Value) params = run_try_attr(j->run, "run_params");
    const Value *minutes = value_map_get(params, "stop_after");
    if (!j->batch || !value_is_number(minutes) || value_get_float(minutes) <= 0)
        return;
    double left =
            value_get_float(minutes) * 60 -
            (double)(clock_timestamp_us() - run_attr_int(j->run, "started", 0)) / G_USEC_PER_SEC;
    j->deadline = g_timeout_source_new((guint)(CLAMP(left, 0, 4e6) * 1000));
    g_source_set_callback(j->deadline, on_deadline, j, NULL);
    g_source_attach(j->deadline, j->c->context);
}

gboolean job_begin(Job *j, GError **error)
{
    if (!begin_batch(j, error)) {
        job_close_output(j);
        return FALSE;
    }
    j->begun = TRUE;
    arm_deadline(j);
    return TRUE;
}

typedef struct {
    Coordinator *c;
    guint64 id;
} Added;

static void on_added(const GError *error, gpointer data)
{
    g_autofree Added *a = data;
    Job *j = g_hash_table_lookup(a->c->jobs, &a->id);
    if (!j || error || a->c->closing)
        return; /* when we end it is for the next one to begin */
    j->recorded = TRUE;
    job_pump(j);
}

/* A coordinator's batch begins when the queue knows of it: had we ended before, nobody would ever
 * take away the mark that it runs. */
static void begin_durably(Job *j)
{
    Added *a = g_new0(Added, 1);
    *a = (Added){j->c, j->id};
    queue_after(j->c->queue, on_added, a);
}

Job *coordinator_add(Coordinator *c, Run *run, const JobOptions *options,
        const JobListener *listener, gpointer data, GError **error)
{
    Job *j = job_new(c, queue_next_id(c->queue), run, options, error);
    if (!j)
        return NULL;
    if (listener)
        j->listener = *listener;
    j->data = data;
    if (j->batch && c->local && !job_begin(j, error)) {
        g_hash_table_remove(c->jobs, &j->id);
        return NULL;
    }
    job_store(j);
    if (j->batch) {
        begin_durably(j);
    } else {
        j->begun = j->asked_all = TRUE;
        j->n_asked = 1;
        task_enqueue_durably(job_task_new(j, run_id(run)));
    }
    job_check_fit(j);
    return j;
}

Job *job_for_run(Coordinator *c, const char *id)
{
    return g_hash_table_lookup(c->runs, id);
}

/* ---- deleted runs ---- */

/* Its worker may end it at once: there is no place for its result any more. */
static void drop_task(Task *t)
{
    MsgStop m = {.task = t->id, .lease = t->lease, .drop = TRUE};
    log_info("run %s was deleted: it is ended", t->run_id);
    if (t->member && t->member->peer)
        peer_send(t->member->peer, MSG_STOP, &m);
    task_end(t, TASK_NOT_RUN, NULL);
}

static gboolean is_deleted(Run *run)
{
    return !fs_is_dir(run_dir(run));
}

void jobs_drop_deleted(Coordinator *c)
{
    g_autoptr(GList) members = g_hash_table_get_values(c->members);
    for (GList *m = members; m; m = m->next) {
        g_autoptr(GList) tasks = g_hash_table_get_keys(((Member *)m->data)->tasks);
        for (GList *t = tasks; t; t = t->next) {
            g_autoptr(Run) run = task_run(t->data);
            if (is_deleted(run))
                drop_task(t->data);
        }
    }
    g_autoptr(GList) jobs = g_hash_table_get_values(c->jobs);
    for (GList *l = jobs; l; l = l->next) {
        Job *j = l->data;
        if (j->stopping || j->ended || !is_deleted(j->run))
            continue;
        log_info("%s was deleted: it is stopped", run_id(j->run));
        coordinator_stop_job(c, j, STOP_GRACE_US, FALSE);
    }
}

/* ---- after a restart ---- */

/* Of the file, up to the last newline in it. */
static guint64 length_of_lines(const char *path)
{
    char buf[65536];
    struct stat st;
    int fd = fs_open_regular(path);
    guint64 len = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (guint64)st.st_size : 0;
    gboolean found = FALSE;
    while (len && !found) {
        gsize n = (gsize)MIN(len, sizeof buf);
        ssize_t got = pread(fd, buf, n, (off_t)(len - n));
        const char *end = got == (ssize_t)n ? memrchr(buf, '\n', (size_t)got) : NULL;
        found = end != NULL;
        len = found ? len - n + (gsize)(end + 1 - buf) : len - n;
    }
    if (fd >= 0)
        close(fd);
    return len;
}

/* How much of its output its batch has, at least: it is told first. A line that had only begun it
 * has not. */
static guint64 whole_lines(Task *t)
{
    g_autoptr(Run) run = task_run(t);
    g_autofree char *path = run_guild_path(run, "output");
    return length_of_lines(path);
}

/* A task as the queue's file has it. One that a worker had waits for that worker; see
 * coordinator.c for how long. */
static void restore_task(Job *j, const QueueTask *q)
{
    if (q->state == TASK_DONE) {
        j->n_done++;
        g_autofree char *dir = g_build_filename(run_store_runs_dir(j->c->store), q->run, NULL);
        g_autoptr(Run) run = run_new(dir, q->run);
        if (!run_exists(run))
            return; /* deleted since */
        if (j->stage_only)
            return; /* what became of it is the user's affair */
        gboolean ok = run_status(run) == RUN_COMPLETED;
        j->n_failed += !ok;
        if (j->feed)
            feed_tell(j->feed, run, ok);
        return;
    }
    if (q->state == TASK_LEFT)
        return; /* it stays pending, for whoever starts it */
    Task *t = g_new0(Task, 1);
    t->id = q->id;
    t->job = j;
    t->index = q->index;
    t->run_id = g_strdup(q->run);
    t->lease = q->lease;
    t->attempt = q->attempt;
    t->failures = q->failures;
    t->unsure = !queue_same_boot(j->c->queue);
    t->stage = TS_QUEUED;
    if (q->state != TASK_WAITING)
        t->output_told = whole_lines(t);
    else if (j->said)
        g_hash_table_remove(j->said, t->run_id); /* it will be said of its next attempt */
    g_hash_table_add(j->tasks, t);
    g_hash_table_insert(j->c->tasks, &t->id, t);
    if (q->state == TASK_WAITING) {
        /* A mark of ours, if we ended before it was on disk that the task was given out. */
        g_autoptr(Run) run = task_run(t);
        g_autofree char *remote = run_guild_path(run, "LOCK.remote");
        fs_remove(remote, NULL);
        task_enqueue(t);
    }
}

/* Of trials that run still, and are taken back, it is not said again. */
static GHashTable *said_to_run(const char *text, gsize len)
{
    static const char words[] = "Running trial ";
    GHashTable *said = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const char *at = len ? text : NULL; /* an empty file has no address */
    const char *end = len ? text + len : NULL;
    while (at && (at = memmem(at, (gsize)(end - at), words, strlen(words)))) {
        at += strlen(words);
        gsize n = 0;
        while (at + n < end && !strchr(": \n", at[n]))
            n++;
        g_hash_table_add(said, g_strndup(at, n));
    }
    return said;
}

static void reopen_output(Job *j)
{
    g_autofree char *path = run_guild_path(j->run, "output");
    g_autoptr(GMappedFile) text = g_mapped_file_new(path, FALSE, NULL);
    if (text)
        j->said = said_to_run(g_mapped_file_get_contents(text), g_mapped_file_get_length(text));
    open_output(j, run_output_append, NULL);
}

static gboolean restore_job(Coordinator *c, const QueueJob *q, GError **error)
{
    g_autofree char *dir = g_build_filename(run_store_runs_dir(c->store), q->run, NULL);
    g_autoptr(Run) run = run_new(dir, q->run);
    if (is_deleted(run)) {
        queue_delete_job(c->queue, q->id);
        return TRUE;
    }
    g_autoptr(GPtrArray) tasks = queue_load_tasks(c->queue, q->id, error);
    if (!tasks)
        return FALSE;
    g_autoptr(GError) err = NULL;
    JobOptions o = {.user = q->user,
            .priority = q->priority,
            .retries = q->retries,
            .retry_failed = q->retry_failed,
            .request = q->request,
            .options = q->options,
            .want_output = value_map_bool(q->options, "output", FALSE),
            .stage_only = value_map_bool(q->options, "stage_trials", FALSE)};
    Job *j = job_new(c, q->id, run, &o, &err);
    if (!j) {
        log_error("cannot go on with %s: %s", q->run, err->message);
        return TRUE; /* the others go on */
    }
    j->submitted_us = q->submitted_us;
    j->state = q->state;
    j->stopping = q->state != JOB_ACTIVE;
    j->stop_grace_us = q->state == JOB_STOPPING ? STOP_GRACE_US : -1;
    j->exit_status = q->exit_status;
    j->n_asked = tasks->len;
    j->recorded = TRUE;
    j->begun = !j->batch || is_begun(run);
    if (!j->batch) {
        j->asked_all = TRUE;
    } else if (j->begun) {
        batch_lock(j, NULL);
        reopen_output(j);
        arm_deadline(j);
        feed_restore(j->feed, tasks);
        feed_sweep(j->feed, run, tasks, j->stage_only);
    }
    for (guint i = 0; i < tasks->len; i++)
        restore_task(j, tasks->pdata[i]);
    if (j->batch)
        job_pump(j);
    job_maybe_end(j);
    return TRUE;
}

gboolean jobs_restore(Coordinator *c, GError **error)
{
    g_autoptr(GPtrArray) jobs = queue_load_jobs(c->queue, error);
    if (!jobs)
        return FALSE;
    for (guint i = 0; i < jobs->len; i++) {
        QueueJob *q = jobs->pdata[i];
        gboolean over = q->state == JOB_DONE || q->state == JOB_STOPPED;
        if (!over && !restore_job(c, q, error))
            return FALSE;
    }
    return TRUE;
}
