/* SPDX-License-Identifier: Apache-2.0 */
/* Locks between processes of one home: flock(2) on HOME/locks/NAME, the scheme of the filelock
 * package that the reference uses (guild/lock.py), so both programs exclude each other. The one
 * that matters is RUN_LOCK_STATUS, held while a staged run is being started. */
#pragma once

#include <glib.h>

#define RUN_LOCK_STATUS "run-status"

typedef struct HomeLock HomeLock;

/* timeout_ms < 0 waits for ever, 0 tries once. NULL without error when time is up. The file stays
 * when the lock is released; it is never a sign of anything. */
HomeLock *home_lock_acquire(const char *home, const char *name, gint timeout_ms, GError **error);
void home_lock_release(HomeLock *lock); /* NULL is ignored; frees */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HomeLock, home_lock_release)
