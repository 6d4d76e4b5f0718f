/* SPDX-License-Identifier: Apache-2.0 */
/* $include, extends and params of guildfiles. See gfinclude.h. */
#include "engine/project/gfinclude.h"

#include <string.h>

#include "engine/base/fs.h"
#include "engine/project/gfdata.h"
#include "engine/project/pymodule.h"

/* ---- $include ---- */

typedef struct {
    const char *section;
    GPtrArray *search;
    GHashTable *seen; /* references already followed */
    Value *resolved;
    const char *path;
} IncludeCtx;

static gboolean apply_section(IncludeCtx *ctx, const Value *data, GError **error);

static const char *item_name(const Value *item)
{
    const Value *v = value_map_get(item, "model");
    if (!v)
        v = value_map_get(item, "config");
    return value_is_string(v) ? value_get_string(v) : NULL;
}

static void apply_data(Value *resolved, const char *name, Value *data)
{
    Value *cur = value_map_get(resolved, name);
    if (!value_is_map(data))
        value_map_set(resolved, name, value_ref(data));
    else if (value_is_map(cur))
        value_map_update(cur, data);
    else
        value_map_set(resolved, name, gf_shallow_copy(data));
}

/* The section of the operation or model that a reference names. *found tells nothing from empty. */
static Value *find_include(IncludeCtx *ctx, const char *model, const char *op, gboolean *found)
{
    *found = TRUE;
    for (guint i = 0; i < ctx->search->len; i++) {
        const Value *data = ((Guildfile *)ctx->search->pdata[i])->data;
        for (gsize j = 0; j < value_list_size(data); j++) {
            const Value *item = value_list_at(data, j);
            const char *name = item_name(item);
            if (!name || !g_str_equal(name, model))
                continue;
            if (op) {
                item = value_map_get(value_map_get(item, "operations"), op);
                if (!value_is_map(item))
                    continue;
            }
            return value_map_get(item, ctx->section);
        }
    }
    *found = FALSE;
    return NULL;
}

/* "MODEL:OP#ATTRS" or "CONFIG#ATTRS". FALSE if it is neither. */
static gboolean split_ref(const char *ref, char **model, char **op, char **attrs)
{
    gsize n = strcspn(ref, ":#");
    *model = *op = *attrs = NULL;
    const char *rest = ref + n;
    if (*rest == ':' && rest[1] && rest[1] != '#') {
        gsize m = strcspn(rest + 1, "#");
        *op = g_strndup(rest + 1, m);
        rest += 1 + m;
    } else if (n == 0)
        return FALSE;
    if (*rest == '#' && rest[1])
        *attrs = g_strdup(rest + 1);
    *model = g_strndup(ref, n);
    return TRUE;
}

/* As the reference, an attribute is wanted if its name occurs in the text after '#'. */
static Value *filtered(const Value *data, const char *attrs)
{
    Value *out = value_new_map();
    for (gsize i = 0; i < value_map_size(data); i++) {
        const char *name = value_map_key_at(data, i);
        if (!attrs || strstr(attrs, name))
            value_map_set(out, name, value_ref(value_map_at(data, i)));
    }
    return out;
}

static gboolean apply_include(IncludeCtx *ctx, const char *ref, const Value *at, GError **error)
{
    g_autofree char *model = NULL, *op = NULL, *attrs = NULL;
    if (!split_ref(ref, &model, &op, &attrs)) {
        gf_error(error, ctx->path, at,
                "invalid include reference '%s': operation references must be specified as "
                "CONFIG[#ATTRS] or MODEL:OPERATION[#ATTRS]",
                ref);
        return FALSE;
    }
    gboolean found;
    const Value *data = find_include(ctx, model, op, &found);
    if (!found) {
        gf_error(error, ctx->path, at, "invalid include reference '%s': cannot find target", ref);
        return FALSE;
    }
    if (!value_truthy(data))
        return TRUE;
    if (!value_is_map(data)) {
        gf_error(error, ctx->path, at, "invalid include reference '%s': '%s' is not a mapping", ref,
                ctx->section);
        return FALSE;
    }
    g_autoptr(Value) wanted = filtered(data, attrs);
    return apply_section(ctx, wanted, error);
}

static gboolean apply_includes(IncludeCtx *ctx, const Value *val, GError **error)
{
    g_autoptr(Value) refs = gf_str_list(val, "$include", ctx->path, error);
    if (!refs)
        return FALSE;
    for (gsize i = 0; i < value_list_size(refs); i++) {
        g_autofree char *ref = value_str(value_list_at(refs, i));
        if (!g_hash_table_add(ctx->seen, g_strdup(ref)))
            break;
        if (!apply_include(ctx, ref, val, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean apply_section(IncludeCtx *ctx, const Value *data, GError **error)
{
    const Value *include = value_map_get(data, "$include");
    if (include && !apply_includes(ctx, include, error))
        return FALSE;
    g_autoptr(Value) sorted = gf_shallow_copy(data);
    value_map_sort(sorted);
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        const char *name = value_map_key_at(sorted, i);
        if (!g_str_equal(name, "$include"))
            apply_data(ctx->resolved, name, value_map_at(sorted, i));
    }
    return TRUE;
}

Value *gf_resolve_includes(
        const Value *data, const char *section, GPtrArray *search, GError **error)
{
    const char *path = ((Guildfile *)search->pdata[0])->src;
    gboolean ok;
    const Value *section_data = gf_get_map(data, section, path, &ok, error);
    if (!ok)
        return NULL;
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(Value) resolved = value_new_map();
    IncludeCtx ctx = {section, search, seen, resolved, path};
    if (section_data && !apply_section(&ctx, section_data, error))
        return NULL;
    return g_steal_pointer(&resolved);
}

/* ---- params ---- */

static Value *resolve_str(const char *s, const Value *params)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func((GDestroyNotify)value_unref);
    while (*s) {
        const char *open = strstr(s, "{{");
        const char *close = open ? strstr(open + 2, "}}") : NULL;
        if (!close || memchr(open, '\n', close - open)) {
            g_ptr_array_add(parts, value_new_string(s));
            break;
        }
        if (open > s)
            g_ptr_array_add(parts, value_new_string_len(s, open - s));
        g_autofree char *name = g_strstrip(g_strndup(open + 2, close - open - 2));
        Value *v = value_map_get(params, name);
        g_ptr_array_add(parts, v ? value_ref(v) : value_new_string_len(open, close + 2 - open));
        s = close + 2;
    }
    if (parts->len == 1)
        return value_ref(parts->pdata[0]);
    g_autoptr(GString) joined = g_string_new(NULL);
    for (guint i = 0; i < parts->len; i++) {
        g_autofree char *text = value_str(parts->pdata[i]);
        g_string_append(joined, text);
    }
    return value_new_string(joined->str);
}

#define PARAM_ROUNDS 100
#define PARAM_MAX_LEN 4096

/* A parameter's value until it refers to no other. As in the reference, one that is a reference
 * ends up as text. */
static Value *resolve_param(Value *v, const Value *params)
{
    if (!value_is_string(v))
        return value_ref(v);
    Value *cur = value_ref(v);
    for (int i = 0; i < PARAM_ROUNDS; i++) {
        if (value_is_list(cur) || value_is_map(cur))
            break;
        g_autofree char *text = value_str(cur);
        Value *next = resolve_str(text, params);
        gboolean same = value_is_string(cur) && value_equal(next, cur);
        value_unref(cur);
        cur = next;
        if (same || (value_is_string(cur) && strlen(value_get_string(cur)) > PARAM_MAX_LEN))
            break;
    }
    return cur;
}

static Value *resolve_refs(Value *v, const Value *params)
{
    if (value_is_string(v)) {
        const char *s = value_get_string(v);
        if (!strstr(s, "{{"))
            return value_ref(v);
        Value *out = resolve_str(s, params);
        if (!value_line(out))
            value_set_line(out, value_line(v));
        return out;
    }
    if (value_is_map(v)) {
        Value *out = value_new_map();
        value_set_line(out, value_line(v));
        value_map_update(out, v);
        for (gsize i = 0; i < value_map_size(v); i++)
            value_map_set(out, value_map_key_at(v, i), resolve_refs(value_map_at(v, i), params));
        return out;
    }
    if (value_is_list(v)) {
        Value *out = value_new_list();
        value_set_line(out, value_line(v));
        for (gsize i = 0; i < value_list_size(v); i++)
            value_list_append(out, resolve_refs(value_list_at(v, i), params));
        return out;
    }
    return value_ref(v);
}

static Value *with_params(Value *data, const char *path, GError **error)
{
    gboolean ok;
    const Value *params = gf_get_map(data, "params", path, &ok, error);
    if (!ok)
        return NULL;
    g_autoptr(Value) resolved = value_new_map();
    for (gsize i = 0; params && i < value_map_size(params); i++)
        value_map_set(resolved, value_map_key_at(params, i),
                resolve_param(value_map_at(params, i), params));
    return resolve_refs(data, resolved);
}

/* ---- extends ---- */

/* More than this many parents in one model is a bomb, not a project. */
#define EXTENDS_MAX 1000

static const char *const inheritable[] = {"description", "extra", "flags", "operation-defaults",
        "operations", "params", "references", "resources", "sourcecode", NULL};

typedef struct {
    GPtrArray *seen;    /* names on the way here, for cycles */
    GPtrArray *parents; /* packages met */
    guint count;
} ExtendCtx;

static Value *extended(const Value *item, Guildfile *g, ExtendCtx *ctx, GError **error);

/* Fills what the child lacks, deeply. */
static void apply_parent(const Value *parent, Value *child, const char *const *only)
{
    for (gsize i = 0; i < value_map_size(parent); i++) {
        const char *name = value_map_key_at(parent, i);
        Value *val = value_map_at(parent, i);
        if (only && !g_strv_contains(only, name))
            continue;
        Value *mine = value_map_get(child, name);
        if (!mine)
            value_map_set(child, name, value_copy(val));
        else if (value_is_map(mine) && value_is_map(val))
            apply_parent(val, mine, NULL);
    }
}

static const Value *find_item(const Guildfile *g, const char *name)
{
    for (gsize i = 0; i < value_list_size(g->data); i++) {
        const Value *item = value_list_at(g->data, i);
        const char *item_is = item_name(item);
        if (item_is && g_str_equal(item_is, name))
            return item;
    }
    return NULL;
}

char *gf_find_package_file(const Guildfile *g, const char *rel)
{
    if (!fs_is_safe_rel(rel))
        return NULL;
    g_autofree char *own = g_build_filename(g->dir ? g->dir : ".", rel, GUILDFILE_NAME, NULL);
    if (fs_is_file(own))
        return g_steal_pointer(&own);
    for (const char *const *dir = pymodule_sys_path(); *dir; dir++) {
        char *path = g_build_filename(*dir, rel, GUILDFILE_NAME, NULL);
        if (fs_is_file(path))
            return path;
        g_free(path);
    }
    return NULL;
}

static char *package_guildfile(const Guildfile *g, const char *pkg)
{
    g_autofree char *rel = g_strdelimit(g_strdelimit(g_strdup(pkg), "-", '_'), ".", '/');
    return gf_find_package_file(g, rel);
}

static void add_parent(GPtrArray *parents, Guildfile *pkg)
{
    for (guint i = 0; i < parents->len; i++)
        if (g_strcmp0(((Guildfile *)parents->pdata[i])->dir, pkg->dir) == 0)
            return;
    g_ptr_array_add(parents, guildfile_ref(pkg));
}

static Value *package_parent(
        const char *name, const Value *at, Guildfile *g, ExtendCtx *ctx, GError **error)
{
    const char *slash = strchr(name, '/');
    g_autofree char *pkg = g_strndup(name, slash - name);
    if (!slash[1]) {
        gf_error(error, g->src, at, "invalid model or config reference '%s': missing model name",
                name);
        return NULL;
    }
    g_autofree char *path = package_guildfile(g, pkg);
    if (!path) {
        gf_error(error, g->src, at, "cannot find Guild file for package '%s'", pkg);
        return NULL;
    }
    g_autoptr(Guildfile) file = guildfile_load_plain(path, error);
    if (!file)
        return NULL;
    const Value *item = find_item(file, slash + 1);
    if (!item) {
        gf_error(error, g->src, at, "undefined model or config '%s' in package '%s'", slash + 1,
                pkg);
        return NULL;
    }
    add_parent(ctx->parents, file);
    return extended(item, file, ctx, error);
}

static Value *parent_data(
        const char *name, const Value *at, Guildfile *g, ExtendCtx *ctx, GError **error)
{
    if (strchr(name, '/'))
        return package_parent(name, at, g, ctx, error);
    const Value *item = find_item(g, name);
    if (!item) {
        gf_error(error, g->src, at, "undefined model or config '%s'", name);
        return NULL;
    }
    return extended(item, g, ctx, error);
}

static gboolean check_cycle(
        const char *name, const Value *at, Guildfile *g, ExtendCtx *ctx, GError **error)
{
    const GPtrArray *seen = ctx->seen;
    if (++ctx->count > EXTENDS_MAX) {
        gf_error(error, g->src, at, "too many 'extends' (more than %d)", EXTENDS_MAX);
        return FALSE;
    }
    for (guint i = 0; i < seen->len; i++)
        if (g_str_equal(seen->pdata[i], name)) {
            g_autoptr(GString) cycle = g_string_new(NULL);
            for (guint j = 0; j < seen->len; j++)
                g_string_append_printf(cycle, "%s -> ", (char *)seen->pdata[j]);
            gf_error(error, g->src, at, "cycle in 'extends' (%s%s)", cycle->str, name);
            return FALSE;
        }
    return TRUE;
}

static Value *extended(const Value *item, Guildfile *g, ExtendCtx *ctx, GError **error)
{
    g_autoptr(Value) data = value_copy(item);
    const Value *extends = value_map_get(item, "extends");
    for (gsize i = 0; value_is_list(extends) && i < value_list_size(extends); i++) {
        g_autofree char *name = value_str(value_list_at(extends, i));
        if (!check_cycle(name, extends, g, ctx, error))
            return NULL;
        g_ptr_array_add(ctx->seen, name);
        g_autoptr(Value) parent = parent_data(name, extends, g, ctx, error);
        g_ptr_array_set_size(ctx->seen, ctx->seen->len - 1);
        if (!parent)
            return NULL;
        apply_parent(parent, data, inheritable);
    }
    return g_steal_pointer(&data);
}

Value *gf_extended_data(const Value *item, Guildfile *g, GPtrArray *parents, GError **error)
{
    g_autoptr(GPtrArray) seen = g_ptr_array_new();
    ExtendCtx ctx = {seen, parents, 0};
    g_autoptr(Value) data = extended(item, g, &ctx, error);
    return data ? with_params(data, g->src, error) : NULL;
}
