/* SPDX-License-Identifier: Apache-2.0 */
/* The blob store on disk: see blobs.h, and lending.c for blobs that runs have. */
#include "engine/wire/blobs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/digest.h"
#include "engine/base/fs.h"

struct BlobWriter {
    BlobStore *store;
    char *digest;
    char *part; /* path while it is incomplete */
    int fd;
    guint64 size, offset;
    Sha256 *sum;
};

typedef enum { TRIM_IDLE, TRIM_WORKS, TRIM_OFF } TrimState;

static gboolean add_size(const char *root, const char *rel, const struct stat *st, gpointer data)
{
    if (S_ISREG(st->st_mode))
        *(guint64 *)data += st->st_size;
    return strcmp(rel, "part") != 0;
}

BlobStore *blobs_open(const char *home, guint64 limit_bytes, GError **error)
{
    g_autofree char *dir = g_build_filename(home, "cache", "blobs", NULL);
    g_autofree char *part = g_build_filename(dir, "part", NULL);
    if (!fs_mkdirs(part, error))
        return NULL;
    BlobStore *b = g_new0(BlobStore, 1);
    b->refs = 1;
    g_mutex_init(&b->lock);
    b->dir = g_steal_pointer(&dir);
    b->limit = limit_bytes;
    b->pins = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    lending_open(b);
    fs_walk(b->dir, FALSE, add_size, &b->size, NULL);
    return b;
}

BlobStore *blobs_ref(BlobStore *b)
{
    g_atomic_int_inc(&b->refs);
    return b;
}

void blobs_close(BlobStore *b)
{
    if (!b || !g_atomic_int_dec_and_test(&b->refs))
        return;
    g_atomic_int_set(&b->trim_state, TRIM_OFF);
    if (b->trimming)
        g_thread_join(b->trimming);
    lending_close(b);
    g_mutex_clear(&b->lock);
    g_hash_table_unref(b->pins);
    g_free(b->dir);
    g_free(b);
}

char *blobs_path(BlobStore *b, const char *digest)
{
    return g_strdup_printf("%s/%.2s/%s", b->dir, digest, digest);
}

gboolean blobs_has(BlobStore *b, const char *digest)
{
    g_autofree char *path = blobs_path(b, digest);
    return access(path, F_OK) == 0;
}

int blobs_open_fd(const char *digest, gpointer blob_store, GError **error)
{
    g_autofree char *path = blobs_path(blob_store, digest);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot read blob %s: %s",
                path, g_strerror(errno));
        return -1;
    }
    /* Our own stamp of use, for blobs_trim(). */
    futimens(fd, (struct timespec[]){{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}});
    return fd;
}

static guint n_pins(BlobStore *b, const char *digest)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(b->pins, digest));
}

gboolean blobs_shared(BlobStore *b, const char *digest)
{
    g_mutex_lock(&b->lock);
    guint n = n_pins(b, digest);
    g_mutex_unlock(&b->lock);
    return n > 1;
}

void blobs_shrink(BlobStore *b, guint64 bytes)
{
    g_mutex_lock(&b->lock);
    b->size -= MIN(b->size, bytes);
    g_mutex_unlock(&b->lock);
}

/* Under the lock: who pins it meanwhile looks for it afterwards, and sees that it is gone. */
static gboolean take_locked(BlobStore *b, const char *digest, int dirfd, const char *name)
{
    struct stat st;
    g_autofree char *path = blobs_path(b, digest);
    if (n_pins(b, digest) > 1 || stat(path, &st) < 0 || renameat(AT_FDCWD, path, dirfd, name) < 0)
        return FALSE;
    b->size -= MIN(b->size, (guint64)st.st_size);
    return TRUE;
}

gboolean blobs_take(const char *digest, int dirfd, const char *name, gpointer blob_store)
{
    BlobStore *b = blob_store;
    g_mutex_lock(&b->lock);
    gboolean taken = take_locked(b, digest, dirfd, name);
    g_mutex_unlock(&b->lock);
    return taken;
}

guint64 blobs_size(BlobStore *b)
{
    return b->size;
}

/* ---- receiving ---- */

/* What is there of an earlier try goes into the sum; a part that is too long starts over. */
static gboolean take_up_part(BlobWriter *w)
{
    g_autofree guint8 *buf = g_malloc(256 * 1024);
    for (;;) {
        gssize n = read(w->fd, buf, 256 * 1024);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FALSE;
        if (n == 0)
            break;
        sha256_update(w->sum, buf, n);
        w->offset += n;
    }
    if (w->offset > w->size) {
        sha256_free(w->sum);
        w->sum = sha256_new();
        w->offset = 0;
        return lseek(w->fd, 0, SEEK_SET) == 0 && ftruncate(w->fd, 0) == 0;
    }
    return TRUE;
}

static void writer_free(BlobWriter *w)
{
    if (w->fd >= 0)
        close(w->fd);
    sha256_free(w->sum);
    g_free(w->digest);
    g_free(w->part);
    g_free(w);
}

static gboolean part_error(BlobWriter *w, GError **error)
{
    int code = errno;
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(code), "cannot write %s: %s", w->part,
            g_strerror(code));
    return FALSE;
}

/* Whoever makes room by removing the cache of a running program removes its folders too. */
static int open_in_part(BlobStore *b, const char *path)
{
    const int how = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    int fd = open(path, how, 0600);
    g_autofree char *folder = fd < 0 && errno == ENOENT ? g_path_get_dirname(path) : NULL;
    return folder && fs_mkdirs(folder, NULL) ? open(path, how, 0600) : fd;
}

/* The part is ours alone while it is written: were the same content to come from two peers into one
 * file, the slower one could still change it after the faster one's was checked and named. */
static gboolean open_part(BlobWriter *w)
{
    for (guint i = 0; i < 1000; i++) {
        g_free(w->part);
        w->part = i ? g_strdup_printf("%s/part/%s.%u", w->store->dir, w->digest, i)
                    : g_strdup_printf("%s/part/%s", w->store->dir, w->digest);
        w->fd = open_in_part(w->store, w->part);
        if (w->fd < 0)
            return FALSE;
        struct stat here, named;
        if (flock(w->fd, LOCK_EX | LOCK_NB) == 0 && fstat(w->fd, &here) == 0 &&
                stat(w->part, &named) == 0 && here.st_ino == named.st_ino)
            return TRUE;
        close(w->fd);
        w->fd = -1;
    }
    errno = EBUSY;
    return FALSE;
}

gboolean blobs_has_part(BlobStore *b, const char *digest)
{
    g_autofree char *part = g_strdup_printf("%s/part/%s", b->dir, digest);
    return access(part, F_OK) == 0;
}

BlobWriter *blobs_begin(BlobStore *b, const char *digest, guint64 size, GError **error)
{
    BlobWriter *w = g_new0(BlobWriter, 1);
    w->store = b;
    w->digest = g_strdup(digest);
    w->size = size;
    w->sum = sha256_new();
    if (!open_part(w) || !take_up_part(w)) {
        part_error(w, error);
        writer_free(w);
        return NULL;
    }
    return w;
}

guint64 blob_writer_offset(BlobWriter *w)
{
    return w->offset;
}

gboolean blob_writer_add(BlobWriter *w, const void *data, gsize len, GError **error)
{
    if (len > w->size - w->offset) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "more content than was told for %s",
                w->digest);
        return FALSE;
    }
    /* First what computes: it doesn't mind that the data is in another core's cache, a copy does. */
    sha256_update(w->sum, data, len);
    const char *p = data;
    gsize left = len;
    while (left) {
        gssize n = write(w->fd, p, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return part_error(w, error);
        p += n;
        left -= n;
    }
    w->offset += len;
    return TRUE;
}

gboolean blobs_name(
        BlobStore *b, const char *part, const char *digest, guint64 size, GError **error)
{
    g_autofree char *path = blobs_path(b, digest);
    g_autofree char *dir = g_path_get_dirname(path);
    if (access(path, F_OK) == 0) {
        unlink(part);
        return TRUE;
    }
    if (!fs_mkdirs(dir, error))
        return FALSE;
    if (rename(part, path) < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot write %s: %s",
                path, g_strerror(errno));
        return FALSE;
    }
    g_mutex_lock(&b->lock);
    b->size += size;
    g_mutex_unlock(&b->lock);
    return TRUE;
}

gboolean blob_writer_finish(BlobWriter *w, GError **error)
{
    g_autofree char *digest = sha256_finish(g_steal_pointer(&w->sum));
    gboolean ok = TRUE;
    if (w->offset != w->size || strcmp(digest, w->digest) != 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                "content of %s is not what its digest says", w->digest);
        unlink(w->part);
        ok = FALSE;
    }
    if (ok)
        ok = blobs_name(w->store, w->part, w->digest, w->size, error);
    writer_free(w);
    return ok;
}

void blob_writer_abort(BlobWriter *w)
{
    if (w && !w->offset)
        unlink(w->part);
    if (w)
        writer_free(w);
}

gboolean blobs_add_file(BlobStore *b, const char *path, const char *digest, GError **error)
{
    if (blobs_has(b, digest))
        return TRUE;
    g_autofree char *part = g_strdup_printf("%s/part/%s.copy", b->dir, digest);
    struct stat st;
    if (!fs_copy_file(path, part, error))
        return FALSE;
    if (stat(part, &st) < 0)
        st.st_size = 0;
    return blobs_name(b, part, digest, st.st_size, error);
}

/* ---- keeping it small ---- */

void blobs_pin(BlobStore *b, const char *digest)
{
    g_mutex_lock(&b->lock);
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(b->pins, digest));
    g_hash_table_insert(b->pins, g_strdup(digest), GUINT_TO_POINTER(n + 1));
    g_mutex_unlock(&b->lock);
}

void blobs_unpin(BlobStore *b, const char *digest)
{
    g_mutex_lock(&b->lock);
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(b->pins, digest));
    if (n <= 1) {
        g_hash_table_remove(b->pins, digest);
        b->trim_from = 0; /* it may be dropped now */
    } else
        g_hash_table_insert(b->pins, g_strdup(digest), GUINT_TO_POINTER(n - 1));
    g_mutex_unlock(&b->lock);
}

typedef struct {
    char *path;
    gint64 used_us;
    guint64 size;
} Old;

static void old_free(gpointer p)
{
    g_free(((Old *)p)->path);
    g_free(p);
}

typedef struct {
    BlobStore *store;
    GPtrArray *old;
    guint64 size;
} Trim;

static gboolean collect(const char *root, const char *rel, const struct stat *st, gpointer data)
{
    Trim *t = data;
    if (g_atomic_int_get(&t->store->trim_state) == TRIM_OFF)
        return FALSE;
    if (!S_ISREG(st->st_mode))
        return strcmp(rel, "part") != 0;
    t->size += st->st_size;
    Old *o = g_new0(Old, 1);
    o->path = g_build_filename(root, rel, NULL);
    o->used_us = (gint64)st->st_atim.tv_sec * G_USEC_PER_SEC + st->st_atim.tv_nsec / 1000;
    o->size = st->st_size;
    g_ptr_array_add(t->old, o);
    return TRUE;
}

static gint by_use(gconstpointer a, gconstpointer b)
{
    gint64 x = (*(Old *const *)a)->used_us, y = (*(Old *const *)b)->used_us;
    return x < y ? -1 : x > y;
}

/* Under the lock, as in blobs_take(). A large file takes long to remove: only its name goes there.
 */
static gboolean drop(BlobStore *b, const char *path)
{
    g_autofree char *dropped = g_build_filename(b->dir, "part", "dropped", NULL);
    g_mutex_lock(&b->lock);
    gboolean ok = !n_pins(b, strrchr(path, '/') + 1) && rename(path, dropped) == 0;
    g_mutex_unlock(&b->lock);
    if (ok)
        unlink(dropped);
    return ok;
}

static gboolean is_over(BlobStore *b)
{
    g_mutex_lock(&b->lock);
    gboolean over = b->limit && b->size > MAX(b->limit, b->trim_from);
    g_mutex_unlock(&b->lock);
    return over;
}

/* What is added meanwhile counts in `b->size` and is not seen by the walk, perhaps. */
void blobs_trim(BlobStore *b)
{
    if (!is_over(b))
        return;
    Trim t = {b, g_ptr_array_new_with_free_func(old_free), 0};
    guint64 goal = b->limit / 10 * 9; /* some air, so that not every blob walks the store */
    g_mutex_lock(&b->lock);
    guint64 before = b->size;
    b->trim_from = 0;
    g_mutex_unlock(&b->lock);
    fs_walk(b->dir, FALSE, collect, &t, NULL);
    g_ptr_array_sort(t.old, by_use);
    for (guint i = 0; i < t.old->len && t.size > goal; i++) {
        Old *o = t.old->pdata[i];
        if (g_atomic_int_get(&b->trim_state) == TRIM_OFF)
            break;
        if (drop(b, o->path))
            t.size -= o->size;
    }
    g_mutex_lock(&b->lock);
    b->size = t.size + (b->size > before ? b->size - before : 0);
    b->trim_from = t.size > goal ? b->size + b->limit / 10 : 0;
    g_mutex_unlock(&b->lock);
    g_ptr_array_unref(t.old);
}

static gpointer trim_on_thread(gpointer store)
{
    BlobStore *b = store;
    do {
        blobs_trim(b);
        g_atomic_int_compare_and_exchange(&b->trim_state, TRIM_WORKS, TRIM_IDLE);
        /* what came while it worked has begun no other */
    } while (
            is_over(b) && g_atomic_int_compare_and_exchange(&b->trim_state, TRIM_IDLE, TRIM_WORKS));
    return NULL;
}

void blobs_trim_beside(BlobStore *b)
{
    if (!is_over(b) || !g_atomic_int_compare_and_exchange(&b->trim_state, TRIM_IDLE, TRIM_WORKS))
        return;
    if (b->trimming)
        g_thread_join(b->trimming); /* it is over */
    b->trimming = g_thread_new("trim", trim_on_thread, b);
}
