/* SPDX-License-Identifier: Apache-2.0 */
/* The comments of runs below the rows of a table. */
#pragma once

#include <glib.h>

/* With `numbered` each comment has its index and runs without comments say so. */
void runs_comments_print(GPtrArray *runs, const char *const *columns, gboolean numbered);
