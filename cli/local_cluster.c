/* SPDX-License-Identifier: Apache-2.0 */
/* A coordinator and a worker in this process, for a batch: see local_cluster.h. What the user sees
 * is decided here: log lines in the reference's words on stderr, with one job at a time the trials'
 * own output, with several a progress line if stderr is a terminal. */
#include "cli/local_cluster.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "coordinator/coordinator.h"
#include "cli/progress.h"
#include "engine/base/log.h"
#include "engine/wire/lazy_zmq.h"
#include "worker/worker.h"

#define ENDPOINT "inproc://guild-batch"
/* A stop is to be over within 5 s, children and all. */
#define STOP_GRACE_US (4 * G_USEC_PER_SEC)

typedef struct {
    GMainContext *context;
    GMainLoop *loop;
    Coordinator *coordinator;
    Worker *worker;
    Job *job;
    Progress *progress;
    gboolean show_output;
    gboolean quiet; /* log lines go to the batch's output only */
    gboolean ended;
    int exit_status;
    int signal; /* the first one that asked us to stop */
    guint n_signals;
} Local;

static void on_line(Job *job, int level, const char *text, gpointer data)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    Local *l = data;
    if (l->quiet || (level < LOG_INFO && log_level() > LOG_DEBUG))
        return;
    progress_line(l->progress, "%s: [guild] %s", names[CLAMP(level / 10 - 1, 0, 3)], text);
}

static void on_output(Job *job, Run *trial, int stream, const void *bytes, gsize len, gpointer data)
{
    FILE *f = stream == 0 ? stdout : stderr;
    if (!((Local *)data)->show_output)
        return;
    fwrite(bytes, 1, len, f);
    fflush(f);
}

static void on_progress(Job *job, const JobProgress *p, gpointer data)
{
    progress_update(((Local *)data)->progress, p->total, p->done, p->running, p->failed);
}

/* What is logged while trials are made ready, such as which files they get. */
static void on_log(LogLevel level, const char *line, gpointer data)
{
    Local *l = data;
    if (l->job && g_main_context_is_owner(l->context))
        coordinator_job_log(l->job, line);
}

static void on_ended(Job *job, int exit_status, gpointer data)
{
    Local *l = data;
    l->ended = TRUE;
    l->job = NULL;
    l->exit_status = exit_status;
    g_main_loop_quit(l->loop);
}

static void stop(Local *l, int signal)
{
    l->n_signals++;
    if (l->signal == 0) {
        l->signal = signal;
        if (l->job)
            coordinator_stop_job(l->coordinator, l->job, STOP_GRACE_US, TRUE);
        return;
    }
    /* The second one doesn't wait: not for what is left to be staged, not for trials. */
    if (l->job)
        coordinator_stop_job(l->coordinator, l->job, 0, FALSE);
}

static gboolean on_sigint(gpointer data)
{
    stop(data, SIGINT);
    return G_SOURCE_CONTINUE;
}

static gboolean on_sigterm(gpointer data)
{
    stop(data, SIGTERM);
    return G_SOURCE_CONTINUE;
}

/* Ctrl-\ on a terminal reaches us, not the trials, which have process groups of their own: without
 * this they would go on when we are gone. Nothing is waited for or staged. */
static gboolean on_sigquit(gint fd, GIOCondition condition, gpointer data)
{
    Local *l = data;
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == sizeof info)
        continue;
    l->n_signals++;
    l->signal = SIGQUIT;
    if (l->job)
        coordinator_stop_job(l->coordinator, l->job, 0, FALSE);
    return G_SOURCE_CONTINUE;
}

static gboolean open_cluster(Local *l, const LocalBatchOptions *o, void *zmq, GError **error)
{
    int jobs = o->jobs > 0 ? o->jobs : (int)g_get_num_processors();
    WorkerOptions w = {.home = o->home, .url = ENDPOINT, .zmq = zmq, .slots = jobs};
    l->coordinator = coordinator_new_local(o->home, zmq, ENDPOINT, l->context, error);
    if (!l->coordinator)
        return FALSE;
    l->worker = worker_new(&w, l->context, NULL, NULL, error);
    return l->worker != NULL;
}

static gboolean add_job(Local *l, Run *batch_run, const LocalBatchOptions *o, GError **error)
{
    static const JobListener listener = {on_line, on_output, on_progress, on_ended};
    JobOptions j = {.retries = o->retries,
            .retry_failed = o->retry_failed,
            .request = o->request,
            .want_output = o->jobs == 1,
            .stage_only = o->stage_trials};
    l->job = coordinator_add(l->coordinator, batch_run, &j, &listener, l, error);
    return l->job != NULL;
}

static void run_loop(Local *l)
{
    GSource *sources[] = {g_unix_signal_source_new(SIGINT), g_unix_signal_source_new(SIGTERM),
            g_unix_signal_source_new(SIGHUP)};
    for (guint i = 0; i < G_N_ELEMENTS(sources); i++) {
        g_source_set_callback(sources[i], i == 0 ? on_sigint : on_sigterm, l, NULL);
        g_source_attach(sources[i], l->context);
    }
    sigset_t quit, before;
    sigemptyset(&quit);
    sigaddset(&quit, SIGQUIT);
    pthread_sigmask(SIG_BLOCK, &quit, &before);
    int quit_fd = signalfd(-1, &quit, SFD_NONBLOCK | SFD_CLOEXEC);
    g_autoptr(GSource) quit_source = g_unix_fd_source_new(quit_fd, G_IO_IN);
    g_source_set_callback(quit_source, G_SOURCE_FUNC(on_sigquit), l, NULL);
    g_source_attach(quit_source, l->context);
    if (!l->ended)
        g_main_loop_run(l->loop);
    g_source_destroy(quit_source);
    close(quit_fd);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(sources); i++) {
        g_source_destroy(sources[i]);
        g_source_unref(sources[i]);
    }
}

int local_batch_run(Run *batch_run, const LocalBatchOptions *options, GError **error)
{
    Local l = {.exit_status = -1};
    void *zmq = zmq_ctx_new();
    zmq_ctx_set(zmq, ZMQ_IO_THREADS, 0); /* inproc needs none */
    l.context = g_main_context_default();
    l.loop = g_main_loop_new(l.context, FALSE);
    l.progress = progress_new(options->jobs != 1 && !options->quiet);
    l.quiet = options->quiet;
    l.show_output = options->jobs == 1 && !options->quiet;
    /* What trials log while they are made ready is the batch's log. */
    LogStyle style = log_style();
    log_set_style(LOG_STYLE_OP);
    log_set_hook(on_log, &l);
    if (open_cluster(&l, options, zmq, error) && add_job(&l, batch_run, options, error))
        run_loop(&l);
    log_set_hook(NULL, NULL);
    log_set_style(style);
    progress_free(l.progress);
    worker_free(l.worker);
    coordinator_free(l.coordinator);
    g_main_loop_unref(l.loop);
    zmq_ctx_term(zmq);
    return l.signal == SIGINT || l.signal == SIGQUIT ? -l.signal : l.exit_status;
}
