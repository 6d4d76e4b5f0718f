/* SPDX-License-Identifier: Apache-2.0 */
/* What an index entry was made from: files and folders with their time of change and size. An entry
 * holds as long as each of them still looks the same. */
#pragma once

#include <sys/stat.h>

#include "engine/run/index_codec.h"

typedef struct IndexStamp {
    GByteArray *items; /* name, change time, size; one after the other */
    guint n;
    gint64 newest_ns;
} IndexStamp;

void index_stamp_init(IndexStamp *stamp);
void index_stamp_clear(IndexStamp *stamp);
/* `name` is relative to a folder that the reader will name too; st is from before the file was
 * read. */
void index_stamp_add(IndexStamp *stamp, const char *name, const struct stat *st);
/* FALSE if something changed so lately that another change might look the same (the clock of file
 * times ticks in steps): such an entry must not be kept. */
gboolean index_stamp_settled(const IndexStamp *stamp);
void index_put_stamp(GByteArray *out, const IndexStamp *stamp);
/* Reads a stamp and compares it with what is below the folder `dir` (relative to the open folder
 * root_fd, which makes looking much cheaper than from the root) now. */
gboolean index_check_stamp(IndexReader *r, int root_fd, const char *dir);
