/* SPDX-License-Identifier: Apache-2.0 */
/* Flag values against flag definitions; see flags.h. */
#include "engine/op/flags.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/flagval.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

G_DEFINE_QUARK(guild - flags - error, flags_error)

/* Arguments. */

void flags_split_args(const char *const *args, char ***assigns, char ***batch_files)
{
    g_autoptr(GStrvBuilder) a = g_strv_builder_new();
    g_autoptr(GStrvBuilder) f = g_strv_builder_new();
    for (; args && *args; args++) {
        if ((*args)[0] == '@')
            g_strv_builder_add(f, *args + 1);
        else
            g_strv_builder_add(a, *args);
    }
    *assigns = g_strv_builder_end(a);
    *batch_files = g_strv_builder_end(f);
}

static const char *type_for_name(const OpDef *opdef, const char *name)
{
    if (!opdef || !opdef->flags)
        return NULL;
    const FlagDef *f = opdef_flag(opdef, name);
    if (f && f->type)
        return f->type;
    for (guint i = 0; i < opdef->flags->len; i++) {
        f = g_ptr_array_index(opdef->flags, i);
        if (f->alias && strcmp(f->alias, name) == 0)
            return f->type;
    }
    return NULL;
}

Value *flags_parse_assigns(const char *const *assigns, const OpDef *opdef, GError **error)
{
    g_autoptr(Value) flags = value_new_map();
    g_autoptr(GString) bad = g_string_new(NULL);
    for (; assigns && *assigns; assigns++) {
        g_autofree char *arg = fs_expanduser(*assigns);
        const char *eq = strchr(arg, '=');
        if (!eq) {
            g_string_append_printf(bad, "%s\n", arg);
            continue;
        }
        g_autofree char *name = g_strndup(arg, eq - arg);
        Value *v = flagval_decode(eq + 1, type_for_name(opdef, name), name, error);
        if (!v)
            return NULL;
        value_map_set(flags, name, v);
    }
    if (bad->len) {
        g_set_error(error, FLAGS_ERROR, FLAGS_ERROR_ASSIGN,
                "invalid argument(s):\n%sexpected NAME=VAL", bad->str);
        return NULL;
    }
    return g_steal_pointer(&flags);
}

gboolean flags_normalize_aliases(const OpDef *opdef, Value *flags, gboolean force, GError **error)
{
    for (guint i = 0; opdef->flags && i < opdef->flags->len; i++) {
        const FlagDef *f = g_ptr_array_index(opdef->flags, i);
        if (!f->alias || !*f->alias || strcmp(f->alias, f->name) == 0 ||
                !value_map_has(flags, f->alias))
            continue;
        if (value_map_has(flags, f->name)) {
            if (force)
                continue;
            /* The reference has the names in this order. */
            g_set_error(error, FLAGS_ERROR, FLAGS_ERROR_ALIAS,
                    "cannot specify both alias '%s' and name for flag '%s'\n"
                    "Use --force-flags to skip this check.",
                    f->name, f->alias);
            return FALSE;
        }
        Value *v = value_ref(value_map_get(flags, f->alias));
        value_map_remove(flags, f->alias);
        value_map_set(flags, f->name, v);
    }
    return TRUE;
}

/* Coercion. Each gives NULL for a value that the type can't hold. */

static Value *to_int(const Value *v)
{
    if (value_kind(v) == VALUE_INT)
        return value_ref((Value *)v);
    if (value_kind(v) == VALUE_BOOL)
        return value_new_int(value_get_bool(v));
    return value_is_string(v) ? flagval_parse_int(value_get_string(v)) : NULL;
}

static Value *to_float(const Value *v)
{
    switch (value_kind(v)) {
    case VALUE_FLOAT:
        return value_ref((Value *)v);
    case VALUE_INT:
    case VALUE_BOOL:
        return value_new_float(value_get_float(v));
    case VALUE_STRING:
        return flagval_parse_float(value_get_string(v));
    default:
        return NULL;
    }
}

static Value *to_number(const Value *v)
{
    if (value_is_number(v) || value_kind(v) == VALUE_BOOL)
        return value_ref((Value *)v);
    Value *i = to_int(v);
    return i ? i : to_float(v);
}

static Value *to_string(const Value *v)
{
    if (value_is_string(v))
        return value_ref((Value *)v);
    g_autofree char *s = value_str(v);
    return value_new_string(s);
}

static Value *to_path(const Value *v)
{
    if (!value_is_string(v))
        return NULL;
    g_autofree char *path = fs_expanduser(value_get_string(v));
    if (*path && !g_path_is_absolute(path)) {
        char *abs = fs_abspath(path, NULL);
        g_free(path);
        path = abs;
    }
    return value_new_string(path);
}

static Value *to_bool(const Value *v)
{
    return value_new_bool(value_truthy(v));
}

static const struct {
    const char *name;
    Value *(*convert)(const Value *v);
} flag_types[] = {
        {"string", to_string},
        {"int", to_int},
        {"float", to_float},
        {"boolean", to_bool},
        {"number", to_number},
        {"path", to_path},
        {"existing-path", to_path},
};

static Value *bad_value(const Value *v, const FlagDef *f, const char *msg, GError **error)
{
    g_autofree char *text = value_str(v);
    g_set_error(error, FLAGS_ERROR, FLAGS_ERROR_VALUE, "invalid value %s for %s: %s", text, f->name,
            msg);
    return NULL;
}

static Value *coerce_typed(const Value *val, const FlagDef *f, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(flag_types); i++) {
        if (strcmp(flag_types[i].name, f->type) != 0)
            continue;
        Value *v = flag_types[i].convert(val);
        if (v)
            return v;
        g_autofree char *msg = g_strdup_printf("invalid value for type '%s'", f->type);
        return bad_value(val, f, msg, error);
    }
    log_warning("unknown flag type '%s' for %s - cannot coerce", f->type, f->name);
    return value_ref((Value *)val);
}

/* As the error of one part is, but about the whole value. */
static Value *bad_whole(const Value *val, const FlagDef *f, GError **error)
{
    g_autofree char *msg = g_strdup_printf("invalid value for type '%s'", f->type);
    g_clear_error(error);
    return bad_value(val, f, msg, error);
}

/* A value that `arg-split` will take apart: each part must be of the type. */
static Value *coerce_split(const Value *val, const FlagDef *f, GError **error)
{
    g_autofree char *encoded =
            value_is_string(val) ? g_strdup(value_get_string(val)) : flagval_encode(val);
    g_auto(GStrv) parts = flagval_split(encoded, f->arg_split);
    g_autoptr(Value) list = value_new_list();
    for (char **p = parts; p && *p; p++) {
        g_autoptr(Value) part = value_new_string(*p);
        Value *item = coerce_typed(part, f, error);
        if (!item)
            return bad_whole(val, f, error);
        value_list_append(list, item);
    }
    g_autofree char *joined = flagval_join(list, f->arg_split);
    return value_new_string(joined);
}

Value *flags_coerce(const Value *val, const FlagDef *f, GError **error)
{
    if (value_is_null(val) || !f || !f->type || !*f->type || strcmp(f->type, "auto") == 0 ||
            flagval_is_function(val))
        return val ? value_ref((Value *)val) : value_new_null();
    if (value_is_list(val)) {
        g_autoptr(Value) list = value_new_list();
        for (gsize i = 0; i < value_list_size(val); i++) {
            Value *item = flags_coerce(value_list_at(val, i), f, error);
            if (!item)
                return bad_whole(val, f, error);
            value_list_append(list, item);
        }
        return g_steal_pointer(&list);
    }
    if (value_truthy(f->arg_split))
        return coerce_split(val, f, error);
    return coerce_typed(val, f, error);
}

static gboolean coerce_all(const OpDef *opdef, Value *flags, gboolean force, GError **error)
{
    for (gsize i = 0; i < value_map_size(flags); i++) {
        const char *name = value_map_key_at(flags, i);
        const FlagDef *f = opdef_flag(opdef, name);
        if (!f)
            continue;
        Value *v = flags_coerce(value_map_at(flags, i), f, force ? NULL : error);
        if (v)
            value_map_set(flags, name, v);
        else if (!force)
            return FALSE;
    }
    return TRUE;
}

/* Checks. */

static gboolean check_unknown(const OpDef *opdef, const Value *flags, GError **error)
{
    for (gsize i = 0; i < value_map_size(flags); i++) {
        const char *name = value_map_key_at(flags, i);
        if (opdef_flag(opdef, name))
            continue;
        g_set_error(error, FLAGS_ERROR, FLAGS_ERROR_UNKNOWN,
                "unsupported flag '%s'\nTry 'guild run %s --help-op' for a list of flags or use "
                "--force-flags to skip this check.",
                name, opdef->fullname);
        return FALSE;
    }
    return TRUE;
}

void flags_append_table(GString *out, const char *const (*rows)[2], gsize n_rows, guint indent)
{
    glong width = 0;
    for (gsize i = 0; i < n_rows; i++)
        width = MAX(width, g_utf8_strlen(rows[i][0], -1));
    for (gsize i = 0; i < n_rows; i++) {
        int pad = width - g_utf8_strlen(rows[i][0], -1) + 2;
        g_string_append_printf(out, "%*s%s%*s%s\n", indent, "", rows[i][0], pad, "", rows[i][1]);
    }
}

static gboolean choice_error(const FlagDef *f, GError **error)
{
    g_autoptr(GString) s = g_string_new(NULL);
    g_string_printf(s, "Unsupported value for '%s' - supported values are:\n\n", f->name);
    gsize n = f->choices->len;
    const char *(*rows)[2] = g_malloc0_n(n, sizeof *rows);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    for (gsize i = 0; i < n; i++) {
        const FlagChoice *c = g_ptr_array_index(f->choices, i);
        g_ptr_array_add(texts, flagval_encode(c->value));
        rows[i][0] = g_ptr_array_index(texts, i);
        rows[i][1] = c->description ? c->description : "";
    }
    flags_append_table(s, rows, n, 2);
    g_free(rows);
    g_string_append(s, "\nRun the command again using one of these options.");
    g_set_error_literal(error, FLAGS_ERROR, FLAGS_ERROR_CHOICE, s->str);
    return FALSE;
}

static gboolean check_choice(const Value *v, const FlagDef *f, GError **error)
{
    if (!value_truthy(v) || f->allow_other || !f->choices->len)
        return TRUE;
    for (guint i = 0; i < f->choices->len; i++) {
        const FlagChoice *c = g_ptr_array_index(f->choices, i);
        if (c->alias && value_is_string(v) && strcmp(c->alias, value_get_string(v)) == 0)
            return TRUE;
        if (value_equal(c->value, v))
            return TRUE;
    }
    return choice_error(f, error);
}

/* A value that has no order with the limit (a text with a number) is refused too. */
static gboolean check_range(const Value *v, const FlagDef *f, GError **error)
{
    const struct {
        const Value *limit;
        int sign;
        const char *word;
    } limits[] = {{f->min, -1, "less than min"}, {f->max, 1, "greater than max"}};
    for (gsize i = 0; i < G_N_ELEMENTS(limits) && !value_is_null(v); i++) {
        const Value *limit = limits[i].limit;
        if (value_is_null(limit))
            continue;
        gboolean numbers = (value_is_number(v) || value_kind(v) == VALUE_BOOL) &&
                           (value_is_number(limit) || value_kind(limit) == VALUE_BOOL);
        if (!numbers && value_kind(v) != value_kind(limit)) {
            bad_value(v, f, "expected a number", error);
            return FALSE;
        }
        if (value_compare(v, limit) * limits[i].sign <= 0)
            continue;
        g_autofree char *text = value_str(limit);
        g_autofree char *msg = g_strdup_printf("out of range (%s %s)", limits[i].word, text);
        bad_value(v, f, msg, error);
        return FALSE;
    }
    return TRUE;
}

static gboolean check_single(const Value *v, const FlagDef *f, GError **error)
{
    if (flagval_is_function(v))
        return TRUE;
    if (!check_choice(v, f, error))
        return FALSE;
    if (g_strcmp0(f->type, "existing-path") == 0 && value_truthy(v)) {
        g_autofree char *path = value_str(v);
        if (!fs_exists(path)) {
            g_autofree char *msg = g_strdup_printf("%s does not exist", path);
            bad_value(v, f, msg, error);
            return FALSE;
        }
    }
    return check_range(v, f, error);
}

static gboolean check_value(const Value *v, const FlagDef *f, GError **error)
{
    if (value_is_list(v)) {
        for (gsize i = 0; i < value_list_size(v); i++)
            if (!check_value(value_list_at(v, i), f, error))
                return FALSE;
        return TRUE;
    }
    if (!value_truthy(f->arg_split) || value_is_null(v))
        return check_single(v, f, error);
    g_autofree char *encoded =
            value_is_string(v) ? g_strdup(value_get_string(v)) : flagval_encode(v);
    g_auto(GStrv) parts = flagval_split(encoded, f->arg_split);
    for (char **p = parts; p && *p; p++) {
        g_autoptr(Value) part = flagval_decode(*p, NULL, f->name, error);
        if (!part || !check_single(part, f, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean is_missing(const Value *v)
{
    return value_is_null(v) || (value_is_string(v) && !*value_get_string(v));
}

static gboolean check_required(const OpDef *opdef, const Value *flags, GError **error)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    const char *(*rows)[2] = g_malloc0_n(opdef->flags->len + 1, sizeof *rows);
    gsize n = 0;
    for (guint i = 0; i < opdef->flags->len; i++) {
        const FlagDef *f = g_ptr_array_index(opdef->flags, i);
        if (!f->required || !is_missing(value_map_get(flags, f->name)))
            continue;
        char *line = g_strndup(f->description ? f->description : "",
                strcspn(f->description ? f->description : "", "\n"));
        g_ptr_array_add(texts, line);
        rows[n][0] = f->name;
        rows[n++][1] = line;
    }
    if (n) {
        g_autoptr(GString) s = g_string_new("Operation requires the following missing flags:\n\n");
        flags_append_table(s, rows, n, 2);
        g_string_append_printf(s,
                "\nRun the command again with these flags or try 'guild run %s --help-op' for "
                "help.",
                opdef->name);
        g_set_error_literal(error, FLAGS_ERROR, FLAGS_ERROR_MISSING, s->str);
    }
    g_free(rows);
    return n == 0;
}

gboolean flags_check_trial(const OpDef *opdef, const Value *trial, GError **error)
{
    for (guint i = 0; i < opdef->flags->len; i++) {
        const FlagDef *f = g_ptr_array_index(opdef->flags, i);
        if (value_map_has(trial, f->name) && !check_value(value_map_get(trial, f->name), f, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean check_all(const OpDef *opdef, const Value *flags, GError **error)
{
    if (!check_unknown(opdef, flags, error))
        return FALSE;
    for (guint i = 0; i < opdef->flags->len; i++) {
        const FlagDef *f = g_ptr_array_index(opdef->flags, i);
        if (!check_value(value_map_get(flags, f->name), f, error))
            return FALSE;
    }
    return check_required(opdef, flags, error);
}

/* Choices: an alias becomes its value; a choice may set other flags that the user left alone. */
static void apply_choice_flags(const FlagChoice *c, const Value *user_flags, Value *flags)
{
    for (gsize i = 0; c->flags && i < value_map_size(c->flags); i++) {
        const char *name = value_map_key_at(c->flags, i);
        if (value_is_null(value_map_get(user_flags, name)))
            value_map_set(flags, name, value_ref(value_map_at(c->flags, i)));
    }
}

static void apply_choices(const OpDef *opdef, const Value *user_flags, Value *flags)
{
    for (guint i = 0; i < opdef->flags->len; i++) {
        const FlagDef *f = g_ptr_array_index(opdef->flags, i);
        g_autoptr(Value) val = value_ref(value_map_get(flags, f->name));
        if (value_is_null(val))
            continue;
        for (guint j = 0; j < f->choices->len; j++) {
            const FlagChoice *c = g_ptr_array_index(f->choices, j);
            gboolean hit =
                    c->alias && *c->alias
                            ? value_is_string(val) && strcmp(c->alias, value_get_string(val)) == 0
                            : value_equal(c->value, val);
            if (!hit)
                continue;
            if (c->alias && *c->alias)
                value_map_set(flags, f->name, value_ref(c->value));
            apply_choice_flags(c, user_flags, flags);
        }
    }
}

Value *flags_for_opdef(const OpDef *opdef, const Value *user_flags, gboolean force, GError **error)
{
    g_autoptr(Value) flags = value_new_map();
    if (user_flags)
        value_map_update(flags, user_flags);
    if (!flags_normalize_aliases(opdef, flags, force, error))
        return NULL;
    for (guint i = 0; i < opdef->flags->len; i++) {
        const FlagDef *f = g_ptr_array_index(opdef->flags, i);
        if (!value_map_has(flags, f->name))
            value_map_set(flags, f->name, f->dflt ? value_ref(f->dflt) : value_new_null());
    }
    if (!coerce_all(opdef, flags, force, error))
        return NULL;
    if (!force && !check_all(opdef, flags, error))
        return NULL;
    apply_choices(opdef, user_flags, flags);
    return g_steal_pointer(&flags);
}
