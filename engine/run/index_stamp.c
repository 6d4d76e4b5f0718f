/* SPDX-License-Identifier: Apache-2.0 */
/* See index_stamp.h. */
#include "engine/run/index_stamp.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#define SETTLE_NS (50 * 1000 * 1000)

void index_stamp_init(IndexStamp *stamp)
{
    *stamp = (IndexStamp){.items = g_byte_array_new()};
}

void index_stamp_clear(IndexStamp *stamp)
{
    g_byte_array_unref(stamp->items);
}

static gint64 to_ns(const struct timespec *t)
{
    return (gint64)t->tv_sec * 1000000000 + t->tv_nsec;
}

void index_stamp_add(IndexStamp *stamp, const char *name, const struct stat *st)
{
    gint64 changed_ns = to_ns(&st->st_ctim);
    index_put_text(stamp->items, name);
    index_put_i64(stamp->items, changed_ns);
    index_put_i64(stamp->items, st->st_size);
    stamp->newest_ns = MAX(stamp->newest_ns, changed_ns);
    stamp->n++;
}

gboolean index_stamp_settled(const IndexStamp *stamp)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return stamp->newest_ns + SETTLE_NS < to_ns(&now);
}

void index_put_stamp(GByteArray *out, const IndexStamp *stamp)
{
    index_put_u32(out, stamp->n);
    g_byte_array_append(out, stamp->items->data, stamp->items->len);
}

gboolean index_check_stamp(IndexReader *r, int root_fd, const char *dir)
{
    char path[PATH_MAX];
    gsize dir_len = strlen(dir);
    gboolean same = dir_len + 2 < sizeof(path);
    if (same) {
        memcpy(path, dir, dir_len);
        path[dir_len++] = '/';
    }
    guint32 n = index_get_u32(r);
    for (guint32 i = 0; i < n && !r->failed; i++) {
        gsize len;
        const char *name = index_get_text(r, &len);
        gint64 changed_ns = index_get_i64(r), size = index_get_i64(r);
        struct stat st;
        if (!same || r->failed || dir_len + len + 1 > sizeof(path)) {
            same = FALSE;
            continue;
        }
        memcpy(path + dir_len, name, len);
        path[dir_len + len] = '\0';
        same = fstatat(root_fd, path, &st, 0) == 0 && to_ns(&st.st_ctim) == changed_ns &&
               st.st_size == size;
    }
    return same && !r->failed;
}
