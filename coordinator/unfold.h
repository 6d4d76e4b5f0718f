/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of another run that a run links to travels to its worker as a folder, and what the trial
 * changed in it comes back as files of the run. No list is built through a link, and the other run
 * is not to be changed: so such a link becomes a folder of links, one for each thing that is in the
 * other folder, of which those that were changed are then replaced. */
#pragma once

#include "engine/wire/filelist.h"

/* Replaces every link in the run `dir` that is in the way of an entry of `files`. Only links into
 * other runs below `runs` become folders of links; any other (its run was deleted, or a stranger
 * made it) becomes an empty folder. */
gboolean unfold_links(const char *dir, const char *runs, GPtrArray *files, GError **error);
