/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of file lists share: filelist.c scans and compares, filelist_build.c builds.
 */
#pragma once

#include <sys/stat.h>

#include "engine/wire/filelist.h"

/* "cannot WHAT ROOT/REL: why", of errno. FALSE. */
gboolean filelist_io_error(GError **error, const char *what, const char *root, const char *rel);
/* A file changed within the last moments may change again within the same time stamp. */
gboolean filelist_is_settled(const struct stat *st);
void digest_cache_learn(DigestCache *cache, const struct stat *st, const char *digest);
