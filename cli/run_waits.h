/* SPDX-License-Identifier: Apache-2.0 */
/* What a run waits for, as the coordinator that serves this home says. */
#pragma once

#include "engine/run/run.h"

/* In words ("gpus=2: no worker has that (...)"), newly allocated; NULL if the run waits for
 * nothing, or no coordinator serves the home. */
char *run_waits_for(Run *run);
