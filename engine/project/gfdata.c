/* SPDX-License-Identifier: Apache-2.0 */
/* Guildfile data: typed access with located errors, and the coercion of short spellings. The rules
 * are those of the reference's guild/guildfile.py ("Coercion rules"). */
#include "engine/project/gfdata.h"

#include <string.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/yaml.h"
#include "engine/project/guildfile.h"

#define REPR_MAX 300

G_DEFINE_QUARK(guildfile - error - quark, guildfile_error)

void gf_error(GError **error, const char *path, const Value *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    const char *shown = path ? path : "<generated>";
    guint line = at ? value_line(at) : 0;
    if (line && path)
        g_set_error(error, GUILDFILE_ERROR, GUILDFILE_ERROR_INVALID, "error in %s:%u: %s", shown,
                line, msg);
    else
        g_set_error(error, GUILDFILE_ERROR, GUILDFILE_ERROR_INVALID, "error in %s: %s", shown, msg);
}

char *gf_repr(const Value *v)
{
    char *s = value_repr(v);
    if (strlen(s) > REPR_MAX) {
        const char *end = s + REPR_MAX;
        if (!g_utf8_validate(s, end - s, &end) && end == s)
            end = s + REPR_MAX;
        char *cut = g_strdup_printf("%.*s...", (int)(end - s), s);
        g_free(s);
        return cut;
    }
    return s;
}

Value *gf_get(const Value *map, const char *key)
{
    Value *v = value_map_get(map, key);
    return v && !value_is_null(v) ? v : NULL;
}

gboolean gf_get_truthy(const Value *map, const char *key)
{
    return value_truthy(value_map_get(map, key));
}

gboolean gf_get_string(
        const Value *map, const char *key, const char *path, char **out, GError **error)
{
    Value *v = gf_get(map, key);
    *out = NULL;
    if (!v)
        return TRUE;
    if (value_is_list(v) || value_is_map(v)) {
        g_autofree char *repr = gf_repr(v);
        gf_error(error, path, v, "invalid %s value %s: expected a string", key, repr);
        return FALSE;
    }
    *out = value_is_string(v) ? g_strdup(value_get_string(v)) : value_str(v);
    return TRUE;
}

Value *gf_get_map(const Value *map, const char *key, const char *path, gboolean *ok, GError **error)
{
    Value *v = value_map_get(map, key);
    *ok = TRUE;
    if (!value_truthy(v))
        return NULL;
    if (value_is_map(v))
        return v;
    g_autofree char *repr = gf_repr(v);
    gf_error(error, path, v, "invalid %s value %s: expected a mapping", key, repr);
    *ok = FALSE;
    return NULL;
}

/* "[a, b]" written as a string is read as a list. */
static Value *list_of_string(const Value *v)
{
    const char *s = value_get_string(v);
    gsize n = strlen(s);
    if (n >= 2 && s[0] == '[' && s[n - 1] == ']') {
        Value *parsed = yaml_parse(s, -1, NULL, NULL);
        if (value_is_list(parsed))
            return parsed;
        value_unref(parsed);
    }
    Value *list = value_new_list();
    value_list_append(list, value_ref((Value *)v));
    return list;
}

Value *gf_str_list(const Value *v, const char *name, const char *path, GError **error)
{
    if (!v || value_is_null(v))
        return value_new_list();
    if (value_is_string(v))
        return list_of_string(v);
    if (value_is_list(v))
        return value_ref((Value *)v);
    g_autofree char *repr = gf_repr(v);
    gf_error(error, path, v, "invalid %s value %s: expected a string or list", name, repr);
    return NULL;
}

char **gf_list_to_strv(const Value *list)
{
    GPtrArray *out = g_ptr_array_new();
    for (gsize i = 0; i < value_list_size(list); i++)
        g_ptr_array_add(out, value_str(value_list_at(list, i)));
    g_ptr_array_add(out, NULL);
    return (char **)g_ptr_array_free(out, FALSE);
}

char **gf_strv(const Value *v, const char *name, const char *path, GError **error)
{
    g_autoptr(Value) list = gf_str_list(v, name, path, error);
    return list ? gf_list_to_strv(list) : NULL;
}

Value *gf_shallow_copy(const Value *v)
{
    Value *copy;
    if (value_is_map(v)) {
        copy = value_new_map();
        value_map_update(copy, v);
    } else if (value_is_list(v)) {
        copy = value_new_list();
        value_list_extend(copy, v);
    } else
        return value_ref((Value *)v);
    value_set_line(copy, value_line(v));
    return copy;
}

/* ---- coercion ---- */

typedef Value *(*CoerceFn)(const char *name, const Value *v, const char *path, GError **error);

/* Applies fn to each item of a map; the result keeps order and line. */
static Value *map_each(const Value *map, CoerceFn fn, const char *path, GError **error)
{
    g_autoptr(Value) out = value_new_map();
    value_set_line(out, value_line(map));
    for (gsize i = 0; i < value_map_size(map); i++) {
        const char *key = value_map_key_at(map, i);
        Value *v = fn(key, value_map_at(map, i), path, error);
        if (!v)
            return NULL;
        value_map_set(out, key, v);
        value_map_set_key_kind(out, key, value_map_key_kind(map, i));
    }
    return g_steal_pointer(&out);
}

static Value *wrap(const char *key, const Value *v)
{
    Value *map = value_new_map();
    value_set_line(map, value_line(v));
    value_map_set(map, key, v ? value_ref((Value *)v) : value_new_null());
    return map;
}

static Value *keep(const Value *v)
{
    return v ? value_ref((Value *)v) : value_new_null();
}

Value *gf_coerce_flag(const char *name, const Value *data, const char *path, GError **error)
{
    if (g_str_equal(name, "$include")) {
        if (value_is_list(data))
            return value_ref((Value *)data);
        Value *s = NULL;
        g_autofree char *text = value_str(data);
        s = value_new_string(text);
        value_set_line(s, value_line(data));
        return s;
    }
    if (value_is_map(data))
        return value_ref((Value *)data);
    return wrap("default", data);
}

static Value *coerce_flags(const char *name, const Value *v, const char *path, GError **error)
{
    if (!value_is_map(v)) {
        g_autofree char *repr = gf_repr(v);
        gf_error(error, path, v, "invalid flags value %s: expected a mapping", repr);
        return NULL;
    }
    return map_each(v, gf_coerce_flag, path, error);
}

static Value *coerce_flags_import(
        const char *name, const Value *v, const char *path, GError **error)
{
    if (value_kind(v) == VALUE_BOOL)
        return value_get_bool(v) ? value_new_bool(TRUE) : value_new_list();
    if (value_is_string(v) && g_str_equal(value_get_string(v), "all"))
        return value_new_bool(TRUE);
    if (value_is_list(v) || value_is_null(v))
        return keep(v);
    g_autofree char *repr = gf_repr(v);
    gf_error(error, path, v,
            "invalid flags-import value %s: expected yes/all, no, or a list of flag names", repr);
    return NULL;
}

/* output-scalars and output-attrs: a list, or what is short for one. */
static Value *coerce_capture(const char *name, const Value *v, const char *path, GError **error)
{
    if (value_is_null(v) || value_is_list(v))
        return keep(v);
    if (value_kind(v) == VALUE_BOOL && !value_get_bool(v))
        return value_new_list();
    if (value_is_string(v) || value_is_map(v)) {
        Value *list = value_new_list();
        value_list_append(list, value_ref((Value *)v));
        return list;
    }
    g_autofree char *repr = gf_repr(v);
    gf_error(error, path, v, "invalid %s %s: expected a mapping, list, string, or false", name,
            repr);
    return NULL;
}

static Value *select_rule(const char *type, const Value *pattern)
{
    return wrap(type, pattern);
}

static Value *exclude_all(void)
{
    g_autoptr(Value) star = value_new_string("*");
    return select_rule("exclude", star);
}

static Value *coerce_select_list(const Value *v, const char *path, GError **error)
{
    g_autoptr(Value) items = value_new_list();
    gboolean all_strings = TRUE;
    for (gsize i = 0; i < value_list_size(v); i++) {
        Value *item = value_list_at(v, i);
        if (value_is_string(item))
            value_list_append(items, select_rule("include", item));
        else if (value_is_map(item)) {
            value_list_append(items, value_ref(item));
            all_strings = FALSE;
        } else {
            g_autofree char *repr = gf_repr(item);
            gf_error(error, path, value_line(item) ? item : v,
                    "invalid sourcecode %s: expected a string or mapping", repr);
            return NULL;
        }
    }
    if (all_strings)
        value_list_insert(items, 0, exclude_all());
    return g_steal_pointer(&items);
}

static Value *coerce_select(const char *name, const Value *v, const char *path, GError **error);

static Value *coerce_select_map(const Value *v, const char *path, GError **error)
{
    static const char *const known[] = {"select", "root", "digest", "dest", NULL};
    g_autoptr(Value) out = value_new_map();
    Value *select = coerce_select("select", value_map_get(v, "select"), path, error);
    if (!select)
        return NULL;
    value_map_set(out, "select", select);
    for (int i = 1; known[i]; i++)
        value_map_set(out, known[i], keep(value_map_get(v, known[i])));
    g_autoptr(GPtrArray) unknown = g_ptr_array_new();
    g_autoptr(Value) sorted = gf_shallow_copy(v);
    value_map_sort(sorted);
    for (gsize i = 0; i < value_map_size(sorted); i++)
        if (!g_strv_contains(known, value_map_key_at(sorted, i)))
            g_ptr_array_add(unknown, (char *)value_map_key_at(sorted, i));
    if (unknown->len) {
        g_ptr_array_add(unknown, NULL);
        g_autofree char *names = g_strjoinv(", ", (char **)unknown->pdata);
        g_autofree char *shown = path ? fs_relpath(path, NULL) : g_strdup("<generated>");
        log_warning("unexpected sourcecode attribute(s) in %s: %s", shown, names);
    }
    return g_steal_pointer(&out);
}

/* `sourcecode`: no, a pattern, a list of patterns or rules, or a map with `select`. */
static Value *coerce_select(const char *name, const Value *v, const char *path, GError **error)
{
    if (value_is_null(v))
        return value_new_list();
    if ((value_kind(v) == VALUE_BOOL && !value_get_bool(v)) ||
            (value_is_list(v) && value_list_size(v) == 0))
        return value_new_bool(FALSE);
    if (value_is_string(v)) {
        Value *list = value_new_list();
        value_list_append(list, exclude_all());
        value_list_append(list, select_rule("include", v));
        return list;
    }
    if (value_is_map(v))
        return coerce_select_map(v, path, error);
    if (value_is_list(v))
        return coerce_select_list(v, path, error);
    g_autofree char *repr = gf_repr(v);
    gf_error(error, path, v, "invalid select files spec %s: expected a string, list, or mapping",
            repr);
    return NULL;
}

static Value *coerce_str_list(const char *name, const Value *v, const char *path, GError **error)
{
    return gf_str_list(v, name, path, error);
}

static Value *coerce_python_path(const char *name, const Value *v, const char *path, GError **error)
{
    return value_is_null(v) ? value_new_null() : gf_str_list(v, name, path, error);
}

static Value *coerce_publish(const char *name, const Value *v, const char *path, GError **error)
{
    if (!value_is_map(v) || !gf_get_truthy(v, "files"))
        return keep(v);
    Value *files = coerce_select("files", value_map_get(v, "files"), path, error);
    if (!files)
        return NULL;
    Value *copy = gf_shallow_copy(v);
    value_map_set(copy, "files", files);
    return copy;
}

typedef struct {
    const char *name;
    CoerceFn fn;
} CoerceRule;

static Value *coerce_operations(const char *name, const Value *v, const char *path, GError **error);

static const CoerceRule op_rules[] = {
        {"flags", coerce_flags},
        {"flags-import", coerce_flags_import},
        {"publish", coerce_publish},
        {"python-path", coerce_python_path},
        {"output-scalars", coerce_capture},
        {"output-attrs", coerce_capture},
        {"sourcecode", coerce_select},
        {NULL},
};

static const CoerceRule item_rules[] = {
        {"include", coerce_str_list},
        {"extends", coerce_str_list},
        {"operations", coerce_operations},
        {"flags", coerce_flags},
        {"sourcecode", coerce_select},
        {NULL},
};

static Value *apply_rule(
        const CoerceRule *rules, const char *name, const Value *v, const char *path, GError **error)
{
    for (const CoerceRule *r = rules; r->name; r++)
        if (g_str_equal(r->name, name)) {
            Value *out = r->fn(name, v, path, error);
            if (out && out != v && !value_line(out))
                value_set_line(out, value_line(v));
            return out;
        }
    return keep(v);
}

static Value *coerce_op_attr(const char *name, const Value *v, const char *path, GError **error)
{
    return apply_rule(op_rules, name, v, path, error);
}

Value *gf_coerce_operation(const char *name, const Value *data, const char *path, GError **error)
{
    if (g_str_equal(name, "$include"))
        return keep(data);
    if (value_is_string(data))
        return wrap("main", data);
    if (value_is_map(data))
        return map_each(data, coerce_op_attr, path, error);
    g_autofree char *text = value_str(data);
    gf_error(error, path, data,
            "invalid value for operation '%s' '%s': expected a string or a mapping", text, name);
    return NULL;
}

static Value *coerce_operations(const char *name, const Value *v, const char *path, GError **error)
{
    if (!value_is_map(v)) {
        g_autofree char *repr = gf_repr(v);
        gf_error(error, path, v, "invalid operations value %s: expected a mapping", repr);
        return NULL;
    }
    return map_each(v, gf_coerce_operation, path, error);
}

static Value *coerce_item_attr(const char *name, const Value *v, const char *path, GError **error)
{
    return apply_rule(item_rules, name, v, path, error);
}

/* An item with operations and no type is the anonymous model. */
static Value *coerce_item(const Value *item, const char *path, GError **error)
{
    if (!value_is_map(item)) {
        g_autofree char *repr = gf_repr(item);
        gf_error(error, path, item, "invalid guildfile item %s: expected a mapping", repr);
        return NULL;
    }
    Value *out = map_each(item, coerce_item_attr, path, error);
    if (out && value_map_has(out, "operations") && !value_map_has(out, "model") &&
            !value_map_has(out, "config"))
        value_map_set_string(out, "model", "");
    return out;
}

Value *gf_coerce_document(const Value *data, const char *path, GError **error)
{
    g_autoptr(Value) out = value_new_list();
    if (!data || value_is_null(data))
        return g_steal_pointer(&out);
    if (value_is_map(data)) {
        g_autoptr(Value) item = wrap("operations", data);
        Value *model = coerce_item(item, path, error);
        if (!model)
            return NULL;
        value_list_append(out, model);
        return g_steal_pointer(&out);
    }
    if (!value_is_list(data)) {
        g_autofree char *repr = gf_repr(data);
        gf_error(error, path, data, "invalid guildfile data %s: expected a mapping", repr);
        return NULL;
    }
    for (gsize i = 0; i < value_list_size(data); i++) {
        Value *item = coerce_item(value_list_at(data, i), path, error);
        if (!item)
            return NULL;
        value_list_append(out, item);
    }
    return g_steal_pointer(&out);
}
