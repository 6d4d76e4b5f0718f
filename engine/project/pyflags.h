/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of Python modules, found without training: module-level assignments by reading the source;
 * argparse and click parsers by running the module up to the point where it parses its arguments.
 * A small helper (engine/python/guild/import_flags.py) does the Python part, one process for all
 * modules that need it; answers are cached in HOME/cache/import-flags keyed by path, time, size,
 * interpreter and settings, so that a second call starts no process.
 *
 * Rules: the reference's plugins/python_script.py and plugins/flags_import_util.py. "Refreshing
 * flags..." is printed on stderr once unless NO_IMPORT_FLAGS_PROGRESS=1. Whatever fails is a
 * warning
 * ("cannot import flags from ...", silenced by NO_WARN_FLAGS_IMPORT=1), never an error. */
#pragma once

#include "engine/project/guildfile.h"

typedef struct PyFlagsResult {
    char *dest;            /* resolved flags-dest: "args", "globals", ...; NULL if unknown */
    Value *flags;          /* map name -> flag attributes, as in guild.yml; never NULL */
    Value *output_scalars; /* of a known framework (Keras), or NULL */
} PyFlagsResult;

/* Imports the flags of every operation with `main`, and of those with flags-dest config:FILE. */
void pyflags_apply_guildfile(Guildfile *g);
/* Flags of a bare script. base_args NULL for none. Never NULL. */
PyFlagsResult *pyflags_for_script(const char *script_path, const char *flags_dest);
void pyflags_result_free(PyFlagsResult *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PyFlagsResult, pyflags_result_free)
