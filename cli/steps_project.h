/* SPDX-License-Identifier: Apache-2.0 */
/* The project that the steps of a run need, as files of the run: a run with steps has no source
 * code of its own, so what it executes on another machine is found in `.guild/project/` instead.
 * Runs that stay on this machine have no such folder. */
#pragma once

#include "engine/run/run.h"

/* RUN/.guild/project, whether or not it is there. Newly allocated. */
char *steps_project_dir(const Run *run);

/* Puts links to what the run's steps need there, to be followed when the run is sent: guild.yml
 * with what it includes and extends, the source code of the operations that the steps name, files
 * that these require, batch files. Names with flags are resolved with the flags that the run hands
 * on. Nothing is done for a run without steps, or one that has the folder already. FALSE where
 * something is missing or is outside of the project, with nothing left behind. */
gboolean steps_bring_project(Run *run, const char *home, GError **error);
