/* SPDX-License-Identifier: Apache-2.0 */
/* Loading guild.yml. See guildfile.h. */
#include "engine/project/guildfile.h"

#include <errno.h>
#include <string.h>

#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/base/yaml.h"
#include "engine/project/gfdata.h"
#include "engine/project/gfinclude.h"
#include "engine/project/gfmodel.h"
#include "engine/project/pyflags.h"

#define GUILDFILE_MAX_BYTES (16 * 1024 * 1024)
#define INCLUDE_DEPTH_MAX 64

/* ---- models ---- */

static void modeldef_free(gpointer p)
{
    ModelDef *m = p;
    g_free(m->name);
    g_free(m->description);
    value_unref(m->references);
    g_ptr_array_unref(m->operations);
    g_ptr_array_unref(m->resources);
    g_strfreev(m->plugins);
    value_unref(m->extra);
    file_select_free(m->sourcecode);
    value_unref(m->python_requires);
    g_ptr_array_unref(m->parents);
    g_free(m);
}

gboolean gf_plugins(const Value *data, const char *path, char ***out, GError **error)
{
    *out = NULL;
    if (!data || value_is_null(data))
        return TRUE;
    if (value_kind(data) == VALUE_BOOL) {
        if (!value_get_bool(data))
            *out = g_new0(char *, 1);
        return TRUE;
    }
    *out = gf_strv(data, "plugins", path, error);
    return *out != NULL;
}

ResourceDef *gf_resource(const char *name, const Value *data, const ModelDef *model, GError **error)
{
    g_autoptr(GError) err = NULL;
    ResourceDef *r = resdef_new(name, data, model->name, &err);
    if (!r)
        gf_error(error, model->guildfile->src, data, "%s", err->message);
    return r;
}

static gboolean read_operations(ModelDef *m, const Value *data, GPtrArray *search, GError **error)
{
    const char *path = m->guildfile->src;
    g_autoptr(Value) defaults = NULL;
    const Value *config = value_map_get(data, "operation-defaults");
    if (value_truthy(config)) {
        defaults = gf_coerce_operation("operation-defaults", config, path, error);
        if (!defaults)
            return FALSE;
    }
    g_autoptr(Value) ops = gf_resolve_includes(data, "operations", search, error);
    if (!ops)
        return FALSE;
    value_map_sort(ops);
    for (gsize i = 0; i < value_map_size(ops); i++) {
        OpDef *op = opdef_new(
                value_map_key_at(ops, i), value_map_at(ops, i), m, defaults, search, error);
        if (!op)
            return FALSE;
        g_ptr_array_add(m->operations, op);
    }
    return TRUE;
}

static gboolean read_resources(ModelDef *m, const Value *data, GPtrArray *search, GError **error)
{
    g_autoptr(Value) resources = gf_resolve_includes(data, "resources", search, error);
    if (!resources)
        return FALSE;
    value_map_sort(resources);
    for (gsize i = 0; i < value_map_size(resources); i++) {
        ResourceDef *r =
                gf_resource(value_map_key_at(resources, i), value_map_at(resources, i), m, error);
        if (!r)
            return FALSE;
        g_ptr_array_add(m->resources, r);
    }
    return TRUE;
}

static gboolean read_model(ModelDef *m, const Value *data, GError **error)
{
    const char *path = m->guildfile->src;
    gboolean ok;
    g_autoptr(GPtrArray) search = g_ptr_array_new();
    g_ptr_array_add(search, m->guildfile);
    g_ptr_array_extend(search, m->parents, NULL, NULL);
    m->dflt = gf_get_truthy(data, "default");
    m->references = value_ref(gf_get(data, "references"));
    m->python_requires = value_ref(gf_get(data, "python-requires"));
    if (!gf_get_string(data, "description", path, &m->description, error))
        return FALSE;
    m->description = m->description ? g_strstrip(m->description) : g_strdup("");
    m->extra = value_ref(gf_get_map(data, "extra", path, &ok, error));
    if (!ok)
        return FALSE;
    m->sourcecode = file_select_new(value_map_get(data, "sourcecode"), path, error);
    return m->sourcecode && gf_plugins(value_map_get(data, "plugins"), path, &m->plugins, error) &&
           read_operations(m, data, search, error) && read_resources(m, data, search, error);
}

static gboolean add_model(Guildfile *g, const char *name, const Value *item, GError **error)
{
    if (guildfile_model(g, name)) {
        gf_error(error, g->src, item, "duplicate model '%s'", name);
        return FALSE;
    }
    ModelDef *m = g_new0(ModelDef, 1);
    m->name = g_strdup(name);
    m->guildfile = g;
    m->operations = g_ptr_array_new_with_free_func((GDestroyNotify)opdef_free);
    m->resources = g_ptr_array_new_with_free_func((GDestroyNotify)resdef_free);
    m->parents = g_ptr_array_new_with_free_func((GDestroyNotify)guildfile_unref);
    g_ptr_array_add(g->models, m);
    g_autoptr(Value) data = gf_extended_data(item, g, m->parents, error);
    return data && read_model(m, data, error);
}

/* ---- items ---- */

static const char *const item_types[] = {"config", "include", "model", "package", NULL};

static gboolean item_type(
        Guildfile *g, const Value *item, const char **type, const char **name, GError **error)
{
    g_autoptr(GPtrArray) used = g_ptr_array_new();
    for (int i = 0; item_types[i]; i++)
        if (value_map_has(item, item_types[i]))
            g_ptr_array_add(used, (char *)item_types[i]);
    g_autofree char *repr = gf_repr(item);
    if (!used->len) {
        g_autofree char *types = g_strjoinv(", ", (char **)item_types);
        gf_error(error, g->src, item, "missing required type (one of: %s) in %s", types, repr);
        return FALSE;
    }
    if (used->len > 1) {
        g_ptr_array_add(used, NULL);
        g_autofree char *types = g_strjoinv(", ", (char **)used->pdata);
        gf_error(error, g->src, item, "multiple types (%s) in %s", types, repr);
        return FALSE;
    }
    *type = used->pdata[0];
    const Value *v = value_map_get(item, *type);
    if (!value_is_string(v)) {
        g_autofree char *got = gf_repr(v);
        gf_error(error, g->src, item, "invalid %s name %s: expected a string", *type, got);
        return FALSE;
    }
    *name = value_get_string(v);
    return TRUE;
}

static gboolean add_items(Guildfile *g, GError **error)
{
    for (gsize i = 0; i < value_list_size(g->data); i++) {
        Value *item = value_list_at(g->data, i);
        const char *type, *name;
        if (!item_type(g, item, &type, &name, error))
            return FALSE;
        if (g_str_equal(type, "model")) {
            if (!add_model(g, name, item, error))
                return FALSE;
        } else if (g_str_equal(type, "package")) {
            if (g->package) {
                gf_error(error, g->src, item, "multiple package definitions");
                return FALSE;
            }
            g->package = value_ref(item);
        }
    }
    return TRUE;
}

/* ---- include ---- */

static Guildfile *load(const char *path, GPtrArray *including, GError **error);

static char *find_include(Guildfile *g, const char *include)
{
    char *local = fs_join(g->dir ? g->dir : ".", include);
    if (fs_is_file(local))
        return local;
    g_free(local);
    g_autofree char *rel = g_strdelimit(g_strdup(include), ".", '/');
    g_autofree char *packaged = g_strconcat("gpkg/", rel, NULL);
    char *path = gf_find_package_file(g, rel);
    return path ? path : gf_find_package_file(g, packaged);
}

static gboolean check_include_cycle(
        Guildfile *g, const Value *at, const char *path, GPtrArray *including, GError **error)
{
    g_autofree char *real = fs_realpath(path);
    g_autoptr(GString) way = g_string_new(NULL);
    gboolean cycle = including->len >= INCLUDE_DEPTH_MAX;
    for (guint i = 0; i < including->len; i++) {
        g_string_append_printf(way, "%s -> ", (char *)including->pdata[i]);
        cycle = cycle || g_str_equal(including->pdata[i], real);
    }
    if (cycle)
        gf_error(error, g->src, at, "cycle in 'includes' (%s%s)", way->str, real);
    return !cycle;
}

/* Replaces an `include` item by the items of the files that it names. */
static gboolean expand_include(
        Guildfile *g, const Value *item, Value *out, GPtrArray *including, GError **error)
{
    const Value *names = value_map_get(item, "include");
    for (gsize i = 0; i < value_list_size(names); i++) {
        g_autofree char *name = value_str(value_list_at(names, i));
        g_autofree char *path = find_include(g, name);
        if (!path) {
            gf_error(error, g->src, item,
                    "cannot find include '%s' (includes must be local to including Guild file or "
                    "a Guild package on the system path)",
                    name);
            return FALSE;
        }
        if (!check_include_cycle(g, item, path, including, error))
            return FALSE;
        g_autoptr(Guildfile) included = load(path, including, error);
        if (!included)
            return FALSE;
        value_list_extend(out, included->data);
        g_ptr_array_add(g->included, g_strdup(included->src));
        for (guint k = 0; k < included->included->len; k++)
            g_ptr_array_add(g->included, g_strdup(included->included->pdata[k]));
    }
    return TRUE;
}

static gboolean expand_includes(Guildfile *g, GPtrArray *including, GError **error)
{
    g_autoptr(Value) out = value_new_list();
    for (gsize i = 0; i < value_list_size(g->data); i++) {
        Value *item = value_list_at(g->data, i);
        if (!value_map_has(item, "include"))
            value_list_append(out, value_ref(item));
        else if (!expand_include(g, item, out, including, error))
            return FALSE;
    }
    value_unref(g->data);
    g->data = g_steal_pointer(&out);
    return TRUE;
}

/* ---- the file ---- */

static Guildfile *for_data(
        const Value *data, const char *src, const char *dir, GPtrArray *including, GError **error)
{
    g_autoptr(Guildfile) g = g_new0(Guildfile, 1);
    g->refs = 1;
    g->src = g_strdup(src);
    g->dir = g_strdup(dir);
    g->models = g_ptr_array_new_with_free_func(modeldef_free);
    g->included = g_ptr_array_new_with_free_func(g_free);
    g->data = gf_coerce_document(data, src, error);
    if (!g->data || !expand_includes(g, including, error) || !add_items(g, error))
        return NULL;
    return g_steal_pointer(&g);
}

Guildfile *guildfile_for_data(const Value *data, const char *src, const char *dir, GError **error)
{
    g_autoptr(GPtrArray) including = g_ptr_array_new();
    return for_data(data, src, dir, including, error);
}

/* Every operation of a file on disk has a reference: the file, its digest, the model, the name. */
static void set_oprefs(Guildfile *g, const char *text, gsize len)
{
    g_autofree char *digest = digest_md5(text, len);
    for (guint i = 0; i < g->models->len; i++) {
        ModelDef *m = g->models->pdata[i];
        for (guint j = 0; j < m->operations->len; j++) {
            OpDef *op = m->operations->pdata[j];
            op->opref = opref_new("guildfile", g->src, digest, m->name, op->name);
        }
    }
}

static Guildfile *load(const char *path, GPtrArray *including, GError **error)
{
    g_autofree char *src = fs_abspath(path, NULL);
    g_autofree char *dir = g_path_get_dirname(src);
    g_autoptr(GError) err = NULL;
    gsize len;
    g_autofree char *text = fs_read(src, GUILDFILE_MAX_BYTES, &len, &err);
    if (!text) {
        g_set_error(error, GUILDFILE_ERROR, GUILDFILE_ERROR_IO, "cannot read %s: %s", src,
                err->message);
        return NULL;
    }
    g_autoptr(Value) data = yaml_parse(text, len, src, &err);
    if (!data) {
        g_set_error(error, GUILDFILE_ERROR, GUILDFILE_ERROR_INVALID, "error in %s", err->message);
        return NULL;
    }
    g_ptr_array_add(including, fs_realpath(src));
    Guildfile *g = for_data(data, src, dir, including, error);
    g_free(including->pdata[including->len - 1]);
    g_ptr_array_set_size(including, including->len - 1);
    if (g)
        set_oprefs(g, text, len);
    return g;
}

static char *file_of(const char *dir_or_file, GError **error)
{
    if (fs_is_file(dir_or_file))
        return g_strdup(dir_or_file);
    char *path = g_build_filename(dir_or_file, GUILDFILE_NAME, NULL);
    if (fs_is_file(path))
        return path;
    g_free(path);
    g_set_error(error, GUILDFILE_ERROR, GUILDFILE_ERROR_NO_MODELS, "no models in %s", dir_or_file);
    return NULL;
}

Guildfile *guildfile_load_plain(const char *dir_or_file, GError **error)
{
    g_autofree char *path = file_of(dir_or_file, error);
    g_autoptr(GPtrArray) including = g_ptr_array_new();
    return path ? load(path, including, error) : NULL;
}

Guildfile *guildfile_load(const char *dir_or_file, GError **error)
{
    static GHashTable *cache; /* real path -> Guildfile */
    g_autofree char *path = file_of(dir_or_file, error);
    if (!path)
        return NULL;
    g_autofree char *real = fs_realpath(path);
    if (!cache)
        cache = g_hash_table_new_full(
                g_str_hash, g_str_equal, g_free, (GDestroyNotify)guildfile_unref);
    Guildfile *g = g_hash_table_lookup(cache, real);
    if (!g) {
        g_autoptr(GPtrArray) including = g_ptr_array_new();
        g = load(path, including, error);
        if (!g)
            return NULL;
        pyflags_apply_guildfile(g);
        g_hash_table_insert(cache, g_steal_pointer(&real), g);
    }
    return guildfile_ref(g);
}

Guildfile *guildfile_ref(Guildfile *g)
{
    g->refs++;
    return g;
}

void guildfile_unref(Guildfile *g)
{
    if (!g || --g->refs > 0)
        return;
    g_free(g->src);
    g_free(g->dir);
    g_ptr_array_unref(g->models);
    g_ptr_array_unref(g->included);
    value_unref(g->package);
    value_unref(g->data);
    g_free(g);
}

gboolean guildfile_is_dir(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, GUILDFILE_NAME, NULL);
    return fs_exists(path);
}

ModelDef *guildfile_model(const Guildfile *g, const char *name)
{
    for (guint i = 0; i < g->models->len; i++) {
        ModelDef *m = g->models->pdata[i];
        if (g_str_equal(m->name, name))
            return m;
    }
    return NULL;
}

ModelDef *guildfile_default_model(const Guildfile *g)
{
    if (g->models->len == 1)
        return g->models->pdata[0];
    for (guint i = 0; i < g->models->len; i++) {
        ModelDef *m = g->models->pdata[i];
        if (m->dflt)
            return m;
    }
    return NULL;
}

OpDef *guildfile_default_operation(const Guildfile *g)
{
    ModelDef *m = guildfile_default_model(g);
    return m ? modeldef_default_operation(m) : NULL;
}

OpDef *modeldef_operation(const ModelDef *m, const char *name)
{
    for (guint i = 0; i < m->operations->len; i++) {
        OpDef *op = m->operations->pdata[i];
        if (g_str_equal(op->name, name))
            return op;
    }
    return NULL;
}

OpDef *modeldef_default_operation(const ModelDef *m)
{
    OpDef *only = NULL;
    guint n_public = 0;
    for (guint i = 0; i < m->operations->len; i++) {
        OpDef *op = m->operations->pdata[i];
        if (op->dflt)
            return op;
        if (op->name[0] != '_') {
            n_public++;
            only = op;
        }
    }
    return n_public == 1 ? only : NULL;
}

ResourceDef *modeldef_resource(const ModelDef *m, const char *name)
{
    for (guint i = 0; i < m->resources->len; i++) {
        ResourceDef *r = m->resources->pdata[i];
        if (g_strcmp0(r->name, name) == 0)
            return r;
    }
    return NULL;
}
