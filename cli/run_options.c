/* SPDX-License-Identifier: Apache-2.0 */
/* Options of `guild run`; see run.h. Their keys are the names that attribute `run_params` has for
 * them. */
#include "cli/run.h"

#include <string.h>

const CliOption run_options[] = {
        {"label", "-l, --label", OPT_STRING, "LABEL", "Set a label for the run."},
        {"tags", "-t, --tag", OPT_MULTI, "TAG", "Give the run a tag. May be used more than once."},
        {"comment", "-c, --comment", OPT_STRING, "COMMENT", "Add a comment to the run."},
        {"edit_comment", "-ec, --edit-comment", OPT_FLAG, NULL, "Type the comment in an editor."},
        {"edit_flags", "-e, --edit-flags", OPT_FLAG, NULL, "Review and change flags in an editor."},
        {"run_dir", "-d, --run-dir", OPT_STRING, "DIR",
                "Run in DIR instead of a directory in the Guild home.", "dir"},
        {"stage", "--stage", OPT_FLAG, NULL, "Stage the operation, don't start it."},
        {"restart", "--start, --restart", OPT_STRING, "RUN",
                "Start a staged run or restart an existing one. Not with --proto or --run-dir.",
                "run"},
        {"proto", "--proto", OPT_STRING, "RUN",
                "Use operation, flags and source code of RUN. Flags may be added or changed. Not "
                "with --restart.",
                "run"},
        {"force_sourcecode", "--force-sourcecode", OPT_FLAG, NULL,
                "With --restart or --proto: use the source code as it is now."},
        {"gpus", "--gpus", OPT_STRING, "DEVICES",
                "Let the run see only these GPUs, a list of device numbers with commas. Not with "
                "--no-gpus."},
        {"no_gpus", "--no-gpus", OPT_FLAG, NULL, "Let the run see no GPU. Not with --gpus."},
        {"batch_label", "-bl, --batch-label", OPT_STRING, "LABEL", "Label of the batch run."},
        {"batch_tags", "-bt, --batch-tag", OPT_MULTI, "TAG",
                "Tag of the batch run. May be used more than once."},
        {"batch_comment", "-bc, --batch-comment", OPT_STRING, "COMMENT",
                "Comment of the batch run."},
        {"edit_batch_comment", "-ebc, --edit-batch-comment", OPT_FLAG, NULL,
                "Type the batch's comment in an editor."},
        {"optimizer", "-o, --optimizer", OPT_STRING, "ALGORITHM",
                "Choose trials by this optimizer: random, one that the operation defines, or "
                "another operation.",
                "choice:random,gp,forest,gbrt"},
        {"optimize", "-O, --optimize", OPT_FLAG, NULL, "Use the default optimizer."},
        {"minimize", "-N, --minimize", OPT_STRING, "COLUMN",
                "What an optimizer makes small: a scalar such as loss. Not with --maximize."},
        {"maximize", "-X, --maximize", OPT_STRING, "COLUMN",
                "What an optimizer makes large. Not with --minimize."},
        {"opt_flags", "-Fo, --opt-flag", OPT_MULTI, "FLAG=VAL",
                "Flag of the optimizer. May be used more than once."},
        {"max_trials", "-m, --max-trials, --trials", OPT_INT, "N",
                "Run at most N trials. Without an optimizer they are drawn at random.",
                .at_least = "1"},
        {"random_seed", "--random-seed", OPT_INT, "N", "Seed for drawing trials and values."},
        {"debug_sourcecode", "--debug-sourcecode", OPT_STRING, "PATH",
                "Load source code from PATH instead of the run directory.", "dir"},
        {"stage_trials", "--stage-trials", OPT_FLAG, NULL,
                "Stage the trials of a batch, don't start them."},
        {"remote", "-r, --remote", OPT_STRING, "REMOTE", "Run on REMOTE.", "remote"},
        {"yes", "-y, --yes", OPT_FLAG, NULL, "Do not ask before running."},
        {"force_flags", "-f, --force-flags", OPT_FLAG, NULL,
                "Accept undefined flags and values that the operation does not allow."},
        {"force_deps", "--force-deps", OPT_FLAG, NULL,
                "Go on when a required resource can't be resolved."},
        {"stop_after", "--stop-after", OPT_FLOAT, "N", "Stop the run after N minutes."},
        {"fail_on_trial_error", "--fail-on-trial-error", OPT_FLAG, NULL,
                "Stop the batch when a trial fails."},
        {"needed", "--needed", OPT_FLAG, NULL,
                "Run only if there is no run of the operation with the same flags that did not "
                "fail."},
        {"background", "-b, --background", OPT_FLAG, NULL, "Run in the background."},
        {"pidfile", "--pidfile", OPT_STRING, "PIDFILE",
                "Run in the background with its process id in PIDFILE.", "file"},
        {"no_wait", "-n, --no-wait", OPT_FLAG, NULL,
                "With --remote: don't wait for the run to end."},
        {"save_trials", "--save-trials", OPT_STRING, "PATH", "Save the trials in a batch file.",
                "file"},
        {"keep_run", "--keep-run", OPT_FLAG, NULL,
                "Keep the run even if its operation says 'delete-on-success'."},
        {"keep_batch", "--keep-batch", OPT_FLAG, NULL, "Keep the batch run when it has succeeded."},
        {"additional_deps", "-D, --dep", OPT_MULTI, "PATH",
                "Link PATH into the run. May be used more than once.", "file"},
        {"break_", "--break", OPT_MULTI, "LOCATION",
                "Set a breakpoint in a Python operation: LINE, FILE:LINE or MODULE.FUNCTION. May "
                "be "
                "used more than once."},
        {"break_on_error", "--break-on-error", OPT_FLAG, NULL,
                "Enter Python's debugger where a Python operation fails."},
        {"quiet", "-q, --quiet", OPT_FLAG, NULL, "Do not show output."},
        {"print_cmd", "--print-cmd", OPT_FLAG, NULL, "Show the command and exit."},
        {"print_env", "--print-env", OPT_FLAG, NULL, "Show the environment and exit."},
        {"print_trials", "--print-trials", OPT_FLAG, NULL, "Show the trials and exit."},
        {"help_model", "--help-model", OPT_FLAG, NULL, "Show help for the model and exit."},
        {"help_op", "-h, --help-op", OPT_FLAG, NULL, "Show help for the operation and exit."},
        {"test_output_scalars", "--test-output-scalars", OPT_STRING, "OUTPUT",
                "Show which scalars would be read from the file OUTPUT; '-' is standard input.",
                "file"},
        {"test_output_attrs", "--test-output-attrs", OPT_STRING, "OUTPUT",
                "The same for output attributes.", "file"},
        {"test_sourcecode", "--test-sourcecode", OPT_FLAG, NULL,
                "Show which files are source code and exit."},
        {"test_flags", "--test-flags", OPT_FLAG, NULL, "Show how flags are defined and exit."},
        {"run_id", "--run-id", OPT_STRING, "ID", "Use ID for the run.", NULL, NULL, TRUE},
        CLI_OPTIONS_END,
};

const CliOption run_own_options[] = {
        {"jobs", "-j, --jobs", OPT_INT, "N",
                "Run N trials of a batch at a time; 0 is one per core. Default is 1.",
                .at_least = "0"},
        {"retries", "--retries", OPT_INT, "N",
                "Run a trial again, up to N times, when the worker that ran it was lost. Default "
                "is 3.",
                .at_least = "0"},
        {"retry_failed", "--retry-failed", OPT_INT, "N",
                "Start a trial again, up to N times, when it failed.", .at_least = "0"},
        {"priority", "--priority", OPT_INT, "N",
                "With --remote: run before batches of a lower priority. Default is 0."},
        {"request", "--request", OPT_STRING, "RESOURCES",
                "What each trial asks of a machine, as in cpus=2,gpus=1,mem=8G."},
        CLI_OPTIONS_END,
};

static Value *multi_value(const char *const *items)
{
    return value_new_strv(items);
}

static Value *number_value(double d)
{
    return d == (double)(gint64)d ? value_new_int((gint64)d) : value_new_float(d);
}

static Value *option_value(const CliArgs *cli, const CliOption *o)
{
    switch (o->kind) {
    case OPT_FLAG:
        return value_new_bool(cli_flag(cli, o->key));
    case OPT_MULTI:
        return multi_value(cli_multi(cli, o->key));
    case OPT_INT:
        return cli_given(cli, o->key) ? value_new_int(cli_int(cli, o->key, 0)) : value_new_null();
    case OPT_FLOAT:
        return cli_given(cli, o->key) ? number_value(cli_float(cli, o->key, 0)) : value_new_null();
    default: {
        const char *s = cli_string(cli, o->key);
        return s ? value_new_string(s) : value_new_null();
    }
    }
}

static Value *params_map(const RunArgs *a)
{
    Value *params = value_new_map();
    for (const CliOption *o = run_options; o->key; o++)
        value_map_set(params, o->key, option_value(a->cli, o));
    for (const CliOption *o = run_own_options; o->key; o++)
        if (cli_given(a->cli, o->key))
            value_map_set(params, o->key, option_value(a->cli, o));
    value_map_set(params, "opspec", a->opspec ? value_new_string(a->opspec) : value_new_null());
    value_map_set(params, "flags", multi_value((const char *const *)a->flags));
    return params;
}

RunArgs *run_args_new(const CliArgs *cli)
{
    RunArgs *a = g_new0(RunArgs, 1);
    const char *const *words = cli_positional(cli);
    a->cli = cli;
    /* A first word that looks like a flag is one: the operation is left out. */
    gboolean has_opspec = words[0] && !strchr(words[0], '=');
    if (has_opspec)
        a->opspec = g_strdup(words[0]);
    a->flags = g_strdupv((char **)words + (has_opspec ? 1 : 0));
    a->params = params_map(a);
    return a;
}

void run_args_free(RunArgs *a)
{
    g_free(a->opspec);
    g_strfreev(a->flags);
    value_unref(a->params);
    g_free(a);
}

static gboolean is_set(const RunArgs *a, const char *key)
{
    return value_truthy(value_map_get(a->params, key));
}

static int check_incompatible(const RunArgs *a)
{
    static const char *const pairs[][2] = {{"minimize", "maximize"}, {"no_gpus", "gpus"},
            {"optimize", "optimizer"}, {"print_cmd", "print_env"}, {"print_trials", "stage_trials"},
            {"stage", "background"}, {"stage", "pidfile"}, {"remote", "background"},
            {"remote", "pidfile"}, {"remote", "edit_flags"}, {"remote", "edit_comment"},
            {"remote", "break_"}, {"remote", "break_on_error"}};
    for (gsize i = 0; i < G_N_ELEMENTS(pairs); i++) {
        if (!is_set(a, pairs[i][0]) || !is_set(a, pairs[i][1]))
            continue;
        g_autofree char *x = g_strdelimit(g_strdup(pairs[i][0]), "_", '-');
        g_autofree char *y = g_strdelimit(g_strdup(pairs[i][1]), "_", '-');
        return cli_error("--%s and --%s cannot both be used\n"
                         "Try 'guild run --help' for more information.",
                x, y);
    }
    return 0;
}

static int check_restart(const RunArgs *a)
{
    static const char *const with_restart[][2] = {{"help_model", "--help-model"},
            {"help_op", "--help-op"}, {"opspec", "OPERATION"}, {"optimize", "--optimize"},
            {"optimizer", "--optimizer"}, {"proto", "--proto"}, {"run_dir", "--run-dir"},
            {"test_output_scalars", "--test-output-scalars"},
            {"test_output_attrs", "--test-output-attrs"}, {"test_sourcecode", "--test-sourcecode"},
            {"test_flags", "--test-flags"}};
    if (!is_set(a, "restart"))
        return 0;
    for (gsize i = 0; i < G_N_ELEMENTS(with_restart); i++)
        if (is_set(a, with_restart[i][0]))
            return cli_error("%s cannot be used with --restart\n"
                             "Try 'guild run --help' for more information.",
                    with_restart[i][1]);
    return 0;
}

static int check_run_id(const RunArgs *a)
{
    const char *id = run_string(a, "run_id");
    if (id && (!*id || strchr(id, '/') || id[0] == '.'))
        return cli_error("invalid run id '%s': it is the name of a directory", id);
    return 0;
}

int run_args_check(const RunArgs *a)
{
    int status = check_incompatible(a);
    if (!status)
        status = check_restart(a);
    return status ? status : check_run_id(a);
}
