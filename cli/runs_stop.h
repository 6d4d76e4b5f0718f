/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping the processes of a run, as `guild stop` and `guild runs delete` do. */
#pragma once

#include "engine/run/run.h"

#define RUNS_STOP_TIMEOUT_S 30

/* Asks the run's process to end (SIGTERM), its descendants too if they are still there 5 s later, waits
 * up to timeout_s, then kills what is left if `force`. Says what it does. Gives an exit status: 1
 * if processes remain. */
int runs_stop_one(Run *run, gboolean force, gint64 timeout_s);
