/* SPDX-License-Identifier: Apache-2.0 */
/* What a plain YAML scalar means: shared by the reader, which makes values of it, and the writer,
 * which quotes strings that would be read as something else. Private to yaml*.c.
 *
 * The rules are PyYAML's for YAML 1.1 with the reference's additions: a float may leave out the
 * point if it has an exponent, and the exponent's sign (guild/yaml_util.py). */
#pragma once

#include "engine/base/value.h"

typedef enum {
    YAML_TAG_STR,
    YAML_TAG_NULL,
    YAML_TAG_BOOL,
    YAML_TAG_INT,
    YAML_TAG_FLOAT,
    YAML_TAG_TIMESTAMP,
    YAML_TAG_MERGE, /* << */
    YAML_TAG_OTHER, /* =, and lone ! & *: no value in the safe schema */
} YamlTag;

/* The tag that `s` (len bytes, NUL behind it) has if it stands unquoted. strict: y, Y, n, N are
 * booleans too. */
YamlTag yaml_scalar_resolve(const char *s, gsize len, gboolean strict);

/* The value that text `s` has under `tag`; NULL if it can't have one ("0b_" as int), which `why`
 * (a constant) explains. */
Value *yaml_scalar_value(YamlTag tag, const char *s, gsize len, const char **why);
