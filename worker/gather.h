/* SPDX-License-Identifier: Apache-2.0 */
/* What a run that has ended leaves: its changed files and the runs that it made, found and digested
 * on a thread of its own. Many files, or large ones, take longer to read than a lease lasts, and
 * the worker's loop renews the leases of all the others meanwhile. */
#pragma once

#include "worker/internal.h"

/* Begins; `done` is called once, on the worker's loop, with the changes (taken over; NULL with
 * error). Until then nothing else may touch the task's directory, `before` and `children`. */
typedef void (*GatherDone)(WTask *t, GPtrArray *changes, const GError *error);
void gather_start(WTask *t, GatherDone done);
/* Waits for the thread; `done` is not called any more. For the end of the worker. */
void gather_cancel(WTask *t);
