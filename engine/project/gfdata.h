/* SPDX-License-Identifier: Apache-2.0 */
/* Inside engine/project only: reading attributes out of guildfile data with errors that name the
 * file and line, and the normal form that short spellings are brought into before models are made.
 */
#pragma once

#include "engine/base/value.h"

/* Sets GUILDFILE_ERROR_INVALID: "error in PATH:LINE: ...", the line from `at` (may be NULL). */
void gf_error(GError **error, const char *path, const Value *at, const char *fmt, ...)
        G_GNUC_PRINTF(4, 5);
/* value_repr(), cut to a length that fits a message. */
char *gf_repr(const Value *v);

/* The attribute as text: NULL if absent or null; a scalar of another type as Python's str() of it;
 * a list or map is an error. */
gboolean gf_get_string(
        const Value *map, const char *key, const char *path, char **out, GError **error);
/* Borrowed value, or NULL if absent or null. */
Value *gf_get(const Value *map, const char *key);
gboolean gf_get_truthy(const Value *map, const char *key);
/* The attribute must be a map, or absent/null/empty (gives NULL with *ok TRUE). Borrowed. */
Value *gf_get_map(
        const Value *map, const char *key, const char *path, gboolean *ok, GError **error);

/* A string, "[a, b]" as a string, a list or nothing as a list of strings. Newly allocated. */
Value *gf_str_list(const Value *v, const char *name, const char *path, GError **error);
char **gf_strv(const Value *v, const char *name, const char *path, GError **error);
char **gf_list_to_strv(const Value *list);
/* A cheap copy of a map or list: new container, same items. Others get a new reference. */
Value *gf_shallow_copy(const Value *v);

/* The document as the reference's _coerce_guildfile_data gives it: a list of items, operations as
 * maps, flags as maps of attributes, file selections as lists of rules. */
Value *gf_coerce_document(const Value *data, const char *path, GError **error);
Value *gf_coerce_operation(const char *name, const Value *data, const char *path, GError **error);
/* One flag: any scalar or list becomes {default: X}. */
Value *gf_coerce_flag(const char *name, const Value *data, const char *path, GError **error);
