/* SPDX-License-Identifier: Apache-2.0 */
/* `guild runs export` and `guild runs import`: runs out of the home and into it. */
#include "cli/commands.h"

#include <stdio.h>

#include "cli/runs_export.h"
#include "cli/runs_op.h"
#include "engine/base/fs.h"

static const CliOption export_options[] = {
        {"move", "-m, --move", OPT_FLAG, NULL, "Move the runs rather than copy them."},
        {"copy_resources", "-r, --copy-resources", OPT_FLAG, NULL,
                "Copy what links in the runs lead to."},
        CLI_OPTIONS_END,
};

static const CliOption import_options[] = {
        {"move", "-m, --move", OPT_FLAG, NULL, "Move the runs rather than copy them."},
        {"copy_resources", "--copy-resources", OPT_FLAG, NULL,
                "Copy what links in the runs lead to."},
        CLI_OPTIONS_END,
};

static gboolean resources_agreed(CliArgs *args)
{
    if (!cli_flag(args, "copy_resources") || cli_flag(args, "yes"))
        return TRUE;
    out_line(stderr, OUT_YELLOW,
            "WARNING: You specified --copy-resources, which will copy resources "
            "used by each run.");
    return out_confirm("Really copy resources exported runs?", FALSE);
}

static int apply_export(GPtrArray *runs, RunsChoice *choice)
{
    CliArgs *args = choice->args;
    const char *location = cli_positional(args)[0];
    g_autoptr(GError) error = NULL;
    if (!resources_agreed(args))
        return EXIT_ABORTED;
    int n = runs_export(
            runs, location, cli_flag(args, "move"), cli_flag(args, "copy_resources"), &error);
    if (n < 0)
        return cli_gerror(g_steal_pointer(&error));
    fprintf(stderr, "Exported %d run(s) to %s\n", n, location);
    return 0;
}

static int export_runs(CliArgs *args)
{
    if (cli_n_positional(args) == 0)
        return cli_usage_error(args, "missing argument for LOCATION");
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    g_autofree char *preview = g_strdup_printf("You are about to %s the following runs to '%s':",
            cli_flag(args, "move") ? "move" : "copy", cli_positional(args)[0]);
    const RunsOp op = {
            .action = "export",
            .preview = preview,
            .prompt = "Continue?",
            .no_runs = "No runs to export.",
            .confirm_default = TRUE,
            .apply = apply_export,
    };
    return runs_op(&choice, cli_positional(args) + 1, &op);
}

static int apply_import(GPtrArray *runs, RunsChoice *choice)
{
    CliArgs *args = choice->args;
    g_autoptr(GError) error = NULL;
    if (!resources_agreed(args))
        return EXIT_ABORTED;
    g_autoptr(RunStore) home = run_store_open(cli_home(), &error);
    int n = home ? runs_import(runs, home, cli_flag(args, "move"), cli_flag(args, "copy_resources"),
                           &error)
                 : -1;
    if (n < 0)
        return cli_gerror(g_steal_pointer(&error));
    fprintf(stderr, "Imported %d run(s) from %s\n", n, cli_positional(args)[0]);
    return 0;
}

static int import_runs(CliArgs *args)
{
    const char *archive = cli_positional(args)[0];
    if (!archive)
        return cli_usage_error(args, "missing argument for ARCHIVE");
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init_archive(&choice, args, archive))
        return choice.status;
    if (choice.scratch && cli_flag(args, "move"))
        return cli_error("'--move' cannot be used with zip archives");
    if (!choice.scratch && fs_is_file(archive))
        return cli_error("invalid archive %s - expected a directory or a zip file", archive);
    g_autofree char *preview =
            g_strdup_printf("You are about to import (%s) the following runs from '%s':",
                    cli_flag(args, "move") ? "move" : "copy", archive);
    const RunsOp op = {
            .action = "import",
            .preview = preview,
            .prompt = "Continue?",
            .no_runs = "No runs to import.",
            .confirm_default = TRUE,
            .apply = apply_import,
    };
    return runs_op(&choice, cli_positional(args) + 1, &op);
}

static const CliOption *const export_tables[] = {
        export_options, runs_common_filters, runs_status_filters, runs_yes_option, NULL};
static const CliOption *const import_tables[] = {
        import_options, runs_common_filters, runs_status_filters, runs_yes_option, NULL};

const CliCommand cmd_export = {
        .name = "export",
        .args = "LOCATION [RUN]...",
        .summary = "Export one or more runs.",
        .help = "Copies runs to a folder, or into a zip file if LOCATION ends in '.zip'; all runs "
                "unless RUN is given. Links in them stay links unless --copy-resources is "
                "used.\n\n" RUNS_HELP_RUNS "\n\n" RUNS_HELP_FILTERS,
        .options = export_tables,
        .run = export_runs,
        .args_complete = "file",
};

const CliCommand cmd_import = {
        .name = "import",
        .args = "ARCHIVE [RUN]...",
        .summary = "Import one or more runs.",
        .help = "Copies runs from ARCHIVE, a folder or zip file that 'guild export' made; all runs "
                "unless RUN is given. 'guild runs --archive ARCHIVE' lists them.\n\n" RUNS_HELP_RUNS
                "\n\n" RUNS_HELP_FILTERS,
        .options = import_tables,
        .run = import_runs,
        .args_complete = "file",
};
