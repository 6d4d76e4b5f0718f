/* SPDX-License-Identifier: Apache-2.0 */
/* Inside engine/project only. Flags that dependencies bring along: the run of an `operation:`
 * source and the path of a `file` source with `flag-name` can be given on the command line
 * (reference: plugins/resource_flags.py). */
#pragma once

#include "engine/project/guildfile.h"

void resflags_apply(OpDef *op);
