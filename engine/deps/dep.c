/* SPDX-License-Identifier: Apache-2.0 */
/* Dependencies as objects: found in an operation's `requires`, turned into data and back. */
#include "engine/deps/dep.h"

#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/deps/resolve.h"
#include "engine/project/guildfile.h"

#include <string.h>

G_DEFINE_QUARK(guild - dep - error, dep_error)

static const char name_chars[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-.";

void dep_free(Dep *dep)
{
    if (!dep)
        return;
    if (dep->keeper)
        opdef_unref(dep->keeper);
    else
        resdef_free(dep->resdef);
    g_free(dep->location);
    g_strfreev(dep->parents);
    value_unref(dep->config);
    g_free(dep);
}

static GPtrArray *deps_array_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)dep_free);
}

/* ---- flags ---- */

static void add_flag_names(const ResSource *source, GPtrArray *names)
{
    if (source->flag_name && *source->flag_name) {
        g_ptr_array_add(names, g_strdup(source->flag_name));
    } else if (source->name && *source->name) {
        g_ptr_array_add(names, g_strdup(source->name));
    } else if (source->uri && *source->uri) {
        g_ptr_array_add(names, g_strdup(source->uri));
        g_ptr_array_add(names, g_strdup(source->path ? source->path : ""));
    }
}

static char **take_strv(GPtrArray *strings)
{
    g_ptr_array_add(strings, NULL);
    return (char **)g_ptr_array_free(strings, FALSE);
}

char **dep_source_flag_names(const ResSource *source)
{
    GPtrArray *names = g_ptr_array_new();
    add_flag_names(source, names);
    return take_strv(names);
}

char **dep_flag_names(const ResourceDef *resdef)
{
    GPtrArray *names = g_ptr_array_new();
    for (guint i = 0; i < resdef->sources->len; i++)
        add_flag_names(resdef->sources->pdata[i], names);
    return take_strv(names);
}

static Value *config_for_flags(const ResourceDef *resdef, const Value *flag_vals)
{
    g_auto(GStrv) names = dep_flag_names(resdef);
    Value *config = NULL;
    for (guint i = 0; names[i]; i++) {
        Value *val = value_map_get(flag_vals, names[i]);
        if (!val)
            continue;
        if (!config)
            config = value_new_map();
        value_map_set(config, names[i], value_ref(val));
    }
    return config;
}

/* ---- what an entry of `requires` stands for ---- */

static gboolean is_name(const char *s, gsize len)
{
    return len > 0 && strspn(s, name_chars) >= len;
}

static gboolean undefined(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static gboolean undefined(GError **error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *msg = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error_literal(error, DEP_ERROR, DEP_ERROR_UNDEFINED, msg);
    return FALSE;
}

static ResourceDef *resource_of_model(
        ModelDef *model, const char *name, const OpDef *opdef, char **location, GError **error)
{
    ResourceDef *resdef = modeldef_resource(model, name);
    if (!resdef) {
        undefined(error, "resource '%s' required by operation '%s' is not defined", name,
                opdef->fullname);
        return NULL;
    }
    if (location)
        *location = g_strdup(model->guildfile->dir);
    return resdef;
}

static ResourceDef *resource_for_spec(
        const char *spec, const OpDef *opdef, char **location, GError **error)
{
    if (is_name(spec, strlen(spec)))
        return resource_of_model(opdef->modeldef, spec, opdef, location, error);
    gsize first = strcspn(spec, ":/");
    const char *rest = spec[first] ? spec + first + 1 : "";
    if (!is_name(spec, first) || !is_name(rest, strlen(rest))) {
        undefined(error, "invalid dependency '%s' in operation '%s'", spec, opdef->fullname);
        return NULL;
    }
    if (spec[first] == '/') { /* there are no installed packages of resources here */
        undefined(error, "resource '%s' required by operation '%s' is not installed", spec,
                opdef->fullname);
        return NULL;
    }
    g_autofree char *model_name = g_strndup(spec, first);
    ModelDef *model = guildfile_model(opdef->guildfile, model_name);
    if (!model) {
        undefined(error, "model '%s' in resource '%s' required by operation '%s' is not defined",
                model_name, spec, opdef->fullname);
        return NULL;
    }
    return resource_of_model(model, rest, opdef, location, error);
}

ResourceDef *dep_resource_def(const OpDef *opdef, const OpDependencyDef *depdef,
        const Value *flag_vals, char **location, GError **error)
{
    if (depdef->inline_resource) {
        if (location)
            *location = g_strdup(opdef->guildfile->dir);
        return depdef->inline_resource;
    }
    GError *ref_error = NULL;
    g_autoptr(Value) resolved = text_resolve_refs(depdef->spec, flag_vals, NULL, &ref_error);
    if (!resolved) {
        undefined(error, "invalid dependency '%s' in operation '%s': undefined reference '%s'",
                depdef->spec, opdef->fullname, ref_error->message);
        g_error_free(ref_error);
        return NULL;
    }
    g_autofree char *spec = value_str(resolved);
    return resource_for_spec(spec, opdef, location, error);
}

/* Folders of the guildfiles that the operation's model extends. */
static char **parent_dirs(const OpDef *opdef)
{
    GPtrArray *dirs = g_ptr_array_new();
    GPtrArray *parents = opdef->modeldef ? opdef->modeldef->parents : NULL;
    for (guint i = 0; parents && i < parents->len; i++) {
        const Guildfile *parent = parents->pdata[i];
        if (parent->dir)
            g_ptr_array_add(dirs, g_strdup(parent->dir));
    }
    return take_strv(dirs);
}

GPtrArray *deps_for_opdef(OpDef *opdef, const Value *flag_vals, GError **error)
{
    g_autoptr(GPtrArray) deps = deps_array_new();
    for (guint i = 0; opdef->dependencies && i < opdef->dependencies->len; i++) {
        char *location = NULL;
        ResourceDef *resdef =
                dep_resource_def(opdef, opdef->dependencies->pdata[i], flag_vals, &location, error);
        if (!resdef)
            return NULL;
        Dep *dep = g_new0(Dep, 1);
        dep->resdef = resdef;
        dep->keeper = opdef_ref(opdef);
        dep->location = location ? location : g_strdup(".");
        dep->parents = parent_dirs(opdef);
        dep->config = config_for_flags(resdef, flag_vals);
        g_ptr_array_add(deps, dep);
    }
    return g_steal_pointer(&deps);
}

Dep *dep_for_path(const char *path, GError **error)
{
    g_autoptr(Value) source = value_new_map();
    value_map_set_string(source, "file", path);
    Value *sources = value_new_list();
    value_list_append(sources, value_ref(source));
    g_autoptr(Value) data = value_new_map();
    value_map_set(data, "sources", sources);
    value_map_set_string(data, "target-type", "link");
    ResourceDef *resdef = resdef_new(path, data, "", error);
    if (!resdef)
        return NULL;
    Dep *dep = g_new0(Dep, 1);
    dep->resdef = resdef;
    dep->location = g_strdup(".");
    return dep;
}

/* ---- data ---- */

Value *deps_as_data(const GPtrArray *deps)
{
    Value *list = value_new_list();
    for (guint i = 0; deps && i < deps->len; i++) {
        const Dep *dep = deps->pdata[i];
        g_autofree char *name = resdef_resolving_name(dep->resdef);
        Value *data = value_copy(dep->resdef->data);
        value_map_set_string(data, "name", name);
        if (dep->location)
            value_map_set_string(data, "location", dep->location);
        if (dep->config && value_map_size(dep->config))
            value_map_set(data, "config", value_copy(dep->config));
        value_list_append(list, data);
    }
    return list;
}

static Dep *dep_for_data(const Value *data, GError **error)
{
    if (!value_is_map(data)) {
        undefined(error, "a dependency of the run is no mapping");
        return NULL;
    }
    ResourceDef *resdef = resdef_new(value_map_string(data, "name", NULL), data, "", error);
    if (!resdef)
        return NULL;
    Dep *dep = g_new0(Dep, 1);
    dep->resdef = resdef;
    dep->location = g_strdup(value_map_string(data, "location", "."));
    Value *config = value_map_get(data, "config");
    dep->config = value_is_map(config) ? value_ref(config) : NULL;
    return dep;
}

GPtrArray *deps_for_data(const Value *data, GError **error)
{
    g_autoptr(GPtrArray) deps = deps_array_new();
    for (gsize i = 0; value_is_list(data) && i < value_list_size(data); i++) {
        Dep *dep = dep_for_data(value_list_at(data, i), error);
        if (!dep)
            return NULL;
        g_ptr_array_add(deps, dep);
    }
    return g_steal_pointer(&deps);
}

/* ---- upstream runs before the run ---- */

static void dep_run_free(gpointer p)
{
    DepRun *r = p;
    run_unref(r->run);
    g_free(r);
}

/* Run ids (or beginnings of ids) that flags give for a resource. */
static GPtrArray *run_id_candidates(const ResourceDef *resdef, const Value *flag_vals)
{
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) names = dep_flag_names(resdef);
    for (guint i = 0; names[i]; i++) {
        Value *val = value_map_get(flag_vals, names[i]);
        if (!value_truthy(val))
            continue;
        if (!value_is_list(val))
            g_ptr_array_add(ids, value_str(val));
        for (gsize j = 0; value_is_list(val) && j < value_list_size(val); j++)
            g_ptr_array_add(ids, value_str(value_list_at(val, j)));
    }
    return ids;
}

static void add_default_runs(
        ResSource *source, const GPtrArray *ids, RunStore *store, GPtrArray *found)
{
    guint before = found->len;
    for (guint i = 0; i < MAX(ids->len, 1); i++) {
        Run *run = deps_find_run(source, ids->len ? ids->pdata[i] : NULL, TRUE, store, NULL);
        if (!run)
            continue;
        DepRun *r = g_new0(DepRun, 1);
        r->run = run;
        r->source = source;
        g_ptr_array_add(found, r);
    }
    if (found->len == before && !source->optional)
        log_warning("cannot find a suitable run for required resource '%s'",
                ressource_resolving_name(source));
}

GPtrArray *deps_default_runs(OpDef *opdef, const Value *flag_vals, RunStore *store)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(dep_run_free);
    g_autoptr(GPtrArray) resdefs = g_ptr_array_new();
    for (guint i = 0; opdef->dependencies && i < opdef->dependencies->len; i++) {
        g_autoptr(GError) error = NULL;
        ResourceDef *resdef =
                dep_resource_def(opdef, opdef->dependencies->pdata[i], flag_vals, NULL, &error);
        if (!resdef) {
            log_debug("cannot look for upstream runs: %s", error->message);
            return found;
        }
        g_ptr_array_add(resdefs, resdef);
    }
    for (guint i = 0; i < resdefs->len; i++) {
        const ResourceDef *resdef = resdefs->pdata[i];
        g_autoptr(GPtrArray) ids = run_id_candidates(resdef, flag_vals);
        for (guint j = 0; j < resdef->sources->len; j++)
            if (ressource_is_operation(resdef->sources->pdata[j]))
                add_default_runs(resdef->sources->pdata[j], ids, store, found);
    }
    return found;
}
