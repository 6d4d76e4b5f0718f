/* SPDX-License-Identifier: Apache-2.0 */
/* `guild run --background`: the command goes on in a process without terminal. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/exec/exec.h"

static char *daemon_pidfile;
static int ready_fd = -1; /* in the daemon: a byte on it lets the command return */

static void remove_pidfile(void)
{
    unlink(daemon_pidfile);
}

static gboolean io_error(GError **error, const char *what, const char *name)
{
    g_set_error(
            error, EXEC_ERROR, EXEC_ERROR_IO, "cannot %s %s: %s", what, name, g_strerror(errno));
    return FALSE;
}

/* Opens and locks it; the lock lives as long as the descriptor in any process. */
static int lock_pidfile(const char *path, GError **error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        io_error(error, "write pidfile", path);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    g_set_error(error, EXEC_ERROR, EXEC_ERROR_BUSY,
            "pidfile %s is in use by another process\nUse another path with --pidfile.", path);
    close(fd);
    return -1;
}

/* What is left of a terminal's process in the daemon. */
static void detach(const char *cwd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        close(null);
    /* The folder was there when the command was given; without it relative paths are lost. */
    if (chdir(cwd))
        _exit(1);
}

static gboolean write_pid(int fd)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len;
}

gboolean exec_daemonize(const char *pidfile, const char *cwd, gboolean *in_child, GError **error)
{
    daemon_pidfile = g_canonicalize_filename(pidfile, NULL);
    int lock_fd = lock_pidfile(daemon_pidfile, error);
    if (lock_fd < 0)
        return FALSE;
    fflush(NULL);
    pid_t middle = fork();
    if (middle < 0) {
        io_error(error, "start", "a process");
        close(lock_fd);
        return FALSE;
    }
    if (middle > 0) {
        int status = 0;
        while (waitpid(middle, &status, 0) < 0 && errno == EINTR)
            continue;
        close(lock_fd);
        *in_child = FALSE;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return TRUE;
        g_set_error(error, EXEC_ERROR, EXEC_ERROR_IO, "cannot go to the background");
        return FALSE;
    }
    /* The middle process ends once the daemon says that it is ready, or has died. */
    setsid();
    int ready[2];
    if (pipe2(ready, O_CLOEXEC))
        _exit(1);
    pid_t daemon = fork();
    if (daemon != 0) {
        char byte;
        close(ready[1]);
        _exit(daemon > 0 && read(ready[0], &byte, 1) == 1 ? 0 : 1);
    }
    close(ready[0]);
    detach(cwd);
    if (!write_pid(lock_fd))
        _exit(1);
    ready_fd = ready[1];
    atexit(remove_pidfile);
    *in_child = TRUE;
    return TRUE;
}

void exec_daemon_ready(void)
{
    if (ready_fd < 0)
        return;
    if (write(ready_fd, "1", 1) != 1)
        _exit(1);
    close(ready_fd);
    ready_fd = -1;
}
