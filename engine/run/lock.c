/* SPDX-License-Identifier: Apache-2.0 */
/* flock(2) locks below HOME/locks. See lock.h. */
#include "engine/run/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/fs.h"

struct HomeLock {
    int fd;
};

#define POLL_US 10000

static gboolean try_lock(int fd, gint timeout_ms)
{
    if (timeout_ms < 0) {
        while (flock(fd, LOCK_EX) != 0)
            if (errno != EINTR)
                return FALSE;
        return TRUE;
    }
    /* flock has no timeout; the file is looked at again every 10 ms. */
    gint64 until = clock_monotonic_us() + (gint64)timeout_ms * 1000;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return FALSE;
        if (clock_monotonic_us() >= until) {
            errno = EWOULDBLOCK;
            return FALSE;
        }
        g_usleep(POLL_US);
    }
    return TRUE;
}

HomeLock *home_lock_acquire(const char *home, const char *name, gint timeout_ms, GError **error)
{
    g_autofree char *dir = g_build_filename(home, "locks", NULL);
    g_autofree char *path = g_build_filename(dir, name, NULL);
    if (!fs_mkdirs(dir, error))
        return NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot open lock %s: %s",
                path, g_strerror(errno));
        return NULL;
    }
    if (!try_lock(fd, timeout_ms)) {
        int err = errno;
        close(fd);
        if (err != EWOULDBLOCK)
            g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err), "cannot lock %s: %s",
                    path, g_strerror(err));
        return NULL;
    }
    HomeLock *lock = g_new0(HomeLock, 1);
    lock->fd = fd;
    return lock;
}

void home_lock_release(HomeLock *lock)
{
    if (!lock)
        return;
    close(lock->fd);
    g_free(lock);
}
