/* SPDX-License-Identifier: Apache-2.0 */
/* Trials as text: `--print-trials` and `--save-trials`. Pure functions; the caller prints or
 * writes. As batch_util._print_trials and _save_trials of the reference. */
#pragma once

#include "engine/base/value.h"

/* `trials`: list of flag maps. A table with a heading, numbered from 1, columns sorted by name and
 * two blanks apart; "" for no trials. Newly allocated. */
char *trial_table_text(const Value *trials);
/* Rows of CSV ("," and "\n", quoted where needed), flags as on the command line. */
char *trial_table_csv(const Value *trials);
/* A JSON list of maps on one line. */
char *trial_table_json(const Value *trials);
/* The text for a file of that name: by its extension, .json or .csv or none. NULL with
 * BATCH_ERROR_FILE for another one. */
char *trial_table_for_path(const Value *trials, const char *path, GError **error);
