/* SPDX-License-Identifier: Apache-2.0 */
/* Values: see value.h. Strings and the text of long integers sit behind the struct in one
 * allocation; lists and maps keep their items in one array; maps with many keys get a hash table
 * beside it, made on demand. */
#include "engine/base/value.h"

#include <math.h>
#include <string.h>

/* From this many keys on, lookups go by hash table. */
#define MAP_INDEX_MIN 16

typedef struct {
    char *key;
    Value *item;
    ValueKind key_kind;
} MapEntry;

struct Value {
    gint refs;
    guint8 kind;
    guint8 plain;  /* string: a timestamp, dumped without quotes */
    guint8 is_big; /* int: `text` holds digits that gint64 can't */
    guint32 line;
    union {
        gboolean b;
        gint64 i;
        double d;
        gsize len; /* string */
        struct {
            Value **items;
            gsize n, room;
        } list;
        struct {
            MapEntry *entries;
            gsize n, room;
            GHashTable *index; /* key (owned by its entry) -> position; NULL until it pays */
        } map;
    } u;
    char text[];
};

static Value *value_alloc(ValueKind kind, gsize text_len)
{
    Value *v = g_malloc0(sizeof(Value) + text_len);
    v->refs = 1;
    v->kind = kind;
    return v;
}

Value *value_new_null(void)
{
    return value_alloc(VALUE_NULL, 0);
}

Value *value_new_bool(gboolean b)
{
    Value *v = value_alloc(VALUE_BOOL, 0);
    v->u.b = b != FALSE;
    return v;
}

Value *value_new_int(gint64 i)
{
    Value *v = value_alloc(VALUE_INT, 0);
    v->u.i = i;
    return v;
}

Value *value_new_int_text(const char *digits)
{
    gint64 i;
    if (g_ascii_string_to_signed(digits, 10, G_MININT64, G_MAXINT64, &i, NULL))
        return value_new_int(i);
    gsize len = strlen(digits);
    Value *v = value_alloc(VALUE_INT, len + 1);
    memcpy(v->text, digits, len);
    v->is_big = TRUE;
    v->u.i = digits[0] == '-' ? G_MININT64 : G_MAXINT64;
    return v;
}

Value *value_new_float(double d)
{
    Value *v = value_alloc(VALUE_FLOAT, 0);
    v->u.d = d;
    return v;
}

Value *value_new_string(const char *s)
{
    return value_new_string_len(s, strlen(s));
}

Value *value_new_string_len(const char *s, gsize len)
{
    const char *nul = memchr(s, 0, len);
    if (nul)
        len = (gsize)(nul - s);
    Value *v = value_alloc(VALUE_STRING, len + 1);
    memcpy(v->text, s, len);
    v->u.len = len;
    return v;
}

Value *value_new_timestamp(const char *text)
{
    Value *v = value_new_string(text);
    v->plain = TRUE;
    return v;
}

gboolean value_is_timestamp(const Value *v)
{
    return v && v->kind == VALUE_STRING && v->plain;
}

Value *value_new_strv(const char *const *strv)
{
    Value *list = value_new_list();
    for (; strv && *strv; strv++)
        value_list_append(list, value_new_string(*strv));
    return list;
}

Value *value_new_list(void)
{
    return value_alloc(VALUE_LIST, 0);
}
Value *value_new_map(void)
{
    return value_alloc(VALUE_MAP, 0);
}

Value *value_ref(Value *v)
{
    if (v)
        v->refs++;
    return v;
}

void value_unref(Value *v)
{
    if (!v || --v->refs > 0)
        return;
    if (v->kind == VALUE_LIST) {
        for (gsize i = 0; i < v->u.list.n; i++)
            value_unref(v->u.list.items[i]);
        g_free(v->u.list.items);
    } else if (v->kind == VALUE_MAP) {
        if (v->u.map.index)
            g_hash_table_destroy(v->u.map.index);
        for (gsize i = 0; i < v->u.map.n; i++) {
            g_free(v->u.map.entries[i].key);
            value_unref(v->u.map.entries[i].item);
        }
        g_free(v->u.map.entries);
    }
    g_free(v);
}

ValueKind value_kind(const Value *v)
{
    return v ? v->kind : VALUE_NULL;
}

const char *value_kind_name(ValueKind kind)
{
    static const char *const names[] = {"null", "bool", "int", "float", "string", "list", "map"};
    return (guint)kind < G_N_ELEMENTS(names) ? names[kind] : "?";
}

guint value_line(const Value *v)
{
    return v ? v->line : 0;
}
void value_set_line(Value *v, guint line)
{
    v->line = line;
}

/* Scalars */

gboolean value_get_bool(const Value *v)
{
    g_assert(value_kind(v) == VALUE_BOOL);
    return v->u.b;
}

gint64 value_get_int(const Value *v)
{
    g_assert(value_kind(v) == VALUE_INT);
    return v->u.i;
}

const char *value_get_int_text(const Value *v)
{
    g_assert(value_kind(v) == VALUE_INT);
    return v->is_big ? v->text : NULL;
}

double value_get_float(const Value *v)
{
    switch (value_kind(v)) {
    case VALUE_FLOAT:
        return v->u.d;
    case VALUE_INT:
        return v->is_big ? g_ascii_strtod(v->text, NULL) : (double)v->u.i;
    case VALUE_BOOL:
        return v->u.b ? 1 : 0;
    default:
        g_assert_not_reached();
    }
}

gboolean value_is_nan(const Value *v)
{
    return value_kind(v) == VALUE_FLOAT && isnan(v->u.d);
}

const char *value_get_string(const Value *v)
{
    g_assert(value_kind(v) == VALUE_STRING);
    return v->text;
}

gsize value_string_len(const Value *v)
{
    g_assert(value_kind(v) == VALUE_STRING);
    return v->u.len;
}

gboolean value_truthy(const Value *v)
{
    switch (value_kind(v)) {
    case VALUE_NULL:
        return FALSE;
    case VALUE_BOOL:
        return v->u.b;
    case VALUE_INT:
        return v->u.i != 0;
    case VALUE_FLOAT:
        return v->u.d != 0;
    case VALUE_STRING:
        return v->u.len > 0;
    case VALUE_LIST:
        return v->u.list.n > 0;
    case VALUE_MAP:
        return v->u.map.n > 0;
    }
    return FALSE;
}

/* Lists */

gsize value_list_size(const Value *list)
{
    return value_is_list(list) ? list->u.list.n : 0;
}

Value *value_list_at(const Value *list, gsize i)
{
    g_assert(value_is_list(list) && i < list->u.list.n);
    return list->u.list.items[i];
}

void value_list_append(Value *list, Value *item)
{
    value_list_insert(list, value_list_size(list), item);
}

void value_list_insert(Value *list, gsize i, Value *item)
{
    g_assert(value_is_list(list) && i <= list->u.list.n);
    if (list->u.list.n == list->u.list.room) {
        list->u.list.room = MAX(4, list->u.list.room * 2);
        list->u.list.items = g_renew(Value *, list->u.list.items, list->u.list.room);
    }
    Value **items = list->u.list.items;
    memmove(items + i + 1, items + i, (list->u.list.n - i) * sizeof *items);
    items[i] = item ? item : value_new_null();
    list->u.list.n++;
}

void value_list_set(Value *list, gsize i, Value *item)
{
    g_assert(value_is_list(list) && i < list->u.list.n);
    value_unref(list->u.list.items[i]);
    list->u.list.items[i] = item ? item : value_new_null();
}

void value_list_extend(Value *list, const Value *more)
{
    gsize n = value_list_size(more); /* fixed first: more may be list itself */
    for (gsize i = 0; i < n; i++)
        value_list_append(list, value_ref(more->u.list.items[i]));
}

typedef struct {
    GCompareDataFunc cmp;
    gpointer data;
} SortCall;

static gint sort_call(gconstpointer a, gconstpointer b, gpointer data)
{
    SortCall *call = data;
    return call->cmp(*(Value *const *)a, *(Value *const *)b, call->data);
}

void value_list_sort(Value *list, GCompareDataFunc cmp, gpointer data)
{
    SortCall call = {cmp, data};
    if (value_list_size(list) > 1)
        g_qsort_with_data(
                list->u.list.items, (gint)list->u.list.n, sizeof(Value *), sort_call, &call);
}

/* Maps */

static void map_build_index(Value *map)
{
    GHashTable *index = g_hash_table_new(g_str_hash, g_str_equal);
    for (gsize i = 0; i < map->u.map.n; i++)
        g_hash_table_insert(index, map->u.map.entries[i].key, GSIZE_TO_POINTER(i));
    map->u.map.index = index;
}

static void map_drop_index(Value *map)
{
    g_clear_pointer(&map->u.map.index, g_hash_table_destroy);
}

/* Position of `key` or -1. */
static gssize map_find(const Value *map, const char *key)
{
    if (!value_is_map(map))
        return -1;
    if (map->u.map.n >= MAP_INDEX_MIN) {
        if (!map->u.map.index)
            map_build_index((Value *)map);
        gpointer at;
        if (g_hash_table_lookup_extended(map->u.map.index, key, NULL, &at))
            return (gssize)GPOINTER_TO_SIZE(at);
        return -1;
    }
    for (gsize i = 0; i < map->u.map.n; i++)
        if (strcmp(map->u.map.entries[i].key, key) == 0)
            return (gssize)i;
    return -1;
}

gsize value_map_size(const Value *map)
{
    return value_is_map(map) ? map->u.map.n : 0;
}

const char *value_map_key_at(const Value *map, gsize i)
{
    g_assert(value_is_map(map) && i < map->u.map.n);
    return map->u.map.entries[i].key;
}

Value *value_map_at(const Value *map, gsize i)
{
    g_assert(value_is_map(map) && i < map->u.map.n);
    return map->u.map.entries[i].item;
}

ValueKind value_map_key_kind(const Value *map, gsize i)
{
    g_assert(value_is_map(map) && i < map->u.map.n);
    return map->u.map.entries[i].key_kind;
}

Value *value_map_key_value(const Value *map, gsize i)
{
    const MapEntry *e = &map->u.map.entries[i];
    switch (e->key_kind) {
    case VALUE_NULL:
        return value_new_null();
    case VALUE_BOOL:
        return value_new_bool(strcmp(e->key, "True") == 0);
    case VALUE_INT:
        return value_new_int_text(e->key);
    case VALUE_FLOAT:
        return value_new_float(g_ascii_strtod(e->key, NULL));
    default:
        return value_new_string(e->key);
    }
}

void value_map_set_key_kind(Value *map, const char *key, ValueKind kind)
{
    gssize at = map_find(map, key);
    if (at >= 0)
        map->u.map.entries[at].key_kind = kind;
}

/* As value_map_set(), of the kind that the key has in the map that it comes from. */
static void set_like(Value *map, const MapEntry *from, Value *item)
{
    value_map_set(map, from->key, item);
    if (from->key_kind != VALUE_STRING)
        value_map_set_key_kind(map, from->key, from->key_kind);
}

Value *value_map_get(const Value *map, const char *key)
{
    gssize i = map_find(map, key);
    return i < 0 ? NULL : map->u.map.entries[i].item;
}

gboolean value_map_has(const Value *map, const char *key)
{
    return map_find(map, key) >= 0;
}

void value_map_set(Value *map, const char *key, Value *item)
{
    g_assert(value_is_map(map));
    if (!item)
        item = value_new_null();
    gssize at = map_find(map, key);
    if (at >= 0) {
        value_unref(map->u.map.entries[at].item);
        map->u.map.entries[at].item = item;
        return;
    }
    if (map->u.map.n == map->u.map.room) {
        map->u.map.room = MAX(4, map->u.map.room * 2);
        map->u.map.entries = g_renew(MapEntry, map->u.map.entries, map->u.map.room);
    }
    MapEntry *entry = &map->u.map.entries[map->u.map.n];
    entry->key = g_strdup(key);
    entry->item = item;
    entry->key_kind = VALUE_STRING;
    if (map->u.map.index)
        g_hash_table_insert(map->u.map.index, entry->key, GSIZE_TO_POINTER(map->u.map.n));
    map->u.map.n++;
}

gboolean value_map_remove(Value *map, const char *key)
{
    gssize at = map_find(map, key);
    if (at < 0)
        return FALSE;
    map_drop_index(map);
    MapEntry *entries = map->u.map.entries;
    g_free(entries[at].key);
    value_unref(entries[at].item);
    map->u.map.n--;
    memmove(entries + at, entries + at + 1, (map->u.map.n - (gsize)at) * sizeof *entries);
    return TRUE;
}

void value_map_update(Value *map, const Value *more)
{
    gsize n = value_map_size(more);
    for (gsize i = 0; i < n; i++)
        set_like(map, &more->u.map.entries[i], value_ref(value_map_at(more, i)));
}

static gint compare_entries(gconstpointer a, gconstpointer b)
{
    return strcmp(((const MapEntry *)a)->key, ((const MapEntry *)b)->key);
}

void value_map_sort(Value *map)
{
    g_assert(value_is_map(map));
    map_drop_index(map);
    if (map->u.map.n > 1)
        qsort(map->u.map.entries, map->u.map.n, sizeof(MapEntry), compare_entries);
}

const char *value_map_string(const Value *map, const char *key, const char *dflt)
{
    Value *v = value_map_get(map, key);
    return value_is_string(v) ? v->text : dflt;
}

gint64 value_map_int(const Value *map, const char *key, gint64 dflt)
{
    Value *v = value_map_get(map, key);
    return value_kind(v) == VALUE_INT ? v->u.i : dflt;
}

gboolean value_map_bool(const Value *map, const char *key, gboolean dflt)
{
    Value *v = value_map_get(map, key);
    return value_kind(v) == VALUE_BOOL ? v->u.b : dflt;
}

void value_map_set_string(Value *map, const char *key, const char *s)
{
    value_map_set(map, key, s ? value_new_string(s) : value_new_null());
}

void value_map_set_int(Value *map, const char *key, gint64 i)
{
    value_map_set(map, key, value_new_int(i));
}

/* Whole values */

Value *value_copy(const Value *v)
{
    Value *copy;
    switch (value_kind(v)) {
    case VALUE_LIST:
        copy = value_new_list();
        for (gsize i = 0; i < v->u.list.n; i++)
            value_list_append(copy, value_copy(v->u.list.items[i]));
        break;
    case VALUE_MAP:
        copy = value_new_map();
        for (gsize i = 0; i < v->u.map.n; i++)
            set_like(copy, &v->u.map.entries[i], value_copy(v->u.map.entries[i].item));
        break;
    case VALUE_STRING:
    case VALUE_INT: {
        gsize len = v->kind == VALUE_STRING ? v->u.len + 1 : v->is_big ? strlen(v->text) + 1 : 0;
        copy = value_alloc(v->kind, len);
        memcpy(copy->text, v->text, len);
        copy->plain = v->plain;
        copy->is_big = v->is_big;
        copy->u = v->u;
        break;
    }
    case VALUE_BOOL:
    case VALUE_FLOAT:
        copy = value_alloc(v->kind, 0);
        copy->u = v->u;
        break;
    default:
        copy = value_new_null();
        if (!v)
            return copy;
    }
    copy->line = v->line;
    return copy;
}

static gboolean is_numeric(const Value *v)
{
    return value_is_number(v) || value_kind(v) == VALUE_BOOL;
}

/* Decimal texts of integers by number. */
static int compare_int_texts(const char *a, const char *b)
{
    gboolean neg = *a == '-';
    if (neg != (*b == '-'))
        return neg ? -1 : 1;
    gsize la = strlen(a), lb = strlen(b);
    int c = la != lb ? (la < lb ? -1 : 1) : strcmp(a, b);
    return neg ? -c : c;
}

static int compare_numbers(const Value *a, const Value *b)
{
    if (value_kind(a) != VALUE_FLOAT && value_kind(b) != VALUE_FLOAT) {
        gint64 ia = a->kind == VALUE_BOOL ? a->u.b : a->u.i;
        gint64 ib = b->kind == VALUE_BOOL ? b->u.b : b->u.i;
        if (!a->is_big && !b->is_big)
            return (ia > ib) - (ia < ib);
        g_autofree char *ta = value_str(a), *tb = value_str(b);
        return compare_int_texts(ta, tb);
    }
    double da = value_get_float(a), db = value_get_float(b);
    if (isnan(da) || isnan(db)) /* after every number, so that the order is total */
        return (isnan(da) ? 1 : 0) - (isnan(db) ? 1 : 0);
    return (da > db) - (da < db);
}

gboolean value_equal(const Value *a, const Value *b)
{
    if (is_numeric(a) && is_numeric(b)) {
        if ((a->kind == VALUE_FLOAT && isnan(a->u.d)) || (b->kind == VALUE_FLOAT && isnan(b->u.d)))
            return FALSE;
        return compare_numbers(a, b) == 0;
    }
    if (value_kind(a) != value_kind(b))
        return FALSE;
    switch (value_kind(a)) {
    case VALUE_NULL:
        return TRUE;
    case VALUE_STRING:
        return strcmp(a->text, b->text) == 0;
    case VALUE_LIST:
        if (a->u.list.n != b->u.list.n)
            return FALSE;
        for (gsize i = 0; i < a->u.list.n; i++)
            if (!value_equal(a->u.list.items[i], b->u.list.items[i]))
                return FALSE;
        return TRUE;
    case VALUE_MAP:
        if (a->u.map.n != b->u.map.n)
            return FALSE;
        for (gsize i = 0; i < a->u.map.n; i++) {
            gssize at = map_find(b, a->u.map.entries[i].key);
            if (at < 0 || !value_equal(a->u.map.entries[i].item, b->u.map.entries[at].item))
                return FALSE;
        }
        return TRUE;
    default:
        return FALSE;
    }
}

/* null, numbers (with bools), strings, lists, maps */
static int kind_rank(const Value *v)
{
    switch (value_kind(v)) {
    case VALUE_NULL:
        return 0;
    case VALUE_STRING:
        return 2;
    case VALUE_LIST:
        return 3;
    case VALUE_MAP:
        return 4;
    default:
        return 1;
    }
}

int value_compare(const Value *a, const Value *b)
{
    int ra = kind_rank(a), rb = kind_rank(b);
    if (ra != rb)
        return ra < rb ? -1 : 1;
    gsize na, nb;
    int c;
    switch (ra) {
    case 0:
        return 0;
    case 1:
        return compare_numbers(a, b);
    case 2:
        return strcmp(a->text, b->text);
    case 3:
        na = a->u.list.n, nb = b->u.list.n;
        for (gsize i = 0; i < MIN(na, nb); i++)
            if ((c = value_compare(a->u.list.items[i], b->u.list.items[i])) != 0)
                return c;
        return (na > nb) - (na < nb);
    default:
        na = a->u.map.n, nb = b->u.map.n;
        for (gsize i = 0; i < MIN(na, nb); i++) {
            if ((c = strcmp(a->u.map.entries[i].key, b->u.map.entries[i].key)) != 0)
                return c;
            if ((c = value_compare(a->u.map.entries[i].item, b->u.map.entries[i].item)) != 0)
                return c;
        }
        return (na > nb) - (na < nb);
    }
}
