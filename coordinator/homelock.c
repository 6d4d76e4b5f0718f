/* SPDX-License-Identifier: Apache-2.0 */
/* See homelock.h. */
#include "coordinator/homelock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "coordinator/coordinator.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

enum { SAY_AFTER_MS = 1000, PROC_BYTES = 64 * 1024 };

static int read_pid(int fd)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[MAX(n, 0)] = '\0';
    gint64 pid = g_ascii_strtoll(text, NULL, 10);
    return pid > 0 && pid <= G_MAXINT ? (int)pid : 0;
}

static void write_pid(int fd)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (gsize)n, 0) != n)
        log_debug("the lock of this home does not say whose it is: %s", g_strerror(errno));
}

/* Killed, or a zombie of which threads are left. What is killed keeps the signal among those of the
 * whole process until it is over. */
static gboolean is_ending(int pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", pid);
    g_autofree char *text = fs_read(path, PROC_BYTES, NULL, NULL);
    const char *state = text ? strstr(text, "\nState:") : NULL;
    if (state && strchr("ZXx", state[strcspn(state, "\t ") + 1]))
        return TRUE;
    static const char *const sets[] = {"\nSigPnd:", "\nShdPnd:"};
    for (guint i = 0; i < G_N_ELEMENTS(sets); i++) {
        const char *set = text ? strstr(text, sets[i]) : NULL;
        if (set && (g_ascii_strtoull(set + strlen(sets[i]), NULL, 16) >> (SIGKILL - 1) & 1))
            return TRUE;
    }
    return FALSE;
}

static int wait_readable(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;
    while ((n = poll(&p, 1, ms)) < 0 && errno == EINTR)
        ;
    return n;
}

/* FALSE: it lives, and goes on. */
static gboolean wait_for_end(int pid, const char *home)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return errno == ESRCH; /* over since we looked */
    gboolean ending = is_ending(pid);
    if (ending && wait_readable(fd, SAY_AFTER_MS) == 0) {
        log_info("waiting for process %d to end, the coordinator of %s until now", pid, home);
        wait_readable(fd, -1);
    }
    close(fd);
    return ending;
}

static int fail(GError **error, const char *what, const char *path)
{
    g_set_error(error, COORDINATOR_ERROR, COORDINATOR_ERROR_LOCKED, "cannot %s %s: %s", what, path,
            g_strerror(errno));
    return -1;
}

int home_lock(const char *home, GError **error)
{
    g_autofree char *dir = g_build_filename(home, "coordinator", NULL);
    g_autofree char *path = g_build_filename(dir, "lock", NULL);
    if (!fs_mkdirs(dir, error))
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(error, "open", path);
    /* The same process twice is one of another machine, or who has the lock now has yet to say so. */
    for (int last = 0, pid; flock(fd, LOCK_EX | LOCK_NB) != 0; last = pid) {
        pid = read_pid(fd);
        if (pid && pid != last && wait_for_end(pid, home))
            continue;
        g_set_error(error, COORDINATOR_ERROR, COORDINATOR_ERROR_LOCKED,
                "another coordinator serves %s", home);
        close(fd);
        return -1;
    }
    write_pid(fd);
    return fd;
}
