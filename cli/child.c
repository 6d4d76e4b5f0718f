/* SPDX-License-Identifier: Apache-2.0 */
/* Children of the command line; see child.h. */
#include "cli/child.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t child_pid;
static volatile sig_atomic_t last_signal;

const char *child_guild_exe(void)
{
    static char *path;
    if (!path)
        path = g_file_read_link("/proc/self/exe", NULL);
    if (!path)
        path = g_find_program_in_path("guild");
    return path ? path : "guild";
}

static void on_signal(int sig)
{
    last_signal = sig;
    if (sig != SIGINT && child_pid > 0)
        kill((pid_t)child_pid, sig);
}

typedef struct SavedSignals {
    struct sigaction old[3];
} SavedSignals;

static const int handled[] = {SIGINT, SIGTERM, SIGHUP};

static void take_signals(SavedSignals *saved)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigemptyset(&act.sa_mask);
    for (gsize i = 0; i < G_N_ELEMENTS(handled); i++)
        sigaction(handled[i], &act, &saved->old[i]);
}

static void restore_signals(const SavedSignals *saved)
{
    for (gsize i = 0; i < G_N_ELEMENTS(handled); i++)
        sigaction(handled[i], &saved->old[i], NULL);
}

static int spawn(const char *const *argv, char **env, const char *cwd, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    int err = cwd ? posix_spawn_file_actions_addchdir_np(&actions, cwd) : 0;
    if (!err)
        err = posix_spawnp(pid, argv[0], &actions, &attr, (char **)argv, env ? env : environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return err;
}

int child_run(const char *const *argv, char **env, const char *cwd, int *signaled, GError **error)
{
    SavedSignals saved;
    sigset_t block, old;
    pid_t pid = 0;
    last_signal = 0;
    /* A signal between spawn and the note of its pid waits until we can pass it on. */
    sigemptyset(&block);
    for (gsize i = 0; i < G_N_ELEMENTS(handled); i++)
        sigaddset(&block, handled[i]);
    sigprocmask(SIG_BLOCK, &block, &old);
    int err = spawn(argv, env, cwd, &pid);
    child_pid = err ? 0 : pid;
    take_signals(&saved);
    sigprocmask(SIG_UNBLOCK, &block, NULL);
    int status = 0;
    while (!err && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    child_pid = 0;
    restore_signals(&saved);
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (signaled)
        *signaled = last_signal;
    if (err) {
        g_set_error(error, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED, "[Errno %d] %s: '%s'", err,
                g_strerror(err), argv[0]);
        return 127;
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void child_end_by_signal(int sig)
{
    sigset_t set;
    fflush(NULL);
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(sig);
    _exit(128 + sig);
}

int child_exit_code(int status)
{
    return status & 0xff;
}
