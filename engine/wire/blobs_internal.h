/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the blob store share: blobs.c the store, lending.c blobs that runs have. */
#pragma once

#include "engine/wire/blobs.h"

struct BlobStore {
    gint refs;
    GMutex lock;         /* of what follows; files are changed by renaming alone */
    char *dir;           /* HOME/cache/blobs */
    guint64 limit;       /* bytes; 0: none */
    guint64 size;        /* bytes of all blobs, as far as we know, those that are lent too */
    GHashTable *pins;    /* digest → count */
    guint64 trim_from;   /* not before the size is above that: what is left is in use */
    GThread *trimming;   /* the last one that was begun; NULL: none was */
    gint trim_state;     /* atomic: TrimState */
    int users_fd;        /* a lock that every process with this store shares; -1: none */
    GHashTable *popular; /* set of digests that were wanted while they were lent: they are kept */
};

/* Of the size, by lent or trimmed content. */
void blobs_shrink(BlobStore *b, guint64 bytes);
/* More than one of us has it pinned. */
gboolean blobs_shared(BlobStore *b, const char *digest);
/* `part`, whose content was checked, becomes the blob. */
gboolean blobs_name(
        BlobStore *b, const char *part, const char *digest, guint64 size, GError **error);

void lending_open(BlobStore *b);
void lending_close(BlobStore *b);
