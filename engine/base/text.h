/* SPDX-License-Identifier: Apache-2.0 */
/* Text helpers with the semantics of the Python functions that the reference uses. */
#pragma once

#include "engine/base/value.h"

char *text_shell_quote(const char *s);          /* shlex.quote, as simplified by util.shlex_quote */
char *text_shell_join(const char *const *argv); /* quoted, one space between */
char **text_shell_split(const char *s, GError **error); /* shlex.split, POSIX mode */
/* The reference's util.env_var_name: upper case, other than [A-Z0-9_] becomes '_'. */
char *text_env_var_name(const char *s);
char *text_env_var_quote(const char *s); /* util.env_var_quote, for .guild/ENV */
/* `${name}` references in a string, from a map; "\${" is literal. As util.resolve_refs: a string
 * that is one whole reference gives the value itself, else a string. An undefined name is an error
 * (TEXT_ERROR_UNDEFINED, message = the name) unless undefined (may be NULL) gives a substitute. */
Value *text_resolve_refs(
        const char *s, const Value *params, const Value *undefined, GError **error);
gboolean text_fnmatch(const char *pattern, const char *name); /* Python's fnmatch.fnmatchcase */
int text_natural_compare(const char *a, const char *b);       /* runs of digits by number */
gboolean text_is_hex(const char *s);
/* s if it is valid UTF-8, else with bad bytes replaced (U+FFFD). Newly allocated. */
char *text_to_utf8(const char *s, gssize len);
/* "512 bytes", "23.5 GiB": for people, with an ordinary space. Newly allocated. */
char *text_format_bytes(guint64 bytes);

#define TEXT_ERROR text_error_quark()
GQuark text_error_quark(void);
typedef enum {
    TEXT_ERROR_UNDEFINED,
    TEXT_ERROR_SYNTAX,
    TEXT_ERROR_CYCLE, /* message = a name in it */
    TEXT_ERROR_LIMIT, /* too long with all references written out; message = the name it was at */
} TextError;
