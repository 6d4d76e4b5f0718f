/* SPDX-License-Identifier: Apache-2.0 */
/* The reference's plugins by name: which of them it would list for an operation (attribute
 * `plugins`, $GUILD_PLUGINS). Their work, where this program does it, is built in elsewhere. */
#pragma once

#include "engine/project/opdef.h"

/* Names in the reference's order; never NULL (g_strfreev). What guild.yml says (`plugins` of the
 * operation, then of the model) decides, else what the operation is. */
char **plugins_for_opdef(const OpDef *op);
/* TRUE if the operation runs Python: `main`, `steps`, or exec of a Python interpreter (reference:
 * python_script plugin enabled). Its PYTHONPATH and default source code rules depend on it. */
gboolean plugins_op_is_python(const OpDef *op);
/* A line for `guild run --debug`-like output and `guild check`: is the named plugin known? */
gboolean plugins_is_known(const char *name);
