/* SPDX-License-Identifier: Apache-2.0 */
/* One run in the foreground: signals to us become the end of the child. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <glib-unix.h>

#include "engine/base/log.h"
#include "engine/exec/exec.h"

#define INTERRUPT_NOTE_MS 2000
#define INTERRUPT_KILL_MS 30000
/* If only we got a SIGINT (kill, not Ctrl-C), the child gets it from us. */
#define PASS_ON_MS 100
#define TERM_GRACE_US (5 * G_USEC_PER_SEC)

typedef struct Foreground {
    GMainLoop *loop;
    GMainContext *context;
    Exec *exec;
    int status;
    gboolean over;
    guint interrupts;
    int signal_fd;
} Foreground;

static void after(Foreground *f, guint ms, GSourceFunc fn)
{
    g_autoptr(GSource) source = g_timeout_source_new(ms);
    g_source_set_callback(source, fn, f, NULL);
    g_source_attach(source, f->context);
}

static gboolean on_note(gpointer data)
{
    if (g_strcmp0(g_getenv("NO_OP_INTERRUPTED_MSG"), "1"))
        log_info("Operation interrupted - waiting for process to exit");
    return G_SOURCE_REMOVE;
}

static gboolean on_pass_on(gpointer data)
{
    Foreground *f = data;
    if (!f->over)
        kill(exec_pid(f->exec), SIGINT);
    return G_SOURCE_REMOVE;
}

static gboolean on_out_of_patience(gpointer data)
{
    Foreground *f = data;
    log_warning("Operation process did not exit - stopping forcefully");
    exec_stop(f->exec, 0);
    return G_SOURCE_REMOVE;
}

static void on_interrupt(Foreground *f, gboolean from_terminal)
{
    f->interrupts++;
    if (f->interrupts == 1) {
        after(f, INTERRUPT_NOTE_MS, on_note);
        after(f, INTERRUPT_KILL_MS, on_out_of_patience);
        if (!from_terminal)
            after(f, PASS_ON_MS, on_pass_on);
    } else {
        exec_stop(f->exec, f->interrupts == 2 ? TERM_GRACE_US : 0);
    }
}

static gboolean on_signal(gint fd, GIOCondition condition, gpointer data)
{
    Foreground *f = data;
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == sizeof info && !f->over) {
        if (info.ssi_signo == SIGINT)
            on_interrupt(f, info.ssi_code == SI_KERNEL);
        else
            exec_stop(f->exec, TERM_GRACE_US);
    }
    return G_SOURCE_CONTINUE;
}

static void on_exited(Exec *exec, int exit_status, gboolean stopped, gpointer data)
{
    Foreground *f = data;
    f->status = exit_status;
    f->over = TRUE;
    g_main_loop_quit(f->loop);
}

static void run_until_over(Foreground *f)
{
    g_autoptr(GSource) source = g_unix_fd_source_new(f->signal_fd, G_IO_IN);
    g_source_set_callback(source, G_SOURCE_FUNC(on_signal), f, NULL);
    g_source_attach(source, f->context);
    g_main_loop_run(f->loop);
    g_source_destroy(source);
}

/* Those that we are to heed: nohup and shells have us ignore some, and a blocked signal that is
 * ignored would still reach the signalfd. */
static void heeded_signals(sigset_t *set)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    sigemptyset(set);
    for (guint i = 0; i < G_N_ELEMENTS(signals); i++) {
        struct sigaction now;
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaddset(set, signals[i]);
    }
}

gboolean exec_run_foreground(ExecSpec *spec, int *exit_status, GError **error)
{
    return exec_run_foreground_with(spec, NULL, NULL, exit_status, error);
}

gboolean exec_run_foreground_with(
        ExecSpec *spec, ExecStarted started, gpointer data, int *exit_status, GError **error)
{
    sigset_t set, old;
    heeded_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, &old);

    /* What the child leaves behind comes to us to be reaped, not to an init that may be slow. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    spec->own_stdin = TRUE;
    spec->same_group = TRUE;
    spec->tee = !spec->quiet;
    Foreground f = {.context = g_main_context_new()};
    f.loop = g_main_loop_new(f.context, FALSE);
    f.signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    ExecCallbacks callbacks = {.exited = on_exited};
    f.exec = exec_start(spec, f.context, &callbacks, &f, error);
    gboolean good = f.exec != NULL;
    if (good) {
        if (started)
            started(f.exec, f.context, data);
        run_until_over(&f);
        *exit_status = f.status;
        const GError *lost = exec_end_error(f.exec);
        if (lost)
            g_propagate_error(error, g_error_copy(lost));
        good = !lost;
        exec_free(f.exec);
    }
    close(f.signal_fd);
    g_main_loop_unref(f.loop);
    g_main_context_unref(f.context);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return good;
}
