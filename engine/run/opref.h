/* SPDX-License-Identifier: Apache-2.0 */
/* A reference to an operation: where it is defined and what it is called. A run keeps its own in
 * `.guild/opref` as one line `PKG_TYPE:PKG_NAME PKG_VERSION MODEL_NAME OP_NAME`, each part quoted
 * for a shell (reference: guild/opref.py). Package types in use: "guildfile" (name: absolute path
 * of guild.yml), "script" (name: folder of the script), "builtin", "package",
 * "import", "func", "test". */
#pragma once

#include <glib.h>

#define OPREF_ERROR opref_error_quark()
GQuark opref_error_quark(void);
typedef enum { OPREF_ERROR_INVALID } OpRefError;

/* Fields are owned strings. In an OpRef of a run none is NULL (an absent part is ""); in a
 * pattern made by opref_for_string() NULL means "anything". */
typedef struct OpRef {
    char *pkg_type;
    char *pkg_name;
    char *pkg_version;
    char *model_name;
    char *op_name;
} OpRef;

/* NULL parts become "" — a run's opref has no absent parts. */
OpRef *opref_new(const char *pkg_type, const char *pkg_name, const char *pkg_version,
        const char *model_name, const char *op_name);
OpRef *opref_copy(const OpRef *ref);
void opref_free(OpRef *ref);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OpRef, opref_free)

/* Reads the text of an opref file. */
OpRef *opref_parse(const char *text, GError **error);
/* Reads what a user writes, `[[PKG/]MODEL:]OP`; parts that are not given stay NULL. */
OpRef *opref_for_string(const char *text, GError **error);
/* The text for an opref file, no newline. Newly allocated. */
char *opref_to_string(const OpRef *ref);
/* The text that names the operation on a command line: `MODEL:OP`, `PKG/MODEL:OP`, or the path of
 * a script (relative to `cwd` unless that is NULL). Newly allocated. */
char *opref_to_opspec(const OpRef *ref, const char *cwd);

/* TRUE if `run_ref` is what `pattern` asks for: each part of the pattern that is not NULL must
 * equal. With `regex` the model and operation names of the pattern are regular expressions that
 * must match the whole name; the name "+" is always literal. */
gboolean opref_matches(const OpRef *run_ref, const OpRef *pattern, gboolean regex);
/* Parts equal; NULL and "" differ. */
gboolean opref_equal(const OpRef *a, const OpRef *b);
