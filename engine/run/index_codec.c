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
    TAG_MAP,
    TAG_TIMESTAMP,
};

void index_put_u32(GByteArray *out, guint32 n)
{
    g_byte_array_append(out, (const guint8 *)&n, sizeof(n));
}

void index_put_i64(GByteArray *out, gint64 n)
{
    g_byte_array_append(out, (const guint8 *)&n, sizeof(n));
}

void index_put_f64(GByteArray *out, double d)
{
    g_byte_array_append(out, (const guint8 *)&d, sizeof(d));
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
        put_tag(out, TAG_FLOAT);
        index_put_f64(out, value_get_float(v));
        break;
    case VALUE_STRING:
        put_tag(out, value_is_timestamp(v) ? TAG_TIMESTAMP : TAG_STRING);
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

double index_get_f64(IndexReader *r)
{
    double d = 0;
    const guint8 *p = take(r, sizeof(d));
    if (p)
        memcpy(&d, p, sizeof(d));
    return d;
}

const char *index_get_text(IndexReader *r, gsize *len)
{
    *len = index_get_u32(r);
    const char *text = (const char *)take(r, *len);
    if (!text)
        *len = 0;
    return text;
}

char *index_get_string(IndexReader *r)
{
    gsize len;
    const char *text = index_get_text(r, &len);
    return g_strndup(text ? text : "", len);
}

gboolean index_next_text_is(IndexReader *r, const char *text)
{
    gsize len, wanted = strlen(text);
    const char *next = index_get_text(r, &len);
    return next && len == wanted && memcmp(next, text, len) == 0;
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
    g_autofree char *digits = NULL;
    switch (tag) {
    case TAG_NULL:
        return value_new_null();
    case TAG_FALSE:
    case TAG_TRUE:
        return value_new_bool(tag == TAG_TRUE);
    case TAG_INT:
        return value_new_int(index_get_i64(r));
    case TAG_FLOAT:
        return value_new_float(index_get_f64(r));
    case TAG_STRING:
        text = index_get_text(r, &len);
        return text ? value_new_string_len(text, len) : value_new_null();
    case TAG_BIG_INT:
        digits = index_get_string(r);
        return r->failed ? value_new_null() : value_new_int_text(digits);
    case TAG_TIMESTAMP:
        digits = index_get_string(r);
        return value_new_timestamp(digits);
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

static void skip_value(IndexReader *r, guint depth)
{
    const guint8 *tag = take(r, 1);
    gsize len;
    if (!tag || depth > MAX_DEPTH) {
        r->failed = TRUE;
        return;
    }
    switch (*tag) {
    case TAG_NULL:
    case TAG_FALSE:
    case TAG_TRUE:
        break;
    case TAG_INT:
    case TAG_FLOAT:
        index_skip(r, sizeof(gint64));
        break;
    case TAG_STRING:
    case TAG_BIG_INT:
    case TAG_TIMESTAMP:
        index_get_text(r, &len);
        break;
    case TAG_LIST:
    case TAG_MAP:
        for (guint32 n = index_get_u32(r); n > 0 && !r->failed; n--) {
            if (*tag == TAG_MAP)
                index_get_text(r, &len);
            skip_value(r, depth + 1);
        }
        break;
    default:
        r->failed = TRUE;
    }
}

void index_skip_value(IndexReader *r)
{
    skip_value(r, 0);
}

Value *index_get_map_item(IndexReader *r, const char *key)
{
    const guint8 *tag = take(r, 1);
    if (!tag || *tag != TAG_MAP)
        return NULL;
    for (guint32 n = index_get_u32(r); n > 0 && !r->failed; n--) {
        if (index_next_text_is(r, key)) {
            g_autoptr(Value) item = get_value(r, 1);
            return r->failed ? NULL : g_steal_pointer(&item);
        }
        skip_value(r, 1);
    }
    return NULL;
}
