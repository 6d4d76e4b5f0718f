/* SPDX-License-Identifier: Apache-2.0 */
/* The text form of flag values: what stands behind `=` in `lr=0.1`, `lr=[0.1,0.01]`,
 * `lr=loguniform[1e-5:1e-1]`, in labels and in listings. The rules are the reference's
 * (guild/flag_util.py): YAML scalars with exceptions (a number with underscores or an `e` without
 * a dot), list concatenation (`[1,2]*3`), lists, anonymous functions, and `split`. */
#pragma once

#include "engine/base/value.h"

/* Never fails: what does not parse is a string. `flag_type` may be NULL ("string", "int",
 * "float", "number", "boolean", "path", "existing-path", ... as in guild.yml) and then the text is
 * read for that type. Gives an error only where a type demands it. */
Value *flagval_decode(const char *text, const char *flag_type, const char *flag_name,
        GError **error);
/* The text that decodes to the value again. Newly allocated. */
char *flagval_encode(const Value *v);
/* As above but shortened for labels and listings as the reference's format_flag_arg / shortened
 * floats do; truncate_floats is the number of digits, 0 for none. */
char *flagval_encode_short(const Value *v, guint truncate_floats);

/* `name[a:b:c]` and the anonymous `[a:b]` as a function: name ("" if anonymous -> the reference's
 * default) and decoded arguments. FALSE if the text is no function. */
gboolean flagval_decode_function(const char *text, char **name, Value **args);
gboolean flagval_is_function(const Value *v);

/* "NAME=VALUE" split at the first '='. FALSE if there is none or NAME is empty. */
gboolean flagval_split_assign(const char *arg, char **name, char **value);
/* "a=1 b=x" with keys sorted, as labels show flags. `null_labels` (map or NULL) names what a null is called;
 * NULL flags without one are left out. */
char *flagval_format_assigns(const Value *flags, const Value *null_labels, guint truncate_floats);

/* The reference's split_encoded_flag_val / join_splittable_flag_vals for `arg-split`. */
char **flagval_split(const char *encoded, const Value *arg_split);
char *flagval_join(const Value *list, const Value *arg_split);
