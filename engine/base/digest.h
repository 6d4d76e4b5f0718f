/* SPDX-License-Identifier: Apache-2.0 */
/* Digests: SHA-256 for blobs and `sha256` of resources (libcrypto), MD5 for the reference's
 * sourcecode_digest (guild/file_util.py files_digest). Hex, lower case, newly allocated. */
#pragma once

#include <glib.h>

char *digest_sha256(const void *data, gsize len);
char *digest_sha256_file(const char *path, GError **error);
char *digest_md5(const void *data, gsize len);
/* SHA-1 of a file: what the reference's run manifests hold. */
char *digest_sha1_file(const char *path, GError **error);
/* Names folders of the reference's resource cache. */
char *digest_sha224(const void *data, gsize len);
/* The reference's digest of a set of files: MD5 over each path (relative to `root`, in the order
 * given), a NUL, the file's bytes, a NUL. Callers sort the paths. See file_util.py files_digest. */
char *digest_files(const char *root, const char *const *paths, GError **error);

/* Incremental SHA-256. */
typedef struct Sha256 Sha256;
Sha256 *sha256_new(void);
void sha256_update(Sha256 *s, const void *data, gsize len);
char *sha256_finish(Sha256 *s); /* hex; frees s */
void sha256_free(Sha256 *s);
