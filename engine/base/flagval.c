/* SPDX-License-Identifier: Apache-2.0 */
/* Flag values as text: see flagval.h. Reading them is in flagval_decode.c. */
#include "engine/base/flagval.h"
#include "engine/base/text.h"
#include "engine/base/yaml.h"

#include <string.h>

static void encode(GString *out, const Value *v);

/* A string in a list whose text has a comma is quoted once more, as Python's repr(). */
static void encode_item(GString *out, const Value *item)
{
    gsize start = out->len;
    encode(out, item);
    if (!value_is_string(item) || !strchr(out->str + start, ','))
        return;
    g_autoptr(Value) text = value_new_string(out->str + start);
    g_autofree char *quoted = value_repr(text);
    g_string_truncate(out, start);
    g_string_append(out, quoted);
}

static void encode_map(GString *out, const Value *map)
{
    g_autoptr(Value) sorted = value_new_map();
    value_map_update(sorted, map);
    value_map_sort(sorted);
    g_string_append_c(out, '{');
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        g_autoptr(Value) key = value_map_key_value(sorted, i);
        g_string_append(out, i ? ", " : "");
        encode(out, key);
        g_string_append(out, ": ");
        encode(out, value_map_at(sorted, i));
    }
    g_string_append_c(out, '}');
}

static void encode(GString *out, const Value *v)
{
    switch (value_kind(v)) {
    case VALUE_NULL:
        g_string_append(out, "null");
        break;
    case VALUE_BOOL:
        g_string_append(out, value_get_bool(v) ? "yes" : "no");
        break;
    case VALUE_MAP:
        encode_map(out, v);
        break;
    case VALUE_LIST:
        g_string_append_c(out, '[');
        for (gsize i = 0; i < value_list_size(v); i++) {
            g_string_append(out, i ? ", " : "");
            encode_item(out, value_list_at(v, i));
        }
        g_string_append_c(out, ']');
        break;
    default: {
        g_autofree char *text = yaml_dump(v);
        g_string_append(out, text);
        break;
    }
    }
}

char *flagval_encode(const Value *v)
{
    GString *out = g_string_new(NULL);
    encode(out, v);
    return g_string_free(out, FALSE);
}

/* Cuts each ".123456" in the text behind `digits` digits. */
static char *truncate_decimals(const char *text, guint digits)
{
    GString *out = g_string_new(NULL);
    while (*text) {
        g_string_append_c(out, *text);
        if (*text++ != '.')
            continue;
        gsize n = strspn(text, "0123456789");
        g_string_append_len(out, text, (gssize)MIN(n, digits));
        text += n;
    }
    return g_string_free(out, FALSE);
}

char *flagval_encode_short(const Value *v, guint truncate_floats)
{
    char *text = flagval_encode(v);
    if (!truncate_floats || value_kind(v) != VALUE_FLOAT)
        return text;
    char *cut = truncate_decimals(text, truncate_floats);
    g_free(text);
    return cut;
}

char *flagval_format(const Value *v, guint truncate_floats)
{
    g_autofree char *text = flagval_encode_short(v, truncate_floats);
    if (!value_is_string(v) || text[0] == '\'' || text[0] == '"' || !strchr(text, ' '))
        return g_steal_pointer(&text);
    g_autoptr(Value) inner = value_new_string(text);
    return value_repr(inner);
}

gboolean flagval_split_assign(const char *arg, char **name, char **value)
{
    const char *eq = strchr(arg, '=');
    if (!eq || eq == arg)
        return FALSE;
    *name = g_strndup(arg, (gsize)(eq - arg));
    *value = g_strdup(eq + 1);
    return TRUE;
}

char *flagval_format_assigns(const Value *flags, const Value *null_labels, guint truncate_floats)
{
    g_autoptr(Value) sorted = value_new_map();
    value_map_update(sorted, flags);
    value_map_sort(sorted);
    GString *out = g_string_new(NULL);
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        const char *name = value_map_key_at(sorted, i);
        const Value *v = value_map_at(sorted, i);
        if (value_is_null(v))
            v = value_map_get(null_labels, name);
        if (value_is_null(v))
            continue;
        g_autofree char *text = flagval_format(v, truncate_floats);
        g_string_append_printf(out, "%s%s=%s", out->len ? " " : "", name, text);
    }
    return g_string_free(out, FALSE);
}

static gboolean is_shell_split(const Value *arg_split)
{
    if (value_kind(arg_split) == VALUE_BOOL)
        return value_get_bool(arg_split);
    return value_is_string(arg_split) && strcmp(value_get_string(arg_split), "shlex") == 0;
}

char **flagval_split(const char *encoded, const Value *arg_split)
{
    if (is_shell_split(arg_split)) {
        char **words = text_shell_split(encoded, NULL);
        if (words)
            return words;
    }
    g_autofree char *separator = value_str(arg_split);
    g_autoptr(GStrvBuilder) parts = g_strv_builder_new();
    g_auto(GStrv) all = g_strsplit(encoded, *separator ? separator : "\n", -1);
    for (char **part = all; *part; part++)
        if (**part)
            g_strv_builder_add(parts, *part);
    return g_strv_builder_end(parts);
}

char *flagval_join(const Value *list, const Value *arg_split)
{
    gboolean shell = !value_is_string(arg_split) || is_shell_split(arg_split);
    const char *separator = shell ? " " : value_get_string(arg_split);
    GString *out = g_string_new(NULL);
    for (gsize i = 0; i < value_list_size(list); i++) {
        g_autofree char *text = flagval_encode(value_list_at(list, i));
        g_autofree char *word = shell ? text_shell_quote(text) : NULL;
        g_string_append(out, i ? separator : "");
        g_string_append(out, word ? word : text);
    }
    return g_string_free(out, FALSE);
}
