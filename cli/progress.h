/* SPDX-License-Identifier: Apache-2.0 */
/* How a batch goes, on stderr: log lines, and below them on a terminal one line that is redrawn
 * ("3 done, 2 running, 1 failed, 19 left, about 0:02:10"). Where stderr is no terminal there are
 * only the log lines. */
#pragma once

#include <glib.h>

typedef struct Progress Progress;

/* show_bar FALSE: lines only, whatever stderr is. */
Progress *progress_new(gboolean show_bar);
void progress_free(Progress *p); /* clears the line */
void progress_line(Progress *p, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* total G_MAXUINT64: not known. */
void progress_update(Progress *p, guint64 total, guint done, guint running, guint failed);
