/* SPDX-License-Identifier: Apache-2.0 */
/* Steps from data to command lines; see steps.h. */
#include "cli/steps.h"

#include "cli/commands.h"
#include "cli/parse.h"
#include "engine/base/flagval.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/op/flags.h"

#include <string.h>

G_DEFINE_QUARK(guild - steps - error, steps_error)

typedef enum { P_FLAG, P_TEXT, P_MULTI } ParamKind;

/* Options that a step may have, in the order they are handed on. Those without an option text are
 * accepted and do nothing, as in the reference. */
static const struct {
    const char *key;
    const char *option;
    ParamKind kind;
    gboolean resolve; /* `${flag}` of the parent run */
} used_params[] = {
        {"batch_label", "--batch-label", P_TEXT, FALSE},
        {"batch_tags", "--batch-tag", P_MULTI, FALSE},
        {"fail_on_trial_error", "--fail-on-trial-error", P_FLAG, FALSE},
        {"force_flags", "--force-flags", P_FLAG, FALSE},
        {"gpus", "--gpus", P_TEXT, TRUE},
        {"label", "--label", P_TEXT, TRUE},
        {"max_trials", "--max-trials", P_TEXT, FALSE},
        {"maximize", "--maximize", P_TEXT, FALSE},
        {"minimize", "--minimize", P_TEXT, FALSE},
        {"needed", "--needed", P_FLAG, FALSE},
        {"no_gpus", "--no-gpus", P_FLAG, FALSE},
        {"opt_flags", "--opt-flag", P_MULTI, FALSE},
        {"optimize", "--optimize", P_FLAG, FALSE},
        {"optimizer", "--optimizer", P_TEXT, FALSE},
        {"random_seed", "--random-seed", P_TEXT, FALSE},
        {"remote", "--remote", P_TEXT, FALSE},
        {"stop_after", "--stop-after", P_TEXT, FALSE},
        {"tags", "--tag", P_MULTI, TRUE},
        {"jobs", "--jobs", P_TEXT, FALSE},
        {"additional_deps", NULL, P_MULTI, FALSE},
        {"break_", NULL, P_MULTI, FALSE},
        {"break_on_error", NULL, P_FLAG, FALSE},
        {"force_sourcecode", NULL, P_FLAG, FALSE},
};

static void invalid(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void invalid(GError **error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *msg = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error_literal(error, STEPS_ERROR, STEPS_ERROR_INVALID, msg);
}

static void step_free(gpointer p)
{
    Step *s = p;
    g_free(s->op_spec);
    g_free(s->name);
    g_free(s->link);
    value_unref(s->params);
    value_unref(s->flags);
    g_strfreev(s->batch_files);
    value_unref(s->expect);
    g_free(s);
}

/* ---- the run command line of a step ---- */

typedef struct OptionScan {
    const CliArgs *args;
    GPtrArray *unused; /* keys, borrowed */
} OptionScan;

static gboolean is_used(const char *key)
{
    for (gsize i = 0; i < G_N_ELEMENTS(used_params); i++)
        if (!strcmp(used_params[i].key, key))
            return TRUE;
    return FALSE;
}

static gboolean note_unused(const CliOption *option, gpointer data)
{
    const OptionScan *scan = data;
    if (cli_given(scan->args, option->key) && !is_used(option->key))
        g_ptr_array_add(scan->unused, (gpointer)option->key);
    return FALSE;
}

static gint compare_keys(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Options that make no sense for a step are said to be ignored. */
static void warn_unused(const CliCommand *run, const CliArgs *args, const char *run_spec)
{
    g_autoptr(GPtrArray) unused = g_ptr_array_new();
    OptionScan scan = {args, unused};
    cli_each_option(run->options, note_unused, &scan);
    g_ptr_array_sort(unused, compare_keys);
    g_autoptr(Value) spec = value_new_string(run_spec);
    g_autofree char *repr = value_repr(spec);
    for (guint i = 0; i < unused->len; i++)
        log_warning("run parameter %s used in %s ignored", (char *)unused->pdata[i], repr);
}

/* What `guild run` would read from the options of `args`. */
static Value *params_of_args(const CliArgs *args)
{
    Value *params = value_new_map();
    for (gsize i = 0; i < G_N_ELEMENTS(used_params); i++) {
        const char *key = used_params[i].key;
        if (!cli_given(args, key))
            continue;
        if (used_params[i].kind == P_FLAG)
            value_map_set(params, key, value_new_bool(cli_flag(args, key)));
        else if (used_params[i].kind == P_MULTI)
            value_map_set(params, key, value_new_strv(cli_multi(args, key)));
        else
            value_map_set_string(params, key, cli_string(args, key));
    }
    return params;
}

/* The option under its name in a step's map ("max-trials"). */
static Value *step_item(const Value *data, const char *key)
{
    g_autofree char *name = g_strdelimit(g_strdup(key), "_", '-');
    return value_map_get(data, name);
}

static gboolean is_unset(const Value *val)
{
    return value_is_null(val) || (value_kind(val) == VALUE_BOOL && !value_get_bool(val)) ||
           (value_is_list(val) && !value_list_size(val));
}

/* Items of the step's map and then what a parent run hands on: label and tags. */
static void apply_data_and_parent(Value *params, const Value *data, const Value *parent_params)
{
    static const char *const inherited[] = {"label", "tags"};
    for (gsize i = 0; i < G_N_ELEMENTS(used_params); i++) {
        Value *val = step_item(data, used_params[i].key);
        if (!is_unset(val))
            value_map_set(params, used_params[i].key, value_ref(val));
    }
    for (gsize i = 0; i < G_N_ELEMENTS(inherited); i++) {
        Value *val = value_map_get(parent_params, inherited[i]);
        if (!is_unset(val) && is_unset(value_map_get(params, inherited[i])))
            value_map_set(params, inherited[i], value_ref(val));
    }
}

/* ---- references to the parent's flags ---- */

/* New reference; NULL with error. Only strings have references. */
static Value *resolve(Value *val, const Value *parent_flags, GError **error)
{
    if (!value_is_string(val))
        return value_ref(val);
    GError *cause = NULL;
    Value *resolved = text_resolve_refs(value_get_string(val), parent_flags, NULL, &cause);
    if (!resolved) {
        invalid(error, "cannot resolve '%s' in step: undefined flag '%s'", value_get_string(val),
                cause->message);
        g_error_free(cause);
    }
    return resolved;
}

static Value *resolve_list(Value *val, const Value *parent_flags, GError **error)
{
    g_autoptr(Value) list = value_new_list();
    if (!value_is_list(val)) {
        Value *item = resolve(val, parent_flags, error);
        if (!item)
            return NULL;
        value_list_append(list, item);
    }
    for (gsize i = 0; value_is_list(val) && i < value_list_size(val); i++) {
        Value *item = resolve(value_list_at(val, i), parent_flags, error);
        if (!item)
            return NULL;
        value_list_append(list, item);
    }
    return g_steal_pointer(&list);
}

static gboolean resolve_params(Value *params, const Value *parent_flags, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(used_params); i++) {
        Value *val = value_map_get(params, used_params[i].key);
        if (!used_params[i].resolve || !val)
            continue;
        Value *resolved = used_params[i].kind == P_MULTI ? resolve_list(val, parent_flags, error)
                                                         : resolve(val, parent_flags, error);
        if (!resolved)
            return FALSE;
        value_map_set(params, used_params[i].key, resolved);
    }
    return TRUE;
}

/* ---- flags ---- */

/* Flags of the parent run named "STEP:FLAG" set FLAG; for one flag the operation's name wins over
 * the step's. */
static void apply_prefixed(Value *flags, const Step *step, const Value *parent_flags)
{
    g_autoptr(Value) found = value_new_map();
    const char *const names[] = {step->op_spec, step->name};
    for (gsize n = 0; n < G_N_ELEMENTS(names); n++) {
        g_autofree char *prefix = g_strconcat(names[n], ":", NULL);
        for (gsize i = 0; value_is_map(parent_flags) && i < value_map_size(parent_flags); i++) {
            const char *full = value_map_key_at(parent_flags, i);
            if (g_str_has_prefix(full, prefix) && !value_map_has(found, full + strlen(prefix)))
                value_map_set(
                        found, full + strlen(prefix), value_ref(value_map_at(parent_flags, i)));
        }
    }
    value_map_update(flags, found);
}

static gboolean init_flags(
        Step *step, const char *const *args, const Value *parent_flags, GError **error)
{
    g_auto(GStrv) assigns = NULL;
    flags_split_args(args, &assigns, &step->batch_files);
    GError *cause = NULL;
    g_autoptr(Value) given = flags_parse_assigns((const char *const *)assigns, NULL, &cause);
    if (!given) {
        invalid(error, "%s", cause->message);
        g_error_free(cause);
        return FALSE;
    }
    apply_prefixed(given, step, parent_flags);
    step->flags = value_new_map();
    for (gsize i = 0; i < value_map_size(given); i++) {
        Value *val = resolve(value_map_at(given, i), parent_flags, error);
        if (!val)
            return FALSE;
        if (value_is_null(val))
            value_unref(val);
        else
            value_map_set(step->flags, value_map_key_at(given, i), val);
    }
    return TRUE;
}

/* `flags` of a step's map, a map or a list of assignments, as arguments; NULL if not given. */
static char **flag_args_of_data(const Value *data, GError **error)
{
    Value *flags = value_map_get(data, "flags");
    GPtrArray *args = g_ptr_array_new();
    if (value_is_map(flags)) {
        for (gsize i = 0; i < value_map_size(flags); i++) {
            g_autofree char *text = flagval_format(value_map_at(flags, i), 0);
            g_ptr_array_add(args, g_strdup_printf("%s=%s", value_map_key_at(flags, i), text));
        }
    } else if (value_is_list(flags)) {
        for (gsize i = 0; i < value_list_size(flags); i++)
            g_ptr_array_add(args, value_str(value_list_at(flags, i)));
    } else {
        g_autofree char *repr = value_repr(flags);
        invalid(error, "invalid flags value %s", repr);
    }
    g_ptr_array_add(args, NULL);
    return (char **)g_ptr_array_free(args, FALSE);
}

/* ---- one step ---- */

static char *with_parent_model(const char *op_spec, const OpRef *parent)
{
    g_autoptr(OpRef) ref = opref_for_string(op_spec, NULL);
    if (!ref || (ref->model_name && *ref->model_name) || !parent || !*parent->model_name)
        return g_strdup(op_spec);
    g_free(ref->model_name);
    ref->model_name = g_strdup(parent->model_name);
    return opref_to_opspec(ref, NULL);
}

static char *run_spec_of(const Value *data, GError **error)
{
    g_autofree char *repr = value_repr(data);
    if (value_is_string(data)) {
        char *spec = g_strstrip(g_strdup(value_get_string(data)));
        if (*spec)
            return spec;
        g_free(spec);
        invalid(error, "invalid step {'run': %s}: must define run", repr);
        return NULL;
    }
    if (!value_is_map(data)) {
        invalid(error, "invalid step data: %s", repr);
        return NULL;
    }
    char *spec = g_strstrip(g_strdup(value_map_string(data, "run", "")));
    if (*spec)
        return spec;
    g_free(spec);
    invalid(error, "invalid step %s: must define run", repr);
    return NULL;
}

typedef struct ParentInfo {
    Value *flags, *params;
    const OpRef *opref;
} ParentInfo;

static gboolean init_step(Step *step, const Value *data, const char *run_spec, const CliArgs *args,
        const ParentInfo *parent, GError **error)
{
    const char *const *words = cli_positional(args);
    if (!words[0]) {
        invalid(error, "invalid run spec '%s': it names no operation", run_spec);
        return FALSE;
    }
    const char *name = value_map_string(data, "name", NULL);
    step->op_spec = with_parent_model(words[0], parent->opref);
    step->name = g_strdup(name && *name ? name : words[0]);
    Value *isolate = value_map_get(data, "isolate-runs");
    step->isolate_runs = !isolate || value_truthy(isolate);
    Value *expect = value_map_get(data, "expect");
    step->expect = value_is_list(expect) ? value_ref(expect) : value_new_list();
    if (value_truthy(expect) && !value_is_list(expect))
        value_list_append(step->expect, value_ref(expect));
    step->params = params_of_args(args);
    apply_data_and_parent(step->params, data, parent->params);
    g_auto(GStrv) own = NULL;
    if (value_map_has(data, "flags")) {
        GError *cause = NULL;
        own = flag_args_of_data(data, &cause);
        if (cause) {
            g_propagate_error(error, cause);
            return FALSE;
        }
    }
    return resolve_params(step->params, parent->flags, error) &&
           init_flags(step, own ? (const char *const *)own : words + 1, parent->flags, error);
}

static Step *step_new(const Value *data, const ParentInfo *parent, GError **error)
{
    g_autofree char *run_spec = run_spec_of(data, error);
    if (!run_spec)
        return NULL;
    GError *cause = NULL;
    g_auto(GStrv) words = text_shell_split(run_spec, &cause);
    if (!words) {
        invalid(error, "invalid run spec '%s': %s", run_spec, cause->message);
        g_error_free(cause);
        return NULL;
    }
    const CliCommand *run = cli_find_command(cli_commands, "run");
    int rest = 0;
    CliArgs *args = cli_args_parse(run, "guild run", (const char *const *)words, &rest);
    if (!args) {
        invalid(error, "invalid run spec '%s'", run_spec);
        return NULL;
    }
    warn_unused(run, args, run_spec);
    Step *step = g_new0(Step, 1);
    if (!init_step(step, data, run_spec, args, parent, error))
        g_clear_pointer(&step, step_free);
    cli_args_free(args);
    return step;
}

/* The link of the second "train" is "train_2". */
static void name_links(GPtrArray *steps)
{
    g_autoptr(GHashTable) counts = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < steps->len; i++) {
        Step *step = steps->pdata[i];
        int n = GPOINTER_TO_INT(g_hash_table_lookup(counts, step->name)) + 1;
        g_hash_table_insert(counts, step->name, GINT_TO_POINTER(n));
        step->link = n == 1 ? g_strdup(step->name) : g_strdup_printf("%s_%d", step->name, n);
    }
}

GPtrArray *steps_for_data(
        const Value *data, Value *flags, Value *params, const OpRef *opref, GError **error)
{
    g_autoptr(GPtrArray) steps = g_ptr_array_new_with_free_func(step_free);
    if (!value_truthy(data))
        return g_steal_pointer(&steps);
    if (!value_is_list(data)) {
        g_autofree char *repr = value_repr(data);
        invalid(error, "invalid steps data %s: expected list", repr);
        return NULL;
    }
    const ParentInfo info = {flags, params, opref};
    for (gsize i = 0; i < value_list_size(data); i++) {
        Step *step = step_new(value_list_at(data, i), &info, error);
        if (!step)
            return NULL;
        g_ptr_array_add(steps, step);
    }
    name_links(steps);
    return g_steal_pointer(&steps);
}

GPtrArray *steps_for_run(Run *parent, GError **error)
{
    g_autoptr(Value) data = run_try_attr(parent, "steps");
    g_autoptr(Value) flags = run_try_attr(parent, "flags");
    g_autoptr(Value) params = run_try_attr(parent, "run_params");
    g_autoptr(OpRef) opref = run_opref(parent, NULL);
    return steps_for_data(data, flags, params, opref, error);
}

/* ---- arguments ---- */

static void add(GPtrArray *args, const char *text)
{
    g_ptr_array_add(args, g_strdup(text));
}

static void add_passthrough(
        GPtrArray *args, const Step *step, Run *parent, const char *step_run_dir)
{
    g_autoptr(Value) params = run_try_attr(parent, "run_params");
    Value *jobs = value_map_get(params, "jobs");
    if (!value_is_null(jobs) && value_is_null(value_map_get(step->params, "jobs"))) {
        add(args, "--jobs");
        g_ptr_array_add(args, value_str(jobs));
    }
    if (value_truthy(value_map_get(params, "stage_trials")))
        add(args, "--stage-trials");
    if (value_truthy(value_map_get(params, "force_sourcecode")))
        add(args, "--force-sourcecode");
    g_autoptr(Run) step_run = run_new(step_run_dir, NULL);
    if (value_truthy(value_map_get(params, "needed")) && run_exists(step_run) &&
            run_status(step_run) == RUN_COMPLETED)
        add(args, "--needed");
}

static void add_params(GPtrArray *args, const Step *step)
{
    for (gsize i = 0; i < G_N_ELEMENTS(used_params); i++) {
        Value *val = value_map_get(step->params, used_params[i].key);
        gboolean zero_counts = !strcmp(used_params[i].key, "gpus") ||
                               !strcmp(used_params[i].key, "random_seed") ||
                               !strcmp(used_params[i].key, "jobs");
        if (!used_params[i].option || value_is_null(val) || (!zero_counts && !value_truthy(val)))
            continue;
        if (used_params[i].kind == P_FLAG) {
            add(args, used_params[i].option);
        } else if (used_params[i].kind == P_MULTI && value_is_list(val)) {
            for (gsize j = 0; j < value_list_size(val); j++) {
                add(args, used_params[i].option);
                g_ptr_array_add(args, value_str(value_list_at(val, j)));
            }
        } else {
            add(args, used_params[i].option);
            g_ptr_array_add(args, value_str(val));
        }
    }
}

static void add_flags(GPtrArray *args, const Step *step)
{
    for (guint i = 0; step->batch_files[i]; i++)
        g_ptr_array_add(args, g_strconcat("@", step->batch_files[i], NULL));
    g_autoptr(Value) sorted = value_new_map();
    value_map_update(sorted, step->flags);
    value_map_sort(sorted);
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        g_autofree char *text = flagval_format(value_map_at(sorted, i), 0);
        g_ptr_array_add(args, g_strdup_printf("%s=%s", value_map_key_at(sorted, i), text));
    }
}

char **step_run_args(const Step *step, Run *parent, const char *step_run_dir, guint *shown)
{
    GPtrArray *args = g_ptr_array_new();
    if (fs_exists(step_run_dir)) {
        add(args, "--restart");
        g_ptr_array_add(args, g_path_get_basename(step_run_dir));
        *shown = 1;
    } else {
        add(args, "--keep-batch");
        add(args, "--run-dir");
        add(args, step_run_dir);
        add(args, step->op_spec);
        *shown = 3;
    }
    add_passthrough(args, step, parent, step_run_dir);
    add_params(args, step);
    add_flags(args, step);
    g_ptr_array_add(args, NULL);
    return (char **)g_ptr_array_free(args, FALSE);
}
