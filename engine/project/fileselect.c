/* SPDX-License-Identifier: Apache-2.0 */
/* `sourcecode`: which files are kept with a run, out of guildfile data. See opdef.h. */
#include "engine/project/gfdata.h"
#include "engine/project/gfmodel.h"

static void select_spec_free(gpointer p)
{
    FileSelectSpec *s = p;
    g_strfreev(s->patterns);
    g_free(s->patterns_type);
    g_free(s);
}

void file_select_free(FileSelectDef *d)
{
    if (!d)
        return;
    g_free(d->root);
    g_free(d->dest);
    value_unref(d->digest);
    g_ptr_array_unref(d->specs);
    g_free(d);
}

/* `include: {text: "*.py"}` and its like: patterns for one type of file. */
static gboolean typed_patterns(
        FileSelectSpec *s, const Value *config, const char *name, const char *path, GError **error)
{
    static const char *const types[] = {"dir", "text", "binary"};
    for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
        if (value_map_has(config, types[i])) {
            s->patterns_type = g_strdup(types[i]);
            s->patterns = gf_strv(value_map_get(config, types[i]), name, path, error);
            return s->patterns != NULL;
        }
    g_autofree char *repr = gf_repr(config);
    gf_error(error, path, config, "unsupported %s value: %s", name, repr);
    return FALSE;
}

static gboolean select_patterns(
        FileSelectSpec *s, const Value *item, const char *name, const char *path, GError **error)
{
    const Value *config = value_map_get(item, name);
    if (value_is_map(config))
        return typed_patterns(s, config, name, path, error);
    if (value_is_string(config) || value_is_list(config)) {
        s->patterns = gf_strv(config, name, path, error);
        return s->patterns != NULL;
    }
    g_autofree char *repr = gf_repr(config);
    gf_error(error, path, item, "unsupported %s value: %s", name, repr);
    return FALSE;
}

static FileSelectSpec *select_spec(const Value *item, const char *path, GError **error)
{
    g_autofree char *repr = gf_repr(item);
    if (!value_is_map(item)) {
        gf_error(error, path, item, "invalid file select spec %s: expected a mapping", repr);
        return NULL;
    }
    gboolean include = value_map_has(item, "include");
    gboolean exclude = value_map_has(item, "exclude");
    if (include && exclude) {
        gf_error(error, path, item,
                "invalid file select spec %s: cannot include both include and exclude - use "
                "multiple select specs in the order you want to apply the filters",
                repr);
        return NULL;
    }
    if (!include && !exclude) {
        gf_error(error, path, item, "unsupported file select spec: %s", repr);
        return NULL;
    }
    FileSelectSpec *s = g_new0(FileSelectSpec, 1);
    s->include = include;
    if (!select_patterns(s, item, include ? "include" : "exclude", path, error)) {
        select_spec_free(s);
        return NULL;
    }
    return s;
}

FileSelectDef *file_select_new(const Value *data, const char *path, GError **error)
{
    FileSelectDef *d = g_new0(FileSelectDef, 1);
    d->specs = g_ptr_array_new_with_free_func(select_spec_free);
    const Value *select = data;
    if (value_is_map(data)) {
        select = value_map_get(data, "select");
        d->digest = value_ref(gf_get(data, "digest"));
        if (!gf_get_string(data, "root", path, &d->root, error) ||
                !gf_get_string(data, "dest", path, &d->dest, error))
            goto failed;
    }
    d->disabled = value_kind(select) == VALUE_BOOL && !value_get_bool(select);
    if (!select || value_is_null(select) || d->disabled)
        return d;
    if (!value_is_list(select)) {
        g_autofree char *repr = gf_repr(select);
        gf_error(error, path, select, "invalid file select spec %s: expected a list or no/off",
                repr);
        goto failed;
    }
    for (gsize i = 0; i < value_list_size(select); i++) {
        FileSelectSpec *s = select_spec(value_list_at(select, i), path, error);
        if (!s)
            goto failed;
        g_ptr_array_add(d->specs, s);
    }
    return d;
failed:
    file_select_free(d);
    return NULL;
}
