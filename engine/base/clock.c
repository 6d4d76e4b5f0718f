/* SPDX-License-Identifier: Apache-2.0 */
/* Wall clock and its text forms; see clock.h. */
#include "engine/base/clock.h"

#include <stdatomic.h>
#include <time.h>

#include "engine/base/fs.h"

gint64 clock_timestamp_us(void)
{
    static _Atomic gint64 last;
    gint64 time = g_get_real_time(), before = last, now;
    do {
        now = MAX(time, before + 1);
    } while (!atomic_compare_exchange_weak(&last, &before, now));
    return now;
}

gint64 clock_monotonic_us(void)
{
    return g_get_monotonic_time();
}

static gpointer read_boot_id(gpointer unused)
{
    char *id = fs_read("/proc/sys/kernel/random/boot_id", 128, NULL, NULL);
    return id ? g_strstrip(id) : g_strdup("");
}

const char *clock_boot_id(void)
{
    static GOnce once = G_ONCE_INIT;
    return g_once(&once, read_boot_id, NULL);
}

char *clock_format_local(gint64 us)
{
    time_t seconds = (time_t)(us / G_USEC_PER_SEC);
    struct tm tm;
    if (!localtime_r(&seconds, &tm))
        return g_strdup("");
    char text[64];
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    return g_strdup(text);
}

char *clock_format_duration(gint64 start_us, gint64 end_us)
{
    if (end_us == 0)
        end_us = g_get_real_time();
    gint64 seconds = (end_us - start_us) / G_USEC_PER_SEC;
    if (seconds < 0)
        seconds = 0;
    return g_strdup_printf("%" G_GINT64_FORMAT ":%02d:%02d", seconds / 3600,
            (int)(seconds / 60 % 60), (int)(seconds % 60));
}
