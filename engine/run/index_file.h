/* SPDX-License-Identifier: Apache-2.0 */
/* The file behind the index: a header, then a record a run, each with a key. It is read whole and
 * written whole, under another name that then takes the place of the old one, so that a reader has
 * the one or the other. It never fails towards its user: what can't be read is not there, what
 * can't be written is not kept. */
#pragma once

#include "engine/run/index_codec.h"

typedef struct IndexFile IndexFile;

/* NULL if there is none, or none that can be used: of another version, cut, damaged. */
IndexFile *index_file_read(const char *path);
void index_file_free(IndexFile *file);
/* Lets `r` read the record of a key; its bytes live as long as the file. FALSE if it has none.
 * Fastest in the order in which the records were written. */
gboolean index_file_find(IndexFile *file, const char *key, IndexReader *r);
/* Calls fn for each record that was not found, with its key. */
void index_file_each_other(
        IndexFile *file, void (*fn)(const char *key, IndexReader r, gpointer data), gpointer data);

/* Writing: begin, then for each record its key, what it holds, and its end. */
GByteArray *index_file_begin(void);
guint index_file_begin_record(GByteArray *out, const char *key);
void index_file_end_record(GByteArray *out, guint record);
/* Takes over `out`. */
void index_file_write(const char *path, GByteArray *out);
