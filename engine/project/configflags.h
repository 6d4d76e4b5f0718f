/* SPDX-License-Identifier: Apache-2.0 */
/* Inside engine/project only. Flags of operations whose flags-dest is config:FILE: the values in a
 * YAML, JSON or INI file of the project; and the dependency that writes it, with the run's flag
 * values, into the run (reference: plugins/config_flags.py). */
#pragma once

#include "engine/project/guildfile.h"

void configflags_apply(OpDef *op);
