/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of index entries: values, texts and numbers, written one after the other in this machine's
 * byte order (a cache does not travel). Reading is bounded: a cut or damaged entry makes the reader
 * fail, and what is read from then on is empty. */
#pragma once

#include "engine/base/value.h"

void index_put_u32(GByteArray *out, guint32 n);
void index_put_i64(GByteArray *out, gint64 n);
void index_put_f64(GByteArray *out, double d);
void index_put_text(GByteArray *out, const char *text);
void index_put_value(GByteArray *out, const Value *v);

typedef struct IndexReader {
    const guint8 *at, *end;
    gboolean failed;
} IndexReader;

guint32 index_get_u32(IndexReader *r);
gint64 index_get_i64(IndexReader *r);
double index_get_f64(IndexReader *r);
/* Not terminated; valid as long as the bytes are. NULL after a failure. */
const char *index_get_text(IndexReader *r, gsize *len);
/* The next text, terminated and newly allocated; "" after a failure. */
char *index_get_string(IndexReader *r);
/* Passes over a text; TRUE if it is this one. */
gboolean index_next_text_is(IndexReader *r, const char *text);
/* Passes over n bytes. */
void index_skip(IndexReader *r, gsize n);
/* A new reference; null after a failure. */
Value *index_get_value(IndexReader *r);
/* Passes over a value. */
void index_skip_value(IndexReader *r);
/* Of the next value, if it is a map, what is under `key`: without making values of the rest, which
 * it leaves unread. A new reference, or NULL. */
Value *index_get_map_item(IndexReader *r, const char *key);
