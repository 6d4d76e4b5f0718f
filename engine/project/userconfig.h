/* SPDX-License-Identifier: Apache-2.0 */
/* The user's configuration: remotes, defaults of commands. One file, the first of $GUILD_CONFIG,
 * ./guild-config.yml, HOME/config.yml, ~/.guild/config.yml, as the reference's guild/config.py
 * finds it; `extends` between items of a section and `config` is applied. */
#pragma once

#include "engine/base/value.h"

#define USERCONFIG_ERROR userconfig_error_quark()
GQuark userconfig_error_quark(void);
typedef enum { USERCONFIG_ERROR_INVALID, USERCONFIG_ERROR_NO_REMOTE } UserconfigError;

/* Path of the file that applies; it need not exist. cwd NULL: the process's. Newly allocated. */
char *userconfig_path(const char *cwd);
/* The whole configuration, a map (empty if there is no file). An unreadable or broken file is a
 * warning in the log and gives an empty map; a reference to a parent that is not there is an error.
 * New reference. */
Value *userconfig_load(const char *cwd, GError **error);
/* Remote NAME as a map with its `name` added, `type` checked to be a string; error NO_REMOTE names
 * the file. */
Value *userconfig_remote(const char *cwd, const char *name, GError **error);
/* Names of all remotes, sorted. */
char **userconfig_remote_names(const char *cwd, GError **error);
