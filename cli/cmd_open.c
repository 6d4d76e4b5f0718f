/* SPDX-License-Identifier: Apache-2.0 */
/* `guild open`: opens a run's folder or a file of it with a program of the desktop, or a shell in
 * it. */
#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/runs_args.h"
#include "cli/runs_paths.h"
#include "engine/base/fs.h"
#include "engine/base/text.h"

static const CliOption open_options[] = {
        {"path", "-p, --path", OPT_STRING, "PATH", "Open PATH in the run directory.", "run-file"},
        {"sourcecode", "-s, --sourcecode", OPT_FLAG, NULL, "Open the run's source code."},
        {"output", "-O, --output", OPT_FLAG, NULL, "Open the run's output."},
        {"cmd", "-c, --cmd", OPT_STRING, "CMD", "Program that opens."},
        {"shell", "--shell", OPT_FLAG, NULL, "Start a shell in the run directory or PATH."},
        {"shell_cmd", "--shell-cmd", OPT_STRING, "CMD", "Start CMD as the shell."},
        CLI_OPTIONS_END,
};

static char *path_to_open(Run *run, CliArgs *args)
{
    const char *path = cli_string(args, "path");
    if (cli_flag(args, "output")) {
        if (path || cli_flag(args, "sourcecode"))
            fputs("--output cannot be used with other options - ignorning other options\n", stderr);
        return run_guild_path(run, "output");
    }
    g_autofree char *root =
            cli_flag(args, "sourcecode") ? runs_sourcecode_dir(run) : g_strdup(run_dir(run));
    return fs_join(root, path ? path : "");
}

static int open_with(const char *command, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) words = text_shell_split(command, &error);
    if (!words || !*words)
        return cli_error("invalid command '%s'", command);
    guint n = g_strv_length(words);
    words = g_renew(char *, words, n + 2);
    words[n] = g_strdup(path);
    words[n + 1] = NULL;
    if (!g_spawn_sync(NULL, words, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_CHILD_INHERITS_STDIN, NULL,
                NULL, NULL, NULL, NULL, &error))
        return cli_error("cannot open %s with '%s': %s - name a program with --cmd", path, command,
                error->message);
    return 0;
}

static int open_shell(const char *shell, const char *path)
{
    g_autofree char *dir = fs_is_file(path) ? g_path_get_dirname(path) : g_strdup(path);
    if (!shell || !*shell)
        shell = g_getenv("SHELL");
    if (!shell || !*shell)
        shell = "bash";
    out_note("Running a new shell in %s\nTo exit the shell, type 'exit' and press Enter.", dir);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (chdir(dir) == 0)
            execlp(shell, shell, NULL);
        fprintf(stderr, "guild: cannot run %s in %s: %s\n", shell, dir, g_strerror(errno));
        _exit(127);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return cli_error("cannot run %s: %s", shell, g_strerror(errno));
    return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? 1 : 0;
}

static int open_run(CliArgs *args)
{
    static const char *const incompatible[] = {
            "shell", "cmd", "shell_cmd", "shell", "shell_cmd", "cmd", NULL};
    const char *path_arg = cli_string(args, "path");
    if (path_arg && g_path_is_absolute(path_arg))
        return cli_error("PATH must be relative\nTry 'guild open --help' for more information.");
    if (!cli_check_max_args(args, 1))
        return 2;
    g_auto(RunsChoice) choice = {0};
    if (!runs_check_incompatible(args, incompatible))
        return 1;
    if (!runs_choice_init(&choice, args, TRUE))
        return choice.status;
    g_autoptr(Run) run = runs_choice_one(&choice, cli_positional(args)[0]);
    if (!run)
        return choice.status;
    g_autofree char *path = path_to_open(run, args);
    const char *cmd = cli_string(args, "cmd"), *shell = cli_string(args, "shell_cmd");
    if (cmd && *cmd)
        return open_with(cmd, path);
    if (shell || cli_flag(args, "shell"))
        return open_shell(shell, path);
    return open_with("xdg-open", path);
}

static const CliOption *const tables[] = {
        open_options, runs_common_filters, runs_status_filters, NULL};

const CliCommand cmd_open = {
        .name = "open",
        .args = "[RUN]",
        .summary = "Open a run path or output.",
        .help = "Opens the folder of a run, the latest unless RUN is given, or PATH in it, with "
                "the "
                "desktop's program for it or with --cmd.\n\n" RUNS_HELP_RUNS
                "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = open_run,
        .args_complete = "run",
};
