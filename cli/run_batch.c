/* SPDX-License-Identifier: Apache-2.0 */
/* What would be run, shown or saved instead: commands, environment, trials; see run.h. */
#include <stdio.h>
#include <string.h>

#include "cli/run.h"
#include "engine/base/fs.h"
#include "engine/base/text.h"
#include "engine/batch/optimizer.h"
#include "engine/batch/trialtable.h"
#include "engine/project/python_exe.h"

static void print_args(const char *const *args)
{
    g_autofree char *line = text_shell_join(args);
    puts(line);
}

/* Trials. */

/* `what`: the use of the list. */
static Optimizer *new_optimizer(RunState *s, const char *what, GError **error)
{
    const Op *batch = s->batch_op, *user = s->user_op;
    const OptimizerClass *klass = optimizer_class_find(batch->opref->op_name);
    if (!klass || !klass->can_list) {
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_DIMS, "optimizer does not support %s", what);
        return NULL;
    }
    const OptimizerSpec spec = {.flags = user->flag_vals,
            .user_flags = user->user_flag_vals,
            .rows = user->batch_trials,
            .options = batch->flag_vals,
            .seed = batch->random_seed,
            .max_trials = batch->max_trials,
            .objective = batch->objective};
    return optimizer_new(klass, &spec, error);
}

Value *run_preview_trials(RunState *s, const char *what, GError **error)
{
    g_autoptr(Optimizer) o = new_optimizer(s, what, error);
    if (!o)
        return NULL;
    g_autoptr(Value) trials = value_new_list();
    OptimizerState state;
    for (Value *flags; (flags = optimizer_ask(o, &state, error));)
        value_list_append(trials, flags);
    return state == OPTIMIZER_FAILED ? NULL : g_steal_pointer(&trials);
}

int run_print_trials(RunState *s)
{
    if (!s->batch_op)
        return cli_error("cannot print trials for a non-batch operation");
    if (run_has_own_optimizer(s))
        return run_tmp_batch(s, "PRINT_TRIALS", "1");
    GError *error = NULL;
    g_autoptr(Value) trials = run_preview_trials(s, "printing trials", &error);
    if (!trials)
        return run_print_error(error, NULL, NULL);
    g_autofree char *text = trial_table_text(trials);
    fputs(text, stdout);
    return 0;
}

/* A path as users write it: below their home with a '~'. */
static char *shown_path(const char *path)
{
    const char *home = g_get_home_dir();
    gsize n = strlen(home);
    if (n > 1 && strncmp(path, home, n) == 0 && (path[n] == '/' || !path[n]))
        return g_strconcat("~", path + n, NULL);
    return g_strdup(path);
}

static gboolean has_trials_extension(const char *path)
{
    g_autofree char *base = g_path_get_basename(path);
    const char *dot = strrchr(base, '.');
    return !dot || dot == base || g_ascii_strcasecmp(dot, ".csv") == 0 ||
           g_ascii_strcasecmp(dot, ".json") == 0;
}

int run_save_trials(RunState *s, const char *path)
{
    if (!s->batch_op)
        return cli_error("cannot save trials for a non-batch operation");
    if (!has_trials_extension(path)) {
        const char *dot = strrchr(path, '.');
        return cli_error("Unsupported extension '%s' - use '.csv', '.json', or no extension", dot);
    }
    g_autofree char *here = fs_cwd();
    g_autofree char *joined =
            strcmp(cli_cwd(), here) == 0 ? g_strdup(path) : fs_join(cli_cwd(), path);
    g_autofree char *place = fs_abspath(joined, NULL), *shown = shown_path(place);
    printf("Saving trials to %s\n", shown);
    fflush(stdout);
    g_autofree char *expanded = fs_expanduser(joined);
    g_autofree char *absolute = fs_abspath(expanded, NULL);
    if (run_has_own_optimizer(s))
        return run_tmp_batch(s, "SAVE_TRIALS", absolute);
    GError *error = NULL;
    g_autoptr(Value) trials = run_preview_trials(s, "saving trials", &error);
    g_autofree char *text = trials ? trial_table_for_path(trials, joined, &error) : NULL;
    if (!text || !fs_write(expanded, text, -1, &error))
        return run_print_error(error, NULL, NULL);
    return 0;
}

/* Commands. */

/* A trial's command is made as when it is started: from what its run keeps. */
static gboolean print_trial_cmd(RunState *s, const Value *flags, GError **error)
{
    g_autoptr(Value) params = value_new_map();
    value_map_update(params, flags);
    g_autofree char *exe = python_exe_or_name();
    value_map_set_string(params, "python_exe", exe);
    value_map_set_string(params, "guild_python_exe", exe);
    g_auto(GStrv) args = NULL;
    g_autoptr(Value) env = NULL;
    if (!op_cmd_generate(s->user_op->op_cmd, flags, params, FALSE, &args, &env, error))
        return FALSE;
    print_args((const char *const *)args);
    return TRUE;
}

int run_print_cmd(RunState *s)
{
    if (!s->batch_op) {
        print_args((const char *const *)s->user_op->cmd_args);
        return 0;
    }
    print_args((const char *const *)s->batch_op->cmd_args);
    if (run_has_own_optimizer(s))
        return run_tmp_batch(s, "PRINT_TRIALS_CMD", "1");
    GError *error = NULL;
    g_autoptr(Value) trials = run_preview_trials(s, "printing trials command", &error);
    for (gsize i = 0; trials && !error && i < value_list_size(trials); i++)
        print_trial_cmd(s, value_list_at(trials, i), &error);
    return error ? run_print_error(error, NULL, NULL) : 0;
}

int run_print_env(RunState *s)
{
    g_autoptr(Value) env = value_new_map();
    value_map_update(env, s->user_op->cmd_env);
    value_map_sort(env);
    for (gsize i = 0; i < value_map_size(env); i++) {
        g_autofree char *text = value_str(value_map_at(env, i));
        g_autofree char *quoted = text_env_var_quote(text);
        printf("%s=%s\n", value_map_key_at(env, i), quoted);
    }
    return 0;
}
