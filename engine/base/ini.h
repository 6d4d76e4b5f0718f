/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files of sections with `name = value` lines, as Python's configparser reads and
 * writes them (no default section, no interpolation of `%(x)s`). Sections keep their order; option
 * names are lower case; a value may go on in indented lines. */
#pragma once

#include "engine/base/value.h"

/* Map of sections, each a map of option to value. Values are int, float and bool where they read as
 * such (as the reference's util.decode_cfg_val), else strings. `name` heads error messages. */
Value *ini_parse(const char *text, const char *name, GError **error);
/* Sections and options sorted, values as Python's str(); an error names an entry that is in no
 * section. */
char *ini_dump(const Value *sections, GError **error);

#define INI_ERROR ini_error_quark()
GQuark ini_error_quark(void);
typedef enum { INI_ERROR_SYNTAX } IniError;
