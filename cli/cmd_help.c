/* SPDX-License-Identifier: Apache-2.0 */
/* `guild help`: the models and operations of a project, with their flags. */
#include "cli/commands.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/ophelp.h"
#include "cli/projectargs.h"
#include "engine/base/fs.h"

static const CliOption help_options[] = {
        {"no_pager", "-n, --no-pager", OPT_FLAG, NULL, "Do not use a pager."},
        CLI_OPTIONS_END,
};

/* Through $PAGER (less) on a terminal. */
static void show(const char *text, gboolean no_pager)
{
    if (no_pager || !isatty(STDOUT_FILENO)) {
        puts(text);
        return;
    }
    const char *pager = g_getenv("PAGER");
    fflush(stdout);
    FILE *out = popen(pager && *pager ? pager : "less -R", "w");
    if (!out) {
        puts(text);
        return;
    }
    fputs(text, out);
    pclose(out);
}

static int no_guildfile(const char *path, CliArgs *args)
{
    g_autofree char *relative = fs_relpath(path, NULL);
    g_autofree char *where =
            project_where(cli_n_positional(args) ? cli_positional(args)[0] : relative);
    return cli_error("%s does not contain a Guild file (guild.yml)\n"
                     "Try specifying a project path or 'guild help --help' for help.",
            where);
}

/* The folder as seen from the one that the user is in. */
static char *relative_where(const char *dir)
{
    g_autofree char *here = fs_cwd();
    if (g_str_equal(dir, here))
        return project_where(dir);
    g_autofree char *relative = fs_relpath(dir, here);
    return g_strdup_printf("'%s%s'", *relative == '.' ? "" : "./", relative);
}

static int help_run(CliArgs *args)
{
    GError *error = NULL;
    if (!cli_check_max_args(args, 1))
        return 2;
    const char *given = cli_n_positional(args) ? cli_positional(args)[0] : ".";
    g_autofree char *path = fs_abspath(given, cli_cwd());
    if (!fs_exists(path))
        return cli_error("cannot find a project in '%s'", given);
    g_autoptr(Guildfile) g = guildfile_load(path, &error);
    if (g_error_matches(error, GUILDFILE_ERROR, GUILDFILE_ERROR_NO_MODELS)) {
        g_clear_error(&error);
        return no_guildfile(path, args);
    }
    if (!g)
        return cli_gerror(error);
    g_autofree char *here = relative_where(g->dir);
    g_autofree char *text = ophelp_guildfile(g, here);
    show(text, cli_flag(args, "no_pager"));
    return 0;
}

const CliCommand cmd_help = {
        .name = "help",
        .args = "[PATH]",
        .summary = "Show help for a project.",
        .help = "Shows the models and operations that a guild.yml defines, with descriptions and "
                "flags. PATH is a folder or file; without it the current folder's is taken.",
        .options = (const CliOption *const[]){help_options, NULL},
        .run = help_run,
        .args_complete = "dir",
};
