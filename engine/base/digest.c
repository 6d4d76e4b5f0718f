/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and SHA-224 by libcrypto, MD5 and SHA-1 of what is small by GLib: loading libcrypto and
 * its first digest take longer than all else that a short command does. See digest.h for which is
 * used where. */
#include "engine/base/digest.h"

#include "engine/base/fs.h"
#include "engine/base/lazy_crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* From this size on libcrypto, which uses the processor's instructions, has made up for its
 * loading. */
#define LARGE_BYTES (4 << 20)

enum { READ_BYTES = 256 * 1024 };

struct Sha256 {
    EVP_MD_CTX *ctx;
};

static char *finish_hex(EVP_MD_CTX *ctx)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    g_assert(EVP_DigestFinal_ex(ctx, raw, &n) == 1);
    char *hex = g_malloc(2 * n + 1);
    for (unsigned int i = 0; i < n; i++) {
        hex[2 * i] = digits[raw[i] >> 4];
        hex[2 * i + 1] = digits[raw[i] & 15];
    }
    hex[2 * n] = '\0';
    return hex;
}

static EVP_MD_CTX *ctx_new(const EVP_MD *md)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    g_assert(ctx && EVP_DigestInit_ex(ctx, md, NULL) == 1);
    return ctx;
}

typedef void (*UpdateFn)(gpointer ctx, const void *data, gsize len);

static void update_crypto(gpointer ctx, const void *data, gsize len)
{
    EVP_DigestUpdate(ctx, data, len);
}

static void update_glib(gpointer ctx, const void *data, gsize len)
{
    g_checksum_update(ctx, data, (gssize)len);
}

static gboolean update_with_file(UpdateFn update, gpointer ctx, const char *path, GError **error)
{
    int fd = fs_open_regular(path);
    g_autofree char *buf = g_malloc(READ_BYTES);
    ssize_t n = -1;
    if (fd >= 0) {
        while ((n = read(fd, buf, READ_BYTES)) > 0 || (n < 0 && errno == EINTR))
            if (n > 0)
                update(ctx, buf, (gsize)n);
    }
    int err = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0) {
        g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(err), "cannot read %s: %s",
                path, g_strerror(err));
        return FALSE;
    }
    return TRUE;
}

static char *digest_data(const EVP_MD *md, const void *data, gsize len)
{
    EVP_MD_CTX *ctx = ctx_new(md);
    EVP_DigestUpdate(ctx, data, len);
    char *hex = finish_hex(ctx);
    EVP_MD_CTX_free(ctx);
    return hex;
}

char *digest_sha256(const void *data, gsize len)
{
    return digest_data(EVP_sha256(), data, len);
}

char *digest_sha224(const void *data, gsize len)
{
    return digest_data(EVP_sha224(), data, len);
}

char *digest_md5(const void *data, gsize len)
{
    return g_compute_checksum_for_data(G_CHECKSUM_MD5, data, len);
}

static char *digest_file(const EVP_MD *md, const char *path, GError **error)
{
    EVP_MD_CTX *ctx = ctx_new(md);
    char *hex = update_with_file(update_crypto, ctx, path, error) ? finish_hex(ctx) : NULL;
    EVP_MD_CTX_free(ctx);
    return hex;
}

char *digest_sha256_file(const char *path, GError **error)
{
    return digest_file(EVP_sha256(), path, error);
}

char *digest_sha1_file(const char *path, GError **error)
{
    struct stat st;
    if (stat(path, &st) == 0 && st.st_size >= LARGE_BYTES)
        return digest_file(EVP_sha1(), path, error);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    return update_with_file(update_glib, sum, path, error) ? g_strdup(g_checksum_get_string(sum))
                                                           : NULL;
}

char *digest_files(const char *root, const char *const *paths, GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_MD5);
    for (gsize i = 0; paths[i]; i++) {
        g_autofree char *full = fs_join(root, paths[i]);
        update_glib(sum, paths[i], strlen(paths[i]) + 1); /* with its NUL */
        if (!update_with_file(update_glib, sum, full, error))
            return NULL;
        update_glib(sum, "", 1);
    }
    return g_strdup(g_checksum_get_string(sum));
}

Sha256 *sha256_new(void)
{
    Sha256 *s = g_new0(Sha256, 1);
    s->ctx = ctx_new(EVP_sha256());
    return s;
}

void sha256_update(Sha256 *s, const void *data, gsize len)
{
    EVP_DigestUpdate(s->ctx, data, len);
}

char *sha256_finish(Sha256 *s)
{
    char *hex = finish_hex(s->ctx);
    sha256_free(s);
    return hex;
}

void sha256_free(Sha256 *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->ctx);
    g_free(s);
}
