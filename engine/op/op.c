/* SPDX-License-Identifier: Apache-2.0 */
/* From a definition or a run, and the user's options, to an operation; see op.h. The steps and
 * their order are those of the reference's run_impl._state_init_user_op. How it becomes a run
 * directory is in oprun.c. */
#include "engine/op/op.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/base/text.h"
#include "engine/deps/dep.h"
#include "engine/op/flags.h"
#include "engine/op/label.h"
#include "engine/op/op_internal.h"
#include "engine/op/python_find.h"
#include "engine/project/guildfile.h"
#include "engine/project/home.h"
#include "engine/project/plugins.h"
#include "engine/project/python_exe.h"

G_DEFINE_QUARK(guild - op - error, op_error)

void op_free(Op *op)
{
    if (!op)
        return;
    opref_free(op->opref);
    g_clear_pointer(&op->opdef, opdef_unref);
    g_clear_pointer(&op->run, run_unref);
    g_free(op->home);
    Value *values[] = {op->user_flag_vals, op->flag_vals, op->flag_null_labels, op->flags_extra,
            op->batch_trials, op->op_cmd_run_attrs, op->cmd_env, op->private_env,
            op->python_requires, op->tags, op->output_scalars, op->output_attrs, op->run_attrs};
    for (gsize i = 0; i < G_N_ELEMENTS(values); i++)
        value_unref(values[i]);
    op_cmd_free(op->op_cmd);
    g_strfreev(op->cmd_args);
    g_strfreev(op->plugins);
    g_strfreev(op->sourcecode_paths);
    char *texts[] = {op->run_dir, op->sourcecode_root, op->sourcecode_dest, op->label_template,
            op->label, op->comment, op->objective};
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    g_clear_pointer(&op->deps, g_ptr_array_unref);
    g_free(op);
}

static Op *op_new(const OpRequest *req)
{
    Op *op = g_new0(Op, 1);
    op->home = g_strdup(req->home ? req->home : home_current());
    op->user_flag_vals = value_new_map();
    op->flag_vals = value_new_map();
    op->flag_null_labels = value_new_map();
    op->op_cmd_run_attrs = value_new_map();
    op->cmd_env = value_new_map();
    op->tags = value_new_list();
    op->run_attrs = value_new_map();
    op->deps = g_ptr_array_new_with_free_func((GDestroyNotify)dep_free);
    op->force_sourcecode = req->force_sourcecode;
    return op;
}

static void replace(Value **slot, Value *v)
{
    value_unref(*slot);
    *slot = v;
}

/* User flags. */

static gboolean init_user_flags(Op *op, const OpRequest *req, GError **error)
{
    Value *flags = flags_parse_assigns(req->flags, op->opdef, error);
    if (!flags)
        return FALSE;
    replace(&op->user_flag_vals, flags);
    if (!req->batch_trials)
        return TRUE;
    if (value_list_size(req->batch_trials) != 1) {
        op->batch_trials = value_ref(req->batch_trials);
        return TRUE;
    }
    const Value *trial = value_list_at(req->batch_trials, 0);
    for (gsize i = 0; i < value_map_size(trial); i++)
        if (!value_map_has(flags, value_map_key_at(trial, i)))
            value_map_set(flags, value_map_key_at(trial, i), value_ref(value_map_at(trial, i)));
    return TRUE;
}

static void init_plugins(Op *op)
{
    op->plugins = plugins_for_opdef(op->opdef);
    value_map_set(op->run_attrs, "plugins", value_new_strv((const char *const *)op->plugins));
}

/* Configuration: label, tags, what is kept in attribute `op`. */

static char *label_template_for(const OpRequest *req)
{
    if (req->label)
        return g_strdup(req->label);
    if (!req->tags || !req->tags[0])
        return NULL;
    g_autofree char *tags = g_strjoinv(" ", (char **)req->tags);
    return g_strconcat(tags, " ${default_label}", NULL);
}

static void add_tags(Value *list, const char *const *tags)
{
    for (; tags && *tags; tags++)
        value_list_append(list, value_new_string(*tags));
}

static void init_config_for_opdef(Op *op, const OpRequest *req)
{
    const OpDef *d = op->opdef;
    const ModelDef *m = d->modeldef;
    Value *extra = value_new_map();
    for (guint i = 0; i < d->flags->len; i++) {
        const FlagDef *f = g_ptr_array_index(d->flags, i);
        if (f->null_label)
            value_map_set_string(op->flag_null_labels, f->name, f->null_label);
        if (value_truthy(f->extra))
            value_map_set(extra, f->name, value_ref(f->extra));
    }
    op->flags_extra = extra;
    Value *requires = value_truthy(d->python_requires) ? d->python_requires
                      : m                              ? m->python_requires
                                                       : NULL;
    op->python_requires = value_ref(requires);
    op->label_template = label_template_for(req);
    if (!op->label_template)
        op->label_template = g_strdup(d->label);
    op->output_scalars = value_ref(d->output_scalars);
    op->output_attrs = value_ref(d->output_attrs);
    const FileSelectDef *own = d->sourcecode, *model = m ? m->sourcecode : NULL;
    const char *dest = own && own->dest ? own->dest : model ? model->dest : NULL;
    const char *root = own && own->root ? own->root : model ? model->root : NULL;
    op->sourcecode_dest = g_strdup(dest ? dest : ".");
    op->sourcecode_root = g_strdup(root);
    add_tags(op->tags, req->tags);
    add_tags(op->tags, (const char *const *)d->tags);
    op->comment = g_strdup(req->comment);
    op->delete_on_success = d->delete_on_success && !req->keep_run;
}

static Value *data_ref(const Value *data, const char *key)
{
    Value *v = value_map_get(data, key);
    return value_is_null(v) ? NULL : value_ref(v);
}

static gboolean bad_config(Op *op, GError **error)
{
    g_set_error(error, OP_ERROR, OP_ERROR_CONFIG,
            "cannot restart run in %s: invalid op configuration\n"
            "This may be an internal error. Please open an issue "
            "https://github.com/guildai/guildai/issues.",
            run_dir(op->run));
    return FALSE;
}

static gboolean apply_config_data(Op *op, const Value *data, GError **error)
{
    g_autoptr(GError) err = NULL;
    op->op_cmd = op_cmd_for_data(value_map_get(data, "op-cmd"), &err);
    if (!op->op_cmd)
        return bad_config(op, error);
    Value *labels = value_map_get(data, "flag-null-labels");
    if (value_is_map(labels))
        replace(&op->flag_null_labels, value_ref(labels));
    op->python_requires = data_ref(data, "python-requires");
    op->label_template = g_strdup(value_map_string(data, "label-template", NULL));
    op->output_scalars = data_ref(data, "output-scalars");
    op->output_attrs = data_ref(data, "output-attrs");
    const Value *sourcecode = value_map_get(data, "sourcecode");
    op->sourcecode_root = g_strdup(value_map_string(sourcecode, "root", NULL));
    op->sourcecode_dest = g_strdup(value_map_string(
            sourcecode, "dest", value_map_string(data, "sourcecode-root", NULL))); /* before 0.9 */
    op->flags_extra = data_ref(data, "flags-extra");
    GPtrArray *deps = deps_for_data(value_map_get(data, "deps"), &err);
    if (!deps)
        return bad_config(op, error);
    g_ptr_array_unref(op->deps);
    op->deps = deps;
    return TRUE;
}

static gboolean init_config_for_run(Op *op, const OpRequest *req, GError **error)
{
    g_autoptr(Value) data = run_get_attr(op->run, "op", NULL);
    if (!value_truthy(data)) {
        g_set_error(error, OP_ERROR, OP_ERROR_CONFIG,
                "cannot restart run in %s: missing op configuration\n"
                "The run may not have been initialized correctly. Try starting "
                "the operation without the --start/--restart flag.",
                run_dir(op->run));
        return FALSE;
    }
    if (!value_is_map(data) || !value_truthy(value_map_get(data, "op-cmd")))
        return bad_config(op, error);
    if (!apply_config_data(op, data, error))
        return FALSE;
    char *label = label_template_for(req);
    if (label) {
        g_free(op->label_template);
        op->label_template = label;
    }
    add_tags(op->tags, req->tags);
    if (req->comment && *req->comment)
        op->comment = g_strdup(req->comment);
    op->delete_on_success =
            value_truthy(value_map_get(data, "delete-on-success")) && !req->keep_run;
    return TRUE;
}

static void init_sourcecode_paths(Op *op, const OpRequest *req)
{
    if (!req->debug_sourcecode) {
        op->sourcecode_paths = g_new0(char *, 2);
        op->sourcecode_paths[0] = g_strdup(op->sourcecode_dest);
        return;
    }
    op->sourcecode_paths = g_strsplit(req->debug_sourcecode, ":", -1);
    for (char **p = op->sourcecode_paths; *p; p++) {
        char *abs = fs_abspath(*p, req->cwd);
        g_free(*p);
        *p = abs;
    }
}

/* Flag values. */

/* A run id that a dependency would be resolved with, where the user gave no flag or a part of it.
 */
static void apply_dep_run(const char *id, const char *flag, Value *flags)
{
    Value *val = value_map_get(flags, flag);
    if (value_is_null(val)) {
        value_map_set_string(flags, flag, id);
    } else if (value_is_list(val)) {
        Value *list = value_new_list();
        gboolean done = FALSE;
        for (gsize i = 0; i < value_list_size(val); i++) {
            Value *item = value_list_at(val, i);
            g_autofree char *text = value_str(item);
            gboolean hit = !done && g_str_has_prefix(id, text);
            value_list_append(list, hit ? value_new_string(id) : value_ref(item));
            done = done || hit;
        }
        value_map_set(flags, flag, list);
    } else {
        g_autofree char *text = value_str(val);
        if (g_str_has_prefix(id, text))
            value_map_set_string(flags, flag, id);
    }
}

static const char *dep_flag_name(const OpDef *opdef, const ResSource *source)
{
    g_auto(GStrv) names = dep_source_flag_names(source);
    for (char **n = names; *n; n++) {
        const FlagDef *f = opdef_flag(opdef, *n);
        if (f)
            return f->name;
    }
    return source->flag_name ? source->flag_name : source->name ? source->name : source->uri;
}

static gboolean apply_default_dep_runs(Op *op, Value *flags, GError **error)
{
    if (!op->opdef->dependencies || !op->opdef->dependencies->len)
        return TRUE;
    g_autoptr(RunStore) store = run_store_open(op->home, error);
    if (!store)
        return FALSE;
    g_autoptr(GPtrArray) runs = deps_default_runs(op->opdef, flags, store);
    for (guint i = 0; i < runs->len; i++) {
        const DepRun *d = g_ptr_array_index(runs, i);
        apply_dep_run(run_id(d->run), dep_flag_name(op->opdef, d->source), flags);
    }
    return TRUE;
}

/* Defaults of the definition fill gaps only; what the user gave replaces what is there. */
static gboolean apply_opdef_flags(Op *op, const OpRequest *req, GError **error)
{
    gboolean force = req->force_flags || op->batch_trials;
    g_autoptr(Value) flags = flags_for_opdef(op->opdef, op->user_flag_vals, force, error);
    if (!flags || !apply_default_dep_runs(op, flags, error))
        return FALSE;
    const Value *trials = req->force_flags ? NULL : op->batch_trials;
    for (gsize i = 0; trials && i < value_list_size(trials); i++)
        if (!flags_check_trial(op->opdef, value_list_at(trials, i), error))
            return FALSE;
    g_autoptr(Value) user = value_new_map();
    value_map_update(user, op->user_flag_vals);
    flags_normalize_aliases(op->opdef, user, TRUE, NULL);
    for (gsize i = 0; i < value_map_size(flags); i++) {
        const char *name = value_map_key_at(flags, i);
        if (value_map_has(user, name) || !value_map_has(op->flag_vals, name))
            value_map_set(op->flag_vals, name, value_ref(value_map_at(flags, i)));
    }
    return TRUE;
}

static gboolean init_flags(Op *op, const OpRequest *req, GError **error)
{
    if (req->preset_flags)
        value_map_update(op->flag_vals, req->preset_flags);
    if (op->run) {
        g_autoptr(Value) flags = run_get_attr(op->run, "flags", error);
        if (!flags && error && *error)
            return FALSE;
        if (value_is_map(flags))
            value_map_update(op->flag_vals, flags);
    }
    if (op->opdef && !apply_opdef_flags(op, req, error))
        return FALSE;
    if (!req->edit_flags || !value_map_size(op->flag_vals))
        return TRUE;
    Value *edited = req->edit_flags(op->flag_vals, op->opdef, req->edit_data, error);
    if (!edited)
        return FALSE;
    replace(&op->flag_vals, edited);
    return TRUE;
}

/* Command. */

static void apply_gpu_env(const OpRequest *req, Value *env)
{
    if (req->no_gpus)
        value_map_set_string(env, "CUDA_VISIBLE_DEVICES", "");
    else if (req->gpus)
        value_map_set_string(env, "CUDA_VISIBLE_DEVICES", req->gpus);
}

static char *python_path(const Op *op, const char *prefix)
{
    g_autofree char *first = g_strjoinv(":", op->sourcecode_paths);
    g_autofree char *path = python_path_env(first);
    return prefix && *prefix ? g_strconcat(prefix, ":", path, NULL) : g_steal_pointer(&path);
}

static gboolean init_op_cmd(Op *op, const OpRequest *req, GError **error)
{
    g_autoptr(Value) extra = value_new_map();
    g_autofree char *plugins = g_strjoinv(",", op->plugins);
    value_map_set_string(extra, "GUILD_PLUGINS", plugins);
    g_clear_pointer(&op->op_cmd, op_cmd_free);
    g_autoptr(Value) attrs = NULL;
    op->op_cmd = op_cmd_for_opdef(op->opdef, extra, &attrs, error);
    if (!op->op_cmd)
        return FALSE;
    if (attrs)
        value_map_update(op->op_cmd_run_attrs, attrs);
    apply_gpu_env(req, op->op_cmd->env);
    if (g_strv_contains((const char *const *)op->plugins, "python_script")) {
        const Value *own = value_map_get(op->op_cmd->env, "PYTHONPATH");
        g_autofree char *prefix = value_truthy(own) ? value_str(own) : NULL;
        g_autofree char *path = python_path(op, prefix);
        value_map_set_string(op->op_cmd->env, "PYTHONPATH", path);
    }
    return TRUE;
}

static gboolean uses_param(const OpCmd *cmd, const char *ref)
{
    for (guint i = 0; i < cmd->args->len; i++)
        if (strstr(g_ptr_array_index(cmd->args, i), ref))
            return TRUE;
    return FALSE;
}

static char *usable_python(char *exe, GError **error)
{
    if (!exe || !strchr(exe, '/') || access(exe, X_OK) == 0)
        return exe;
    g_set_error(error, OP_ERROR, OP_ERROR_CMD,
            "cannot run the Python interpreter %s: %s (see $GUILD_PYTHON_EXE)", exe,
            g_strerror(errno));
    g_free(exe);
    return NULL;
}

/* What `${python_exe}` and `${guild_python_exe}` stand for; looked for only where a command asks.
 */
static gboolean add_python_params(Op *op, Value *params, GError **error)
{
    static const char *const names[] = {"python_exe", "guild_python_exe"};
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *ref = g_strdup_printf("${%s}", names[i]);
        if (!uses_param(op->op_cmd, ref))
            continue;
        gboolean required = i == 0 && value_truthy(op->python_requires);
        g_autofree char *exe = usable_python(
                required ? python_find(op->python_requires, error) : python_exe(error), error);
        if (!exe)
            return FALSE;
        value_map_set_string(params, names[i], exe);
    }
    return TRUE;
}

static gboolean runs_package(const OpCmd *cmd)
{
    for (guint i = 0; i < cmd->args->len; i++)
        if (g_str_has_prefix(g_ptr_array_index(cmd->args, i), "guild."))
            return TRUE;
    return FALSE;
}

/* A command that was built elsewhere (another installation, the reference), or without the plugin
 * that sets PYTHONPATH, must find our Python package all the same. */
static void ensure_package_on_path(Op *op)
{
    const char *package = python_package_dir();
    const char *path = value_map_string(op->cmd_env, "PYTHONPATH", NULL);
    if (!package || (!path && !runs_package(op->op_cmd)))
        return;
    if (!path) {
        g_autofree char *ours = python_path_env(NULL);
        value_map_set_string(op->cmd_env, "PYTHONPATH", ours);
        return;
    }
    g_auto(GStrv) dirs = g_strsplit(path, ":", -1);
    if (g_strv_contains((const char *const *)dirs, package))
        return;
    GString *s = g_string_new(NULL);
    char **d = dirs;
    for (char **own = op->sourcecode_paths; *d && *own && strcmp(*d, *own) == 0; d++, own++)
        g_string_append_printf(s, "%s:", *d);
    g_string_append(s, package);
    for (; *d; d++)
        g_string_append_printf(s, ":%s", *d);
    value_map_set_string(op->cmd_env, "PYTHONPATH", s->str);
    g_string_free(s, TRUE);
}

static gboolean init_cmd(Op *op, const OpRequest *req, GError **error)
{
    g_autoptr(Value) params = value_new_map();
    value_map_update(params, op->flag_vals);
    if (!add_python_params(op, params, error))
        return FALSE;
    Value *env = NULL;
    if (!op_cmd_generate(
                op->op_cmd, op->flag_vals, params, req->force_flags, &op->cmd_args, &env, error))
        return FALSE;
    replace(&op->cmd_env, env);
    ensure_package_on_path(op);
    apply_gpu_env(req, op->cmd_env);
    if (req->break_on_error)
        value_map_set_string(op->cmd_env, "BREAK_ON_ERROR", "1");
    if (req->breaks && req->breaks[0]) {
        g_autofree char *breaks = text_shell_join(req->breaks);
        value_map_set_string(op->cmd_env, "PDB_BREAKS", breaks);
    }
    if (op->opdef)
        op->private_env = value_ref(op->opdef->env_secrets);
    return TRUE;
}

/* The rest. */

static void init_run_dir(Op *op, const OpRequest *req)
{
    if (op->run && !op->run_is_proto)
        op->run_dir = g_strdup(run_dir(op->run));
    else if (req->run_id)
        op->run_dir = g_build_filename(op->home, "runs", req->run_id, NULL);
    else if (req->run_dir)
        op->run_dir = fs_abspath(req->run_dir, NULL);
}

static gint64 new_random_seed(void)
{
    return ((gint64)g_random_int()) % ((G_GINT64_CONSTANT(1) << 32) + 1);
}

static void init_random_seed(Op *op, const OpRequest *req)
{
    op->random_seed = req->random_seed;
    if (!op->random_seed && op->run)
        op->random_seed = run_attr_int(op->run, "random_seed", 0);
    if (!op->random_seed)
        op->random_seed = new_random_seed();
}

static gboolean init_deps(Op *op, const OpRequest *req, GError **error)
{
    if (op->opdef) {
        g_autoptr(GError) err = NULL;
        GPtrArray *deps = deps_for_opdef(op->opdef, op->flag_vals, &err);
        if (!deps) {
            g_set_error(error, OP_ERROR, OP_ERROR_OPDEF,
                    "invalid definition for operation '%s': %s", op->opdef->fullname, err->message);
            return FALSE;
        }
        g_ptr_array_unref(op->deps);
        op->deps = deps;
    }
    for (const char *const *p = req->deps; p && *p; p++) {
        Dep *dep = dep_for_path(*p, error);
        if (!dep)
            return FALSE;
        g_ptr_array_add(op->deps, dep);
    }
    return TRUE;
}

static gboolean init_core(Op *op, const OpRequest *req, GError **error)
{
    if (op->opdef)
        op->opref = opref_copy(op->opdef->opref);
    else
        op->opref = run_opref(op->run, error);
    if (!op->opref || !init_cmd(op, req, error))
        return FALSE;
    init_run_dir(op, req);
    op->label = run_label(op->label_template, op->flag_vals);
    init_random_seed(op, req);
    if (!init_deps(op, req, error))
        return FALSE;
    op_init_run_attrs(op, req);
    return TRUE;
}

static Op *op_init(Op *new_op, const OpRequest *req, GError **error)
{
    g_autoptr(Op) op = new_op;
    if (op->opdef) {
        if (!init_user_flags(op, req, error))
            return NULL;
        init_plugins(op);
    }
    if (!op->run)
        init_config_for_opdef(op, req);
    else if (!init_config_for_run(op, req, error))
        return NULL;
    init_sourcecode_paths(op, req);
    if (!init_flags(op, req, error))
        return NULL;
    if (op->opdef && !init_op_cmd(op, req, error))
        return NULL;
    if (req->is_batch)
        op_init_batch_config(op, req);
    return init_core(op, req, error) ? g_steal_pointer(&op) : NULL;
}

Op *op_for_opdef(OpDef *opdef, const OpRequest *req, GError **error)
{
    Op *op = op_new(req);
    op->opdef = opdef_ref(opdef);
    return op_init(op, req, error);
}

Op *op_for_run(Run *run, OpDef *opdef, const OpRequest *req, GError **error)
{
    Op *op = op_new(req);
    op->run = run_ref(run);
    op->run_is_proto = req->run_is_proto;
    if (opdef)
        op->opdef = opdef_ref(opdef);
    return op_init(op, req, error);
}
