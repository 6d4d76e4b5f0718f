/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of dependencies. See resflags.h. */
#include "engine/project/resflags.h"

#include <string.h>

#include "engine/base/log.h"

/* The resource that a spec "NAME" or "MODEL:NAME" names; NULL if there is none. */
static ResourceDef *find_resource(const OpDef *op, const char *spec)
{
    const char *colon = strchr(spec, ':');
    if (!colon)
        return modeldef_resource(op->modeldef, spec);
    g_autofree char *model = g_strndup(spec, colon - spec);
    const ModelDef *m = guildfile_model(op->guildfile, model);
    return m ? modeldef_resource(m, colon + 1) : NULL;
}

static FlagDef *source_flag(const ResSource *s)
{
    g_autoptr(Value) data = value_new_map();
    const char *name = s->flag_name;
    if (g_str_equal(s->scheme, "file")) {
        if (!name || !*name)
            return NULL;
        value_map_set_string(data, "default", s->path);
    } else if (g_str_equal(s->scheme, "operation") && !s->no_flag) {
        if (!name || !*name)
            name = s->name;
        if (!name || !*name) {
            name = s->uri;
            value_map_set_string(data, "alias", s->path);
        }
    } else
        return NULL;
    value_map_set(data, "arg-skip", value_new_bool(TRUE));
    value_map_set_string(data, "type", "string");
    FlagDef *f = flagdef_new(name, data, NULL, NULL);
    value_map_set_string(f->extra, "name", name);
    return f;
}

/* A flag of that name in guild.yml keeps what it says, except for a type that can't be. */
static void complete_existing(
        FlagDef *mine, const FlagDef *src, const OpDef *op, const ResSource *s)
{
    if (!mine->arg_skip)
        mine->arg_skip = value_ref(src->arg_skip);
    if (!mine->dflt)
        mine->dflt = value_ref(src->dflt);
    static const char *const file_types[] = {"string", "path", "existing-path", NULL};
    static const char *const op_types[] = {"string", NULL};
    const char *const *allowed = g_str_equal(s->scheme, "file") ? file_types : op_types;
    if (!mine->type || !*mine->type || g_strv_contains(allowed, mine->type))
        return;
    log_warning("flag '%s' for operation %s is configured with type '%s' - this value cannot be "
                "used because it conflicts with the dependency '%s' - ignoring configured value",
            src->name, op->name, mine->type, ressource_resolving_name(s));
    g_free(mine->type);
    mine->type = g_strdup(src->type);
}

static void apply_source(OpDef *op, const ResSource *s)
{
    g_autoptr(FlagDef) f = source_flag(s);
    if (!f)
        return;
    FlagDef *mine = opdef_flag(op, f->name);
    if (mine)
        complete_existing(mine, f, op, s);
    else
        g_ptr_array_add(op->flags, g_steal_pointer(&f));
}

void resflags_apply(OpDef *op)
{
    for (guint i = 0; i < op->dependencies->len; i++) {
        const OpDependencyDef *d = op->dependencies->pdata[i];
        const ResourceDef *r = d->inline_resource;
        if (!r && strstr(d->spec, "${"))
            continue; /* known only when flags are */
        if (!r)
            r = find_resource(op, d->spec);
        if (!r) {
            log_warning("cannot find resource definition for dependency %s", d->spec);
            continue;
        }
        for (guint j = 0; j < r->sources->len; j++)
            apply_source(op, r->sources->pdata[j]);
    }
}
