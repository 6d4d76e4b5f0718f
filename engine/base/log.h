/* SPDX-License-Identifier: Apache-2.0 */
/* Messages for the user on stderr. Levels are Python's numbers (10 debug, 20 info, 30 warning, 40
 * error) because LOG_LEVEL in a run's environment is. The reference prints a plain message for
 * info, "WARNING: msg" and "ERROR: msg" for others (colours on a terminal); inside a batch process
 * it prints "INFO: [guild] msg". log_set_style() chooses. With JSON each line is one object
 * {"time","level","msg"}. */
#pragma once

#include <glib.h>

typedef enum { LOG_DEBUG = 10, LOG_INFO = 20, LOG_WARNING = 30, LOG_ERROR = 40 } LogLevel;
typedef enum {
    LOG_STYLE_CLI,
    LOG_STYLE_OP /* "LEVEL: [guild] msg" */,
    LOG_STYLE_SERVICE /* time level msg */,
    LOG_STYLE_JSON
} LogStyle;

void log_set_level(LogLevel level);
LogLevel log_level(void);
void log_set_style(LogStyle style);
LogStyle log_style(void);
void log_debug(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void log_info(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void log_warning(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void log_error(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* A line that another process of ours has formatted for the same readers. */
void log_line(const char *line);
/* Everything also goes to `fn` (a batch's own output, a test); NULL for none. */
typedef void (*LogHook)(LogLevel level, const char *line, gpointer data);
void log_set_hook(LogHook fn, gpointer data);
