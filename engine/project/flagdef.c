/* SPDX-License-Identifier: Apache-2.0 */
/* Flag definitions out of guildfile data, and the merge of imported ones. See flagdef.h. */
#include "engine/project/flagdef.h"

#include <stddef.h>

#include "engine/project/gfdata.h"

/* Attributes by how they are kept. One table, so that reading, copying, merging and freeing agree.
 */
typedef enum { ATTR_TEXT, ATTR_VALUE } AttrKind;
typedef struct {
    const char *name;
    AttrKind kind;
    size_t offset;
} FlagAttr;

#define TEXT(name, field)                                                                          \
    {                                                                                              \
        name, ATTR_TEXT, offsetof(FlagDef, field)                                                  \
    }
#define VALUE(name, field)                                                                         \
    {                                                                                              \
        name, ATTR_VALUE, offsetof(FlagDef, field)                                                 \
    }
static const FlagAttr flag_attrs[] = {
        VALUE("default", dflt),
        TEXT("description", description),
        TEXT("type", type),
        TEXT("alias", alias),
        TEXT("arg-name", arg_name),
        VALUE("arg-encoding", arg_encoding),
        VALUE("arg-skip", arg_skip),
        VALUE("arg-switch", arg_switch),
        VALUE("arg-split", arg_split),
        TEXT("env-name", env_name),
        VALUE("env-encoding", env_encoding),
        TEXT("null-label", null_label),
        VALUE("min", min),
        VALUE("max", max),
        TEXT("distribution", distribution),
};
#undef TEXT
#undef VALUE

static char **text_at(const FlagDef *f, const FlagAttr *a)
{
    return (char **)((char *)f + a->offset);
}

static Value **value_at(const FlagDef *f, const FlagAttr *a)
{
    return (Value **)((char *)f + a->offset);
}

static void choice_free(gpointer data)
{
    FlagChoice *c = data;
    value_unref(c->value);
    g_free(c->description);
    value_unref(c->flags);
    g_free(c->alias);
    g_free(c);
}

static FlagChoice *choice_new(const Value *data, const char *where, GError **error)
{
    FlagChoice *c = g_new0(FlagChoice, 1);
    if (!value_is_map(data)) {
        c->value = data ? value_ref((Value *)data) : value_new_null();
        c->description = g_strdup("");
        c->flags = value_new_map();
        return c;
    }
    gboolean ok;
    if (!value_map_has(data, "value")) {
        g_autofree char *repr = gf_repr(data);
        gf_error(error, where, data, "missing required 'value' attribute in %s", repr);
        goto failed;
    }
    c->value = value_ref(value_map_get(data, "value"));
    if (!gf_get_string(data, "description", where, &c->description, error) ||
            !gf_get_string(data, "alias", where, &c->alias, error))
        goto failed;
    if (!c->description)
        c->description = g_strdup("");
    Value *flags = gf_get_map(data, "flags", where, &ok, error);
    if (!ok)
        goto failed;
    c->flags = flags ? value_ref(flags) : value_new_map();
    return c;
failed:
    choice_free(c);
    return NULL;
}

static gboolean read_choices(FlagDef *f, const Value *data, const char *where, GError **error)
{
    const Value *choices = value_map_get(data, "choices");
    if (!value_truthy(choices))
        return TRUE;
    if (!value_is_list(choices)) {
        g_autofree char *repr = gf_repr(choices);
        gf_error(error, where, choices,
                "invalid flag choice data %s: expected a list of values or mappings", repr);
        return FALSE;
    }
    for (gsize i = 0; i < value_list_size(choices); i++) {
        FlagChoice *c = choice_new(value_list_at(choices, i), where, error);
        if (!c)
            return FALSE;
        g_ptr_array_add(f->choices, c);
    }
    return TRUE;
}

static gboolean read_attrs(FlagDef *f, const Value *data, const char *where, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(flag_attrs); i++) {
        const FlagAttr *a = &flag_attrs[i];
        if (a->kind == ATTR_TEXT) {
            if (!gf_get_string(data, a->name, where, text_at(f, a), error))
                return FALSE;
        } else
            *value_at(f, a) = value_ref(gf_get(data, a->name));
    }
    return TRUE;
}

/* What no attribute above takes is kept: the reference calls it extra, and so the distribution. */
static Value *extra_attrs(const Value *data)
{
    static const char *const others[] = {"required", "choices", "allow-other", NULL};
    Value *extra = gf_shallow_copy(data);
    for (gsize i = 0; i < G_N_ELEMENTS(flag_attrs); i++)
        if (!g_str_equal(flag_attrs[i].name, "distribution"))
            value_map_remove(extra, flag_attrs[i].name);
    for (int i = 0; others[i]; i++)
        value_map_remove(extra, others[i]);
    return extra;
}

FlagDef *flagdef_new(const char *name, const Value *data, const char *where, GError **error)
{
    if (!value_is_map(data)) {
        g_autofree char *repr = gf_repr(data);
        gf_error(error, where, data, "invalid flag data %s: expected a mapping", repr);
        return NULL;
    }
    g_autoptr(FlagDef) f = g_new0(FlagDef, 1);
    f->name = g_strdup(name);
    f->choices = g_ptr_array_new_with_free_func(choice_free);
    f->extra = extra_attrs(data);
    if (!read_attrs(f, data, where, error) || !read_choices(f, data, where, error))
        return NULL;
    if (!f->description)
        f->description = g_strdup("");
    f->required = gf_get_truthy(data, "required");
    f->allow_other = gf_get_truthy(data, "allow-other");
    return g_steal_pointer(&f);
}

static void copy_choices(GPtrArray *dst, GPtrArray *src)
{
    for (guint i = 0; i < src->len; i++) {
        const FlagChoice *from = src->pdata[i];
        FlagChoice *c = g_new0(FlagChoice, 1);
        c->value = value_ref(from->value);
        c->description = g_strdup(from->description);
        c->flags = value_ref(from->flags);
        c->alias = g_strdup(from->alias);
        g_ptr_array_add(dst, c);
    }
}

FlagDef *flagdef_copy(const FlagDef *f)
{
    g_autoptr(Value) empty = value_new_map();
    FlagDef *copy = flagdef_new(f->name, empty, NULL, NULL);
    flagdef_merge(copy, f);
    return copy;
}

void flagdef_merge(FlagDef *dst, const FlagDef *src)
{
    for (gsize i = 0; i < G_N_ELEMENTS(flag_attrs); i++) {
        const FlagAttr *a = &flag_attrs[i];
        if (a->kind == ATTR_VALUE) {
            Value **to = value_at(dst, a);
            if (!*to)
                *to = value_ref(*value_at(src, a));
            continue;
        }
        char **to = text_at(dst, a);
        const char *from = *text_at(src, a);
        if ((!*to || (to == &dst->description && !**to)) && from) {
            g_free(*to);
            *to = g_strdup(from);
        }
    }
    dst->required = dst->required || src->required;
    dst->allow_other = dst->allow_other || src->allow_other;
    if (!dst->choices->len)
        copy_choices(dst->choices, src->choices);
    if (!value_map_size(dst->extra)) {
        value_unref(dst->extra);
        dst->extra = value_ref(src->extra);
    }
}

void flagdef_free(FlagDef *f)
{
    if (!f)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(flag_attrs); i++) {
        if (flag_attrs[i].kind == ATTR_VALUE)
            value_unref(*value_at(f, &flag_attrs[i]));
        else
            g_free(*text_at(f, &flag_attrs[i]));
    }
    g_free(f->name);
    if (f->choices)
        g_ptr_array_unref(f->choices);
    value_unref(f->extra);
    g_free(f);
}

FlagDef *flagdefs_find(GPtrArray *flags, const char *name)
{
    for (guint i = 0; flags && i < flags->len; i++) {
        FlagDef *f = flags->pdata[i];
        if (g_str_equal(f->name, name))
            return f;
    }
    return NULL;
}
