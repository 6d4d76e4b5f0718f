/* SPDX-License-Identifier: Apache-2.0 */
/* guild watch: the output of a run as it comes, until the run ends. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/runs_args.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

#define JOB_SUFFIX "/.guild/JOB"
/* File systems without notification (network ones) are looked at this often. */
#define LOOK_MS 500
/* How long the end of a run may take to be recorded once its process is gone. */
#define EXIT_STATUS_MS 5000

static const CliOption watch_options[] = {
        {"pid", "-p, --pid", OPT_STRING, "PID",
                "Watch the run of a process. PID is a process ID or the path of a file with one.",
                "file"},
        CLI_OPTIONS_END,
};

typedef struct Tail {
    int output;  /* -1: not there yet */
    int notify;  /* inotify on .guild; -1: none */
    int process; /* pidfd; -1: none or gone */
    int signals; /* signalfd of SIGINT */
} Tail;

static gboolean write_out(const char *data, gsize len)
{
    while (len) {
        gssize n = write(STDOUT_FILENO, data, len);
        if (n < 0 && errno != EINTR)
            return FALSE;
        data += MAX(n, 0);
        len -= (gsize)MAX(n, 0);
    }
    return TRUE;
}

/* Shows what is new. FALSE if our reader went away. */
static gboolean show_new(Tail *t, const char *path)
{
    if (t->output < 0) {
        t->output = open(path, O_RDONLY | O_CLOEXEC);
        if (t->output >= 0 && t->notify >= 0)
            inotify_add_watch(t->notify, path, IN_MODIFY);
    }
    char buf[65536];
    for (gssize n; t->output >= 0 && (n = read(t->output, buf, sizeof buf)) > 0;)
        if (!write_out(buf, (gsize)n))
            return FALSE;
    return TRUE;
}

static gboolean process_lives(const Tail *t)
{
    struct pollfd p = {t->process, POLLIN, 0};
    return t->process >= 0 && poll(&p, 1, 0) == 0;
}

/* Until output, the end of the process, a SIGINT or `ms`. TRUE for the SIGINT. */
static gboolean wait_for_news(Tail *t, int ms)
{
    struct pollfd fds[] = {
            {t->signals, POLLIN, 0}, {t->notify, POLLIN, 0}, {t->process, POLLIN, 0}};
    poll(fds, G_N_ELEMENTS(fds), ms);
    char buf[4096];
    if (fds[1].revents)
        while (read(t->notify, buf, sizeof buf) > 0)
            continue;
    return fds[0].revents != 0;
}

/* The process is gone; the program that started it records that. TRUE for a SIGINT. */
static gboolean wait_for_exit_status(Run *run, Tail *t)
{
    gint64 end = clock_monotonic_us() + EXIT_STATUS_MS * 1000;
    close(t->process);
    t->process = -1; /* poll() passes over it */
    while (!run_has_attr(run, "exit_status") && run_pid(run)) {
        if (clock_monotonic_us() >= end) {
            log_warning("exit status for %s not written", run_id(run));
            break;
        }
        if (wait_for_news(t, 50))
            return TRUE;
    }
    return FALSE;
}

/* TRUE if the user stopped it. */
static gboolean tail_run(Run *run, Tail *t)
{
    g_autofree char *path = run_guild_path(run, "output");
    for (;;) {
        gboolean lives = process_lives(t);
        if (!show_new(t, path))
            return FALSE;
        if (!lives)
            break;
        if (wait_for_news(t, LOOK_MS))
            return TRUE;
    }
    return run_pid(run) ? wait_for_exit_status(run, t) : FALSE;
}

static void open_tail(Run *run, Tail *t)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    pid_t pid = run_pid(run);
    g_autofree char *dir = run_guild_path(run, NULL);
    t->output = -1;
    t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    t->process = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    t->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (t->notify >= 0)
        inotify_add_watch(t->notify, dir, IN_CREATE);
}

static void close_tail(Tail *t)
{
    const int fds[] = {t->output, t->notify, t->process, t->signals};
    for (guint i = 0; i < G_N_ELEMENTS(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int watch_run(Run *run)
{
    if (g_strcmp0(g_getenv("NO_WATCHING_MSG"), "1"))
        fprintf(stderr, "Watching run %s\n", run_id(run));
    Tail t;
    open_tail(run, &t);
    gboolean interrupted = tail_run(run, &t);
    if (interrupted)
        printf("\nStopped watching %s%s\n", run_id(run),
                process_lives(&t) ? " (still running)" : "");
    else
        fprintf(stderr, "Run %s stopped with a status of '%s'\n", run_id(run),
                run_status_name(run_status(run)));
    close_tail(&t);
    return 0;
}

/* --pid */

static pid_t parse_pid(const char *text)
{
    gint64 n;
    g_autofree char *line = g_strstrip(g_strdup(text));
    return g_ascii_string_to_signed(line, 10, 1, G_MAXINT, &n, NULL) ? (pid_t)n : 0;
}

static pid_t parent_pid(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *text = fs_read(path, 0, NULL, NULL);
    const char *rest = text ? strrchr(text, ')') : NULL;
    int parent = 0;
    return rest && sscanf(rest + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static int watch_pid(pid_t pid)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(RunStore) store = run_store_open(cli_home(), &error);
    if (!store)
        return cli_gerror(g_steal_pointer(&error));
    g_autoptr(GPtrArray) runs = run_store_scan(store, RUN_STORE_RUNS);
    for (guint i = 0; i < runs->len; i++) {
        pid_t run = run_pid(runs->pdata[i]);
        if (run && (run == pid || parent_pid(run) == pid))
            return watch_run(runs->pdata[i]);
    }
    return cli_error("cannot find run for pid %d", (int)pid);
}

static int watch_pid_arg(const char *arg)
{
    if (g_str_has_suffix(arg, JOB_SUFFIX)) {
        g_autofree char *dir = g_strndup(arg, strlen(arg) - strlen(JOB_SUFFIX));
        g_autofree char *full = fs_abspath(dir, cli_cwd());
        g_autoptr(Run) run = run_new(full, NULL);
        return watch_run(run);
    }
    g_autofree char *path = fs_abspath(arg, cli_cwd());
    if (fs_is_file(path)) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = fs_read(path, 4096, NULL, &error);
        if (!text)
            return cli_gerror(g_steal_pointer(&error));
        *strchrnul(text, '\n') = '\0';
        pid_t pid = parse_pid(text);
        return pid ? watch_pid(pid) : cli_error("pidfile %s does not contain a valid pid", arg);
    }
    pid_t pid = parse_pid(arg);
    return pid ? watch_pid(pid) : cli_error("%s does not exist", arg);
}

static gboolean has_other_options(CliArgs *args)
{
    if (cli_n_positional(args) || cli_given(args, "remote"))
        return TRUE;
    for (const CliOption *o = runs_common_filters; o->key; o++)
        if (cli_given(args, o->key))
            return TRUE;
    return FALSE;
}

static int watch(CliArgs *args)
{
    const char *pid = cli_string(args, "pid");
    const char *run_arg = cli_positional(args)[0];
    if (!cli_check_max_args(args, 1))
        return 2;
    if (pid)
        return has_other_options(args) ? cli_error("--pid may not be used with other options")
                                       : watch_pid_arg(pid);
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, TRUE))
        return choice.status;
    if (run_arg) {
        g_autoptr(Run) run = runs_choice_one(&choice, run_arg);
        return run ? watch_run(run) : choice.status;
    }
    choice.query.status[RUN_RUNNING] = TRUE;
    g_autoptr(GPtrArray) runs = runs_choice_filtered(&choice);
    if (!runs)
        return choice.status;
    if (!runs->len)
        return cli_error("nothing to watch\n"
                         "You can view the output of a specific run using 'guild watch RUN'.");
    return watch_run(runs->pdata[0]);
}

static const CliOption *const options[] = {
        runs_common_filters, runs_remote_option, watch_options, NULL};

const CliCommand cmd_watch = {
        .name = "watch",
        .args = "[RUN]",
        .summary = "Watch run output.",
        .help = "Shows the output of a run as it comes, until the run ends or Ctrl-C. Without RUN "
                "it is that of the latest running run.\n\n" RUNS_HELP_RUNS "\n\n" RUNS_HELP_FILTERS
                "\n\nWith --pid it is the run of a process, also of one in the background whose "
                "ID is in a file (see 'guild run --pidfile').",
        .options = options,
        .run = watch,
        .args_complete = "run",
};
