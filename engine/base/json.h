/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text to Value and back, by jansson, with the depth and size bounds of yaml.h. */
#pragma once

#include "engine/base/value.h"

Value *json_parse(const char *text, gssize len, const char *name, GError **error);
Value *json_parse_file(const char *path, GError **error);
/* As Python's json.dumps: separators ", " and ": ", NaN and Infinity as Python spells them.
 * indent 0 is one line; sorted sorts keys. Newly allocated. */
char *json_dump(const Value *v, guint indent, gboolean sorted);
