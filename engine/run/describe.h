/* SPDX-License-Identifier: Apache-2.0 */
/* How a run is called and described in listings (reference: guild/run_util.py). */
#pragma once

#include "engine/run/run.h"

/* "train", "model:train", "train.py", "train.py+skopt"...: the operation as listings name it,
 * with the batch's optimizer ("train+") and, for packages, the package. Newly allocated. */
char *run_format_operation(Run *run);
/* The guild.yml, folder or package where the operation is from; NULL if the opref is broken. */
char *run_format_from(Run *run);
/* Absolute form of a folder with the user's home as "~". Newly allocated. */
char *run_format_dir(const char *dir);
/* Absolute folder of the operation's definition; NULL if it has none (builtin). */
char *run_op_dir(Run *run);
/* A path that is longer than max_chars with an ellipsis for names in its middle: the last name
 * stays, then names from both ends in turn while they fit. Newly allocated. */
char *run_shorten_path(const char *path, guint max_chars);
/* A folder as seen from cwd, shortened to about 28 characters. */
char *run_shorten_op_dir(const char *op_dir, const char *cwd);
/* Local time "2026-11-22 23:45:00"; "" for 0. */
char *run_format_timestamp(gint64 us);
/* "0:01:02": stopped - started, or now - started while running; NULL if it can't be told. */
char *run_format_duration(Run *run);
/* Text of an attribute value for display: lists and maps as indented lines, "" for null. */
char *run_format_attr(const Value *v);
/* The attributes that filters and comparisons know by name: id, run, operation, from, op, op_model,
 * short_id, sourcecode, started, stopped, status, time, then opdef_attrs, then attribute files. A
 * new reference or NULL. */
Value *run_named_attr(Run *run, const char *name);
/* TRUE for the names that run_named_attr() computes. */
gboolean run_is_core_attr(const char *name);
