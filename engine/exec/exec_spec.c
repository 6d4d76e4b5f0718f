/* SPDX-License-Identifier: Apache-2.0 */
/* From an operation to the description of its process. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/yaml.h"
#include "engine/exec/exec.h"

#define ENV_CACHE_MAX 1024
#define STOP_GRACE_DEFAULT_S 30.0

ExecSpec *exec_spec_new(Run *run)
{
    ExecSpec *spec = g_new0(ExecSpec, 1);
    spec->run = run_ref(run);
    return spec;
}

void exec_spec_free(ExecSpec *spec)
{
    if (!spec)
        return;
    run_unref(spec->run);
    g_strfreev(spec->argv);
    g_strfreev(spec->env);
    g_free(spec->env_text);
    g_free(spec->cwd);
    g_free(spec->cgroup_procs);
    g_free(spec->cores);
    output_rules_unref(spec->scalars);
    output_rules_unref(spec->attrs);
    g_strfreev(spec->ignore_scalars);
    g_strfreev(spec->ignore_attrs);
    g_free(spec);
}

static char **map_keys(const Value *map)
{
    gsize n = value_map_size(map);
    char **keys = g_new0(char *, n + 1);
    for (gsize i = 0; i < n; i++)
        keys[i] = g_strdup(value_map_key_at(map, i));
    return keys;
}

/* Our environment decides; the operation's own setting counts where ours has none. */
static gboolean output_is_off(const Op *op)
{
    const char *ours = g_getenv("NO_RUN_OUTPUT");
    if (ours)
        return !strcmp(ours, "1");
    const Value *v = value_map_get(op->cmd_env, "NO_RUN_OUTPUT");
    g_autofree char *text = v ? value_str(v) : NULL;
    return !g_strcmp0(text, "1");
}

static OutputRules *rules_for(OutputRulesKind kind, const Value *config)
{
    return output_rules_disabled(config) ? NULL : output_rules_new(kind, config);
}

static gint64 stop_grace_us(void)
{
    const char *text = g_getenv("STOP_AFTER_KILL_DELAY");
    double seconds = text ? g_ascii_strtod(text, NULL) : 0;
    if (!(seconds > 0 && seconds < 1e6))
        seconds = STOP_GRACE_DEFAULT_S;
    return (gint64)(seconds * G_USEC_PER_SEC);
}

/* NAME=VALUE entries of `extra` replace those of the same name. */
static char **merge_env(char **env, const char *const *extra)
{
    for (; extra && *extra; extra++) {
        const char *eq = strchr(*extra, '=');
        if (!eq)
            continue;
        g_autofree char *name = g_strndup(*extra, (gsize)(eq - *extra));
        env = g_environ_setenv(env, name, eq + 1, TRUE);
    }
    return env;
}

/* The line of attribute `env` for one NAME=VALUE; "" for a secret. */
static char *env_line(Op *op, const char *entry)
{
    const char *const one[] = {entry, NULL};
    g_autoptr(Value) map = op_safe_env(op, one);
    if (!value_map_size(map))
        return g_strdup("");
    g_autofree char *text = yaml_dump_attr(map);
    return g_strconcat(text, "\n", NULL);
}

static int compare_entries(gconstpointer a, gconstpointer b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    gsize lx = strcspn(x, "="), ly = strcspn(y, "=");
    int c = memcmp(x, y, MIN(lx, ly));
    return c ? c : lx < ly ? -1 : lx > ly;
}

/* What the whole environment's yaml_dump_attr() is. Most of it is the same for every run of a process,
 * and a map's dump is that of its entries one after the other: those are kept. */
static char *env_text(Op *op, char **env)
{
    static GPrivate cache_key = G_PRIVATE_INIT((GDestroyNotify)g_hash_table_unref);
    GHashTable *cache = g_private_get(&cache_key);
    if (!cache) {
        cache = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_private_set(&cache_key, cache);
    }
    gboolean usable = !value_truthy(op->private_env);
    if (g_hash_table_size(cache) > ENV_CACHE_MAX)
        g_hash_table_remove_all(cache);
    GString *text = g_string_new(NULL);
    for (; *env; env++) {
        const char *line = usable ? g_hash_table_lookup(cache, *env) : NULL;
        if (line) {
            g_string_append(text, line);
            continue;
        }
        char *made = env_line(op, *env);
        g_string_append(text, made);
        if (usable)
            g_hash_table_insert(cache, g_strdup(*env), made);
        else
            g_free(made);
    }
    if (!text->len)
        g_string_assign(text, "{}\n");
    g_string_truncate(text, text->len - 1);
    return g_string_free(text, FALSE);
}

/* For `guild --debug`; secrets are left out. */
static void log_start(Op *op, const ExecSpec *spec)
{
    if (log_level() > LOG_DEBUG)
        return;
    g_autoptr(Value) cmd = value_new_strv((const char *const *)spec->argv);
    g_autofree char *cmd_text = value_repr(cmd);
    log_debug("starting run %s in %s", run_id(spec->run), run_dir(spec->run));
    log_debug("operation command: %s", cmd_text);
    if (g_strcmp0(g_getenv("DEBUG_ENV"), "1"))
        return;
    g_autoptr(Value) env = op_safe_env(op, (const char *const *)spec->env);
    g_autofree char *env_repr = value_repr(env);
    log_debug("operation env: %s", env_repr);
}

ExecSpec *exec_spec_for_op(
        Op *op, Run *run, gboolean quiet, double stop_after_minutes, const char *const *extra_env)
{
    ExecSpec *spec = exec_spec_new(run);
    spec->argv = g_strdupv(op->cmd_args);
    spec->env = merge_env(op_proc_env(op, run), extra_env);
    if (extra_env && *extra_env) /* else op_proc_env() sorted it */
        qsort(spec->env, g_strv_length(spec->env), sizeof *spec->env, compare_entries);
    spec->env_text = env_text(op, spec->env);
    log_start(op, spec);
    spec->quiet = quiet;
    if (output_is_off(op))
        spec->output = quiet ? EXEC_OUTPUT_NONE : EXEC_OUTPUT_INHERIT;
    else if (!g_strcmp0(g_getenv("SYNC_RUN_OUTPUT"), "1"))
        spec->output = EXEC_OUTPUT_MERGED;
    if (stop_after_minutes > 0)
        spec->stop_after_us = (gint64)(stop_after_minutes * 60 * G_USEC_PER_SEC);
    spec->stop_grace_us = stop_grace_us();
    spec->scalars = rules_for(OUTPUT_RULES_SCALARS, op->output_scalars);
    spec->attrs = rules_for(OUTPUT_RULES_ATTRS, op->output_attrs);
    if (value_is_null(op->output_scalars))
        spec->ignore_scalars = map_keys(op->flag_vals);
    if (value_is_null(op->output_attrs))
        spec->ignore_attrs = map_keys(op->flag_vals);
    return spec;
}
