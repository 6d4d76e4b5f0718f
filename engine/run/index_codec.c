/* SPDX-License-Identifier: Apache-2.0 */
/* See index_codec.h. */
#include "engine/run/index_codec.h"

#include <string.h>

#define MAX_DEPTH 64

enum {
    TAG_NULL,
    TAG_FALSE,
    TAG_TRUE,
    TAG_INT,
    TAG_BIG_INT,
    TAG_FLOAT,
    TAG_STRING,
    TAG_LIST,
    TAG_MAP
};

void index_put_u32(GByteArray *out, guint32 n)
{
    g_byte_array_append(out, (const guint8 *)&n, sizeof(n));
}

void index_put_i64(GByteArray *out, gint64 n)
{
    g_byte_array_append(out, (const guint8 *)&n, sizeof(n));
}

void index_put_text(GByteArray *out, const char *text)
{
    gsize len = strlen(text);
    index_put_u32(out, (guint32)len);
    g_byte_array_append(out, (const guint8 *)text, (guint)len);
}

static void put_tag(GByteArray *out, guint8 tag)
{
    g_byte_array_append(out, &tag, 1);
}

static void put_int(GByteArray *out, const Value *v)
{
    g_autofree char *text = value_str(v);
    g_autofree char *plain = g_strdup_printf("%" G_GINT64_FORMAT, value_get_int(v));
    if (strcmp(text, plain) == 0) {
        put_tag(out, TAG_INT);
        index_put_i64(out, value_get_int(v));
    } else {
        put_tag(out, TAG_BIG_INT);
        index_put_text(out, text);
    }
}

void index_put_value(GByteArray *out, const Value *v)
{
    double d;
    switch (value_kind(v)) {
    case VALUE_NULL:
        put_tag(out, TAG_NULL);
        break;
    case VALUE_BOOL:
        put_tag(out, value_get_bool(v) ? TAG_TRUE : TAG_FALSE);
        break;
    case VALUE_INT:
        put_int(out, v);
        break;
    case VALUE_FLOAT:
        d = value_get_float(v);
        put_tag(out, TAG_FLOAT);
        g_byte_array_append(out, (const guint8 *)&d, sizeof(d));
        break;
    case VALUE_STRING:
        put_tag(out, TAG_STRING);
        index_put_text(out, value_get_string(v));
        break;
    case VALUE_LIST:
        put_tag(out, TAG_LIST);
        index_put_u32(out, (guint32)value_list_size(v));
        for (gsize i = 0; i < value_list_size(v); i++)
            index_put_value(out, value_list_at(v, i));
        break;
    case VALUE_MAP:
        put_tag(out, TAG_MAP);
        index_put_u32(out, (guint32)value_map_size(v));
        for (gsize i = 0; i < value_map_size(v); i++) {
            index_put_text(out, value_map_key_at(v, i));
            index_put_value(out, value_map_at(v, i));
        }
        break;
    }
}

/* The next n bytes, or NULL and the reader has failed. */
static const guint8 *take(IndexReader *r, gsize n)
{
    if (r->failed || (gsize)(r->end - r->at) < n) {
        r->failed = TRUE;
        return NULL;
    }
    const guint8 *p = r->at;
    r->at += n;
    return p;
}

void index_skip(IndexReader *r, gsize n)
{
    take(r, n);
}

guint32 index_get_u32(IndexReader *r)
{
    guint32 n = 0;
    const guint8 *p = take(r, sizeof(n));
    if (p)
        memcpy(&n, p, sizeof(n));
    return n;
}

gint64 index_get_i64(IndexReader *r)
{
    gint64 n = 0;
    const guint8 *p = take(r, sizeof(n));
    if (p)
        memcpy(&n, p, sizeof(n));
    return n;
}

const char *index_get_text(IndexReader *r, gsize *len)
{
    *len = index_get_u32(r);
    const char *text = (const char *)take(r, *len);
    if (!text)
        *len = 0;
    return text;
}

static Value *get_value(IndexReader *r, guint depth);

static Value *get_list(IndexReader *r, guint depth)
{
    Value *list = value_new_list();
    guint32 n = index_get_u32(r);
    for (guint32 i = 0; i < n && !r->failed; i++)
        value_list_append(list, get_value(r, depth + 1));
    return list;
}

static Value *get_map(IndexReader *r, guint depth)
{
    Value *map = value_new_map();
    guint32 n = index_get_u32(r);
    for (guint32 i = 0; i < n && !r->failed; i++) {
        gsize len;
        const char *text = index_get_text(r, &len);
        g_autofree char *key = text ? g_strndup(text, len) : NULL;
        g_autoptr(Value) item = get_value(r, depth + 1);
        if (key)
            value_map_set(map, key, g_steal_pointer(&item));
    }
    return map;
}

static Value *get_scalar(IndexReader *r, guint8 tag)
{
    gsize len;
    const char *text;
    double d = 0;
    const guint8 *bytes;
    switch (tag) {
    case TAG_NULL:
        return value_new_null();
    case TAG_FALSE:
    case TAG_TRUE:
        return value_new_bool(tag == TAG_TRUE);
    case TAG_INT:
        return value_new_int(index_get_i64(r));
    case TAG_FLOAT:
        bytes = take(r, sizeof(d));
        if (bytes)
            memcpy(&d, bytes, sizeof(d));
        return value_new_float(d);
    case TAG_STRING:
    case TAG_BIG_INT:
        text = index_get_text(r, &len);
        if (text && tag == TAG_STRING)
            return value_new_string_len(text, len);
        if (text) {
            g_autofree char *digits = g_strndup(text, len);
            return value_new_int_text(digits);
        }
        return value_new_null();
    default:
        r->failed = TRUE;
        return value_new_null();
    }
}

static Value *get_value(IndexReader *r, guint depth)
{
    const guint8 *tag = take(r, 1);
    if (!tag || depth > MAX_DEPTH) {
        r->failed = TRUE;
        return value_new_null();
    }
    if (*tag == TAG_LIST)
        return get_list(r, depth);
    if (*tag == TAG_MAP)
        return get_map(r, depth);
    return get_scalar(r, *tag);
}

Value *index_get_value(IndexReader *r)
{
    return get_value(r, 0);
}
