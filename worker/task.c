/* SPDX-License-Identifier: Apache-2.0 */
/* One task at the worker: its files fetched and its directory built (unless it runs in place), its
 * process started when there is room, what it prints sent on, its end reported until somebody
 * acknowledges it. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/op/op.h"
#include "engine/run/describe.h"
#include "engine/run/lock.h"
#include "worker/build.h"
#include "worker/children.h"
#include "worker/echo.h"
#include "worker/gather.h"
#include "worker/resolve.h"
#include "worker/room.h"

#define LOCK_WAIT_MS 5000
#define MAX_TASK_FILES 1000000
/* A report that nobody acknowledges is repeated: after 15 s, then with growing pauses. */
#define REPORT_AGAIN_US (15 * G_USEC_PER_SEC)

gboolean wtask_unstarted(const WTask *t)
{
    return t->stage < W_PREPARE;
}

static WTask *find(Worker *w, guint64 task, guint64 lease)
{
    for (guint i = 0; i < w->tasks->len; i++) {
        WTask *t = w->tasks->pdata[i];
        if (t->task == task && t->lease == lease)
            return t;
    }
    return NULL;
}

void wtask_free(gpointer task)
{
    WTask *t = task;
    Worker *w = t->w;
    if (t->want)
        transfer_cancel(link_transfer(w->link), t->want);
    if (t->offer)
        transfer_withdraw(link_transfer(w->link), t->offer);
    if (t->later) {
        g_source_destroy(t->later);
        g_source_unref(t->later);
    }
    build_cancel(t);
    gather_cancel(t);
    resolve_free(t);
    if (t->home) {
        children_clear(t);
        place_discard(w->place, t->home);
        g_free(t->home);
    }
    confine_free(t->confine);
    run_unref(t->run);
    g_free(t->run_id);
    g_free(t->dir);
    g_strfreev(t->sync);
    g_clear_pointer(&t->files, g_ptr_array_unref);
    g_clear_pointer(&t->before, g_ptr_array_unref);
    g_clear_pointer(&t->changes, g_ptr_array_unref);
    g_free(t->done.error);
    g_free(t->done.left);
    g_free(t->left);
    g_free(t);
}

static void forget(WTask *t)
{
    Worker *w = t->w;
    if (t->holds)
        resources_give(&w->res, &t->request, &t->taken);
    t->holds = FALSE;
    g_ptr_array_remove(w->tasks, t);
    worker_look(w);
}

static void release(WTask *t)
{
    if (t->holds)
        resources_give(&t->w->res, &t->request, &t->taken);
    t->holds = FALSE;
    worker_look(t->w);
}

/* ---- reporting ---- */

void wtask_report(WTask *t)
{
    Worker *w = t->w;
    echo_rest(t);
    t->report_at_us = clock_monotonic_us() + REPORT_AGAIN_US * MIN(++t->reports, 8);
    if (t->changes) {
        if (!t->offer)
            t->offer = transfer_offer(link_transfer(w->link), t->dir, t->changes);
        children_offer(t);
        MsgFiles head = {.task = t->task, .lease = t->lease};
        if (!transfer_send_files(link_transfer_send, w->link, &head, t->changes))
            return;
    }
    link_send(w->link, MSG_DONE, &t->done);
}

static void set_end(WTask *t, DoneCause cause, int exit_status, const char *error)
{
    g_free(t->done.error);
    g_clear_pointer(&t->done.left, g_free);
    t->done = (MsgDone){.task = t->task,
            .lease = t->lease,
            .exit_status = exit_status,
            .error = g_strdup(error),
            .cause = cause,
            .started_us = t->started_us,
            .stopped_us = clock_timestamp_us(),
            .mem_peak_bytes = t->mem_peak_bytes};
}

static void report_first(WTask *t)
{
    t->stage = W_REPORT;
    wtask_report(t);
    worker_look(t->w);
}

static void on_gathered(WTask *t, GPtrArray *changes, const GError *error)
{
    t->changes = changes;
    if (t->dropped) {
        forget(t);
        return;
    }
    if (!changes)
        set_end(t, DONE_LOST, 1, error->message);
    else
        t->done.left = g_steal_pointer(&t->left);
    report_first(t);
}

/* Elsewhere, or later, it may do better. In place an end that is recorded counts; a local batch
 * has no other place, and doesn't wait. */
static gboolean is_for_want_of_room(WTask *t, DoneCause cause, int exit_status)
{
    gboolean failed =
            cause == DONE_FAILED || (cause == DONE_EXITED && exit_status != 0 && !t->in_place);
    return failed && !t->w->inproc && room_is_short(t->w);
}

/* It is over, one way or another. In place there is nothing to send but the word. */
static void over(WTask *t, DoneCause cause, int exit_status, const char *error)
{
    release(t);
    if (t->dropped) {
        forget(t);
        return;
    }
    if (t->hand_back) {
        wtask_give_back(t, "its worker left");
        return;
    }
    if (is_for_want_of_room(t, cause, exit_status))
        set_end(t, DONE_LOST, 1, room_short_text(t->w));
    else
        set_end(t, cause, exit_status, error);
    if (t->in_place || !t->before || t->done.cause == DONE_LOST) {
        report_first(t);
    } else if (!fs_is_dir(t->dir)) {
        /* Its own doing: it would do so elsewhere too. */
        set_end(t, DONE_FAILED, exit_status ? exit_status : 1,
                "its run directory was removed while it ran");
        report_first(t);
    } else {
        t->stage = W_GATHER;
        gather_start(t, on_gathered);
    }
}

void wtask_ack(Worker *w, const MsgAck *m)
{
    WTask *t = find(w, m->task, m->lease);
    if (t && t->stage == W_REPORT)
        forget(t);
}

void wtask_give_back(WTask *t, const char *reason)
{
    MsgReturned m = {t->task, t->lease, (char *)reason};
    link_send(t->w->link, MSG_RETURNED, &m);
    forget(t);
}

/* ---- the process ---- */

static void on_output(Exec *exec, RunStream stream, const char *data, gsize len, gpointer task)
{
    WTask *t = task;
    if (t->dropped || (t->in_place && !t->want_output))
        return;
    echo_output(t, stream, data, len);
}

/* Of a trial that exited, and could not write all that is to be known of it: elsewhere it is run
 * again, in a home that others share too unless its end is recorded; a local batch has no other
 * place, and doesn't wait. What is no fault of the disk is the trial's own doing. */
static DoneCause cause_of_unwritten(WTask *t, const GError *problem)
{
    if (t->w->inproc)
        return DONE_FAILED;
    gboolean disk = g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOSPC) ||
                    g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_IO);
    gboolean counts = t->in_place && run_has_attr(t->run, "exit_status");
    return disk && !counts ? DONE_LOST : DONE_EXITED;
}

static void on_exited(Exec *exec, int exit_status, gboolean stopped, gpointer task)
{
    WTask *t = task;
    const GError *problem = exec_end_error(exec);
    g_autoptr(GError) unwritten = problem ? g_error_copy(problem) : NULL;
    exec_free(g_steal_pointer(&t->exec));
    t->memory_exceeded = confine_exceeded(t->confine);
    t->mem_peak_bytes = confine_mem_peak_bytes(t->confine);
    g_clear_pointer(&t->confine, confine_free);
    DoneCause cause = t->memory_exceeded ? DONE_MEMORY : t->stop_asked ? DONE_STOPPED : DONE_EXITED;
    if (cause == DONE_EXITED && unwritten)
        cause = cause_of_unwritten(t, unwritten);
    if (cause == DONE_LOST || cause == DONE_FAILED) {
        over(t, cause, exit_status ? exit_status : 1, unwritten->message);
        return;
    }
    g_autofree char *why = t->memory_exceeded ? confine_exceeded_text(&t->request) : NULL;
    over(t, cause, exit_status, why);
}

/* As the reference words it. Newly allocated. */
static char *start_error(WTask *t, const GError *error)
{
    g_autofree char *op = run_format_operation(t->run);
    return error->domain == EXEC_ERROR ? g_strdup_printf("error running %s: %s", op, error->message)
                                       : g_strdup(error->message);
}

static void on_memory_exceeded(gpointer task)
{
    exec_stop(((WTask *)task)->exec, 0);
}

/* What prepare() does if the start fails at once. */
static void on_start_failed(Exec *exec, const GError *error, gpointer task)
{
    WTask *t = task;
    g_autofree char *why = start_error(t, error);
    exec_free(g_steal_pointer(&t->exec));
    g_clear_pointer(&t->confine, confine_free);
    run_delete_lock(t->run);
    over(t, DONE_FAILED, 1, why);
}

static Value *device_names(WTask *t)
{
    if (!t->taken.gpu_mask)
        return NULL;
    Value *list = value_new_list();
    for (guint i = 0; i < g_strv_length(t->w->gpus) && i < RES_MAX_GPUS; i++)
        if (t->taken.gpu_mask & (G_GUINT64_CONSTANT(1) << i))
            value_list_append(list, value_new_string(t->w->gpus[i]));
    return list;
}

static void say_started(WTask *t)
{
    g_autoptr(Value) devices = device_names(t);
    g_autoptr(GPtrArray) attrs = t->in_place ? NULL : place_attributes(t);
    MsgStarted m = {.task = t->task,
            .lease = t->lease,
            .started_us = t->started_us,
            .pid = t->exec ? (int)exec_pid(t->exec) : 0,
            .devices = devices,
            .files = attrs};
    link_send(t->w->link, MSG_STARTED, &m);
}

void wtask_say_again(WTask *t)
{
    gboolean begun = t->stage == W_RUNNING || t->stage == W_GATHER ||
                     (t->stage == W_PREPARE && (t->in_place || t->resolve));
    if (begun && !t->dropped)
        say_started(t);
}

/* Nobody else may start it from here on. FALSE: somebody has. */
static gboolean claim(WTask *t, char **status, GError **error)
{
    g_autoptr(HomeLock) lock = home_lock_acquire(t->w->home, RUN_LOCK_STATUS, LOCK_WAIT_MS, error);
    if (!lock) {
        if (error && !*error)
            g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN, "the lock %s/locks/%s is held",
                    t->w->home, RUN_LOCK_STATUS);
        return FALSE;
    }
    RunStatus now = run_status(t->run);
    pid_t pid = run_pid(t->run); /* of somebody who is making it ready */
    gboolean busy = pid != getpid() && run_has_process(t->run);
    if (busy || (now != RUN_PENDING && now != RUN_STAGED)) {
        *status = g_strdup(run_status_name(busy ? RUN_RUNNING : now));
        return FALSE;
    }
    return run_write_lock(t->run, getpid(), error);
}

static void on_resolved(WTask *t, const char *error);

/* Or begins with what must be there before it; on_resolved() then comes here again. */
static gboolean start_process(WTask *t, GError **error)
{
    /* In place it was said to have started; elsewhere that is said once its pid is known. */
    const ExecCallbacks callbacks = {.output = on_output,
            .exited = on_exited,
            .failed = t->in_place ? on_start_failed : NULL};
    OpRequest req = {.home = t->in_place ? t->w->home : t->home};
    g_autoptr(Op) op = op_for_run(t->run, NULL, &req, error);
    g_autoptr(Run) run = op ? op_init_run(op, t->dir, error) : NULL;
    if (!run)
        return FALSE;
    op->deps_done = t->resolved;
    if (!t->resolved && resolve_takes_long(t, op)) {
        if (!t->in_place)
            say_started(t); /* it is at work, however long that takes */
        return resolve_start(t, on_resolved, error);
    }
    if (!op_prepare_start(op, t->run, FALSE, error))
        return FALSE;
    g_auto(GStrv) env = confine_env(&t->request, t->asks_cpus, &t->taken, t->w->gpus);
    ExecSpec *spec = exec_spec_for_op(op, t->run, TRUE, 0, (const char *const *)env);
    t->confine = confine_new(t->w->confine, t->run_id, &t->request, t->asks_cpus, spec);
    t->exec = exec_start(spec, t->w->context, &callbacks, t, error);
    if (t->exec)
        confine_watch(t->confine, t->w->context, t->exec, on_memory_exceeded, t);
    else
        g_clear_pointer(&t->confine, confine_free);
    return t->exec != NULL;
}

static void not_started(WTask *t, const char *why)
{
    run_clear_marker(t->run, "PENDING");
    run_delete_lock(t->run);
    over(t, DONE_FAILED, 1, why);
}

static void go_on(WTask *t)
{
    g_autoptr(GError) error = NULL;
    if (!start_process(t, &error)) {
        g_autofree char *why = start_error(t, error);
        not_started(t, why);
        return;
    }
    if (!t->exec)
        return; /* its dependencies come first */
    t->stage = W_RUNNING;
    if (!t->in_place)
        say_started(t);
    if (t->stop_asked)
        exec_stop(t->exec, t->grace_us);
}

static void on_resolved(WTask *t, const char *error)
{
    t->resolved = TRUE;
    if (t->stop_asked || t->dropped || t->hand_back)
        over(t, DONE_STOPPED, -SIGTERM, NULL);
    else if (error)
        not_started(t, error);
    else
        go_on(t);
}

static gboolean prepare(gpointer data)
{
    WTask *t = data;
    g_autoptr(GError) error = NULL;
    g_autofree char *status = NULL;
    g_clear_pointer(&t->later, g_source_unref);
    if (t->dropped || t->hand_back) {
        over(t, DONE_STOPPED, 0, NULL);
        return G_SOURCE_REMOVE;
    }
    if (t->in_place && !claim(t, &status, &error)) {
        if (!status) {
            over(t, DONE_LOST, 1, error->message);
            return G_SOURCE_REMOVE;
        }
        g_autofree char *why = g_strdup_printf("its status is '%s' (expected 'pending')", status);
        over(t, DONE_SKIPPED, 0, why);
        return G_SOURCE_REMOVE;
    }
    go_on(t);
    return G_SOURCE_REMOVE;
}

void wtask_begin(WTask *t)
{
    resources_take(&t->w->res, &t->request, &t->taken);
    t->holds = TRUE;
    t->stage = W_PREPARE;
    t->started_us = clock_timestamp_us();
    if (t->in_place)
        say_started(t);
    /* From a later turn of the loop: in one process with the coordinator, it says that the trial
     * runs before the trial says anything. */
    t->later = g_idle_source_new();
    g_source_set_priority(t->later, G_PRIORITY_DEFAULT + 10);
    g_source_set_callback(t->later, prepare, t, NULL);
    g_source_attach(t->later, t->w->context);
}

void wtask_end_process(WTask *t, gint64 grace_us)
{
    t->stop_asked = TRUE;
    t->grace_us = grace_us;
    if (t->exec && (t->dropped || t->hand_back))
        exec_disown(t->exec); /* it is to run again */
    if (t->exec)
        exec_stop(t->exec, grace_us);
    resolve_stop(t);
}

void wtask_drop(WTask *t)
{
    t->dropped = TRUE;
    if (t->stage == W_RUNNING)
        wtask_end_process(t, 0); /* forgotten when it has ended */
    g_atomic_int_set(&t->gather_off, 1);
    if (t->stage == W_RUNNING || t->stage == W_GATHER)
        return;
    forget(t);
}

void wtask_stop(Worker *w, const MsgStop *m)
{
    WTask *t = find(w, m->task, m->lease);
    if (!t)
        return;
    if (m->drop)
        wtask_drop(t);
    else if (wtask_unstarted(t) || (t->resolve && !t->in_place))
        wtask_give_back(t, ""); /* nothing of it has run, and nobody heard that it had */
    else if (!m->recall && t->stage < W_GATHER)
        wtask_end_process(t, m->grace_us > 0 ? m->grace_us : 0);
}

/* ---- its files ---- */

static void failed(WTask *t, const char *why)
{
    log_warning("run %s: %s", t->run_id, why);
    over(t, DONE_LOST, 1, why);
}

static void on_built(WTask *t, const GError *error)
{
    Worker *w = t->w;
    transfer_release(link_transfer(w->link), t->files);
    if (error) {
        failed(t, error->message);
        return;
    }
    g_clear_pointer(&t->files, g_ptr_array_unref);
    t->stage = W_READY;
    worker_look(w);
}

static void on_content(GPtrArray *files, const GError *error, gpointer task)
{
    WTask *t = task;
    t->want = 0;
    if (error)
        failed(t, error->message);
    else
        build_start(t, on_built);
}

void wtask_files(Worker *w, MsgFiles *m)
{
    WTask *t = find(w, m->task, m->lease);
    if (!t || t->stage != W_FILES || !m->files)
        return;
    if (!t->files)
        t->files = g_ptr_array_new_with_free_func(file_entry_free);
    if (t->files->len + m->files->len > MAX_TASK_FILES) {
        failed(t, "its list of files is too long");
        return;
    }
    g_ptr_array_set_free_func(m->files, NULL);
    g_ptr_array_extend_and_steal(t->files, g_steal_pointer(&m->files));
    if (!m->last)
        return;
    t->stage = W_CONTENT;
    /* With nothing to fetch it is over, and the task perhaps gone, when this returns. */
    TransferWant want = transfer_want(link_transfer(w->link), t->files, on_content, t);
    if (want)
        t->want = want;
}

static gboolean find_place(WTask *t, const MsgStart *m, GError **error)
{
    Worker *w = t->w;
    if (m->run_dir) {
        t->in_place = TRUE;
        g_autofree char *runs = g_build_filename(w->home, "runs", NULL);
        t->dir = fs_join(runs, m->run_dir);
    } else {
        if (!w->place)
            w->place = place_new(w->home, w->session, error);
        t->home = w->place ? place_task_home(w->place, t->lease, error) : NULL;
        if (!t->home)
            return FALSE;
        t->dir = g_build_filename(t->home, "runs", t->run_id, NULL);
    }
    t->run = run_new(t->dir, t->run_id);
    return TRUE;
}

void wtask_start(Worker *w, const MsgStart *m)
{
    g_autoptr(GError) error = NULL;
    if (!m->run || !*m->run || find(w, m->task, m->lease))
        return;
    WTask *t = g_new0(WTask, 1);
    t->w = w;
    t->task = m->task;
    t->lease = m->lease;
    t->attempt = (guint)m->attempt;
    t->run_id = g_strdup(m->run);
    t->want_output = m->want_output;
    t->sync = g_strdupv(m->sync);
    t->asks_cpus = value_map_has(m->request, "cpus");
    g_ptr_array_add(w->tasks, t);
    if (w->stopping || w->draining) {
        wtask_give_back(t, "the worker takes no more");
        return;
    }
    if (!w->inproc && room_is_short(w)) {
        wtask_give_back(t, room_short_text(w));
        return;
    }
    if (!request_from_value(m->request, &t->request, &error) || !find_place(t, m, &error) ||
            (m->run_dir && !w->in_place)) {
        failed(t, error ? error->message : "it is to be run in place, and can't be");
        return;
    }
    t->stage = t->in_place ? W_READY : W_FILES;
    if (t->in_place)
        worker_look(w);
}
