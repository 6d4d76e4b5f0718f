/* SPDX-License-Identifier: Apache-2.0 */
/* Places with a blob store and files, and a queue of messages between two peers. */
#pragma once

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/wire/transfer.h"

typedef struct {
    char *dir;
    BlobStore *store;
} Place;

static inline void place_init(Place *p, guint64 limit)
{
    g_autoptr(GError) error = NULL;
    p->dir = fs_mkdtemp("guild-test-", &error);
    g_assert_no_error(error);
    p->store = blobs_open(p->dir, limit, &error);
    g_assert_no_error(error);
}

static inline void place_clear(Place *p)
{
    blobs_close(p->store);
    fs_remove_tree(p->dir, NULL);
    g_free(p->dir);
}

static inline char *in(Place *p, const char *rel)
{
    return g_build_filename(p->dir, rel, NULL);
}

static inline void put(Place *p, const char *rel, const char *text)
{
    g_autofree char *path = in(p, rel);
    g_autofree char *dir = g_path_get_dirname(path);
    g_assert_true(fs_mkdirs(dir, NULL));
    g_assert_true(fs_write(path, text, -1, NULL));
}

static inline GPtrArray *scan(Place *p, const char *rel, FileListFlags flags)
{
    g_autofree char *root = in(p, rel);
    g_autoptr(GError) error = NULL;
    GPtrArray *files = filelist_scan(root, flags, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    return files;
}

/* A blob of 1,000 bytes, last used at `i`; its digest. */
static inline char *add_blob(BlobStore *store, int i)
{
    char content[1000];
    memset(content, 'a' + i, sizeof content);
    char *digest = digest_sha256(content, sizeof content);
    BlobWriter *w = blobs_begin(store, digest, sizeof content, NULL);
    blob_writer_add(w, content, sizeof content, NULL);
    g_assert_true(blob_writer_finish(w, NULL));
    g_autofree char *path = blobs_path(store, digest);
    struct timespec t[2] = {{1000 + i, 0}, {1000, 0}};
    utimensat(AT_FDCWD, path, t, 0);
    return digest;
}

typedef struct {
    GQueue queue; /* GBytes */
} Pipe;

static inline gboolean pipe_send(GBytes *message, gpointer pipe)
{
    g_queue_push_tail(&((Pipe *)pipe)->queue, g_bytes_ref(message));
    return TRUE;
}

static inline gboolean deliver(Pipe *p, Transfer *to)
{
    g_autoptr(GBytes) packed = g_queue_pop_head(&p->queue);
    g_autoptr(GError) error = NULL;
    MsgKind kind;
    if (!packed)
        return FALSE;
    void *msg =
            wire_unpack(g_bytes_get_data(packed, NULL), g_bytes_get_size(packed), &kind, &error);
    g_assert_no_error(error);
    transfer_handle(to, kind, msg);
    wire_free(kind, msg);
    return TRUE;
}

static inline void on_done(GPtrArray *files, const GError *error, gpointer data)
{
    *(int *)data = error ? 2 : 1;
}
