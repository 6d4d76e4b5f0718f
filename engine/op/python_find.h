/* SPDX-License-Identifier: Apache-2.0 */
/* The Python interpreter that `python-requires` of an operation asks for. */
#pragma once

#include "engine/base/value.h"

/* `requires`: "3.9", ">=3.7,<3.11", ... Among pythonX.Y beside the usual interpreter, the first by
 * version that fits (reference: guild/python_util.py find_python_interpreter). NULL and an error of
 * OP_ERROR_CMD if none does. Newly allocated path. */
char *python_find(const Value *requires, GError **error);

/* TRUE if `version` ("3.11") is within `spec`, a comma-separated list of ==, !=, <=, >=, <, >, ~=
 * and a version each; a bare version means ==. */
gboolean python_version_fits(const char *version, const char *spec);
