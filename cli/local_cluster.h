/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster of one: a coordinator on inproc and a worker of N slots on one main loop, to run a
 * batch in this process; and what the user sees of it (log lines, a progress line, trial output
 * with -j1). */
#pragma once

#include "engine/run/run.h"

typedef struct LocalBatchOptions {
    const char *home;
    int jobs;              /* slots; 0: one per core */
    gboolean quiet;        /* no trial output on the terminal */
    int retries;           /* when a trial could not be run at all; -1: 3 */
    int retry_failed;      /* times to start a trial again that exited in error */
    Value *request;        /* --request, or NULL */
    gboolean stage_trials; /* make the trials as staged runs, start none */
} LocalBatchOptions;

/* Runs the batch `batch_run` (made by op_init_run(), dependencies resolved; has `.guild/proto`) to
 * its end: lines "INFO: [guild] Running trial ..." on stderr and in the batch's own output, each
 * trial in its own run. Handles SIGINT and SIGTERM while it runs: the first stops the trials and
 * stages what is left, the second doesn't wait. Writes the batch's LOCK, exit_status and stopped.
 * Gives the exit status of the batch as the reference does (0 even if trials failed, unless
 * --fail-on-trial-error; 130 after SIGINT, 143 after SIGTERM... see the .c). -1 with error if the
 * batch could not begin. */
int local_batch_run(Run *batch_run, const LocalBatchOptions *options, GError **error);
