/* SPDX-License-Identifier: Apache-2.0 */
/* Walks msgpack without building anything: see scan.h. The format is msgpack's spec.md; each first
 * byte says how many bytes of length or content and how many items follow. */
#include "engine/wire/scan.h"

typedef struct {
    const guint8 *p;
    gsize left;
} Cursor;

static gboolean take_be(Cursor *c, guint n, guint64 *value)
{
    if (c->left < n)
        return FALSE;
    *value = 0;
    for (guint i = 0; i < n; i++)
        *value = *value << 8 | c->p[i];
    c->p += n;
    c->left -= n;
    return TRUE;
}

static gboolean skip(Cursor *c, guint64 n)
{
    if (c->left < n)
        return FALSE;
    c->p += n;
    c->left -= n;
    return TRUE;
}

static gboolean skip_counted(Cursor *c, guint length_bytes, guint extra)
{
    guint64 n;
    return take_be(c, length_bytes, &n) && skip(c, n + extra);
}

/* Reads the head of one object. *items: how many objects follow inside it. */
static gboolean scan_head(Cursor *c, guint64 *items)
{
    static const guint8 fixed[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17}; /* from 0xca */
    guint64 b;
    *items = 0;
    if (!take_be(c, 1, &b))
        return FALSE;
    if (b <= 0x7f || b >= 0xe0 || b == 0xc0 || b == 0xc2 || b == 0xc3)
        return TRUE; /* small integers, nil, false, true */
    if (b <= 0x8f) {
        *items = (b & 0x0f) * 2;
        return TRUE;
    }
    if (b <= 0x9f) {
        *items = b & 0x0f;
        return TRUE;
    }
    if (b <= 0xbf)
        return skip(c, b & 0x1f);
    if (b >= 0xc4 && b <= 0xc6)
        return skip_counted(c, 1u << (b - 0xc4), 0); /* bin */
    if (b >= 0xc7 && b <= 0xc9)
        return skip_counted(c, 1u << (b - 0xc7), 1); /* ext */
    if (b >= 0xca && b <= 0xd8)
        return skip(c, fixed[b - 0xca]); /* floats, integers, fixed ext */
    if (b >= 0xd9 && b <= 0xdb)
        return skip_counted(c, 1u << (b - 0xd9), 0); /* str */
    if (b == 0xdc || b == 0xdd)
        return take_be(c, b == 0xdc ? 2 : 4, items);
    if (b == 0xde || b == 0xdf) {
        if (!take_be(c, b == 0xde ? 2 : 4, items))
            return FALSE;
        *items *= 2;
        return TRUE;
    }
    return FALSE; /* 0xc1 is never used */
}

gboolean wire_scan(const void *data, gsize len)
{
    Cursor c = {data, len};
    guint64 open[WIRE_MAX_DEPTH + 1] = {1}; /* objects still to come at each depth */
    guint depth = 0;
    for (;;) {
        while (open[depth] == 0) {
            if (depth == 0)
                return c.left == 0;
            depth--;
        }
        open[depth]--;
        guint64 items;
        if (!scan_head(&c, &items) || items > c.left)
            return FALSE;
        if (items) {
            if (depth == WIRE_MAX_DEPTH)
                return FALSE;
            open[++depth] = items;
        }
    }
}
