/* SPDX-License-Identifier: Apache-2.0 */
/* One writer for all messages; see log.h for who prints what. A message is written with a single
 * write(2), so that lines of processes that share a terminal do not mix. */
#include "engine/base/log.h"

#include "engine/base/clock.h"
#include "engine/base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static LogLevel current_level = LOG_INFO;
static LogStyle current_style = LOG_STYLE_CLI;
static LogHook hook;
static gpointer hook_data;

void log_set_level(LogLevel level)
{
    current_level = level;
}

LogLevel log_level(void)
{
    return current_level;
}

void log_set_style(LogStyle style)
{
    current_style = style;
}

LogStyle log_style(void)
{
    return current_style;
}

void log_set_hook(LogHook fn, gpointer data)
{
    hook = fn;
    hook_data = data;
}

static const char *level_name(LogLevel level)
{
    switch (level) {
    case LOG_DEBUG:
        return "DEBUG";
    case LOG_INFO:
        return "INFO";
    case LOG_WARNING:
        return "WARNING";
    case LOG_ERROR:
        return "ERROR";
    }
    g_assert_not_reached();
}

static char *json_line(LogLevel level, const char *msg)
{
    g_autoptr(Value) v = value_new_map();
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ");
    value_map_set_string(v, "time", time);
    value_map_set_string(v, "level", level_name(level));
    value_map_set_string(v, "msg", msg);
    return json_dump(v, 0, FALSE);
}

static char *service_line(LogLevel level, const char *msg)
{
    g_autofree char *time = clock_format_local(g_get_real_time());
    return g_strdup_printf("%s %s %s", time, level_name(level), msg);
}

static char *cli_line(LogLevel level, const char *msg)
{
    if (level == LOG_INFO)
        return g_strdup(msg);
    if (level == LOG_DEBUG)
        return g_strdup_printf("DEBUG: [guild] %s", msg);
    return g_strdup_printf("%s: %s", level_name(level), msg);
}

static char *format_line(LogLevel level, const char *msg)
{
    switch (current_style) {
    case LOG_STYLE_CLI:
        return cli_line(level, msg);
    case LOG_STYLE_OP:
        return g_strdup_printf("%s: [guild] %s", level_name(level), msg);
    case LOG_STYLE_SERVICE:
        return service_line(level, msg);
    case LOG_STYLE_JSON:
        return json_line(level, msg);
    }
    g_assert_not_reached();
}

static const char *color_for(LogLevel level)
{
    if (level < LOG_WARNING || current_style == LOG_STYLE_JSON)
        return NULL;
    if (!isatty(STDERR_FILENO) || !g_getenv("SHELL"))
        return NULL;
    return level >= LOG_ERROR ? "\033[31m" : "\033[33m";
}

static void write_all(int fd, const char *data, gsize len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n <= 0)
            return; /* nowhere left to complain to */
        data += n;
        len -= (gsize)n;
    }
}

static void put_line(LogLevel level, const char *line)
{
    if (hook)
        hook(level, line, hook_data);
    const char *color = color_for(level);
    g_autofree char *out =
            color ? g_strdup_printf("%s%s\033[0m\n", color, line) : g_strdup_printf("%s\n", line);
    fflush(stdout);
    write_all(STDERR_FILENO, out, strlen(out));
}

void log_line(const char *line)
{
    put_line(LOG_INFO, line);
}

static void log_va(LogLevel level, const char *fmt, va_list ap)
{
    if (level < current_level)
        return;
    g_autofree char *msg = g_strdup_vprintf(fmt, ap);
    g_autofree char *line = format_line(level, msg);
    put_line(level, line);
}

#define LOG_FUNCTION(name, level)                                                                  \
    void name(const char *fmt, ...)                                                                \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, fmt);                                                                         \
        log_va(level, fmt, ap);                                                                    \
        va_end(ap);                                                                                \
    }

LOG_FUNCTION(log_debug, LOG_DEBUG)
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_warning, LOG_WARNING)
LOG_FUNCTION(log_error, LOG_ERROR)
