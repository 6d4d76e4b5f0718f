/* SPDX-License-Identifier: Apache-2.0 */
/* Inside engine/project only: finding the file of a Python module without Python, as the reference's
 * python_util.find_module does. */
#pragma once

#include <glib.h>

/* The file of a module spec ("train", "pkg.mod", "dir/mod") in the given folders, then in our own
 * package (guild.*), then on the interpreter's path. *sys_path (may be NULL) gets the folder to put on
 * Python's path, newly allocated. NULL and an error worded "No module named X". Newly allocated. */
char *pymodule_find(
        const char *main_mod, const char *const *model_paths, char **sys_path, GError **error);

/* The folders of the interpreter's module path, with $PYTHONPATH: asked once, and cached in the home.
 * Empty if there is no interpreter. Borrowed, NULL-terminated. */
const char *const *pymodule_sys_path(void);
