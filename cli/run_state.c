/* SPDX-License-Identifier: Apache-2.0 */
/* From options to operations; see run.h. First the run that is restarted or taken as a model, then
 * the user's operation, then, if flags or options ask for trials, the batch operation that makes
 * them. */
#include "cli/run.h"

#include <string.h>

#include "cli/edit.h"
#include "cli/out.h"
#include "engine/base/fs.h"
#include "engine/base/flagval.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/batch/batchfile.h"
#include "engine/op/flags.h"
#include "engine/project/opspec.h"

#define DEFAULT_OPTIMIZER "gp"
#define DEFAULT_OBJECTIVE "loss"

void run_state_free(RunState *s)
{
    if (!s)
        return;
    g_clear_pointer(&s->restart_run, run_unref);
    g_clear_pointer(&s->proto_run, run_unref);
    op_free(s->user_op);
    op_free(s->batch_op);
    g_clear_pointer(&s->help_opdef, opdef_unref);
    if (s->fetched_dir)
        fs_remove_tree(s->fetched_dir, NULL);
    g_free(s->fetched_dir);
    run_store_free(s->store);
    g_free(s);
}

/* The run that --restart or --proto names: a directory, an operation (its marked or latest run), or
 * an id or the beginning of one. */

static Run *run_for_dir(const char *spec)
{
    if (spec[0] != '.' && !g_path_is_absolute(spec))
        return NULL;
    g_autofree char *dir = fs_abspath(spec, NULL);
    return run_new(dir, NULL);
}

static gboolean can_be_chosen(Run *run)
{
    RunStatus status = run_status(run);
    return status == RUN_COMPLETED || status == RUN_RUNNING || status == RUN_TERMINATED;
}

static Run *run_for_operation(RunStore *store, const char *spec)
{
    g_autoptr(OpRef) pattern = opref_for_string(spec, NULL);
    if (!pattern || !pattern->op_name)
        return NULL;
    g_autoptr(GPtrArray) runs = run_store_list(store, RUN_STORE_RUNS);
    Run *latest = NULL;
    for (guint i = 0; i < runs->len; i++) {
        Run *run = g_ptr_array_index(runs, i);
        const OpRef *ref = run_peek_opref(run);
        if (!ref || !opref_matches(ref, pattern, TRUE) || !can_be_chosen(run))
            continue;
        g_autoptr(Value) marked = run_try_attr(run, "marked");
        if (value_truthy(marked))
            return run_ref(run);
        if (!latest)
            latest = run;
    }
    return latest ? run_ref(latest) : NULL;
}

static Run *find_run(RunStore *store, const char *spec, GError **error)
{
    Run *run = run_for_dir(spec);
    if (run)
        return run;
    if (strlen(spec) == 32 && text_is_hex(spec)) {
        run = run_store_new_run(store, spec);
        if (run_exists(run))
            return run;
        run_unref(run);
    }
    run = run_for_operation(store, spec);
    return run ? run : run_store_find(store, spec, error);
}

static int init_runs(RunState *s)
{
    const char *restart = run_string(s->args, "restart");
    const char *spec = restart && *restart ? restart : run_string(s->args, "proto");
    if (!spec || !*spec)
        return 0;
    g_autoptr(GError) error = NULL;
    Run *run = find_run(s->store, spec, &error);
    if (!run && run_string(s->args, "remote") &&
            g_error_matches(error, RUN_ERROR_DOMAIN, RUN_ERR_NOT_FOUND)) {
        g_clear_error(&error);
        run = run_fetch_remote(s, spec, &error);
    }
    if (!run)
        return run_print_error(g_steal_pointer(&error), spec, NULL);
    *(restart && *restart ? &s->restart_run : &s->proto_run) = run;
    return 0;
}

/* Definitions. */

static OpDef *find_opdef(const char *opspec, Run *for_run, int *status)
{
    g_autoptr(GError) error = NULL;
    OpDef *opdef = opdef_for_opspec(opspec, cli_cwd(), &error);
    if (!opdef)
        *status = run_print_error(g_steal_pointer(&error), opspec, for_run);
    return opdef;
}

static OpDef *find_opdef_for_run(Run *run, int *status)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(OpRef) ref = run_opref(run, &error);
    if (!ref) {
        *status = run_print_error(g_steal_pointer(&error), NULL, run);
        return NULL;
    }
    g_autofree char *opspec = opref_to_opspec(ref, NULL);
    return find_opdef(opspec, run, status);
}

/* Batch files. */

/* The current folder in messages: "." unless -C names another. */
static const char *shown_cwd(void)
{
    g_autofree char *here = fs_cwd();
    return strcmp(here, cli_cwd()) == 0 ? "." : cli_cwd();
}

static Value *read_batch_files(const char *const *paths, GError **error)
{
    g_autoptr(Value) trials = value_new_list();
    for (; *paths; paths++) {
        g_autofree char *expanded = fs_expanduser(*paths);
        g_autofree char *path = fs_join(shown_cwd(), expanded);
        if (!fs_exists(path)) {
            g_set_error(
                    error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "batch file %s does not exist", path);
            return NULL;
        }
        g_autoptr(Value) more = batchfile_read(path, error);
        if (!more)
            return NULL;
        value_list_extend(trials, more);
    }
    return g_steal_pointer(&trials);
}

/* Operations. */

static Value *edit_flags(const Value *flags, const OpDef *opdef, gpointer data, GError **error)
{
    return edit_flag_values(flags, opdef, error);
}

static void init_request(RunState *s, OpRequest *req)
{
    RunArgs *a = s->args;
    *req = (OpRequest){
            .force_flags = run_flag(a, "force_flags"),
            .force_sourcecode = run_flag(a, "force_sourcecode"),
            .gpus = run_text(a, "gpus"),
            .no_gpus = run_flag(a, "no_gpus"),
            .breaks = cli_multi(a->cli, "break_"),
            .break_on_error = run_flag(a, "break_on_error"),
            .debug_sourcecode = run_string(a, "debug_sourcecode"),
            .run_dir = run_string(a, "run_dir"),
            .run_id = run_string(a, "run_id"),
            .random_seed = cli_int(a->cli, "random_seed", 0),
            .deps = cli_multi(a->cli, "additional_deps"),
            .run_params = a->params,
            .home = cli_home(),
            .cwd = cli_cwd(),
            .edit_flags = run_flag(a, "edit_flags") ? edit_flags : NULL,
    };
}

/* A comment that --edit-comment lets the user type, or the one that was given. FALSE: given up. */
static gboolean get_comment(RunState *s, const char *key, const char *edit_key, const char *what,
        char **comment, int *status)
{
    const char *given = run_string(s->args, key);
    *comment = g_strdup(given);
    if (!run_flag(s->args, edit_key) || s->restart_run || s->proto_run)
        return TRUE;
    g_autofree char *text = g_strdup_printf(
            "%s\n# Type a comment for the %s. Lines starting with '#' are ignored.\n"
            "# An empty comment aborts the command.",
            given ? given : "", what);
    g_autoptr(GError) error = NULL;
    g_free(*comment);
    *comment = edit_text(text, ".GUILD_COMMENT", TRUE, &error);
    if (*comment && **comment)
        return TRUE;
    if (error)
        *status = cli_gerror(g_steal_pointer(&error));
    else {
        fputs("Aborting due to an empty comment.\n", stderr);
        *status = 1;
    }
    return FALSE;
}

static int note_run_dir(RunState *s)
{
    const char *dir = run_string(s->args, "run_dir");
    if (!dir || s->restart_run || run_string(s->args, "run_id") || run_flag(s->args, "stage") ||
            g_strcmp0(g_getenv("NO_WARN_RUNDIR"), "1") == 0)
        return 0;
    g_autofree char *abs = fs_abspath(dir, NULL);
    out_note("Run directory is '%s' (results will not be visible to Guild)", abs);
    return 0;
}

/* The run that the user's operation is made from: of a batch, its proto. */
static Run *user_run(RunState *s)
{
    Run *run = s->restart_run ? s->restart_run : s->proto_run;
    if (!run)
        return NULL;
    Run *proto = run_batch_proto(run);
    return proto ? proto : run_ref(run);
}

static OpDef *user_opdef(RunState *s, Run *run, int *status)
{
    if (s->args->opspec || !run)
        return find_opdef(s->args->opspec, NULL, status);
    if (s->args->flags[0] || run_flag(s->args, "force_sourcecode"))
        return find_opdef_for_run(run, status);
    return NULL;
}

static Op *make_op(Run *run, OpDef *opdef, const OpRequest *req, int *status)
{
    g_autoptr(GError) error = NULL;
    Op *op = run ? op_for_run(run, opdef, req, &error) : op_for_opdef(opdef, req, &error);
    if (!op)
        *status = run_print_error(g_steal_pointer(&error), NULL, run);
    return op;
}

static int init_user_op(RunState *s)
{
    int status = 0;
    g_autoptr(Run) run = user_run(s);
    g_autoptr(OpDef) opdef = user_opdef(s, run, &status);
    if (status)
        return status;
    OpRequest req;
    init_request(s, &req);
    g_auto(GStrv) assigns = NULL, files = NULL;
    flags_split_args((const char *const *)s->args->flags, &assigns, &files);
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) trials =
            files[0] ? read_batch_files((const char *const *)files, &error) : NULL;
    if (error)
        return cli_gerror(g_steal_pointer(&error));
    g_autofree char *comment = NULL;
    if (!get_comment(s, "comment", "edit_comment", "run", &comment, &status))
        return status;
    g_autoptr(Value) kept = s->restart_run ? run_try_attr(s->restart_run, "run_params") : NULL;
    req.flags = (const char *const *)assigns;
    req.batch_trials = trials;
    req.label = run_text(s->args, "label");
    req.tags = cli_multi(s->args->cli, "tags");
    req.comment = comment;
    req.keep_run = run_flag(s->args, "keep_run");
    req.kept_params = kept;
    req.run_is_proto = s->proto_run != NULL;
    note_run_dir(s);
    s->user_op = make_op(run, opdef, &req, &status);
    return status;
}

/* Batch. */

static gboolean has_kind(const Value *flags, gboolean (*is)(const Value *v))
{
    for (gsize i = 0; i < value_map_size(flags); i++)
        if (is(value_map_at(flags, i)))
            return TRUE;
    return FALSE;
}

static gboolean is_list(const Value *v)
{
    return value_is_list(v);
}

/* The operation that flags with several values, functions or batch files imply. */
static const char *implied_batch_opspec(const Op *user_op)
{
    if (has_kind(user_op->flag_vals, flagval_is_function))
        return "random";
    if (has_kind(user_op->flag_vals, is_list) || value_truthy(user_op->batch_trials))
        return "+";
    return NULL;
}

static OpDef *default_optimizer(const OpDef *opdef, Value **flags, int *status)
{
    const OptimizerDef *o = opdef_default_optimizer(opdef);
    if (o) {
        *flags = value_ref(o->flags);
        return find_opdef(o->opspec, NULL, status);
    }
    if (!opdef->optimizers || !opdef->optimizers->len)
        return find_opdef(DEFAULT_OPTIMIZER, NULL, status);
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < opdef->optimizers->len; i++)
        g_string_append_printf(names, "%s%s", i ? ", " : "",
                ((OptimizerDef *)g_ptr_array_index(opdef->optimizers, i))->name);
    *status = cli_error("no default optimizer defined for %s\n"
                        "Specify one of the following with '--optimizer': %s",
            opdef->name, names->str);
    return NULL;
}

static OpDef *batch_opdef_for_opdef(RunState *s, Value **flags, int *status)
{
    const OpDef *opdef = s->user_op->opdef;
    const char *name = run_string(s->args, "optimizer");
    if (name && *name) {
        const OptimizerDef *o = opdef_optimizer(opdef, name);
        if (o)
            *flags = value_ref(o->flags);
        return find_opdef(o ? o->opspec : name, NULL, status);
    }
    if (run_flag(s->args, "optimize"))
        return default_optimizer(opdef, flags, status);
    const char *implied = implied_batch_opspec(s->user_op);
    return implied ? find_opdef(implied, NULL, status) : NULL;
}

static OpDef *batch_opdef(RunState *s, Run *batch_run, Value **flags, int *status)
{
    if (batch_run) {
        if (cli_multi(s->args->cli, "opt_flags")[0] || run_flag(s->args, "force_sourcecode"))
            return find_opdef_for_run(batch_run, status);
        return NULL;
    }
    return s->user_op->opdef ? batch_opdef_for_opdef(s, flags, status) : NULL;
}

static char *objective_for_opdef(const OpDef *opdef)
{
    const Value *o = opdef->objective;
    if (value_is_string(o))
        return g_strdup(value_get_string(o));
    const char *max = value_map_string(o, "maximize", NULL);
    if (max)
        return g_strconcat("-", max, NULL);
    return g_strdup(value_map_string(o, "minimize", DEFAULT_OBJECTIVE));
}

static char *batch_objective(RunState *s)
{
    const char *min = run_string(s->args, "minimize");
    const char *max = run_string(s->args, "maximize");
    if (min && *min)
        return g_strdup(min);
    if (max && *max)
        return g_strconcat("-", max, NULL);
    return s->user_op->opdef ? objective_for_opdef(s->user_op->opdef) : NULL;
}

static int check_batch(RunState *s, gboolean is_batch, const OpDef *opdef)
{
    const char *const *opt_flags = cli_multi(s->args->cli, "opt_flags");
    if (opt_flags[0] && !opdef)
        return cli_error("invalid optimizer flag %s: no optimizer specified", opt_flags[0]);
    if (!is_batch && cli_given(s->args->cli, "max_trials"))
        log_warning("not a batch run - ignoring --max-trials");
    if (run_flag(s->args, "stage_trials") && opdef && !opdef->can_stage_trials)
        return cli_error("operation '%s' does not support --stage-trials", opdef->fullname);
    gboolean comment =
            run_string(s->args, "batch_comment") || run_flag(s->args, "edit_batch_comment");
    if (!is_batch && comment)
        log_warning("operation is not a batch - ignoring batch comment");
    return 0;
}

static int make_batch_op(RunState *s, Run *batch_run, OpDef *opdef, Value *preset)
{
    int status = 0;
    OpRequest req;
    init_request(s, &req);
    g_autofree char *comment = NULL;
    g_autofree char *objective = batch_objective(s);
    if (!get_comment(s, "batch_comment", "edit_batch_comment", "batch", &comment, &status))
        return status;
    req.flags = cli_multi(s->args->cli, "opt_flags");
    req.label = run_text(s->args, "batch_label");
    req.tags = cli_multi(s->args->cli, "batch_tags");
    req.comment = comment;
    req.keep_run = run_flag(s->args, "keep_batch");
    req.preset_flags = preset;
    req.is_batch = TRUE;
    req.max_trials = cli_int(s->args->cli, "max_trials", 0);
    req.objective = objective;
    req.stage_trials = run_flag(s->args, "stage_trials");
    req.run_is_proto = s->proto_run != NULL;
    s->batch_op = make_op(batch_run, opdef, &req, &status);
    if (s->batch_op)
        op_encode_flags_for_batch(s->user_op, s->batch_op);
    return status;
}

static int init_batch_op(RunState *s)
{
    int status = 0;
    Run *run = s->restart_run ? s->restart_run : s->proto_run;
    g_autoptr(Run) proto = run ? run_batch_proto(run) : NULL;
    Run *batch_run = proto ? run : NULL;
    g_autoptr(Value) preset = NULL;
    g_autoptr(OpDef) opdef = batch_opdef(s, batch_run, &preset, &status);
    if (status)
        return status;
    gboolean is_batch = batch_run || opdef;
    status = check_batch(s, is_batch, opdef);
    return status || !is_batch ? status : make_batch_op(s, batch_run, opdef, preset);
}

static int init_help(RunState *s)
{
    int status = 0;
    s->help_opdef = find_opdef(s->args->opspec, NULL, &status);
    return status;
}

RunState *run_state_new(RunArgs *args, int *status)
{
    RunState *s = g_new0(RunState, 1);
    g_autoptr(GError) error = NULL;
    s->args = args;
    s->store = run_store_open(cli_home(), &error);
    if (!s->store) {
        *status = cli_gerror(g_steal_pointer(&error));
    } else if (run_flag(args, "help_op") || run_flag(args, "help_model")) {
        *status = init_help(s);
    } else {
        *status = init_runs(s);
        if (!*status)
            *status = init_user_op(s);
        if (!*status)
            *status = init_batch_op(s);
    }
    if (!*status)
        return s;
    run_state_free(s);
    return NULL;
}
