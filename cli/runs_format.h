/* SPDX-License-Identifier: Apache-2.0 */
/* What listings, `runs info` and `select --attr` say about a run, by name: id, operation, from,
 * status, started, stopped, marked, label, sourcecode_digest, vcs_commit, run_dir, command,
 * exit_status, pid, duration, index, num_index, short_index, short_id, model, op_name, pkg_name,
 * status_with_remote (reference: guild/run_util.py format_run). */
#pragma once

#include "cli/out.h"
#include "engine/run/run.h"

/* The names that `runs info` and `runs -v` show, in order; NULL-terminated. */
extern const char *const runs_detail_names[];

/* The value under a name, index from 1 (0: none): text, or a number for exit_status and pid. NULL
 * if there is no such name. New reference. */
Value *runs_detail(Run *run, const char *name, guint index);
char *runs_detail_text(Run *run, const char *name, guint index);

/* A table of runs: `columns` are names as above or "op_desc" (operation, marked, where from if
 * that is not cwd). With `details` the lines of runs_detail_names follow each row. A run that has
 * no readable opref is left out with a warning. */
OutTable *runs_table(GPtrArray *runs, const char *const *columns, gboolean details);

/* Columns of the tables that ask for confirmation; NULL-terminated. */
extern const char *const runs_preview_columns[];
