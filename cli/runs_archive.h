/* SPDX-License-Identifier: Apache-2.0 */
/* Runs outside of the home: a folder of run directories, a zip file of them ('guild export'), or an
 * archive by its name ('guild archive' keeps them below the user's ~/.guild). */
#pragma once

#include "engine/run/store.h"

/* A folder of `archives` beside the user's configuration file. */
typedef struct RunsArchive {
    char *name;        /* "label" of its archive.json, else the folder's name */
    char *description; /* of archive.json; may be empty */
    char *path;
} RunsArchive;
void runs_archive_free(RunsArchive *archive);

GPtrArray *runs_archive_list(void);        /* RunsArchive, by name */
char *runs_archive_find(const char *name); /* its folder, NULL if there is none */
/* A new one, empty but for its archive.json; gives its folder. description may be NULL. */
char *runs_archive_create(const char *name, const char *description, GError **error);

/* A zip file is unpacked into *scratch, which the caller removes. */
RunStore *runs_archive_open(const char *path_or_name, char **scratch, GError **error);
