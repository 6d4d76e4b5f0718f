/* SPDX-License-Identifier: Apache-2.0 */
/* `requires` of an operation, out of guildfile data. See opdef.h. */
#include "engine/project/gfdata.h"
#include "engine/project/gfmodel.h"

static void dependency_free(gpointer p)
{
    OpDependencyDef *d = p;
    g_free(d->spec);
    g_free(d->description);
    resdef_free(d->inline_resource);
    g_free(d);
}

/* An inline resource: with `sources`, or itself one source. */
static ResourceDef *inline_resource(const Value *data, OpDef *op, GError **error)
{
    g_autoptr(Value) coerced = value_ref((Value *)data);
    if (!value_map_has(data, "sources")) {
        value_unref(coerced);
        coerced = value_new_map();
        value_set_line(coerced, value_line(data));
        Value *sources = value_new_list();
        value_list_append(sources, value_ref((Value *)data));
        value_map_set(coerced, "sources", sources);
    }
    g_autofree char *name = NULL;
    if (!gf_get_string(coerced, "name", op->guildfile->src, &name, error))
        return NULL;
    return gf_resource(name, coerced, op->modeldef, error);
}

gboolean opdef_add_dependency(OpDef *op, const Value *data, GError **error)
{
    const char *path = op->guildfile->src;
    OpDependencyDef *d = g_new0(OpDependencyDef, 1);
    gboolean ok = TRUE;
    if (value_is_string(data))
        d->spec = g_strdup(value_get_string(data));
    else if (!value_is_map(data)) {
        g_autofree char *repr = gf_repr(data);
        gf_error(error, path, data, "invalid dependency value %s: expected a string or mapping",
                repr);
        ok = FALSE;
    } else if (value_map_has(data, "resource")) {
        ok = gf_get_string(data, "resource", path, &d->spec, error) &&
             gf_get_string(data, "description", path, &d->description, error);
    } else {
        d->inline_resource = inline_resource(data, op, error);
        ok = d->inline_resource != NULL;
    }
    if (ok && !d->inline_resource && (!d->spec || !*d->spec)) {
        gf_error(error, path, data, "invalid dependency in operation '%s': empty resource name",
                op->name);
        ok = FALSE;
    }
    if (!ok) {
        dependency_free(d);
        return FALSE;
    }
    if (!d->description)
        d->description = g_strdup("");
    g_ptr_array_add(op->dependencies, d);
    return TRUE;
}

gboolean opdef_read_dependencies(OpDef *op, const Value *data, GError **error)
{
    op->dependencies = g_ptr_array_new_with_free_func(dependency_free);
    const Value *requires = value_map_get(data, "requires");
    if (!value_truthy(requires))
        return TRUE;
    if (!value_is_list(requires))
        return opdef_add_dependency(op, requires, error);
    for (gsize i = 0; i < value_list_size(requires); i++)
        if (!opdef_add_dependency(op, value_list_at(requires, i), error))
            return FALSE;
    return TRUE;
}
