/* SPDX-License-Identifier: Apache-2.0 */
/* Flag values of an operation: from `NAME=VALUE` arguments to the map that a run keeps, checked
 * against the flag definitions. Rules and words are the reference's (guild/op_util.py,
 * flag_vals_for_opdef and parse_flag_assigns). All maps are flag name -> Value. */
#pragma once

#include "engine/base/value.h"
#include "engine/project/opdef.h"

#define FLAGS_ERROR flags_error_quark()
GQuark flags_error_quark(void);
/* Messages of FLAGS_ERROR_MISSING and FLAGS_ERROR_CHOICE are whole texts with a table in them, to
 * be shown as they are; the others follow "guild: ". */
typedef enum {
    FLAGS_ERROR_ASSIGN,  /* an argument is no NAME=VALUE */
    FLAGS_ERROR_UNKNOWN, /* no such flag */
    FLAGS_ERROR_ALIAS,   /* a flag given by its name and by its alias */
    FLAGS_ERROR_MISSING, /* required flags without a value */
    FLAGS_ERROR_CHOICE,  /* not among `choices` */
    FLAGS_ERROR_VALUE,   /* wrong type or out of range */
} FlagsError;

/* Splits `[FLAG=VAL | @FILE]...`: both results are newly allocated, NULL-terminated, files without
 * the '@'. */
void flags_split_args(const char *const *args, char ***assigns, char ***batch_files);

/* The map for `NAME=VALUE` arguments; a leading '~' is expanded, values are read for the type of
 * the definition (by name or alias) where `opdef` (may be NULL) has one. */
Value *flags_parse_assigns(const char *const *assigns, const OpDef *opdef, GError **error);

/* `user_flags` completed with defaults, coerced, checked, with choices applied. `force`: undefined
 * flags and bad values are let through. New map; NULL on error. */
Value *flags_for_opdef(const OpDef *opdef, const Value *user_flags, gboolean force, GError **error);

/* Choices and ranges of the flags in one row of a batch file. The reference lets such rows name what
 * they like; so do we, but a value that the definition rules out is an error before anything is made. */
gboolean flags_check_trial(const OpDef *opdef, const Value *trial, GError **error);

/* Renames aliases to names in place. With `force` a flag given both ways keeps both. */
gboolean flags_normalize_aliases(const OpDef *opdef, Value *flags, gboolean force, GError **error);

/* One value as the type of `flag` demands; lists item by item. New reference. */
Value *flags_coerce(const Value *val, const FlagDef *flag, GError **error);

/* A table of two columns as the reference's cli.table prints it, each row indented by `indent`. */
void flags_append_table(GString *out, const char *const (*rows)[2], gsize n_rows, guint indent);
