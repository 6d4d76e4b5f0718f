/* SPDX-License-Identifier: Apache-2.0 */
/* `guild runs`, `ls`, `cat`, `label` and their like with a remote: the command is run here, on this
 * home, by this very program, and what it prints goes back. Which commands and options a peer may
 * use is a table. */
#pragma once

#include "coordinator/internal.h"

/* args: {argv: [NAME, ARG...]}. Replies {out, err, exit_status}, in parts when it is long. */
void command_call(Peer *p, guint64 id, const Value *args);
