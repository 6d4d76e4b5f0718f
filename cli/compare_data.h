/* SPDX-License-Identifier: Apache-2.0 */
/* What `guild compare` shows: a row a run, columns named by the runs' operations (`compare:` in
 * guild.yml), else their flags and scalars. As guild/commands/compare_impl.py. */
#pragma once

#include "engine/run/index.h"

typedef struct CompareOptions {
    gboolean skip_core, skip_op_cols, extra_cols, all_scalars, skip_unchanged;
    const char *cols;              /* more column specs, or NULL */
    const char *min_col, *max_col; /* heading to sort by, or NULL */
    gint64 limit;                  /* rows; 0: all */
    gboolean format;               /* cells as text for people, not as values */
} CompareOptions;

typedef struct CompareTable {
    GPtrArray *header; /* char* */
    GPtrArray *rows;   /* GPtrArray* of Value*, as many as headings; a Value may be NULL */
} CompareTable;

/* Never NULL; no runs give an empty header. */
CompareTable *compare_table_new(GPtrArray *runs, RunIndex *index, const CompareOptions *options);
void compare_table_free(CompareTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CompareTable, compare_table_free)
