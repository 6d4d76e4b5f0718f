/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files of sections with `name = value` lines, as Python's configparser reads and
 * writes them when it is told that no section holds defaults: `%(name)s` stands for another option
 * of the section (or, here, of DEFAULT), `%%` for a percent sign. Sections keep their order; option
 * names are lower case; a value may go on in indented lines. */
#pragma once

#include "engine/base/value.h"

/* Map of the sections, each a map of option to value: int, float or bool where it reads as such, or
 * text. `name` heads error messages. */
Value *ini_parse(const char *text, const char *name, GError **error);
/* What is no map goes into the section DEFAULT. Sections and options are sorted, values as Python's
 * str(); an error names one that could not be read again. */
char *ini_dump(const Value *config, GError **error);

#define INI_ERROR ini_error_quark()
GQuark ini_error_quark(void);
typedef enum { INI_ERROR_SYNTAX } IniError;
