/* SPDX-License-Identifier: Apache-2.0 */
/* `guild stop`: ends running runs. */
#include "cli/commands.h"

#include "cli/runs_op.h"
#include "cli/runs_stop.h"

static const CliOption stop_options[] = {
        {"no_wait", "-n, --no-wait", OPT_FLAG, NULL, "Don't wait for remote runs to stop."},
        {"force", "--force", OPT_FLAG, NULL, "Kill what has not stopped after the timeout."},
        {"timeout", "--timeout", OPT_INT, "N",
                "Seconds to wait for a run to stop; 30 if not given.", .at_least = "0"},
        CLI_OPTIONS_END,
};

static gboolean is_local(Run *run)
{
    g_autofree char *remote = run_remote(run);
    return remote == NULL;
}

static int apply_stop(GPtrArray *runs, RunsChoice *choice)
{
    gint64 timeout = cli_int(choice->args, "timeout", RUNS_STOP_TIMEOUT_S);
    for (guint i = 0; i < runs->len; i++) {
        int status = runs_stop_one(runs->pdata[i], cli_flag(choice->args, "force"), timeout);
        if (status != 0)
            return status;
    }
    return 0;
}

static int stop(CliArgs *args)
{
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    if (cli_n_positional(args) == 0)
        choice.query.status[RUN_RUNNING] = TRUE;
    const RunsOp op = {
            .action = "stop",
            .preview = "You are about to stop the following runs:",
            .preview_style = OUT_YELLOW,
            .prompt = "Stop %u run(s)?",
            .no_runs = "Nothing to stop.",
            .wanted = choice.remote ? NULL : is_local,
            .apply = apply_stop,
    };
    return runs_op(&choice, cli_positional(args), &op);
}

static const CliOption *const tables[] = {
        stop_options, runs_common_filters, runs_remote_option, runs_yes_option, NULL};

const CliCommand cmd_stop = {
        .name = "stop",
        .args = "[RUN]...",
        .summary = "Stop one or more runs.",
        .help = "Ends the processes of runs: of all running ones that match the filters unless RUN "
                "is "
                "given.\n\n" RUNS_HELP_RUNS "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = stop,
        .args_complete = "run",
};
