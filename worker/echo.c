/* SPDX-License-Identifier: Apache-2.0 */
/* See echo.h. */
#include "worker/echo.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"

/* At a time, so that what waits in the socket's queue stays small. */
#define CATCH_UP_BYTES (4 * 1024 * 1024)

static gboolean send_piece(WTask *t, int stream, const void *data, gsize n)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, n);
    MsgOutput m = {.task = t->task,
            .lease = t->lease,
            .offset = t->output_sent,
            .stream = stream,
            .time_us = clock_timestamp_us(),
            .data = bytes};
    const char *end = memrchr(data, '\n', n);
    guint64 before = t->output_sent, lines_before = t->output_lines;
    if (end) /* before it is sent: a PING may follow at once */
        t->output_lines = before + (guint64)(end + 1 - (const char *)data);
    t->output_sent += n;
    if (link_send_output(t->w->link, &m))
        return TRUE;
    t->output_sent = before;
    t->output_lines = lines_before;
    return FALSE;
}

void echo_output(WTask *t, int stream, const char *data, gsize len)
{
    gboolean behind = t->output_sent < t->output_total;
    t->output_total += len;
    while (len && !behind) {
        gsize n = MIN(len, WIRE_CHUNK);
        behind = !send_piece(t, stream, data, n);
        data += n;
        len -= n;
    }
}

void echo_rewind(WTask *t)
{
    t->output_sent = t->in_place ? t->output_heard : 0;
    t->output_lines = t->output_marked = t->output_sent;
}

void echo_mark(WTask *t)
{
    t->output_marked = t->output_lines;
}

void echo_heard(WTask *t)
{
    t->output_heard = t->output_marked;
}

static void send_from_file(WTask *t, guint64 limit)
{
    if (t->output_sent >= t->output_total || !link_up(t->w->link))
        return;
    g_autofree char *path = run_guild_path(t->run, "output");
    g_autofree char *buf = g_malloc(WIRE_CHUNK);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    guint64 end = MIN(t->output_total, t->output_sent + limit);
    while (fd >= 0 && t->output_sent < end) {
        gsize n = (gsize)MIN(end - t->output_sent, (guint64)WIRE_CHUNK);
        ssize_t got = pread(fd, buf, n, (off_t)t->output_sent);
        if (got <= 0 || !send_piece(t, RUN_STDOUT, buf, (gsize)got))
            break;
    }
    if (fd >= 0)
        close(fd);
}

void echo_catch_up(WTask *t)
{
    if (t->stage == W_RUNNING)
        send_from_file(t, CATCH_UP_BYTES);
}

void echo_rest(WTask *t)
{
    send_from_file(t, CATCH_UP_BYTES);
}
