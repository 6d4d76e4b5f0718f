/* SPDX-License-Identifier: Apache-2.0 */
/* `guild runs purge`: removes deleted runs for good. */
#include "cli/commands.h"

#include <stdio.h>

#include "cli/runs_op.h"

static int apply_purge(GPtrArray *runs, RunsChoice *choice)
{
    for (guint i = 0; i < runs->len; i++) {
        g_autoptr(GError) error = NULL;
        if (!run_store_purge(choice->store, runs->pdata[i], &error))
            return cli_gerror(g_steal_pointer(&error));
    }
    fprintf(stderr, "Permanently deleted %u run(s)\n", runs->len);
    return 0;
}

static int purge(CliArgs *args)
{
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    choice.query.where = RUN_STORE_TRASH;
    const RunsOp op = {
            .action = "purge",
            .preview = "WARNING: You are about to permanently delete the following runs:",
            .preview_style = OUT_YELLOW,
            .prompt = "Permanently delete %u run(s)?",
            .no_runs = "Nothing to purge.",
            .apply = apply_purge,
    };
    return runs_op(&choice, cli_positional(args), &op);
}

static const CliOption *const tables[] = {
        runs_common_filters, runs_status_filters, runs_remote_option, runs_yes_option, NULL};

const CliCommand cmd_purge = {
        .name = "purge",
        .args = "[RUN]...",
        .summary = "Permanently delete one or more deleted runs.",
        .help = "Removes deleted runs for good: all that match the filters unless RUN is given. "
                "RUN "
                "counts in the list that 'guild runs --deleted' shows. They can't be brought back."
                "\n\n" RUNS_HELP_RUNS "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = purge,
        .args_complete = "deleted-run",
};
