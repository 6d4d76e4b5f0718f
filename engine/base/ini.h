/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files of sections with `name = value` lines, as Python's configparser reads and
 * writes them: `%(name)s` stands for another option, `%%` for a percent sign, and what [DEFAULT]
 * has, every section has. Sections keep their order; option names are lower case; a value may go on
 * in indented lines. */
#pragma once

#include "engine/base/value.h"

/* Map of the options of [DEFAULT] and of the sections, each a map of option to value: its own, then
 * those of [DEFAULT] that it lacks. Values are the text as it is. `name` heads error messages. */
Value *ini_parse(const char *text, const char *name, GError **error);
/* The same with int, float and bool where a value reads as such (as flags that are imported). */
Value *ini_parse_typed(const char *text, const char *name, GError **error);
/* What is no map goes into [DEFAULT], which comes first. Sections and options are sorted, values as
 * Python's str(); an error names one that could not be read again. */
char *ini_dump(const Value *sections, GError **error);

#define INI_ERROR ini_error_quark()
GQuark ini_error_quark(void);
typedef enum { INI_ERROR_SYNTAX } IniError;
