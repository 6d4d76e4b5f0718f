/* SPDX-License-Identifier: Apache-2.0 */
/* What git knows of a project: the commit, and which files it ignores. The program is `git`, or
 * `git: executable:` of the user config. Where there is no git or no repository there is nothing to
 * know, which is no error. As guild/vcs_util.py of the reference. */
#pragma once

#include <glib.h>

/* "git:<hash>", with a '*' behind it if the work tree has changes. NULL if `dir` is in no
 * repository, it has no commit, or git can't be run (a warning is logged where the reference does).
 */
char *vcs_commit(const char *dir);

/* Relative paths of files and directories that git ignores below `dir`, with the patterns of
 * `.guildignore`; NULL if `dir` is in no git repository. */
char **vcs_ignored(const char *dir);

/* `copy` has files of the project `dir` and goes to another machine: notes in it, in `.guild/vcs`,
 * what git says of the project, which the two above then answer there and below. */
gboolean vcs_write_note(const char *copy, const char *dir, GError **error);
