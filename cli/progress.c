/* SPDX-License-Identifier: Apache-2.0 */
/* The progress line: see progress.h. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"

struct Progress {
    gboolean bar;
    gboolean drawn;
    gint64 started_us;
    guint64 total;
    guint done, running, failed;
};

Progress *progress_new(gboolean show_bar)
{
    Progress *p = g_new0(Progress, 1);
    p->bar = show_bar && isatty(STDERR_FILENO);
    p->started_us = clock_monotonic_us();
    return p;
}

static void clear(Progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = FALSE;
}

void progress_free(Progress *p)
{
    clear(p);
    fflush(stderr);
    g_free(p);
}

/* From the rate so far; nothing before the first result. */
static void append_time_left(const Progress *p, GString *s)
{
    if (!p->done || p->total == G_MAXUINT64 || p->total <= p->done)
        return;
    double rate = (double)(clock_monotonic_us() - p->started_us) / p->done;
    gint64 left = (gint64)(rate * (double)(p->total - p->done) / G_USEC_PER_SEC);
    g_string_append_printf(
            s, ", about %d:%02d:%02d", (int)(left / 3600), (int)(left / 60 % 60), (int)(left % 60));
}

static void draw(Progress *p)
{
    g_autoptr(GString) s = g_string_new(NULL);
    g_string_append_printf(s, "%u done, %u running, %u failed", p->done, p->running, p->failed);
    if (p->total != G_MAXUINT64)
        g_string_append_printf(
                s, ", %" G_GUINT64_FORMAT " left", p->total - MIN(p->total, (guint64)p->done));
    append_time_left(p, s);
    clear(p);
    fputs(s->str, stderr);
    fflush(stderr);
    p->drawn = TRUE;
}

void progress_line(Progress *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    gboolean again = p->drawn;
    clear(p);
    fprintf(stderr, "%s\n", text);
    if (again)
        draw(p);
}

void progress_update(Progress *p, guint64 total, guint done, guint running, guint failed)
{
    p->total = total;
    p->done = done;
    p->running = running;
    p->failed = failed;
    if (p->bar)
        draw(p);
}
