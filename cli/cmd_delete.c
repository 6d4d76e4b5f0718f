/* SPDX-License-Identifier: Apache-2.0 */
/* `guild runs delete`: moves runs to the trash, or removes them for good. */
#include "cli/commands.h"

#include <stdio.h>

#include "cli/runs_op.h"
#include "cli/runs_stop.h"

static const CliOption delete_options[] = {
        {"permanent", "-p, --permanent", OPT_FLAG, NULL,
                "Remove runs for good; they can't be restored."},
        CLI_OPTIONS_END,
};

static GPtrArray *running_runs(GPtrArray *runs)
{
    GPtrArray *running = run_array_new();
    for (guint i = 0; i < runs->len; i++) {
        g_autofree char *remote = run_remote(runs->pdata[i]);
        if (!remote && run_status(runs->pdata[i]) == RUN_RUNNING)
            g_ptr_array_add(running, run_ref(runs->pdata[i]));
    }
    return running;
}

static int apply_delete(GPtrArray *runs, RunsChoice *choice)
{
    gboolean permanent = cli_flag(choice->args, "permanent");
    g_autoptr(GPtrArray) running = running_runs(runs);
    if (running->len > 0 && !cli_flag(choice->args, "yes")) {
        out_line(stderr, OUT_YELLOW,
                "WARNING: One or more runs are still running and will be "
                "stopped before being deleted.");
        if (!out_confirm("Really delete these runs?", FALSE))
            return EXIT_ABORTED;
    }
    for (guint i = 0; i < running->len; i++) {
        int status = runs_stop_one(running->pdata[i], FALSE, RUNS_STOP_TIMEOUT_S);
        if (status != 0)
            return status;
    }
    g_autoptr(RunStore) home = run_store_open(cli_home(), NULL);
    for (guint i = 0; i < runs->len; i++) {
        g_autoptr(GError) error = NULL;
        /* Runs of an archive go to the trash of the home too. */
        gboolean ok = permanent ? run_store_purge(choice->store, runs->pdata[i], &error)
                                : run_store_delete(home, runs->pdata[i], &error);
        if (!ok)
            return cli_gerror(g_steal_pointer(&error));
    }
    fprintf(stderr, permanent ? "Permanently deleted %u run(s)\n" : "Deleted %u run(s)\n",
            runs->len);
    return 0;
}

static int delete (CliArgs *args)
{
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    if (choice.scratch && !choice.remote)
        return cli_error("runs in the zip file '%s' can't be deleted", cli_string(args, "archive"));
    gboolean permanent = cli_flag(args, "permanent");
    const RunsOp op = {
            .action = "delete",
            .preview = permanent
                               ? "WARNING: You are about to permanently delete the following runs:"
                               : "You are about to delete the following runs:",
            .preview_style = permanent ? OUT_YELLOW : OUT_PLAIN,
            .prompt = permanent ? "Permanently delete %u run(s)?" : "Delete %u run(s)?",
            .no_runs = "Nothing to delete.",
            .confirm_default = !permanent,
            .apply = apply_delete,
    };
    return runs_op(&choice, cli_positional(args), &op);
}

static const CliOption *const tables[] = {delete_options, runs_archive_option, runs_common_filters,
        runs_status_filters, runs_remote_option, runs_yes_option, NULL};

const CliCommand cmd_delete = {
        .name = "delete|rm",
        .args = "[RUN]...",
        .summary = "Delete one or more runs.",
        .help = "Deletes runs: all that match the filters unless RUN is given. Shows them and asks "
                "first unless --yes is used; a running one is stopped. Deleted runs can be "
                "restored "
                "('guild runs restore') unless --permanent is used.\n\n" RUNS_HELP_RUNS
                "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = delete,
        .args_complete = "run",
};
