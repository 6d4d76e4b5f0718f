/* SPDX-License-Identifier: Apache-2.0 */
/* The text form of flag values: what stands behind `=` in `lr=0.1`, `lr=[0.1,0.01]`,
 * `lr=loguniform[1e-5:1e-1]`, in labels and in listings. The rules are the reference's
 * (guild/flag_util.py): YAML scalars with exceptions (a number with underscores or an `e` without
 * a dot), list concatenation (`[1,2]*3`), lists, anonymous functions, and `split`. */
#pragma once

#include "engine/base/value.h"

/* Never fails: what does not parse is a string; a function with impossible arguments is one too and
 * is warned of. With `flag_type` ("string", "int", "float", "number", "boolean", "path",
 * "existing-path", "auto" as in guild.yml, or NULL) that type is tried first. `range[..]`,
 * `linspace[..]` and `logspace[..]` give lists; other functions stay strings. A value that does not
 * suit its type is the business of who checks flags, so `error` is never set today. */
Value *flagval_decode(
        const char *text, const char *flag_type, const char *flag_name, GError **error);
/* As Python's int(text) and float(text): blanks around and single underscores between digits don't
 * count, a float may be `inf` or `nan`. NULL if the text is none. */
Value *flagval_parse_int(const char *text);
Value *flagval_parse_float(const char *text);
/* The text that decodes to the value again. Newly allocated. */
char *flagval_encode(const Value *v);
/* As above, a float cut to truncate_floats digits behind the point (0: not cut). */
char *flagval_encode_short(const Value *v, guint truncate_floats);
/* As above, and a string with blanks is quoted: the reference's format_flag. */
char *flagval_format(const Value *v, guint truncate_floats);

/* `name[a:b:c]` and the anonymous `[a:b]` as a function: name ("" if anonymous, which
 * means uniform) and the list of decoded arguments, both new. FALSE if the text is no function. */
gboolean flagval_decode_function(const char *text, char **name, Value **args);
gboolean flagval_is_function(const Value *v);

/* "NAME=VALUE" split at the first '='. FALSE if there is none or NAME is empty. */
gboolean flagval_split_assign(const char *arg, char **name, char **value);
/* "a=1 b=x" with keys sorted, as labels show flags. `null_labels` (map or NULL) names what a null
 * is called; NULL flags without one are left out. */
char *flagval_format_assigns(const Value *flags, const Value *null_labels, guint truncate_floats);

/* The reference's split_encoded_flag_val / join_splittable_flag_vals for `arg-split`. */
char **flagval_split(const char *encoded, const Value *arg_split);
char *flagval_join(const Value *list, const Value *arg_split);
