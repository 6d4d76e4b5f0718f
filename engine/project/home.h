/* SPDX-License-Identifier: Apache-2.0 */
/* The Guild home: where runs live. Found as the reference's guild/config.py finds it. */
#pragma once

#include <glib.h>

/* option (-H, or NULL), $GUILD_HOME, `.guild` in the active environment ($CONDA_PREFIX,
 * $VIRTUAL_ENV) if it exists, a `.guild` folder from the current folder upward to the user's home,
 * ~/.guild. Newly allocated, absolute; it need not exist. A non-NULL option is remembered for
 * home_current(). */
char *home_find(const char *option);
/* The same, looking upward from cwd (absolute) instead of the process's current folder; remembered
 * too. */
char *home_find_from(const char *option, const char *cwd);
/* What the last home_find() gave, else home_find(NULL). Borrowed. */
const char *home_current(void);
