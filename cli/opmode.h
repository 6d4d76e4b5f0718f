/* SPDX-License-Identifier: Apache-2.0 */
/* For the hidden commands that are the process of a run (steps, queues, batches): which run that
 * is, and log lines as an operation of the reference prints them. */
#pragma once

#include "engine/run/run.h"

/* "LEVEL: [guild] message" from level $LOG_LEVEL on (default: warnings). */
void opmode_init_log(void);
/* The run of $RUN_DIR; an error if that names none. */
Run *opmode_current_run(GError **error);
