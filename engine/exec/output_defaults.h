/* SPDX-License-Identifier: Apache-2.0 */
/* The default output rules, matched by hand: `KEY: NUMBER`, `KEY: NUMBER (step N)`, `KEY: NUMBER
 * (anything)` for scalars, `KEY: WORD` for other values. */
#pragma once

#include "engine/base/value.h"

/* `line` is ASCII without white space at its end. A map of what was found, which may be empty, or
 * NULL. Scalars: floats, among them `step`. */
Value *output_default_scalars(const char *line);
Value *output_default_attrs(const char *line);
