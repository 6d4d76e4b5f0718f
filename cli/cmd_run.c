/* SPDX-License-Identifier: Apache-2.0 */
/* `guild run`: runs an operation, or tells what would be run; see run.h. */
#include "cli/run.h"

#include <stdio.h>

#include "cli/commands.h"
#include "cli/ophelp.h"

static int print_help(RunState *s)
{
    g_autofree char *text = run_flag(s->args, "help_model") ? ophelp_model(s->help_opdef->modeldef)
                                                            : ophelp_operation(s->help_opdef);
    fputs(text, stdout);
    return 0;
}

static int dispatch(RunState *s)
{
    const RunArgs *a = s->args;
    if (s->help_opdef)
        return print_help(s);
    if (run_string(a, "test_output_scalars"))
        return run_test_output(s, run_string(a, "test_output_scalars"), TRUE);
    if (run_string(a, "test_output_attrs"))
        return run_test_output(s, run_string(a, "test_output_attrs"), FALSE);
    if (run_flag(a, "test_sourcecode"))
        return run_test_sourcecode(s);
    if (run_flag(a, "test_flags"))
        return run_test_flags(s);
    if (run_flag(a, "print_cmd"))
        return run_print_cmd(s);
    if (run_flag(a, "print_env"))
        return run_print_env(s);
    if (run_flag(a, "print_trials"))
        return run_print_trials(s);
    if (run_string(a, "save_trials"))
        return run_save_trials(s, run_string(a, "save_trials"));
    return run_flag(a, "yes") || run_confirm(s) ? run_start(s) : 0;
}

static int run_command(CliArgs *cli)
{
    RunArgs *args = run_args_new(cli);
    int status = run_args_check(args);
    if (!status && run_flag(args, "test_flags")) {
        g_setenv("FLAGS_TEST", "1", TRUE);
        g_setenv("NO_IMPORT_FLAGS_CACHE", "1", TRUE);
    }
    RunState *s = status ? NULL : run_state_new(args, &status);
    if (s)
        status = dispatch(s);
    run_state_free(s);
    run_args_free(args);
    return status;
}

static const CliOption *const tables[] = {run_options, run_own_options, NULL};

const CliCommand cmd_run = {
        .name = "run",
        .args = "[[MODEL:]OPERATION] [FLAG=VAL]...",
        .summary = "Run an operation.",
        .help = "OPERATION is an operation of guild.yml in the current folder, or a Python or "
                "other "
                "executable script. Without one the project's default operation is run, or, with "
                "--restart or --proto, that of the run.\n\n"
                "A list of values, as in lr=[0.1,0.01], a range, as in lr=range[1:3], or a search "
                "space, as in lr=uniform[0.1:0.5], makes a batch: one run, a trial, for each "
                "combination of values. @FILE takes the trials from a CSV, JSON or YAML file. With "
                "-j N, N trials run at a time.\n\n"
                "A run can be staged, with --stage, and started later, with --start. --restart "
                "runs "
                "something again in its own directory; flags may be given anew.\n\n"
                "With --remote the operation runs on the machines of a coordinator.",
        .options = tables,
        .run = run_command,
        .args_complete = "op-flag",
};
