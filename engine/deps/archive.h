/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacks zip and tar archives (any compression libarchive knows) and single gzip files into a
 * folder of the home's cache, once: the names are remembered in `.guild-cache-NAME.unpacked` beside
 * them, as the reference does, and used while that is not older than the archive.
 *
 * An archive is hostile: entries that are absolute, contain "..", go through a link, are devices,
 * or are links that lead out of the folder are refused, and with them the whole archive. */
#pragma once

#include <glib.h>

/* "zip", "tar", "gzip" or NULL, by the name's extension. Static. */
const char *archive_type(const char *path);

/* Unpacks `path` of `type` into `dir`. Gives the names of all members and of the folders that they
 * lie in, relative to `dir`, newly allocated strv; NULL with an error that names the archive and
 * the entry. The caller holds a lock on `dir` where others may unpack into it. */
char **archive_unpack(const char *path, const char *type, const char *dir, GError **error);
