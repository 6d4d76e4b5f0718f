/* SPDX-License-Identifier: Apache-2.0 */
/* Running `guild` itself as a child, for commands that make runs on behalf of a run (steps, queues,
 * trials of an optimizer). The child shares our terminal. */
#pragma once

#include <glib.h>

/* Path of this program: what modules of the Python package hand over to ($GUILD_EXE) and what
 * children are started with. Static. */
const char *child_guild_exe(void);

/* Runs argv (looked up in PATH unless it has a slash) with `env` (NAME=VALUE, NULL: ours) in `cwd`
 * (NULL: ours) and waits. Until it ends SIGTERM and SIGHUP are passed on to it, and SIGINT, which
 * it gets from the terminal, is left to it. Gives the exit status as Python's subprocess does: -N
 * for signal N; 127 with error, worded as by Python, if it can't be started. `signaled` (may be NULL) gets the last
 * signal that we were sent meanwhile, or 0. */
int child_run(const char *const *argv, char **env, const char *cwd, int *signaled, GError **error);

/* Ends this process by the signal that it was sent, so that whoever waits sees it "terminated". */
G_NORETURN void child_end_by_signal(int sig);

/* A negative status as the status this process exits with, as Python's sys.exit() makes it. */
int child_exit_code(int status);
