/* SPDX-License-Identifier: Apache-2.0 */
/* What a part of the index was made from: files and folders with their time of change and size. A
 * part holds as long as each of them still looks the same. */
#pragma once

#include <sys/stat.h>

#include "engine/run/index_codec.h"

/* How one file or folder looked. */
typedef struct FileStamp {
    gint64 changed_ns, size;
} FileStamp;

FileStamp file_stamp_of(const struct stat *st);
gboolean file_stamp_equal(const FileStamp *a, const FileStamp *b);
/* FALSE if it changed so lately that another change might look the same (the clock of file times
 * ticks in steps): what was read must not be kept. */
gboolean file_stamp_settled(const FileStamp *stamp);
void index_put_file_stamp(GByteArray *out, const FileStamp *stamp);
FileStamp index_get_file_stamp(IndexReader *r);

/* Several of them, with names. */
typedef struct IndexStamp {
    GByteArray *items;
    guint n;
    FileStamp newest;
} IndexStamp;

void index_stamp_init(IndexStamp *stamp);
void index_stamp_clear(IndexStamp *stamp);
/* `name` is relative to a folder that the reader will name too; st is from before the file was
 * read. */
void index_stamp_add(IndexStamp *stamp, const char *name, const struct stat *st);
void index_put_stamp(GByteArray *out, const IndexStamp *stamp);
/* Reads a stamp and compares it with what is below the folder `dir` (relative to the open folder
 * fd, which makes looking much cheaper than from the root) now. */
gboolean index_check_stamp(IndexReader *r, int fd, const char *dir);
/* Passes over a stamp. */
void index_skip_stamp(IndexReader *r);

/* "DIR/NAME" in a buffer; FALSE if it is too long for one. */
gboolean index_path(char path[], gsize room, const char *dir, const char *name, gsize name_len);
