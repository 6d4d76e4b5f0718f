/* SPDX-License-Identifier: Apache-2.0 */
/* The runs that an optimizer may learn from (reference: batch_util.trial_runs), by mode:
 *
 *   batch       trials of the batch itself, also of an earlier start of it
 *   sourcecode  runs whose source code is that of the batch's proto
 *   operation   runs of the same operation, whatever their source code
 *
 * Only completed ones count. */
#pragma once

#include "engine/run/run.h"

typedef struct PrevTrials PrevTrials;

/* `runs_dir`: HOME/runs. BATCH_ERROR_DIMS if the proto has no source code digest to compare with,
 * BATCH_ERROR_OPTIONS if there is no such mode. */
PrevTrials *prev_trials_new(Run *batch_run, const char *mode, const char *runs_dir, GError **error);
void prev_trials_free(PrevTrials *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrevTrials, prev_trials_free)

/* Those that the last call did not give yet, oldest first. Array of Run*. */
GPtrArray *prev_trials_more(PrevTrials *p);
