/* SPDX-License-Identifier: Apache-2.0 */
/* Completion of command lines out of the command tables, the project and the home. */
#pragma once

#include <glib.h>

/* Candidates for the last of `words` ("guild", "run", "--st"), one string each, sorted as found.
 * "!!file" and "!!dir" ask the shell to complete a path. Never fails: no candidates. */
GPtrArray *complete_words(const char *const *words);
