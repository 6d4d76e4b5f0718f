/* SPDX-License-Identifier: Apache-2.0 */
/* Command templates of operations and what becomes of them once flags are known; see opcmd.h. A
 * flag reaches a process twice: in its arguments, in the way that the flag's destination reads
 * (plain text for argument parsers, YAML for Python globals), and as an environment variable. */
#include "engine/op/opcmd.h"

#include <string.h>

#include "engine/base/flagval.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/base/yaml.h"
#include "engine/project/guildfile.h"

#define FLAG_ARGS_MARKER "__flag_args__"
#define MAIN_EXEC "${python_exe} -um guild.op_main ${main_args} -- ${flag_args}"
#define STEPS_EXEC "${guild_python_exe} -um guild.steps_main"

G_DEFINE_QUARK(guild - opcmd - error, opcmd_error)

void op_cmd_free(OpCmd *cmd)
{
    if (!cmd)
        return;
    g_clear_pointer(&cmd->args, g_ptr_array_unref);
    value_unref(cmd->env);
    value_unref(cmd->flags);
    g_free(cmd->flags_dest);
    g_free(cmd);
}

static OpCmd *cmd_new(void)
{
    OpCmd *cmd = g_new0(OpCmd, 1);
    cmd->args = g_ptr_array_new_with_free_func(g_free);
    cmd->env = value_new_map();
    cmd->flags = value_new_map();
    return cmd;
}

/* From a definition. */

static const char *exec_template(const OpDef *opdef, GError **error)
{
    if (opdef->invalid) {
        g_set_error(error, OPCMD_ERROR, OPCMD_ERROR_OPDEF,
                "invalid definition for operation '%s': %s", opdef->fullname, opdef->invalid);
        return NULL;
    }
    if (opdef->exec && *opdef->exec) {
        if (opdef->main && *opdef->main)
            log_warning("operation 'exec' and 'main' both specified, ignoring 'main'");
        if (value_truthy(opdef->steps))
            log_warning("operation 'exec' and 'steps' both specified, ignoring 'steps'");
        return opdef->exec;
    }
    if (opdef->main && *opdef->main) {
        if (value_truthy(opdef->steps))
            log_warning("operation 'main' and 'steps' both specified, ignoring 'steps'");
        if (!g_str_has_prefix(opdef->main, OPDEF_NOTEBOOK_MAIN " "))
            return MAIN_EXEC;
        g_set_error(error, OPCMD_ERROR, OPCMD_ERROR_OPDEF,
                "operation '%s' runs a notebook, which is not supported: make a script of it "
                "('jupyter nbconvert --to script') and use 'main'",
                opdef->fullname);
        return NULL;
    }
    if (value_truthy(opdef->steps))
        return STEPS_EXEC;
    g_set_error(error, OPCMD_ERROR, OPCMD_ERROR_OPDEF,
            "invalid definition for operation '%s': must define either exec, main, or steps",
            opdef->fullname);
    return NULL;
}

static char **split_command(const OpDef *opdef, const char *text, GError **error)
{
    g_autoptr(GError) err = NULL;
    char **args = text_shell_split(text, &err);
    if (!args)
        g_set_error(error, OPCMD_ERROR, OPCMD_ERROR_OPDEF,
                "invalid definition for operation '%s': cannot split command '%s': %s",
                opdef->fullname, text, err->message);
    return args;
}

static void add_template_arg(GPtrArray *args, const char *arg, const char *project_dir)
{
    if (strcmp(arg, "${flag_args}") == 0) {
        g_ptr_array_add(args, g_strdup(FLAG_ARGS_MARKER));
        return;
    }
    GString *s = g_string_new(arg);
    if (project_dir)
        g_string_replace(s, "${project_dir}", project_dir, 0);
    g_ptr_array_add(args, g_string_free(s, FALSE));
}

static gboolean template_args(const OpDef *opdef, GPtrArray *args, GError **error)
{
    const char *exec = exec_template(opdef, error);
    if (!exec)
        return FALSE;
    g_auto(GStrv) main_args = split_command(opdef, opdef->main ? opdef->main : "", error);
    if (!main_args)
        return FALSE;
    g_auto(GStrv) exec_args = split_command(opdef, exec, error);
    if (!exec_args)
        return FALSE;
    const char *dir = opdef->guildfile ? opdef->guildfile->dir : NULL;
    for (char **a = exec_args; *a; a++) {
        if (strcmp(*a, "${main_args}") != 0) {
            add_template_arg(args, *a, dir);
            continue;
        }
        for (char **m = main_args; *m; m++)
            add_template_arg(args, *m, dir);
    }
    return TRUE;
}

static void set_if_text(Value *map, const char *key, const char *text)
{
    if (text && *text)
        value_map_set_string(map, key, text);
}

static void set_if_truthy(Value *map, const char *key, Value *v)
{
    if (value_truthy(v))
        value_map_set(map, key, value_ref(v));
}

static Value *cmd_flag_for_flagdef(const OpDef *opdef, const FlagDef *f)
{
    Value *data = value_new_map();
    set_if_text(data, "arg-name", f->arg_name);
    if (f->arg_skip)
        set_if_truthy(data, "arg-skip", f->arg_skip);
    else if (opdef->default_flag_arg_skip)
        value_map_set(data, "arg-skip", value_new_bool(TRUE));
    /* A switch that false turns on is kept too: without it a restart would pass the value. */
    if (!value_is_null(f->arg_switch))
        value_map_set(data, "arg-switch", value_ref(f->arg_switch));
    if (!value_is_null(f->arg_split))
        value_map_set(data, "arg-split", value_ref(f->arg_split));
    set_if_text(data, "env-name", f->env_name);
    set_if_truthy(data, "arg-encoding", f->arg_encoding);
    set_if_truthy(data, "env-encoding", f->env_encoding);
    return data;
}

static void cmd_env_for_opdef(const OpDef *opdef, const Value *extra_env, Value *env)
{
    const char *dir = opdef->guildfile ? opdef->guildfile->dir : NULL;
    if (opdef->env)
        value_map_update(env, opdef->env);
    if (extra_env)
        value_map_update(env, extra_env);
    value_map_set_string(env, "PROJECT_DIR", dir ? dir : "");
    if (opdef->flags_dest && *opdef->flags_dest)
        value_map_set_string(env, "FLAGS_DEST", opdef->flags_dest);
    if (opdef->handle_keyboard_interrupt)
        value_map_set_string(env, "HANDLE_KEYBOARD_INTERRUPT", "1");
}

OpCmd *op_cmd_for_opdef(
        const OpDef *opdef, const Value *extra_env, Value **run_attrs, GError **error)
{
    g_autoptr(OpCmd) cmd = cmd_new();
    if (run_attrs)
        *run_attrs = NULL;
    if (!template_args(opdef, cmd->args, error))
        return NULL;
    cmd_env_for_opdef(opdef, extra_env, cmd->env);
    for (guint i = 0; opdef->flags && i < opdef->flags->len; i++) {
        const FlagDef *f = g_ptr_array_index(opdef->flags, i);
        value_map_set(cmd->flags, f->name, cmd_flag_for_flagdef(opdef, f));
    }
    cmd->flags_dest =
            g_strdup(opdef->flags_dest && *opdef->flags_dest ? opdef->flags_dest : "args");
    gboolean is_steps = !(opdef->exec && *opdef->exec) && !(opdef->main && *opdef->main);
    if (run_attrs && is_steps) {
        *run_attrs = value_new_map();
        value_map_set(*run_attrs, "steps", value_ref(opdef->steps));
    }
    return g_steal_pointer(&cmd);
}

/* To and from a run's attribute. */

static gboolean bad_data(GError **error, const char *what)
{
    g_set_error(error, OPCMD_ERROR, OPCMD_ERROR_DATA, "invalid command configuration: %s", what);
    return FALSE;
}

static gboolean check_flags_data(const Value *flags, GError **error)
{
    for (gsize i = 0; i < value_map_size(flags); i++)
        if (!value_is_map(value_map_at(flags, i)))
            return bad_data(error, "entries of cmd-flags must be maps");
    return TRUE;
}

OpCmd *op_cmd_for_data(const Value *data, GError **error)
{
    if (!value_is_map(data)) {
        bad_data(error, "expected a map");
        return NULL;
    }
    g_autoptr(OpCmd) cmd = cmd_new();
    const Value *args = value_map_get(data, "cmd-args");
    if (value_truthy(args) && !value_is_list(args)) {
        bad_data(error, "cmd-args must be a list");
        return NULL;
    }
    for (gsize i = 0; value_truthy(args) && i < value_list_size(args); i++)
        g_ptr_array_add(cmd->args, value_str(value_list_at(args, i)));
    const Value *env = value_map_get(data, "cmd-env");
    const Value *flags = value_map_get(data, "cmd-flags");
    if ((value_truthy(env) && !value_is_map(env)) ||
            (value_truthy(flags) && !value_is_map(flags))) {
        bad_data(error, "cmd-env and cmd-flags must be maps");
        return NULL;
    }
    if (value_truthy(env))
        value_map_update(cmd->env, env);
    if (value_truthy(flags)) {
        if (!check_flags_data(flags, error))
            return NULL;
        value_map_update(cmd->flags, flags);
    }
    cmd->flags_dest = g_strdup(value_map_string(data, "flags-dest", NULL));
    return g_steal_pointer(&cmd);
}

Value *op_cmd_as_data(const OpCmd *cmd)
{
    Value *data = value_new_map();
    Value *args = value_new_list();
    for (guint i = 0; i < cmd->args->len; i++)
        value_list_append(args, value_new_string(g_ptr_array_index(cmd->args, i)));
    value_map_set(data, "cmd-args", args);
    if (value_map_size(cmd->env))
        value_map_set(data, "cmd-env", value_ref(cmd->env));
    if (value_map_size(cmd->flags))
        value_map_set(data, "cmd-flags", value_ref(cmd->flags));
    if (cmd->flags_dest && *cmd->flags_dest)
        value_map_set_string(data, "flags-dest", cmd->flags_dest);
    return data;
}

/* Values as text. */

/* The text that `encodings` (map or NULL) has for the value; keys are the text of values. */
static char *lookup_encoding(const Value *encodings, const Value *val)
{
    if (!value_is_map(encodings) || value_is_list(val) || value_is_map(val))
        return NULL;
    g_autofree char *key = value_str(val);
    const Value *text = value_map_get(encodings, key);
    return text ? value_str(text) : NULL;
}

static char *encode_for_args(const Value *val, const Value *arg_split)
{
    switch (value_kind(val)) {
    case VALUE_NULL:
        return g_strdup("");
    case VALUE_BOOL:
        return g_strdup(value_get_bool(val) ? "1" : "");
    case VALUE_STRING:
        return g_strdup(value_get_string(val));
    case VALUE_LIST:
        return flagval_join(val, arg_split);
    default:
        return value_repr(val);
    }
}

static gboolean dest_is_globals(const char *dest)
{
    return dest && (strcmp(dest, "globals") == 0 || g_str_has_prefix(dest, "global:") ||
                           g_str_has_prefix(dest, "dict:") || g_str_has_prefix(dest, "namespace:"));
}

static char *encode_flag_arg(const Value *val, const char *dest, const Value *cmd_flag)
{
    if (dest_is_globals(dest))
        return yaml_dump_flow(val);
    char *text = lookup_encoding(value_map_get(cmd_flag, "arg-encoding"), val);
    return text ? text : encode_for_args(val, value_map_get(cmd_flag, "arg-split"));
}

char *op_cmd_encode_env(const Value *val)
{
    return encode_for_args(val, NULL);
}

static char *encode_env(const Value *val, const Value *cmd_flag)
{
    char *text = lookup_encoding(value_map_get(cmd_flag, "env-encoding"), val);
    if (!text)
        text = lookup_encoding(value_map_get(cmd_flag, "arg-encoding"), val);
    return text ? text : encode_for_args(val, value_map_get(cmd_flag, "arg-split"));
}

/* Arguments. */

static gboolean has_arg(GPtrArray *args, guint n, const char *arg)
{
    for (guint i = 0; i < n; i++)
        if (strcmp(g_ptr_array_index(args, i), arg) == 0)
            return TRUE;
    return FALSE;
}

/* `arg-split`: one value becomes several arguments; for Python globals a list in YAML. */
static void add_split_args(GPtrArray *args, const char *option, const Value *val, const char *dest,
        const Value *cmd_flag)
{
    const Value *split = value_map_get(cmd_flag, "arg-split");
    g_autofree char *encoded = value_is_string(val) ? g_strdup(value_get_string(val))
                                                    : encode_flag_arg(val, dest, cmd_flag);
    g_auto(GStrv) parts = flagval_split(encoded, split);
    gboolean globals = g_strcmp0(dest, "globals") == 0;
    if (!parts || (!globals && !parts[0]))
        return;
    g_ptr_array_add(args, g_strdup(option));
    if (!globals) {
        for (char **p = parts; *p; p++)
            g_ptr_array_add(args, g_strdup(*p));
        return;
    }
    g_autoptr(Value) list = value_new_list();
    for (char **p = parts; *p; p++) {
        Value *item = yaml_parse(*p, -1, NULL, NULL);
        value_list_append(list, item ? item : value_new_string(*p));
    }
    g_ptr_array_add(args, yaml_dump_flow(list));
}

/* The first n_own of args are the command's own. */
static void add_flag_args(GPtrArray *args, guint n_own, const char *name, const Value *val,
        const char *dest, const Value *cmd_flag)
{
    if (value_truthy(value_map_get(cmd_flag, "arg-skip")))
        return;
    const char *arg_name = value_map_string(cmd_flag, "arg-name", name);
    g_autofree char *option = g_strconcat("--", arg_name, NULL);
    if (has_arg(args, n_own, option)) {
        g_autofree char *text = flagval_encode(val);
        log_warning("ignoring flag '%s=%s' because it's shadowed in the operation cmd as %s", name,
                text, option);
        return;
    }
    const Value *sw = value_map_get(cmd_flag, "arg-switch");
    if (!value_is_null(sw)) {
        if (value_equal(sw, val))
            g_ptr_array_add(args, g_steal_pointer(&option));
        return;
    }
    if (value_is_null(val))
        return;
    if (!value_is_list(val) && !value_is_null(value_map_get(cmd_flag, "arg-split"))) {
        add_split_args(args, option, val, dest, cmd_flag);
        return;
    }
    g_ptr_array_add(args, g_steal_pointer(&option));
    g_ptr_array_add(args, encode_flag_arg(val, dest, cmd_flag));
}

static Value *sorted_map(const Value *map)
{
    Value *sorted = value_new_map();
    if (map)
        value_map_update(sorted, map);
    value_map_sort(sorted);
    return sorted;
}

static void add_all_flag_args(
        const OpCmd *cmd, GPtrArray *args, const Value *flag_vals, gboolean force)
{
    g_autoptr(Value) sorted = sorted_map(flag_vals);
    g_autoptr(Value) no_settings = value_new_map();
    guint n_own = args->len;
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        const char *name = value_map_key_at(sorted, i);
        const Value *cmd_flag = value_map_get(cmd->flags, name);
        if (!cmd_flag && force)
            cmd_flag = no_settings;
        if (cmd_flag)
            add_flag_args(args, n_own, name, value_map_at(sorted, i), cmd->flags_dest, cmd_flag);
    }
}

static Value *resolve(const char *text, const Value *params, GError **error)
{
    g_autoptr(GError) err = NULL;
    Value *v = text_resolve_refs(text, params, NULL, &err);
    if (!v)
        g_set_error(error, OPCMD_ERROR, OPCMD_ERROR_REF,
                "invalid setting for operation: command contains invalid reference '%s'",
                err->message);
    return v;
}

static char **generate_args(const OpCmd *cmd, const Value *flag_vals, const Value *params,
        gboolean force, GError **error)
{
    g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(Value) texts = value_new_map();
    for (gsize i = 0; i < value_map_size(params); i++) {
        g_autofree char *text = op_cmd_encode_env(value_map_at(params, i));
        value_map_set_string(texts, value_map_key_at(params, i), text);
    }
    for (guint i = 0; i < cmd->args->len; i++) {
        const char *arg = g_ptr_array_index(cmd->args, i);
        if (strcmp(arg, FLAG_ARGS_MARKER) == 0) {
            add_all_flag_args(cmd, args, flag_vals, force);
            continue;
        }
        g_autoptr(Value) v = resolve(arg, texts, error);
        if (!v)
            return NULL;
        g_ptr_array_add(args, value_str(v));
    }
    g_ptr_array_add(args, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&args), FALSE);
}

static char *flag_env_name(const char *flag, const Value *cmd_flag)
{
    const char *name = value_map_string(cmd_flag, "env-name", NULL);
    if (name && *name)
        return g_strdup(name);
    g_autofree char *upper = text_env_var_name(flag);
    return g_strconcat("FLAG_", upper, NULL);
}

static Value *generate_env(const OpCmd *cmd, const Value *flag_vals, GError **error)
{
    g_autoptr(Value) env = value_new_map();
    for (gsize i = 0; i < value_map_size(cmd->env); i++) {
        const char *name = value_map_key_at(cmd->env, i);
        g_autofree char *raw =
                encode_env(value_map_at(cmd->env, i), value_map_get(cmd->flags, name));
        g_autoptr(Value) v = resolve(raw, flag_vals, error);
        if (!v)
            return NULL;
        g_autofree char *text = op_cmd_encode_env(v);
        value_map_set_string(env, name, text);
    }
    for (gsize i = 0; i < value_map_size(flag_vals); i++) {
        const char *flag = value_map_key_at(flag_vals, i);
        const Value *cmd_flag = value_map_get(cmd->flags, flag);
        g_autofree char *name = flag_env_name(flag, cmd_flag);
        g_autofree char *text = encode_env(value_map_at(flag_vals, i), cmd_flag);
        value_map_set_string(env, name, text);
    }
    return g_steal_pointer(&env);
}

gboolean op_cmd_generate(const OpCmd *cmd, const Value *flag_vals, const Value *params,
        gboolean force_flags, char ***args, Value **env, GError **error)
{
    g_auto(GStrv) a = generate_args(cmd, flag_vals, params, force_flags, error);
    if (!a)
        return FALSE;
    Value *e = generate_env(cmd, flag_vals, error);
    if (!e)
        return FALSE;
    *args = g_steal_pointer(&a);
    *env = e;
    return TRUE;
}
