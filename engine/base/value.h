/* SPDX-License-Identifier: Apache-2.0 */
/* The one data type of everything that users write and runs keep: what YAML, JSON, CSV cells and
 * flag values become once parsed. Seven kinds, as in YAML; lists and maps nest. A Value is
 * reference counted and is not locked: it belongs to one thread.
 *
 * Maps keep the order of insertion (guild.yml order matters to users) and have string keys; a key
 * that YAML resolves to something else (1, true) is kept as Python's str() of it. Dumping sorts
 * keys where the format of the reference does.
 *
 * A null pointer is accepted wherever a `const Value *` is read and means null. */
#pragma once

#include <glib.h>

typedef enum {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_MAP,
} ValueKind;

typedef struct Value Value;

Value *value_new_null(void);
Value *value_new_bool(gboolean b);
Value *value_new_int(gint64 i);
/* An integer of any size, from its canonical decimal text ("-123"). Kind VALUE_INT; one that fits
 * gint64 is an ordinary integer, others clamp in value_get_int() and keep their text. */
Value *value_new_int_text(const char *digits);
Value *value_new_float(double d);
Value *value_new_string(const char *s);
Value *value_new_string_len(const char *s, gsize len); /* cut at a NUL */
/* A date or time that YAML recognised, in Python's canonical text: a string that is dumped without
 * quotes, so that it is one again when read back. */
Value *value_new_timestamp(const char *text);
gboolean value_is_timestamp(const Value *v);
Value *value_new_strv(const char *const *strv); /* list of strings */
Value *value_new_list(void);
Value *value_new_map(void);

Value *value_ref(Value *v); /* NULL gives NULL */
void value_unref(Value *v); /* NULL is ignored */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Value, value_unref)

ValueKind value_kind(const Value *v);
const char *value_kind_name(ValueKind kind); /* as users know them: "null", "bool", "int", ... */
/* The line (from 1) of the source text where the value began; 0 if it came from no text. */
guint value_line(const Value *v);
void value_set_line(Value *v, guint line);

static inline gboolean value_is_null(const Value *v)
{
    return value_kind(v) == VALUE_NULL;
}
static inline gboolean value_is_string(const Value *v)
{
    return value_kind(v) == VALUE_STRING;
}
static inline gboolean value_is_list(const Value *v)
{
    return value_kind(v) == VALUE_LIST;
}
static inline gboolean value_is_map(const Value *v)
{
    return value_kind(v) == VALUE_MAP;
}
static inline gboolean value_is_number(const Value *v)
{
    return value_kind(v) == VALUE_INT || value_kind(v) == VALUE_FLOAT;
}
gboolean value_is_nan(const Value *v);

/* Scalars. Each asserts the kind, but value_get_float() also takes ints (and bools). */
gboolean value_get_bool(const Value *v);
gint64 value_get_int(const Value *v);
/* The digits of an integer that gint64 can't hold, else NULL. */
const char *value_get_int_text(const Value *v);
double value_get_float(const Value *v);
const char *value_get_string(const Value *v); /* owned by v; no embedded NUL by construction */
gsize value_string_len(const Value *v);       /* bytes */
/* Python's truth: null, false, 0, 0.0, "", [] and {} are false. */
gboolean value_truthy(const Value *v);

/* Lists. `item` is taken over. Indexes out of range are programming errors. */
gsize value_list_size(const Value *list);
Value *value_list_at(const Value *list, gsize i); /* borrowed */
void value_list_append(Value *list, Value *item);
void value_list_insert(Value *list, gsize i, Value *item);
void value_list_set(Value *list, gsize i, Value *item); /* replaces */
void value_list_extend(Value *list, const Value *more); /* shares the items */
void value_list_sort(Value *list, GCompareDataFunc cmp /* gets Value*, Value* */, gpointer data);

/* Maps. `item` is taken over; setting an existing key keeps its place. */
gsize value_map_size(const Value *map);
const char *value_map_key_at(const Value *map, gsize i);
/* Keys are text: of a map read from YAML also those that were numbers, booleans or null, as Python's
 * str() has them. What they were is kept for writing them again; a new key is a string. */
ValueKind value_map_key_kind(const Value *map, gsize i);
Value *value_map_key_value(const Value *map, gsize i); /* new */
void value_map_set_key_kind(Value *map, const char *key, ValueKind kind);
Value *value_map_at(const Value *map, gsize i); /* borrowed */
/* Borrowed; NULL if absent or if map is none. */
Value *value_map_get(const Value *map, const char *key);
gboolean value_map_has(const Value *map, const char *key);
void value_map_set(Value *map, const char *key, Value *item);
gboolean value_map_remove(Value *map, const char *key);
void value_map_update(Value *map, const Value *more); /* shares the items */
void value_map_sort(Value *map);                      /* by key, bytewise */

/* Short cuts: the value under `key` if it is of that kind, else the default. Borrowed. */
const char *value_map_string(const Value *map, const char *key, const char *dflt);
gint64 value_map_int(const Value *map, const char *key, gint64 dflt);
gboolean value_map_bool(const Value *map, const char *key, gboolean dflt);
void value_map_set_string(Value *map, const char *key, const char *s /* NULL sets null */);
void value_map_set_int(Value *map, const char *key, gint64 i);

/* Deep, and nothing is shared: counts are no atomics, so a thread works on a copy of its own. */
Value *value_copy(const Value *v);
/* Python's ==: 1, 1.0 and True are equal; lists by item; maps regardless of order. */
gboolean value_equal(const Value *a, const Value *b);
/* A total order for sorting: null < bool/int/float by number < string < list < map. */
int value_compare(const Value *a, const Value *b);

/* Python's str() and repr() of the value ("None", "True", "1.0", "[1, 'a']"). Newly allocated. */
char *value_str(const Value *v);
char *value_repr(const Value *v);
/* Python's repr() of a float: the shortest text that reads back the same ("0.1", "1e-05"). */
char *value_float_repr(double d);
