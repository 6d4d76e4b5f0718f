/* SPDX-License-Identifier: Apache-2.0 */
/* Attribute `pip_freeze`: the Python packages that an operation ran with. */
#pragma once

#include "engine/base/value.h"

/* A list of "NAME==VERSION" as `pip freeze` prints them, or NULL if the interpreter could not tell.
 * The interpreter is asked once and again when one of its package folders changed; the answer is
 * kept below `home`/cache. */
Value *pip_freeze(const char *home);
