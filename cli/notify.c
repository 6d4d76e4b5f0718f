/* SPDX-License-Identifier: Apache-2.0 */
/* sd_notify without libsystemd: see notify.h. */
#include "cli/notify.h"

#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_state(const char *state)
{
    const char *path = g_getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof addr.sun_path)
        return;
    memcpy(addr.sun_path, path, strlen(path));
    if (*path == '@')
        addr.sun_path[0] = 0; /* abstract */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t len = (socklen_t)(G_STRUCT_OFFSET(struct sockaddr_un, sun_path) + strlen(path));
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&addr, len);
    close(fd);
}

static gboolean on_watchdog(gpointer data)
{
    notify_state("WATCHDOG=1");
    return G_SOURCE_CONTINUE;
}

void notify_ready(void)
{
    const char *usec = g_getenv("WATCHDOG_USEC");
    const char *pid = g_getenv("WATCHDOG_PID");
    gint64 interval_us = usec ? g_ascii_strtoll(usec, NULL, 10) : 0;
    notify_state("READY=1");
    if (interval_us > 0 && (!pid || g_ascii_strtoll(pid, NULL, 10) == getpid()))
        g_timeout_add((guint)CLAMP(interval_us / 2000, 1, 60000), on_watchdog, NULL);
}
