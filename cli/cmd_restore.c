/* SPDX-License-Identifier: Apache-2.0 */
/* `guild runs restore`: brings deleted runs back from the trash. */
#include "cli/commands.h"

#include <stdio.h>

#include "cli/runs_op.h"
#include "engine/base/log.h"

static int apply_restore(GPtrArray *runs, RunsChoice *choice)
{
    for (guint i = 0; i < runs->len; i++) {
        g_autoptr(GError) error = NULL;
        if (run_store_is_restored(choice->store, runs->pdata[i])) {
            log_warning("%s is already restored, skipping", run_id(runs->pdata[i]));
            continue;
        }
        if (!run_store_restore(choice->store, runs->pdata[i], &error))
            return cli_gerror(g_steal_pointer(&error));
    }
    fprintf(stderr, "Restored %u run(s)\n", runs->len);
    return 0;
}

static int restore(CliArgs *args)
{
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    choice.query.where = RUN_STORE_TRASH;
    const RunsOp op = {
            .action = "restore",
            .preview = "You are about to restore the following runs:",
            .prompt = "Restore %u run(s)?",
            .no_runs = "Nothing to restore.",
            .confirm_default = TRUE,
            .apply = apply_restore,
    };
    return runs_op(&choice, cli_positional(args), &op);
}

static const CliOption *const tables[] = {
        runs_common_filters, runs_status_filters, runs_remote_option, runs_yes_option, NULL};

const CliCommand cmd_restore = {
        .name = "restore",
        .args = "[RUN]...",
        .summary = "Restore one or more deleted runs.",
        .help = "Restores deleted runs: all that match the filters unless RUN is given. RUN counts "
                "in "
                "the list that 'guild runs --deleted' shows.\n\n" RUNS_HELP_RUNS
                "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = restore,
        .args_complete = "deleted-run",
};
