/* SPDX-License-Identifier: Apache-2.0 */
/* Inside engine/project only: operations that come with the program. */
#pragma once

#include "engine/project/guildfile.h"

/* A new reference to the operation that `opspec` names (`+`, `queue`, `random`, `gp`, ...), with
 * its opref set; NULL if it names none. */
OpDef *builtin_opdef(const char *opspec);
