/* SPDX-License-Identifier: Apache-2.0 */
/* The SQLite file behind the index: two tables of key and bytes. It never fails towards its user:
 * what can't be read is not there, what can't be written is not kept, and a broken file is
 * removed. */
#pragma once

#include <glib.h>

typedef struct IndexDb IndexDb;

typedef enum { INDEX_RUNS, INDEX_SCALARS } IndexTable;

/* NULL if there can be no file. */
IndexDb *index_db_open(const char *path);
void index_db_close(IndexDb *db);
/* Calls fn for each row whose key begins with `prefix`; bytes are valid during the call. */
typedef void (*IndexRowFn)(const char *key, const guint8 *bytes, gsize len, gpointer data);
void index_db_each(IndexDb *db, IndexTable table, const char *prefix, IndexRowFn fn, gpointer data);
/* Rows that are written or (bytes NULL) deleted, in one transaction. */
gboolean index_db_begin(IndexDb *db);
void index_db_put(IndexDb *db, IndexTable table, const char *key, GBytes *bytes);
void index_db_commit(IndexDb *db);
