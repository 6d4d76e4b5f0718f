/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about runs with `--remote`: run by the coordinator on its own home, so that they select,
 * print and do there exactly what they do here (`guild runs -r lab`, `label`, `cat`, ...). A
 * command that asks first shows what the remote shows and asks here. `stop` and `watch` are the
 * coordinator's own. */
#pragma once

#include "cli/cli.h"

/* TRUE for a command ("guild runs", "guild runs info", "guild stop") that has a remote form. */
gboolean remote_runs_takes(const char *path);
/* `words`: as typed, behind the command. Gives the exit status. */
int remote_runs(CliArgs *args, const char *path, const char *const *words);
