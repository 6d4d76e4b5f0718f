/* SPDX-License-Identifier: Apache-2.0 */
/* Text that the user changes in an editor: $VISUAL, $EDITOR, /usr/bin/editor, else vi. */
#pragma once

#include "engine/project/opdef.h"

/* The text as the user left it, newly allocated; `extension` (".yml") names the kind for the
 * editor. `strip_comments`: lines that begin with '#' are left out and the rest is stripped. */
char *edit_text(const char *text, const char *extension, gboolean strip_comments, GError **error);

/* Flag values as YAML with the help of their definitions (`opdef` may be NULL) as comments. Asks
 * again when what comes back is no map. NULL with OP_ERROR_ABORT if the user gives up. */
Value *edit_flag_values(const Value *flags, const OpDef *opdef, GError **error);
