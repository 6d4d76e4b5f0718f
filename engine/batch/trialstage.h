/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the run directories of a batch's trials from the batch's proto (`.guild/proto`), as
 * batch_util.init_trial_run of the reference: everything in the proto copied, its own id, flags,
 * label, `started`, attribute `op` with the flags put into its dependencies' config, marker
 * PENDING, and a link to it in the batch run.
 *
 * The proto is read once: what is small is kept in memory and written, what is large is cloned or
 * copied. Files are never hard-linked: a run owns its files, and programs write into their own
 * folder. */
#pragma once

#include "engine/base/value.h"
#include "engine/batch/dims.h"
#include "engine/run/run.h"

typedef struct TrialStager TrialStager;

/* `runs_dir`: where trials go, HOME/runs. The proto must not change while the stager lives. Errors
 * name the batch run's directory. */
TrialStager *trial_stager_new(Run *batch_run, const char *runs_dir, GError **error);
void trial_stager_free(TrialStager *stager);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TrialStager, trial_stager_free)

/* A trial copies so much that it may take long: whoever others wait for makes it on a thread. */
gboolean trial_stager_is_long(const TrialStager *stager);

/* A new pending run with these flags (a map). `where` NULL: a new id below runs_dir; else that
 * directory, whose last part is the id. On error nothing of it is left. The run shows in listings
 * only when it is whole (opref is written last). From any thread, one at a time; `flags` then belong
 * to that thread alone. */
Run *trial_stager_stage(TrialStager *stager, const Value *flags, const char *where, GError **error);
