/* SPDX-License-Identifier: Apache-2.0 */
/* See index_stamp.h. */
#include "engine/run/index_stamp.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#define SETTLE_NS (50 * 1000 * 1000)

static gint64 to_ns(const struct timespec *t)
{
    return (gint64)t->tv_sec * 1000000000 + t->tv_nsec;
}

FileStamp file_stamp_of(const struct stat *st)
{
    return (FileStamp){to_ns(&st->st_ctim), st->st_size};
}

gboolean file_stamp_equal(const FileStamp *a, const FileStamp *b)
{
    return a->changed_ns == b->changed_ns && a->size == b->size;
}

gboolean file_stamp_settled(const FileStamp *stamp)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return stamp->changed_ns + SETTLE_NS < to_ns(&now);
}

void index_put_file_stamp(GByteArray *out, const FileStamp *stamp)
{
    index_put_i64(out, stamp->changed_ns);
    index_put_i64(out, stamp->size);
}

FileStamp index_get_file_stamp(IndexReader *r)
{
    FileStamp stamp = {.changed_ns = index_get_i64(r)};
    stamp.size = index_get_i64(r);
    return stamp;
}

void index_stamp_init(IndexStamp *stamp)
{
    *stamp = (IndexStamp){.items = g_byte_array_new()};
}

void index_stamp_clear(IndexStamp *stamp)
{
    g_byte_array_unref(stamp->items);
}

void index_stamp_add(IndexStamp *stamp, const char *name, const struct stat *st)
{
    FileStamp item = file_stamp_of(st);
    index_put_text(stamp->items, name);
    index_put_file_stamp(stamp->items, &item);
    if (item.changed_ns > stamp->newest.changed_ns)
        stamp->newest = item;
    stamp->n++;
}

void index_put_stamp(GByteArray *out, const IndexStamp *stamp)
{
    index_put_u32(out, stamp->n);
    g_byte_array_append(out, stamp->items->data, stamp->items->len);
}

gboolean index_path(char path[], gsize room, const char *dir, const char *name, gsize name_len)
{
    gsize dir_len = strlen(dir);
    if (dir_len + 1 + name_len + 1 > room)
        return FALSE;
    memcpy(path, dir, dir_len);
    path[dir_len] = '/';
    memcpy(path + dir_len + 1, name, name_len);
    path[dir_len + 1 + name_len] = '\0';
    return TRUE;
}

gboolean index_check_stamp(IndexReader *r, int fd, const char *dir)
{
    char path[PATH_MAX];
    gboolean same = TRUE;
    guint32 n = index_get_u32(r);
    for (guint32 i = 0; i < n && !r->failed; i++) {
        gsize len;
        struct stat st;
        const char *name = index_get_text(r, &len);
        FileStamp then = index_get_file_stamp(r);
        if (!same || r->failed)
            continue;
        same = index_path(path, sizeof(path), dir, name, len) && fstatat(fd, path, &st, 0) == 0;
        FileStamp now = same ? file_stamp_of(&st) : then;
        same = same && file_stamp_equal(&now, &then);
    }
    return same && !r->failed;
}

void index_skip_stamp(IndexReader *r)
{
    gsize len;
    for (guint32 n = index_get_u32(r); n > 0 && !r->failed; n--) {
        index_get_text(r, &len);
        index_get_file_stamp(r);
    }
}
