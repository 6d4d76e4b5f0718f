/* SPDX-License-Identifier: Apache-2.0 */
/* Workers on demand: while tasks wait, Slurm is asked for machines, and each that it gives runs a
 * worker which leaves by itself when it has been idle for a while. What was asked for is kept in
 * HOME/coordinator/slurm.yml, so that a coordinator that is started again goes on; the job script,
 * with a worker's access key in it (Slurm shows scripts to their owner and to root only), is
 * HOME/coordinator/slurm.sh, 0700. Slurm is spoken to by its own commands, sbatch, squeue and
 * scancel, one at a time and in a thread, so that a slow Slurm holds up nothing. */
#pragma once

#include "engine/base/value.h"

typedef struct Alloc Alloc;
typedef struct Coordinator Coordinator;

/* Takes up what slurm.yml says, if there is one. */
Alloc *alloc_new(Coordinator *c);
void alloc_free(Alloc *a); /* leaves Slurm's jobs alone; NULL is ignored */

/* `settings`, a map: max_workers (0 ends it and cancels what has not started), time_us (a worker's
 * allocation), idle_us, host (where workers find us; NULL: our host's name), args (list of
 * further options of sbatch). */
gboolean alloc_set(Alloc *a, const Value *settings, GError **error);
/* For `guild workers alloc`: a map of max_workers, jobs (map of Slurm's id to its state), error. */
Value *alloc_status(Alloc *a);
/* From time to time. */
void alloc_tick(Alloc *a, gint64 now_us);
