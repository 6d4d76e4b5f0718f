/* SPDX-License-Identifier: Apache-2.0 */
/* `guild archive`: runs out of the home into a named folder, and the list of those. */
#include "cli/commands.h"

#include <stdio.h>

#include "cli/out.h"
#include "cli/runs_archive.h"
#include "cli/runs_export.h"
#include "cli/runs_op.h"
#include "engine/run/describe.h"

static const CliOption archive_options[] = {
        {"create", "--create", OPT_FLAG, NULL, "Create the archive if there is none of that name."},
        {"list", "-l, --list", OPT_FLAG, NULL, "List archives."},
        {"copy", "-c, --copy", OPT_FLAG, NULL, "Copy runs rather than move them."},
        {"copy_resources", "-r, --copy-resources", OPT_FLAG, NULL,
                "Copy what links in the runs lead to."},
        {"description", "-d, --description", OPT_STRING, "TEXT",
                "Description of an archive that is created."},
        {"verbose", "-v, --verbose", OPT_FLAG, NULL, "Show where the listed archives are."},
        CLI_OPTIONS_END,
};

static int list_archives(CliArgs *args)
{
    g_autoptr(GPtrArray) archives = runs_archive_list();
    g_autoptr(OutTable) table = out_table_new(2);
    for (guint i = 0; i < archives->len; i++) {
        const RunsArchive *archive = archives->pdata[i];
        char **cells = g_new0(char *, 2);
        cells[0] = g_strdup(archive->name);
        cells[1] = g_strdup(archive->description);
        out_table_add(table, cells);
        if (!cli_flag(args, "verbose"))
            continue;
        g_autofree char *shown = run_format_dir(archive->path);
        g_autofree char *detail = g_strdup_printf("  path: %s", shown);
        out_table_detail(table, detail);
    }
    out_table_print(table, stdout, 0, OUT_PLAIN);
    return 0;
}

static int apply_archive(GPtrArray *runs, RunsChoice *choice)
{
    CliArgs *args = choice->args;
    const char *name = cli_positional(args)[0];
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = runs_archive_find(name);
    if (!dir) {
        printf("Creating '%s'\n", name);
        fflush(stdout);
        dir = runs_archive_create(name, cli_string(args, "description"), &error);
    }
    int n = dir ? runs_export(runs, dir, !cli_flag(args, "copy"), cli_flag(args, "copy_resources"),
                          &error)
                : -1;
    if (n < 0)
        return cli_gerror(g_steal_pointer(&error));
    fprintf(stderr, "Archived %d run(s) to '%s'\n", n, name);
    return 0;
}

static int archive_runs(CliArgs *args)
{
    if (cli_flag(args, "list"))
        return list_archives(args);
    const char *name = cli_positional(args)[0];
    if (!name || !*name)
        return cli_error("missing argument for NAME");
    g_autofree char *dir = runs_archive_find(name);
    if (!dir && !cli_flag(args, "create"))
        return cli_error(
                "archive '%s' does not exist\nTry 'guild archive --list' to list available "
                "archives or use the '--create' option.",
                name);
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    g_autofree char *preview =
            g_strdup_printf("You are about to archive (%s) the following runs to '%s':",
                    cli_flag(args, "copy") ? "copy" : "move", name);
    const RunsOp op = {
            .action = "archive",
            .preview = preview,
            .prompt = "Continue?",
            .no_runs = "No runs to archive.",
            .confirm_default = TRUE,
            .apply = apply_archive,
    };
    return runs_op(&choice, cli_positional(args) + 1, &op);
}

static const CliOption *const archive_tables[] = {
        archive_options, runs_common_filters, runs_status_filters, runs_yes_option, NULL};

const CliCommand cmd_archive = {
        .name = "archive",
        .args = "[NAME] [RUN]...",
        .summary = "Archive one or more runs.",
        .help = "Moves runs to the archive NAME, a folder of runs beside the user's configuration; "
                "all "
                "runs unless RUN is given. 'guild runs --archive NAME' lists them, 'guild import "
                "NAME' "
                "brings them back. Links in runs stay links unless --copy-resources is "
                "used.\n\n" RUNS_HELP_RUNS "\n\n" RUNS_HELP_FILTERS,
        .options = archive_tables,
        .run = archive_runs,
};
