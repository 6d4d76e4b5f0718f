/* SPDX-License-Identifier: Apache-2.0 */
/* Where Python is, and our own Python package `guild`. */
#pragma once

#include <glib.h>

/* The interpreter that runs Python operations, as the reference's config.python_exe():
 * $GUILD_PYTHON_EXE; `python` on PATH if $VIRTUAL_ENV or $CONDA_PREFIX has a bin/python; else
 * python3, else python, on PATH. NULL and an error if there is none. Newly allocated. */
char *python_exe(GError **error);
/* The same, "python3" when there is none: for text that is only shown or stored. */
char *python_exe_or_name(void);

/* Folder that holds our package (DIR/guild/op_main.py), for PYTHONPATH: beside an installed program
 * (PREFIX/share/guild/python, found relative to /proc/self/exe so that an install can be moved),
 * else the configured install, else the source tree. NULL if none is there. Borrowed. */
const char *python_package_dir(void);

/* Value of PYTHONPATH as the reference's op_util.python_path_env: what a user has in PYTHONPATH is
 * kept behind. `first` (colon-joined folders, or NULL) comes first, then our package. */
char *python_path_env(const char *first);
