/* SPDX-License-Identifier: Apache-2.0 */
/* `guild cat`: a file or the output of a run. */
#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/runs_args.h"
#include "coordinator/coordinator.h"
#include "cli/runs_paths.h"
#include "engine/base/fs.h"

static const CliOption cat_options[] = {
        {"path", "-p, --path", OPT_STRING, "PATH", "File to show. Needed unless --output is used.",
                "run-file"},
        {"sourcecode", "-s, --sourcecode", OPT_FLAG, NULL, "PATH is that of a source code file."},
        {"output", "-O, --output", OPT_FLAG, NULL, "Show the run's output."},
        {"page", "-pa, --page", OPT_FLAG, NULL, "Show the file in a pager."},
        CLI_OPTIONS_END,
};

#define PATH_IS_ABSOLUTE "PATH must be relative\nTry 'guild cat --help' for more information."

/* NULL after an error. */
static char *path_to_show(Run *run, CliArgs *args)
{
    const char *path = cli_string(args, "path");
    if (cli_flag(args, "output")) {
        if (path || cli_flag(args, "sourcecode"))
            fputs("--output cannot be used with other options - ignorning other options\n", stderr);
        return run_guild_path(run, "output");
    }
    if (!path) {
        cli_error("-p / --path is required unless --output is specified");
        return NULL;
    }
    g_autofree char *root =
            cli_flag(args, "sourcecode") ? runs_sourcecode_dir(run) : g_strdup(run_dir(run));
    return fs_join(root, path);
}

static int copy_to(int fd, FILE *out, const char *path)
{
    char buf[65536];
    ssize_t n;
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        if (fwrite(buf, 1, (gsize)n, out) != (gsize)n)
            return 1;
    return n < 0 ? cli_error("[Errno %d] %s: '%s'", errno, g_strerror(errno), path) : 0;
}

/* With a line of its own at the end, as the reference gives a file to a pager and to what stands for
 * one. */
static int page(int fd, const char *path)
{
    const char *pager = g_getenv("PAGER");
    FILE *program = isatty(STDOUT_FILENO) ? popen(pager && *pager ? pager : "less", "w") : NULL;
    FILE *out = program ? program : stdout;
    int status = copy_to(fd, out, path);
    if (status == 0)
        putc('\n', out);
    if (program)
        pclose(program);
    return status;
}

/* To a peer of the coordinator only what is in runs is shown, wherever their links lead. Asked of
 * what was opened: the path may lead elsewhere a moment later. */
static gboolean may_show(const RunsChoice *choice, const Run *run, int fd)
{
    g_autofree char *opened = g_strdup_printf("/proc/self/fd/%d", fd);
    return !g_getenv(COMMAND_FOR_REMOTE) || fs_is_really_below(opened, run_dir(run)) ||
           fs_is_really_below(opened, run_store_runs_dir(choice->store));
}

static int cat(CliArgs *args)
{
    const char *path_arg = cli_string(args, "path");
    if (path_arg && g_path_is_absolute(path_arg))
        return cli_error(PATH_IS_ABSOLUTE);
    if (!cli_check_max_args(args, 1))
        return 2;
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, TRUE))
        return choice.status;
    g_autoptr(Run) run = runs_choice_one(&choice, cli_positional(args)[0]);
    if (!run)
        return choice.status;
    g_autofree char *path = path_to_show(run, args);
    if (!path)
        return 1;
    int fd = fs_open_regular(path);
    if (fd < 0 && errno == EINVAL)
        return cli_error("%s is not a regular file", path);
    if (fd < 0)
        return errno == ENOENT ? cli_error("%s does not exist", path)
                               : cli_error("[Errno %d] %s: '%s'", errno, g_strerror(errno), path);
    if (!may_show(&choice, run, fd)) {
        close(fd);
        return cli_error("'%s' leads out of a run", path_arg ? path_arg : "output");
    }
    int status = cli_flag(args, "page") ? page(fd, path) : copy_to(fd, stdout, path);
    close(fd);
    return status;
}

static const CliOption *const tables[] = {
        cat_options, runs_common_filters, runs_status_filters, runs_remote_option, NULL};

const CliCommand cmd_cat = {
        .name = "cat",
        .args = "[RUN]",
        .summary = "Show contents of a run file.",
        .help = "Shows a file of a run, or with --output what it printed. The run is the latest "
                "unless RUN is given; PATH is relative to the run directory, or with --sourcecode "
                "to "
                "the folder of its source code.\n\n" RUNS_HELP_RUNS "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = cat,
        .args_complete = "run",
};
