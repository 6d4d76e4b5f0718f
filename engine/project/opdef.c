/* SPDX-License-Identifier: Apache-2.0 */
/* Operation definitions out of guildfile data. See opdef.h. */
#include "engine/project/opdef.h"

#include <string.h>

#include "engine/base/fs.h"
#include "engine/project/gfdata.h"
#include "engine/project/gfinclude.h"
#include "engine/project/gfmodel.h"

/* ---- steps ---- */

/* A step's `flags` hold values; `$include` in them brings definitions, of which the default counts.
 */
static Value *step_with_flags(const Value *step, GPtrArray *search, GError **error)
{
    if (!value_is_map(step))
        return value_ref((Value *)step);
    g_autoptr(Value) flags = gf_resolve_includes(step, "flags", search, error);
    if (!flags)
        return NULL;
    Value *out = gf_shallow_copy(step);
    if (!value_map_size(flags))
        return out;
    Value *vals = value_new_map();
    for (gsize i = 0; i < value_map_size(flags); i++) {
        Value *v = value_map_at(flags, i);
        if (value_is_map(v))
            v = value_map_get(v, "default");
        value_map_set(vals, value_map_key_at(flags, i), v ? value_ref(v) : value_new_null());
    }
    value_map_set(out, "flags", vals);
    return out;
}

static gboolean read_steps(OpDef *op, const Value *data, GPtrArray *search, GError **error)
{
    const Value *steps = value_map_get(data, "steps");
    if (!value_truthy(steps))
        return TRUE;
    if (!value_is_list(steps)) {
        g_autofree char *repr = gf_repr(steps);
        gf_error(error, op->guildfile->src, steps, "invalid steps data %s: expected a list", repr);
        return FALSE;
    }
    op->steps = value_new_list();
    for (gsize i = 0; i < value_list_size(steps); i++) {
        Value *step = step_with_flags(value_list_at(steps, i), search, error);
        if (!step)
            return FALSE;
        value_list_append(op->steps, step);
    }
    return TRUE;
}

/* ---- the operation ---- */

static gint cmp_flags(gconstpointer a, gconstpointer b)
{
    return strcmp((*(FlagDef *const *)a)->name, (*(FlagDef *const *)b)->name);
}

static gboolean read_flags(OpDef *op, const Value *data, GPtrArray *search, GError **error)
{
    const char *path = op->guildfile->src;
    op->flags = g_ptr_array_new_with_free_func((GDestroyNotify)flagdef_free);
    g_autoptr(Value) flags = gf_resolve_includes(data, "flags", search, error);
    if (!flags)
        return FALSE;
    for (gsize i = 0; i < value_map_size(flags); i++) {
        const char *name = value_map_key_at(flags, i);
        FlagDef *f = flagdef_new(name, value_map_at(flags, i), path, error);
        if (!f)
            return FALSE;
        g_ptr_array_add(op->flags, f);
    }
    g_ptr_array_sort(op->flags, cmp_flags);
    return TRUE;
}

/* Keeps the first reason. */
static void make_invalid(OpDef *op, GError *why)
{
    if (!op->invalid)
        op->invalid = g_strdup(why->message);
}

/* `no` for a text means that there is none. */
static gboolean says_no(const Value *data, const char *name)
{
    const Value *v = value_map_get(data, name);
    return v && !value_is_string(v) && !value_truthy(v);
}

static void read_command(OpDef *op, const char *name, char **field)
{
    g_autoptr(GError) error = NULL;
    if (!says_no(op->data, name) &&
            !gf_get_string(op->data, name, op->guildfile->src, field, &error))
        make_invalid(op, error);
}

static gboolean read_texts(OpDef *op, const Value *data, const char *path, GError **error)
{
    const struct {
        const char *name;
        char **field;
    } texts[] = {
            {"flags-dest", &op->flags_dest},
            {"description", &op->description},
            {"label", &op->label},
            {"flag-encoder", &op->flag_encoder},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        if (!says_no(data, texts[i].name) &&
                !gf_get_string(data, texts[i].name, path, texts[i].field, error))
            return FALSE;
    read_command(op, "exec", &op->exec);
    read_command(op, "main", &op->main);
    op->description = op->description ? g_strstrip(op->description) : g_strdup("");
    if (op->main && !*op->main)
        g_clear_pointer(&op->main, g_free);
    if (!op->main && value_map_has(data, "notebook")) {
        g_autofree char *notebook = value_str(value_map_get(data, "notebook"));
        op->main = g_strdup_printf(OPDEF_NOTEBOOK_MAIN " %s", notebook);
    }
    if (!op->main && g_str_has_suffix(op->name, ".ipynb"))
        op->main = g_strdup_printf(OPDEF_NOTEBOOK_MAIN " %s", op->name);
    return TRUE;
}

static void read_values(OpDef *op, const Value *data)
{
    const struct {
        const char *name;
        Value **field;
    } values[] = {
            {"flags-import", &op->flags_import},
            {"flags-import-skip", &op->flags_import_skip},
            {"python-requires", &op->python_requires},
            {"env-secrets", &op->env_secrets},
            {"compare", &op->compare},
            {"output-scalars", &op->output_scalars},
            {"output-attrs", &op->output_attrs},
            {"objective", &op->objective},
            {"pip-freeze", &op->pip_freeze},
            {"request", &op->request},
            {"sync", &op->sync},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(values); i++)
        *values[i].field = value_ref(gf_get(data, values[i].name));
    op->dflt = gf_get_truthy(data, "default");
    op->stoppable = gf_get_truthy(data, "stoppable");
    op->handle_keyboard_interrupt = gf_get_truthy(data, "handle-keyboard-interrupt");
    op->default_flag_arg_skip = gf_get_truthy(data, "default-flag-arg-skip");
    op->delete_on_success = gf_get_truthy(data, "delete-on-success");
    op->can_stage_trials = gf_get_truthy(data, "can-stage-trials");
}

static gboolean read_max_trials(OpDef *op, const Value *data, const char *path, GError **error)
{
    const Value *v = gf_get(data, "default-max-trials");
    if (!v)
        return TRUE;
    if (value_kind(v) != VALUE_INT || value_get_int(v) < 0) {
        g_autofree char *repr = gf_repr(v);
        gf_error(error, path, v, "invalid default-max-trials value %s: expected a number", repr);
        return FALSE;
    }
    op->default_max_trials = value_get_int(v);
    return TRUE;
}

/* A list of flag names, or one name. */
static gboolean check_names(const Value *v, const char *name, const char *path, GError **error)
{
    if (!v || value_is_list(v) || value_is_string(v) || value_kind(v) == VALUE_BOOL)
        return TRUE;
    g_autofree char *repr = gf_repr(v);
    gf_error(error, path, v, "invalid %s value %s: expected a list of flag names", name, repr);
    return FALSE;
}

static gboolean read_containers(OpDef *op, const Value *data, const char *path, GError **error)
{
    gboolean ok;
    g_autoptr(GError) env_error = NULL;
    Value *env = gf_get_map(data, "env", path, &ok, &env_error);
    if (!ok)
        make_invalid(op, env_error);
    op->env = env ? value_ref(env) : value_new_map();
    op->run_attrs = value_ref(gf_get_map(data, "run-attrs", path, &ok, error));
    if (!ok)
        return FALSE;
    op->tags = gf_strv(value_map_get(data, "tags"), "tags", path, error);
    if (!op->tags || !gf_plugins(value_map_get(data, "plugins"), path, &op->plugins, error))
        return FALSE;
    const Value *python_path = gf_get(data, "python-path");
    if (python_path) {
        op->python_path = gf_strv(python_path, "python-path", path, error);
        if (!op->python_path)
            return FALSE;
    }
    op->sourcecode = file_select_new(value_map_get(data, "sourcecode"), path, error);
    return op->sourcecode != NULL;
}

/* `operation-defaults` of the model, for what the operation doesn't say. */
static Value *with_defaults(const Value *data, const Value *defaults)
{
    Value *out = gf_shallow_copy(data);
    for (gsize i = 0; value_is_map(defaults) && i < value_map_size(defaults); i++) {
        const char *name = value_map_key_at(defaults, i);
        if (!value_map_has(out, name))
            value_map_set(out, name, value_ref(value_map_at(defaults, i)));
    }
    return out;
}

OpDef *opdef_new(const char *name, const Value *data, ModelDef *model, const Value *defaults,
        GPtrArray *search, GError **error)
{
    Guildfile *g = model->guildfile;
    const char *path = g->src;
    if (!value_is_map(data)) {
        g_autofree char *repr = gf_repr(data);
        gf_error(error, path, data, "invalid operation def %s: expected a mapping", repr);
        return NULL;
    }
    OpDef *op = g_new0(OpDef, 1);
    op->name = g_strdup(name);
    op->fullname = *model->name ? g_strdup_printf("%s:%s", model->name, name) : g_strdup(name);
    op->modeldef = model;
    op->guildfile = g;
    op->data = with_defaults(data, defaults);
    data = op->data;
    read_values(op, data);
    if (read_flags(op, data, search, error) && read_texts(op, data, path, error) &&
            check_names(op->flags_import, "flags-import", path, error) &&
            check_names(op->flags_import_skip, "flags-import-skip", path, error) &&
            read_max_trials(op, data, path, error) && read_containers(op, data, path, error) &&
            read_steps(op, data, search, error) && opdef_read_dependencies(op, data, error) &&
            opdef_read_optimizers(op, data, path, error))
        return op;
    opdef_free(op);
    return NULL;
}

void opdef_free(OpDef *op)
{
    if (!op)
        return;
    char **texts[] = {&op->name, &op->fullname, &op->description, &op->flags_dest, &op->exec,
            &op->main, &op->invalid, &op->label, &op->flag_encoder};
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(*texts[i]);
    Value *values[] = {op->data, op->flags_import, op->flags_import_skip, op->steps,
            op->python_requires, op->env, op->env_secrets, op->compare, op->output_scalars,
            op->output_attrs, op->objective, op->pip_freeze, op->run_attrs, op->request, op->sync};
    for (gsize i = 0; i < G_N_ELEMENTS(values); i++)
        value_unref(values[i]);
    char **lists[] = {op->python_path, op->plugins, op->tags};
    for (gsize i = 0; i < G_N_ELEMENTS(lists); i++)
        g_strfreev(lists[i]);
    GPtrArray *arrays[] = {op->flags, op->dependencies, op->optimizers};
    for (gsize i = 0; i < G_N_ELEMENTS(arrays); i++)
        if (arrays[i])
            g_ptr_array_unref(arrays[i]);
    opref_free(op->opref);
    file_select_free(op->sourcecode);
    g_free(op);
}

OpDef *opdef_ref(OpDef *op)
{
    guildfile_ref(op->guildfile);
    return op;
}

void opdef_unref(OpDef *op)
{
    if (op)
        guildfile_unref(op->guildfile);
}

FlagDef *opdef_flag(const OpDef *op, const char *name)
{
    return flagdefs_find(op->flags, name);
}

OptimizerDef *opdef_optimizer(const OpDef *op, const char *name)
{
    for (guint i = 0; i < op->optimizers->len; i++) {
        OptimizerDef *o = op->optimizers->pdata[i];
        if (g_str_equal(o->name, name))
            return o;
    }
    return NULL;
}

OptimizerDef *opdef_default_optimizer(const OpDef *op)
{
    if (op->optimizers->len == 1)
        return op->optimizers->pdata[0];
    for (guint i = 0; i < op->optimizers->len; i++) {
        OptimizerDef *o = op->optimizers->pdata[i];
        if (o->dflt)
            return o;
    }
    return NULL;
}

Value *opdef_flag_values(const OpDef *op)
{
    Value *vals = value_new_map();
    for (guint i = 0; i < op->flags->len; i++) {
        const FlagDef *f = op->flags->pdata[i];
        value_map_set(vals, f->name, f->dflt ? value_ref(f->dflt) : value_new_null());
    }
    return vals;
}

/* The flag that an imported one of that name belongs to: by name, else by its argument's name. */
static FlagDef *mergeable(const OpDef *op, const char *name)
{
    FlagDef *f = opdef_flag(op, name);
    for (guint i = 0; !f && i < op->flags->len; i++) {
        FlagDef *other = op->flags->pdata[i];
        if (g_strcmp0(other->arg_name, name) == 0)
            f = other;
    }
    return f;
}

void opdef_merge_flags(OpDef *op, GPtrArray *imported)
{
    g_autoptr(GPtrArray) fresh = g_ptr_array_new();
    for (guint i = 0; i < imported->len; i++) {
        const FlagDef *src = imported->pdata[i];
        FlagDef *mine = mergeable(op, src->name);
        if (mine)
            flagdef_merge(mine, src);
        else
            g_ptr_array_add(fresh, flagdef_copy(src));
    }
    for (guint i = 0; i < fresh->len; i++)
        g_ptr_array_add(op->flags, fresh->pdata[i]);
    g_ptr_array_sort(op->flags, cmp_flags);
}

char **opdef_model_paths(const OpDef *op)
{
    GPtrArray *paths = g_ptr_array_new();
    const char *dir = op->guildfile->dir;
    if (dir && op->python_path) {
        for (char **p = op->python_path; *p; p++)
            g_ptr_array_add(paths, fs_join(dir, *p));
    } else if (dir && op->sourcecode->root && *op->sourcecode->root)
        g_ptr_array_add(paths, fs_join(dir, op->sourcecode->root));
    else if (dir)
        g_ptr_array_add(paths, g_strdup(dir));
    for (guint i = 0; i < op->modeldef->parents->len; i++)
        g_ptr_array_add(paths, g_strdup(((Guildfile *)op->modeldef->parents->pdata[i])->dir));
    g_ptr_array_add(paths, NULL);
    return (char **)g_ptr_array_free(paths, FALSE);
}
