/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads, once: a url is kept under its own name in a folder of the home's cache and taken from
 * there the next time (guild/pip_util.py download_url). The download goes to a temporary file and
 * is renamed when it is whole and its digest is right, so a broken one is never taken for good.
 *
 * A server that does not answer or stops sending ends in an error: FETCH_CONNECT_S to connect,
 * FETCH_STALL_S without a byte. $GUILD_FETCH_TIMEOUT (seconds) replaces both. */
#pragma once

#include <glib.h>

#define FETCH_CONNECT_S 30
#define FETCH_STALL_S 60

/* The file that `url` (http, https or file) is kept as below `dir`, fetched if it isn't there.
 * `sha256` (hex, or NULL) is checked in either case. Newly allocated; NULL with G_IO_ERROR-like
 * text naming url and reason. */
char *fetch_url(const char *url, const char *dir, const char *sha256, GError **error);

/* SHA-256 of `path` equals `expected`? The answer is kept beside the file (.guild-cache-NAME.sha as
 * the reference does) and used while it is not older than the file. */
gboolean fetch_check_sha256(const char *path, const char *expected, char **actual, GError **error);
