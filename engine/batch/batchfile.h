/* SPDX-License-Identifier: Apache-2.0 */
/* Batch files, `guild run train.py @trials.csv`: one trial a row (CSV, or no extension; first row
 * is the flags' names; cells read as on the command line) or one a map in a list (JSON, YAML; a
 * single map is one trial). As op_util.trials_for_batch_files of the reference, but a row with
 * more cells than there are names is an error here instead of being cut. A shorter row leaves its
 * last flags unset, an empty line is skipped. */
#pragma once

#include "engine/base/value.h"
#include "engine/batch/dims.h"

/* List of maps, one a trial. NULL with BATCH_ERROR_FILE, whose message is "cannot read trials for
 * PATH: what", with "row N:" or "line N:" before the fault where it has a place; rows are counted
 * from 1, which is the one with the names. An item that is no map is named by its value. */
Value *batchfile_read(const char *path, GError **error);
/* All of several files, in order. */
Value *batchfile_read_all(const char *const *paths, GError **error);

/* The lower case extension that tells what a file is: ".csv", "" for none. New. */
char *batchfile_format(const char *path);

/* The same from memory: `format` is ".csv", ".json", ".yaml" or ".yml". */
Value *batchfile_parse(
        const char *text, gsize len, const char *format, const char *path, GError **error);
