/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of index entries: values, texts and numbers, written one after the other in this machine's
 * byte order (a cache does not travel). Reading is bounded: a cut or damaged entry makes the reader
 * fail, and what is read from then on is empty. */
#pragma once

#include "engine/base/value.h"

void index_put_u32(GByteArray *out, guint32 n);
void index_put_i64(GByteArray *out, gint64 n);
void index_put_text(GByteArray *out, const char *text);
void index_put_value(GByteArray *out, const Value *v);

typedef struct IndexReader {
    const guint8 *at, *end;
    gboolean failed;
} IndexReader;

guint32 index_get_u32(IndexReader *r);
gint64 index_get_i64(IndexReader *r);
/* Not terminated; valid as long as the bytes are. NULL after a failure. */
const char *index_get_text(IndexReader *r, gsize *len);
/* Passes over n bytes. */
void index_skip(IndexReader *r, gsize n);
/* A new reference; null after a failure. */
Value *index_get_value(IndexReader *r);
