/* SPDX-License-Identifier: Apache-2.0 */
/* `.guild/manifest`: where each file that was put into a run came from. One line an entry, its
 * parts quoted for a shell (reference: guild/manifest.py, guild/run_manifest.py):
 *
 *   s RUN_PATH SHA1 PROJECT_PATH          source code
 *   d RUN_PATH SHA1_OR_DASH URI [SUBPATH] a resolved dependency
 *   i RUN_PATH SHA1_OR_DASH URI [SUBPATH] a file of Guild's own
 *
 * Paths are relative to the run directory and to the project; SHA1 is digest_sha1_file(). */
#pragma once

#include "engine/run/run.h"

typedef struct RunManifest RunManifest;

/* For appending; lines are buffered until run_manifest_close(). */
RunManifest *run_manifest_open(Run *run, GError **error);
void run_manifest_add(RunManifest *m, const char *const *args);
void run_manifest_add_sourcecode(
        RunManifest *m, const char *run_path, const char *sha1, const char *project_path);
/* sha1 NULL (a folder) is written as "-"; subpath may be NULL. kind 'd' or 'i'. */
void run_manifest_add_file(RunManifest *m, char kind, const char *run_path, const char *sha1,
        const char *uri, const char *subpath);
/* Writes what is left; frees. */
gboolean run_manifest_close(RunManifest *m, GError **error);

/* Entries as `char **`, freed with the array. A missing manifest is empty; a line that can't be
 * split is skipped. */
GPtrArray *run_manifest_read(Run *run);
