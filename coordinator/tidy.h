/* SPDX-License-Identifier: Apache-2.0 */
/* What an attempt that was lost left in a run directory. In place a trial writes where the next
 * attempt begins (and a coordinator that is killed while it puts a result in its place leaves part
 * of it there), so that a result could be made of two: a dependency copied by half would be taken
 * for the whole one, scalars of both attempts would be read as one's. Away from the home each
 * attempt is built anew; here its files are put aside as `.guild/attempts/N/files/`, where a user
 * finds them.
 *
 * What a run begins with is what its manifest names and what was found beside that when it came
 * (tidy_note(), kept in `.guild/attempts/found`; usually nothing). What was written into a folder
 * that the manifest names as a whole can't be told from the folder's own, and stays.
 *
 * All of it reads and moves as many files as there are: work for a thread. */
#pragma once

#include "engine/run/run.h"

/* What is there now is what the run begins with. Replaces an earlier note. */
gboolean tidy_note(Run *run, GError **error);
/* The next attempt begins in what the one before it left, as a restart does: instead of being put
 * aside it is noted. */
void tidy_keep(Run *run);

/* Before another attempt: puts aside what attempt number `attempt` left. Inputs that are not what
 * the manifest says are copied again from `proto` (a run with the same source code, may be NULL) or
 * from the project; `lost`, which may be NULL, gets the paths (char *) of those that could not be.
 */
gboolean tidy_run(Run *run, int attempt, Run *proto, GPtrArray *lost, GError **error);
