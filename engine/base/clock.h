/* SPDX-License-Identifier: Apache-2.0 */
/* Time. Wall clock values are microseconds since 1970 (_us), as run attributes keep them. */
#pragma once

#include <glib.h>

/* Now; each call gives a larger value than the one before in this process (run timestamps order
 * runs), as the reference's run.timestamp(). */
gint64 clock_timestamp_us(void);
gint64 clock_monotonic_us(void);
/* Another one each time that the machine is started (Linux's boot id); "" where it can't be told. */
const char *clock_boot_id(void);
/* "2026-11-22 23:45:00" local time, as listings show it. Newly allocated. */
char *clock_format_local(gint64 us);
/* "0:00:12" as the reference's util.format_duration. end 0: now. */
char *clock_format_duration(gint64 start_us, gint64 end_us);
