/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: jansson reads, and the writer is our own because Python's separators and numbers are part
 * of what others compare. */
#include "engine/base/json.h"
#include "engine/base/fs.h"
#include "engine/base/yaml.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static Value *from_json(const json_t *json)
{
    Value *v;
    const char *key;
    json_t *item;
    size_t i;
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        v = value_new_map();
        json_object_foreach((json_t *)json, key, item) value_map_set(v, key, from_json(item));
        return v;
    case JSON_ARRAY:
        v = value_new_list();
        json_array_foreach(json, i, item) value_list_append(v, from_json(item));
        return v;
    case JSON_STRING:
        return value_new_string_len(json_string_value(json), json_string_length(json));
    case JSON_INTEGER:
        return value_new_int(json_integer_value(json));
    case JSON_REAL:
        return value_new_float(json_real_value(json));
    case JSON_TRUE:
        return value_new_bool(TRUE);
    case JSON_FALSE:
        return value_new_bool(FALSE);
    default:
        return value_new_null();
    }
}

Value *json_parse(const char *text, gssize len, const char *name, GError **error)
{
    json_error_t problem;
    size_t n = len < 0 ? strlen(text) : (size_t)len;
    json_t *json = json_loadb(text, n, JSON_DECODE_ANY, &problem);
    if (!json) {
        g_set_error(error, YAML_ERROR, YAML_ERROR_SYNTAX, "%s%s%d: %s", name ? name : "line ",
                name ? ":" : "", MAX(problem.line, 1), problem.text);
        return NULL;
    }
    Value *v = from_json(json);
    json_decref(json);
    return v;
}

Value *json_parse_file(const char *path, GError **error)
{
    gsize len;
    g_autofree char *text = fs_read(path, 0, &len, error);
    return text ? json_parse(text, (gssize)len, path, error) : NULL;
}

static void put_escaped(GString *out, gunichar c)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    const char *at = c < 0x80 && c ? strchr(from, (int)c) : NULL;
    if (at)
        g_string_append_printf(out, "\\%c", to[at - from]);
    else if (c >= 0x20 && c < 0x7f)
        g_string_append_c(out, (char)c);
    else if (c < 0x10000)
        g_string_append_printf(out, "\\u%04x", c);
    else
        g_string_append_printf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                0xdc00 + ((c - 0x10000) & 0x3ff));
}

static void put_string(GString *out, const char *s)
{
    g_string_append_c(out, '"');
    while (*s) {
        gunichar c = g_utf8_get_char_validated(s, -1);
        gboolean bad = c == (gunichar)-1 || c == (gunichar)-2;
        put_escaped(out, bad ? 0xdc00u + (guchar)*s : c);
        s = bad ? s + 1 : g_utf8_next_char(s);
    }
    g_string_append_c(out, '"');
}

static void put_float(GString *out, double d)
{
    if (isnan(d)) {
        g_string_append(out, "NaN");
    } else if (isinf(d)) {
        g_string_append(out, d < 0 ? "-Infinity" : "Infinity");
    } else {
        g_autofree char *repr = value_float_repr(d);
        g_string_append(out, repr);
    }
}

typedef struct {
    GString *out;
    guint indent;
    gboolean sorted;
} Writer;

static void put_value(Writer *w, const Value *v, guint level);

/* What stands before an item, or before the closing bracket. */
static void put_gap(Writer *w, gboolean comma, guint level)
{
    if (comma)
        g_string_append(w->out, w->indent ? "," : ", ");
    if (w->indent)
        g_string_append_printf(w->out, "\n%*s", (int)(w->indent * level), "");
}

static void put_list(Writer *w, const Value *v, guint level)
{
    gsize n = value_list_size(v);
    g_string_append_c(w->out, '[');
    for (gsize i = 0; i < n; i++) {
        put_gap(w, i > 0, level + 1);
        put_value(w, value_list_at(v, i), level + 1);
    }
    if (n)
        put_gap(w, FALSE, level);
    g_string_append_c(w->out, ']');
}

static void put_map(Writer *w, const Value *map, guint level)
{
    gsize n = value_map_size(map);
    g_autoptr(Value) v = value_new_map();
    value_map_update(v, map);
    if (w->sorted)
        value_map_sort(v);
    g_string_append_c(w->out, '{');
    for (gsize i = 0; i < n; i++) {
        put_gap(w, i > 0, level + 1);
        put_string(w->out, value_map_key_at(v, i));
        g_string_append(w->out, ": ");
        put_value(w, value_map_at(v, i), level + 1);
    }
    if (n)
        put_gap(w, FALSE, level);
    g_string_append_c(w->out, '}');
}

static void put_value(Writer *w, const Value *v, guint level)
{
    switch (value_kind(v)) {
    case VALUE_NULL:
        g_string_append(w->out, "null");
        break;
    case VALUE_BOOL:
        g_string_append(w->out, value_get_bool(v) ? "true" : "false");
        break;
    case VALUE_FLOAT:
        put_float(w->out, value_get_float(v));
        break;
    case VALUE_STRING:
        put_string(w->out, value_get_string(v));
        break;
    case VALUE_LIST:
        put_list(w, v, level);
        break;
    case VALUE_MAP:
        put_map(w, v, level);
        break;
    case VALUE_INT: {
        g_autofree char *digits = value_str(v);
        g_string_append(w->out, digits);
        break;
    }
    }
}

char *json_dump(const Value *v, guint indent, gboolean sorted)
{
    Writer w = {g_string_new(NULL), indent, sorted};
    put_value(&w, v, 0);
    return g_string_free(w.out, FALSE);
}
