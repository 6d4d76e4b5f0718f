/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of time as users write them for `--started`: "after 7-1", "before 9:00", "between 1-1 and
 * 4-30", "last 30 min", "today", "this week", "3 weeks ago" (reference: guild/timerange). All in
 * local time. */
#pragma once

#include <glib.h>

/* start <= t < end in seconds since 1970; G_MININT64 and G_MAXINT64 where a side is open. `now` is
 * the moment that relative words refer to (0: the clock). Errors are RUN_ERR_FILTER, message as
 * the reference words it. */
gboolean timerange_parse(
        const char *spec, gint64 now_s, gint64 *start_s, gint64 *end_s, GError **error);
