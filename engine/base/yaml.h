/* SPDX-License-Identifier: Apache-2.0 */
/* YAML text to Value and back, exactly as PyYAML's safe_load and safe_dump do: YAML 1.1 scalar
 * resolution (yes/no/on/off booleans, octal and sexagesimal ints, floats that need a dot), tags,
 * anchors and merge keys; sorted keys, plain or quoted scalars and line folding on output. The run
 * directory's attributes and the flags on the command line depend on it. Parsing is libyaml's.
 *
 * Bounds: nesting depth, alias expansion and document size are limited (a bomb is an error).
 * Timestamps, which PyYAML makes datetimes, stay strings that are dumped plain. */
#pragma once

#include "engine/base/value.h"

#define YAML_ERROR yaml_error_quark()
GQuark yaml_error_quark(void);
typedef enum { YAML_ERROR_SYNTAX, YAML_ERROR_LIMIT, YAML_ERROR_IO } YamlError;

/* The text's only document; an empty text is null. `name` (a path or NULL) heads the message:
 * "guild.yml:12: mapping values are not allowed here"; without a name
 * "line 12: ...". Gives NULL on error, a Value otherwise. */
Value *yaml_parse(const char *text, gssize len, const char *name, GError **error);
Value *yaml_parse_file(const char *path, GError **error);

/* Block style, keys sorted, as yaml.safe_dump(v, default_flow_style=False, sort_keys=True) prints
 * it, less the document end marker "..." and the final newline: what an attribute file holds
 * before its newline. Never fails. */
char *yaml_dump(const Value *v);
/* The same as run attributes are written: the strings y, Y, n and N are quoted, which strict YAML
 * readers take for booleans. */
char *yaml_dump_attr(const Value *v);
/* The same in flow style on one line: "{a: 1, b: [x, y]}". */
char *yaml_dump_flow(const Value *v);
