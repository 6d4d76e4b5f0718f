/* SPDX-License-Identifier: Apache-2.0 */
/* What `guild operations`, `guild models` and completion have in common: the project in the current
 * folder, and filters over its names. */
#pragma once

#include "engine/project/guildfile.h"

/* The project of cli_cwd(). NULL without an error where there is none. */
Guildfile *project_here(GError **error);
/* "the current directory", or the path as users know it. Newly allocated. */
char *project_where(const char *dir);
/* TRUE if each filter is part of one of the values, whatever the case. */
gboolean project_matches(const char *const *filters, const char *const *values);
/* Line 1 of a description. Newly allocated; *details the lines behind it as Python prints a list of
 * them. */
char *project_description(const char *text, char **details);
