/* SPDX-License-Identifier: Apache-2.0 */
/* Where the source code of a run is: in the run, and in the project that it came from. */
#pragma once

#include "engine/run/run.h"

/* The folder of the run that its source code was copied to. Newly allocated. */
char *runs_sourcecode_dir(Run *run);
/* The folder of the project whose files were copied: of the operation in its guild.yml as it is
 * now, or of the script. NULL if it can't be told. Newly allocated. */
char *runs_project_sourcecode_dir(Run *run);
