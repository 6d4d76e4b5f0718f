/* SPDX-License-Identifier: Apache-2.0 */
/* Optimizers of an operation, out of guildfile data. See opdef.h. */
#include <string.h>

#include "engine/project/gfdata.h"
#include "engine/project/gfmodel.h"

static void optimizer_free(gpointer p)
{
    OptimizerDef *o = p;
    g_free(o->name);
    g_free(o->opspec);
    value_unref(o->flags);
    g_free(o);
}

static OptimizerDef *optimizer_new(
        const char *name, const Value *data, const char *path, GError **error)
{
    OptimizerDef *o = g_new0(OptimizerDef, 1);
    o->name = g_strdup(name);
    if (value_is_string(data))
        o->opspec = g_strdup(value_get_string(data));
    else if (value_is_map(data)) {
        if (!gf_get_string(data, "algorithm", path, &o->opspec, error)) {
            optimizer_free(o);
            return NULL;
        }
        o->dflt = gf_get_truthy(data, "default");
        o->flags = gf_shallow_copy(data);
        value_map_remove(o->flags, "algorithm");
        value_map_remove(o->flags, "default");
    } else if (!value_is_null(data)) {
        g_autofree char *repr = gf_repr(data);
        gf_error(error, path, data, "invalid optimizer config %s: expected list or mapping", repr);
        optimizer_free(o);
        return NULL;
    }
    if (!o->opspec || !*o->opspec) {
        g_free(o->opspec);
        o->opspec = g_strdup(name);
    }
    if (!o->flags)
        o->flags = value_new_map();
    return o;
}

static gboolean add_optimizer(
        OpDef *op, const char *name, const Value *data, const char *path, GError **error)
{
    OptimizerDef *o = optimizer_new(name, data, path, error);
    if (!o)
        return FALSE;
    g_ptr_array_add(op->optimizers, o);
    return TRUE;
}

static gint cmp_optimizers(gconstpointer a, gconstpointer b)
{
    return strcmp((*(OptimizerDef *const *)a)->name, (*(OptimizerDef *const *)b)->name);
}

static gboolean single_optimizer(OpDef *op, const Value *data, const char *path, GError **error)
{
    g_autofree char *name = NULL;
    if (value_is_map(data)) {
        if (!gf_get_string(data, "algorithm", path, &name, error))
            return FALSE;
        if (!name) {
            g_autofree char *repr = gf_repr(data);
            gf_error(error, path, data, "missing required 'algorithm' attribute in %s", repr);
            return FALSE;
        }
        return add_optimizer(op, name, data, path, error);
    }
    if (value_is_string(data))
        return add_optimizer(op, value_get_string(data), data, path, error);
    g_autofree char *repr = gf_repr(data);
    gf_error(error, path, data, "invalid optimizer config %s: expected list or mapping", repr);
    return FALSE;
}

gboolean opdef_read_optimizers(OpDef *op, const Value *data, const char *path, GError **error)
{
    op->optimizers = g_ptr_array_new_with_free_func(optimizer_free);
    if (value_map_has(data, "optimizer") && value_map_has(data, "optimizers")) {
        gf_error(error, path, data,
                "conflicting optimizer configuration in operation '%s' - cannot define both "
                "'optimizer' and 'optimizers'",
                op->name);
        return FALSE;
    }
    if (gf_get(data, "optimizer"))
        return single_optimizer(op, gf_get(data, "optimizer"), path, error);
    const Value *many = gf_get(data, "optimizers");
    if (!many)
        return TRUE;
    if (value_is_list(many)) {
        for (gsize i = 0; i < value_list_size(many); i++) {
            g_autofree char *name = value_str(value_list_at(many, i));
            if (!add_optimizer(op, name, NULL, path, error))
                return FALSE;
        }
    } else if (value_is_map(many)) {
        for (gsize i = 0; i < value_map_size(many); i++)
            if (!add_optimizer(op, value_map_key_at(many, i), value_map_at(many, i), path, error))
                return FALSE;
    } else {
        g_autofree char *repr = gf_repr(many);
        gf_error(error, path, many, "invalid optimizer config %s: expected list or mapping", repr);
        return FALSE;
    }
    g_ptr_array_sort(op->optimizers, cmp_optimizers);
    return TRUE;
}
