/* SPDX-License-Identifier: Apache-2.0 */
/* `guild init`: a home of its own for a project. */
#include "cli/commands.h"

#include <stdio.h>

#include "cli/out.h"
#include "engine/base/fs.h"

static const CliOption init_options[] = {
        {"yes", "-y, --yes", OPT_FLAG, NULL, "Do not prompt before it is made."},
        CLI_OPTIONS_END,
};

static int init_run(CliArgs *args)
{
    g_autoptr(GError) error = NULL;
    if (!cli_check_max_args(args, 1))
        return 2;
    const char *given = cli_n_positional(args) ? cli_positional(args)[0] : ".";
    g_autofree char *dir = fs_abspath(given, cli_cwd());
    g_autofree char *home = g_build_filename(dir, ".guild", NULL);
    g_autofree char *runs = g_build_filename(home, "runs", NULL);
    if (fs_is_dir(home)) {
        fprintf(stderr, "%s is there already\n", home);
        return 0;
    }
    g_autofree char *prompt = g_strdup_printf("You are about to make a Guild home in %s: runs "
                                              "started below %s will be kept there.\nContinue?",
            home, dir);
    if (!cli_flag(args, "yes") && !out_confirm(prompt, TRUE))
        return 1;
    if (!fs_mkdirs(runs, &error))
        return cli_gerror(g_steal_pointer(&error));
    fprintf(stderr, "Runs started below %s are now kept in %s\n", dir, home);
    return 0;
}

const CliCommand cmd_init = {
        .name = "init",
        .args = "[DIR]",
        .summary = "Give a project a home of its own.",
        .help = "Makes the folder .guild in DIR (the current folder). Runs that are started in DIR "
                "or below it are then kept there instead of in the user's home.\n\n"
                "A Python environment is not made. Make one with 'python3 -m venv'; once it is "
                "activated, operations run with its interpreter.",
        .options = (const CliOption *const[]){init_options, NULL},
        .run = init_run,
        .args_complete = "dir",
};
