/* SPDX-License-Identifier: Apache-2.0 */
/* `guild mark`: marks runs. A marked run is preferred where an operation requires another. */
#include "cli/commands.h"

#include <stdio.h>

#include "cli/runs_op.h"

static const CliOption mark_options[] = {
        {"clear", "-c, --clear", OPT_FLAG, NULL, "Remove the mark."},
        CLI_OPTIONS_END,
};

static int apply_mark(GPtrArray *runs, RunsChoice *choice)
{
    g_autoptr(Value) yes = value_new_bool(TRUE);
    for (guint i = 0; i < runs->len; i++) {
        g_autoptr(GError) error = NULL;
        if (!run_write_attr(runs->pdata[i], "marked", yes, &error))
            return cli_gerror(g_steal_pointer(&error));
    }
    fprintf(stderr, "Marked %u run(s)\n", runs->len);
    return 0;
}

static int apply_unmark(GPtrArray *runs, RunsChoice *choice)
{
    for (guint i = 0; i < runs->len; i++)
        run_del_attr(runs->pdata[i], "marked");
    fprintf(stderr, "Unmarked %u run(s)\n", runs->len);
    return 0;
}

static int mark(CliArgs *args)
{
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    if (cli_n_positional(args) == 0)
        choice.query.marked = TRUE;
    gboolean clear = cli_flag(args, "clear");
    const RunsOp op = {
            .action = clear ? "unmark" : "mark",
            .preview = clear ? "You are about to unmark the following runs:"
                             : "You are about to mark the following runs:",
            .prompt = "Continue?",
            .no_runs = clear ? "No runs to unmark." : "No runs to mark.",
            .default_runs = clear ? NULL : runs_latest,
            .confirm_default = TRUE,
            .apply = clear ? apply_unmark : apply_mark,
    };
    return runs_op(&choice, cli_positional(args), &op);
}

static const CliOption *const tables[] = {mark_options, runs_common_filters, runs_status_filters,
        runs_remote_option, runs_yes_option, NULL};

const CliCommand cmd_mark = {
        .name = "mark",
        .args = "[RUN]...",
        .summary = "Mark a run.",
        .help = "Marks runs. Where an operation requires another, a marked run of it is used "
                "rather "
                "than the latest. With --clear and no RUN all marked runs are "
                "unmarked.\n\n" RUNS_HELP_RUNS "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = mark,
        .args_complete = "run",
};
