/* SPDX-License-Identifier: Apache-2.0 */
/* A running child: its output, its time limit, its end. */
#include "engine/exec/exec.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/exec/proctree.h"
#include "engine/exec/scalars_out.h"
#include "engine/exec/spawn.h"

G_DEFINE_QUARK(exec - error - quark, exec_error)

#define READ_SIZE 65536
#define READS_PER_TURN 16
/* How long to wait for more output once the child itself is gone: something that it started may
 * hold its pipes for ever. */
#define DRAIN_MS 2000
/* How often to look whether all processes of a stopped run are gone; they are not our children. */
#define STOP_TICK_MS 50
/* What a child that was killed leaves behind has this long to end by itself. */
#define LEFTOVER_GRACE_US (5 * G_USEC_PER_SEC)

typedef struct Stream {
    Exec *exec;
    RunStream kind;
    int fd; /* -1: at its end */
} Stream;

/* The start of a child by the spawning thread. `done` is under the lock, the rest is the thread's
 * until then and ours afterwards. */
typedef struct SpawnJob {
    Exec *exec;
    GSource *report; /* made ready by the thread */
    SpawnedChild child;
    GError *error;
    gboolean good, done;
} SpawnJob;

struct Exec {
    ExecSpec *spec;
    ExecCallbacks callbacks;
    gpointer data;
    GMainContext *context;
    pid_t pid;
    gint64 started_us; /* monotonic */
    Stream streams[2];
    int ready_fd; /* epoll of both: it tells which was written to first */
    GSource *ready_source;
    RunOutput *output; /* NULL: not captured */
    ScalarsOut *scalars;
    GError *end_error; /* the first thing of the run that could not be written */
    GSource *child_source, *limit_source, *drain_source, *stop_source;
    gboolean exited, drained; /* the child is gone; its output is no longer waited for */
    gboolean finished;
    int status;
    gboolean stopping, killed, limit_hit;
    gboolean disowned;   /* its run is somebody else's: the end is not written there */
    SpawnJob *job;       /* the child is being started */
    gboolean stop_asked; /* meanwhile */
    gint64 stop_grace_us;
    gint64 kill_at_us; /* monotonic */
    GArray *known;     /* ProcId of the tree when it was stopped */
};

static void finish(Exec *exec);

static void clear_source(GSource **source)
{
    if (!*source)
        return;
    g_source_destroy(*source);
    g_source_unref(*source);
    *source = NULL;
}

static GSource *attach(Exec *exec, GSource *source, GSourceFunc fn, gpointer data)
{
    g_source_set_callback(source, fn, data, NULL);
    g_source_attach(source, exec->context);
    return source;
}

/* Output */

static void on_line(RunStream stream, const char *line, gsize len, gpointer data)
{
    Exec *exec = data;
    if (exec->scalars)
        scalars_out_line(exec->scalars, line, len);
}

/* To our own stdout or stderr, which may be a slow terminal. A reader that went away ends it. */
static void show(Exec *exec, int fd, const char *data, gsize len)
{
    while (len && exec->spec->tee) {
        gssize n = write(fd, data, len);
        if (n >= 0) {
            data += n;
            len -= (gsize)n;
        } else if (errno == EAGAIN) {
            GPollFD p = {fd, G_IO_OUT, 0};
            g_poll(&p, 1, -1);
        } else if (errno != EINTR) {
            exec->spec->tee = FALSE;
        }
    }
}

static void note_lost(Exec *exec, const GError *error)
{
    if (!exec->end_error)
        exec->end_error = g_error_copy(error);
}

static void take_output(Exec *exec, RunStream kind, const char *data, gsize len)
{
    g_autoptr(GError) error = NULL;
    if (!exec->spec->quiet)
        show(exec, kind == RUN_STDERR ? STDERR_FILENO : STDOUT_FILENO, data, len);
    if (!run_output_write(exec->output, kind, data, len, &error) && !exec->end_error) {
        log_warning("output of run %s is not kept: %s", run_id(exec->spec->run), error->message);
        note_lost(exec, error);
    }
    if (exec->callbacks.output)
        exec->callbacks.output(exec, kind, data, len, exec->data);
}

static void end_stream(Stream *s)
{
    if (s->fd < 0)
        return;
    close(s->fd);
    s->fd = -1;
    run_output_end(s->exec->output, s->kind);
}

/* Reads what is there, in bounded amount. */
static void read_stream(Stream *s)
{
    char buf[READ_SIZE];
    for (guint i = 0; s->fd >= 0 && i < READS_PER_TURN; i++) {
        gssize n = read(s->fd, buf, sizeof buf);
        if (n > 0) {
            take_output(s->exec, s->kind, buf, (gsize)n);
            if ((gsize)n < sizeof buf && !s->exec->exited)
                return; /* most likely empty now */
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            end_stream(s);
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

static gboolean is_drained(const Exec *exec)
{
    return exec->drained || (exec->streams[RUN_STDOUT].fd < 0 && exec->streams[RUN_STDERR].fd < 0);
}

static void finish_if_over(Exec *exec)
{
    if (exec->exited && !exec->stop_source && is_drained(exec))
        finish(exec);
}

/* In the order in which they became ready, so that lines of both streams stay in theirs however
 * late we come. epoll forgets a stream that was ready only when it looks again. */
static void read_ready(Exec *exec)
{
    struct epoll_event events[2];
    for (guint i = 0; i < READS_PER_TURN; i++) {
        int n = epoll_wait(exec->ready_fd, events, G_N_ELEMENTS(events), 0);
        if (n <= 0)
            return;
        for (int j = 0; j < n; j++)
            read_stream(events[j].data.ptr);
    }
}

static gboolean on_ready(gint fd, GIOCondition condition, gpointer data)
{
    Exec *exec = data;
    read_ready(exec);
    gboolean more = exec->streams[RUN_STDOUT].fd >= 0 || exec->streams[RUN_STDERR].fd >= 0;
    if (!more)
        clear_source(&exec->ready_source);
    finish_if_over(exec);
    return more;
}

static void add_stream(Exec *exec, RunStream kind, int fd)
{
    Stream *s = &exec->streams[kind];
    *s = (Stream){exec, kind, fd};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    if (fd >= 0 && epoll_ctl(exec->ready_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        end_stream(s);
}

static void watch_streams(Exec *exec, const SpawnedChild *child)
{
    add_stream(exec, RUN_STDOUT, child->out[RUN_STDOUT]);
    add_stream(exec, RUN_STDERR, child->out[RUN_STDERR]);
    if (exec->ready_fd < 0)
        return;
    exec->ready_source = g_unix_fd_source_new(exec->ready_fd, G_IO_IN);
    attach(exec, exec->ready_source, G_SOURCE_FUNC(on_ready), exec);
}

/* Stopping */

static gboolean on_stop_tick(gpointer data);

static void find_tree(Exec *exec)
{
    ProcTree tree = {
            .root = exec->exited ? 0 : exec->pid,
            .group = exec->spec->same_group ? 0 : exec->pid,
            .run_dir = run_dir(exec->spec->run),
            .known = exec->known,
    };
    GArray *now = proctree_find(&tree);
    /* Orphans are ours where we are a subreaper (exec_run_foreground); else this does nothing. */
    for (guint i = 0; exec->known && i < exec->known->len; i++) {
        pid_t pid = g_array_index(exec->known, ProcId, i).pid;
        if (pid != exec->pid)
            waitpid(pid, NULL, WNOHANG);
    }
    if (exec->known)
        g_array_unref(exec->known);
    exec->known = now;
}

static void signal_tree(Exec *exec, int sig)
{
    /* A group's number stays taken while it has members, so this can't hit another. */
    gboolean group_lives = !exec->exited;
    for (guint i = 0; i < exec->known->len && !group_lives; i++)
        group_lives = g_array_index(exec->known, ProcId, i).group == exec->pid;
    proctree_signal(exec->known, exec->spec->same_group || !group_lives ? 0 : exec->pid, sig);
}

void exec_stop(Exec *exec, gint64 grace_us)
{
    if (exec->finished)
        return;
    if (exec->job) {
        exec->stop_grace_us = exec->stop_asked ? MIN(exec->stop_grace_us, grace_us) : grace_us;
        exec->stop_asked = TRUE;
        return;
    }
    gint64 kill_at = clock_monotonic_us() + grace_us;
    if (exec->stopping) {
        exec->kill_at_us = MIN(exec->kill_at_us, kill_at);
        return;
    }
    exec->stopping = TRUE;
    exec->kill_at_us = kill_at;
    find_tree(exec);
    signal_tree(exec, grace_us > 0 ? SIGTERM : SIGKILL);
    clear_source(&exec->stop_source);
    exec->stop_source = g_timeout_source_new(STOP_TICK_MS);
    attach(exec, exec->stop_source, on_stop_tick, exec);
}

static gboolean on_stop_tick(gpointer data)
{
    Exec *exec = data;
    gboolean due = !exec->killed && clock_monotonic_us() >= exec->kill_at_us;
    if (exec->exited || due)
        find_tree(exec);
    if (exec->known->len && due) {
        exec->killed = TRUE;
        if (exec->limit_hit && !exec->exited)
            log_warning("Process did not terminate (pid %i), killing", (int)exec->pid);
        signal_tree(exec, SIGKILL);
    } else if (exec->exited && (!exec->known->len || exec->killed)) {
        clear_source(&exec->stop_source);
        finish_if_over(exec);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

/* The child was killed: by `guild stop`, by hand, by the kernel. What it started goes as well. */
static void end_leftovers(Exec *exec)
{
    find_tree(exec);
    if (!exec->known->len)
        return;
    exec->kill_at_us = clock_monotonic_us() + LEFTOVER_GRACE_US;
    signal_tree(exec, SIGTERM);
    exec->stop_source = g_timeout_source_new(STOP_TICK_MS);
    attach(exec, exec->stop_source, on_stop_tick, exec);
}

static gboolean on_time_limit(gpointer data)
{
    Exec *exec = data;
    double minutes = (double)(clock_monotonic_us() - exec->started_us) / 60e6;
    log_info("Stopping process early (pid %i) - %.1f minute(s) elapsed", (int)exec->pid, minutes);
    clear_source(&exec->limit_source);
    exec->limit_hit = TRUE;
    exec_stop(exec, exec->spec->stop_grace_us ? exec->spec->stop_grace_us : 30 * G_USEC_PER_SEC);
    return G_SOURCE_REMOVE;
}

/* The end */

static gboolean on_drain_timeout(gpointer data)
{
    Exec *exec = data;
    clear_source(&exec->drain_source);
    exec->drained = TRUE;
    finish_if_over(exec);
    return G_SOURCE_REMOVE;
}

static void on_child_exit(GPid pid, gint wait_status, gpointer data)
{
    Exec *exec = data;
    exec->exited = TRUE;
    exec->status = WIFSIGNALED(wait_status) ? -WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    clear_source(&exec->child_source);
    clear_source(&exec->limit_source);
    if (exec->status < 0 && !exec->stopping)
        end_leftovers(exec);
    if (!is_drained(exec))
        read_ready(exec);
    if (!is_drained(exec)) {
        exec->drain_source = g_timeout_source_new(DRAIN_MS);
        attach(exec, exec->drain_source, on_drain_timeout, exec);
    }
    finish_if_over(exec);
}

static void write_end(Exec *exec)
{
    Run *run = exec->spec->run;
    g_autofree char *guild_dir = run_guild_path(run, NULL);
    g_autoptr(GError) error = NULL;
    if (!fs_exists(guild_dir)) {
        log_warning("run directory has been deleted, unable to finalize");
        return;
    }
    /* exit_status comes last: with it the run has ended, and all else is there. */
    if (!run_write_attr_int(run, "stopped", clock_timestamp_us(), &error) ||
            !run_write_attr_int(run, "exit_status", exec->status, &error)) {
        log_warning("the end of run %s is not recorded: %s", run_id(run), error->message);
        note_lost(exec, error);
    }
    run_delete_lock(run);
}

static void close_output(Exec *exec)
{
    end_stream(&exec->streams[RUN_STDOUT]);
    end_stream(&exec->streams[RUN_STDERR]);
    clear_source(&exec->ready_source);
    if (exec->ready_fd >= 0)
        close(exec->ready_fd);
    exec->ready_fd = -1;
    if (exec->output)
        run_output_close(exec->output);
    exec->output = NULL;
    const GError *lost = exec->scalars ? scalars_out_problem(exec->scalars) : NULL;
    if (g_error_matches(lost, G_FILE_ERROR, G_FILE_ERROR_NOSPC))
        note_lost(exec, lost);
    g_clear_pointer(&exec->scalars, scalars_out_free);
}

/* What never ran has no output, not an empty one. */
static void discard_output(Exec *exec)
{
    static const char *const names[] = {"output", "output.index"};
    gboolean had = exec->output != NULL;
    close_output(exec);
    for (gsize i = 0; had && i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = run_guild_path(exec->spec->run, names[i]);
        fs_remove(path, NULL);
    }
}

static void finish(Exec *exec)
{
    exec->finished = TRUE;
    clear_source(&exec->drain_source);
    close_output(exec);
    if (!exec->disowned)
        write_end(exec);
    exec->callbacks.exited(exec, exec->status, exec->stopping, exec->data);
}

/* The start */

static gboolean open_output(Exec *exec, GError **error)
{
    ExecSpec *spec = exec->spec;
    if (spec->output != EXEC_OUTPUT_CAPTURE && spec->output != EXEC_OUTPUT_MERGED)
        return TRUE;
    if (spec->scalars || spec->attrs)
        exec->scalars =
                scalars_out_new(spec->run, spec->scalars, (const char *const *)spec->ignore_scalars,
                        spec->attrs, (const char *const *)spec->ignore_attrs);
    exec->ready_fd = epoll_create1(EPOLL_CLOEXEC);
    if (exec->ready_fd < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
                "cannot wait for output: %s", g_strerror(errno));
        return FALSE;
    }
    exec->output = run_output_open(spec->run, exec->scalars ? on_line : NULL, exec, error);
    return exec->output != NULL;
}

/* The child runs: what needs its pid. */
static void begin_watch(Exec *exec, const SpawnedChild *child)
{
    ExecSpec *spec = exec->spec;
    exec->pid = child->pid;
    exec->started_us = clock_monotonic_us();
    g_autoptr(GError) error = NULL;
    if (!run_write_lock(spec->run, child->pid, &error))
        log_warning("run %s is not shown as running: %s", run_id(spec->run), error->message);
    watch_streams(exec, child);
    exec->child_source = g_child_watch_source_new(child->pid);
    attach(exec, exec->child_source, G_SOURCE_FUNC(on_child_exit), exec);
    if (spec->stop_after_us > 0) {
        gint64 ms = CLAMP(spec->stop_after_us / 1000, 1, G_MAXUINT);
        exec->limit_source = g_timeout_source_new((guint)ms);
        attach(exec, exec->limit_source, on_time_limit, exec);
    }
}

/* The spawning thread: one for the process, shared by all contexts. */
static GMutex job_lock;
static GCond job_done;

static void run_job(gpointer data, gpointer unused)
{
    SpawnJob *job = data;
    job->good = spawn_child(job->exec->spec, &job->child, &job->error);
    g_mutex_lock(&job_lock);
    job->done = TRUE;
    g_source_set_ready_time(job->report, 0);
    g_cond_broadcast(&job_done);
    g_mutex_unlock(&job_lock);
}

static void push_job(SpawnJob *job)
{
    static gsize once = 0;
    static GThreadPool *pool;
    if (g_once_init_enter(&once)) {
        pool = g_thread_pool_new(run_job, NULL, 1, FALSE, NULL);
        g_once_init_leave(&once, 1);
    }
    /* The thread that this may start takes no signals: they are for who waits for them. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    g_thread_pool_push(pool, job, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Waits for the thread to be through with the job, which it soon is; frees all but the child. */
static gboolean end_job(Exec *exec, SpawnedChild *child, GError **error)
{
    SpawnJob *job = g_steal_pointer(&exec->job);
    g_mutex_lock(&job_lock);
    while (!job->done)
        g_cond_wait(&job_done, &job_lock);
    g_mutex_unlock(&job_lock);
    gboolean good = job->good;
    *child = job->child;
    if (job->error)
        g_propagate_error(error, job->error);
    clear_source(&job->report);
    g_free(job);
    return good;
}

static gboolean on_spawned(gpointer data)
{
    Exec *exec = data;
    g_autoptr(GError) error = NULL;
    SpawnedChild child;
    if (!end_job(exec, &child, &error)) {
        exec->finished = TRUE;
        discard_output(exec);
        exec->callbacks.failed(exec, error, exec->data);
        return G_SOURCE_REMOVE;
    }
    begin_watch(exec, &child);
    if (exec->stop_asked)
        exec_stop(exec, exec->stop_grace_us);
    return G_SOURCE_REMOVE;
}

static gboolean dispatch_ready(GSource *source, GSourceFunc fn, gpointer data)
{
    g_source_set_ready_time(source, -1);
    return fn(data);
}

static void start_job(Exec *exec)
{
    static GSourceFuncs funcs = {.dispatch = dispatch_ready};
    SpawnJob *job = g_new0(SpawnJob, 1);
    job->exec = exec;
    job->report = attach(exec, g_source_new(&funcs, sizeof(GSource)), on_spawned, exec);
    exec->job = job;
    push_job(job);
}

static gboolean start_child(Exec *exec, GError **error)
{
    ExecSpec *spec = exec->spec;
    if (spec->env_text && !run_write_attr_raw(spec->run, "env", spec->env_text, error))
        return FALSE;
    if (!open_output(exec, error))
        return FALSE;
    if (exec->callbacks.failed) {
        start_job(exec);
        return TRUE;
    }
    SpawnedChild child;
    if (!spawn_child(spec, &child, error)) {
        discard_output(exec);
        return FALSE;
    }
    begin_watch(exec, &child);
    return TRUE;
}

Exec *exec_start(ExecSpec *spec, GMainContext *context, const ExecCallbacks *callbacks,
        gpointer data, GError **error)
{
    Exec *exec = g_new0(Exec, 1);
    exec->spec = spec;
    exec->callbacks = *callbacks;
    exec->data = data;
    exec->context = g_main_context_ref(context ? context : g_main_context_default());
    for (guint i = 0; i < G_N_ELEMENTS(exec->streams); i++)
        exec->streams[i].fd = -1;
    exec->ready_fd = -1;
    if (spec->tee)
        signal(SIGPIPE, SIG_IGN); /* who reads our output may go away; the run goes on */
    if (!start_child(exec, error)) {
        exec_free(exec);
        return NULL;
    }
    return exec;
}

/* A child that nobody watches yet. */
static void drop_job(Exec *exec)
{
    SpawnedChild child;
    if (!exec->job || !end_job(exec, &child, NULL))
        return;
    kill(exec->spec->same_group ? child.pid : -child.pid, SIGKILL);
    waitpid(child.pid, NULL, 0);
    for (guint i = 0; i < G_N_ELEMENTS(child.out); i++)
        if (child.out[i] >= 0)
            close(child.out[i]);
}

void exec_free(Exec *exec)
{
    if (!exec)
        return;
    drop_job(exec);
    clear_source(&exec->child_source);
    clear_source(&exec->limit_source);
    clear_source(&exec->drain_source);
    clear_source(&exec->stop_source);
    close_output(exec);
    if (exec->known)
        g_array_unref(exec->known);
    exec_spec_free(exec->spec);
    g_main_context_unref(exec->context);
    g_clear_error(&exec->end_error);
    g_free(exec);
}

void exec_disown(Exec *exec)
{
    exec->disowned = TRUE;
}

const GError *exec_end_error(const Exec *exec)
{
    return exec->end_error;
}

Run *exec_run(const Exec *exec)
{
    return exec->spec->run;
}

pid_t exec_pid(const Exec *exec)
{
    return exec->pid;
}
