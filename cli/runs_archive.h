/* SPDX-License-Identifier: Apache-2.0 */
/* Runs outside of the home: a folder of run directories, a zip file of them ('guild export'), or an
 * archive by its name ('guild archive' of the reference keeps them below the user's ~/.guild). */
#pragma once

#include "engine/run/store.h"

/* A zip file is unpacked into *scratch, which the caller removes. */
RunStore *runs_archive_open(const char *path_or_name, char **scratch, GError **error);
