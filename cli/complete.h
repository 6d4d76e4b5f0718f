/* SPDX-License-Identifier: Apache-2.0 */
/* Completion of command lines out of the command tables, the project and the home. */
#pragma once

#include <glib.h>

/* What CliOption.complete and CliCommand.args_complete may say: those of complete_runs.h, "remote"
 * (for the first argument), "remote-run" (a remote, then runs), "op", "op-flag" (an operation, then
 * its flags), "file", "dir", "choice:A,B,C". */

/* Candidates for the last of `words` ("guild", "run", "--st"), one string each, sorted as found.
 * "!!file" and "!!dir" ask the shell to complete a path. Never fails: no candidates. */
GPtrArray *complete_words(const char *const *words);
