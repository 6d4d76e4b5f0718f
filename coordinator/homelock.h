/* SPDX-License-Identifier: Apache-2.0 */
/* One coordinator serves a home: the lock that says so, HOME/coordinator/lock, with flock(2), which
 * the kernel lets go of when the process is over. The file says whose it is, "PID\n", as flock
 * doesn't. */
#pragma once

#include <glib.h>

/* The locked file's descriptor, which the caller closes; -1 with COORDINATOR_ERROR_LOCKED if another
 * coordinator has it. One that was killed has it still while the kernel is busy with its end (its
 * disk may be): that is waited for. */
int home_lock(const char *home, GError **error);
