/* SPDX-License-Identifier: Apache-2.0 */
/* The program around the commands: global options, finding the command, errors. */
#include "cli/cli.h"

#include "cli/help.h"
#include "cli/parse.h"
#include "cli/remote_runs.h"
#include "config.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/project/home.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *cwd;
static char *home;
static char *home_option; /* -H, else $GUILD_HOME; NULL if neither */

const CliOption cli_global_options[] = {
        {"cwd", "-C", OPT_STRING, "PATH", "Use PATH as current directory for a command.", "dir"},
        {"home", "-H", OPT_STRING, "PATH",
                "Use PATH as Guild home. Default is $GUILD_HOME, else the home of the active "
                "environment, else ~/.guild.",
                "dir"},
        {"debug", "--debug", OPT_FLAG, NULL, "Log more information during command."},
        {"version", "--version", OPT_FLAG, NULL, "Show the version and exit."},
        CLI_OPTIONS_END,
};

const char *cli_cwd(void)
{
    if (!cwd)
        cwd = fs_cwd();
    return cwd;
}

const char *cli_home(void)
{
    if (!home)
        home = home_find_from(home_option, cli_cwd());
    return home;
}

static void print_error(const char *msg)
{
    fflush(stdout);
    g_autofree char *line = g_strdup_printf("guild: %s\n", msg);
    fputs(line, stderr);
}

int cli_error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    print_error(msg);
    return 1;
}

int cli_gerror(GError *error)
{
    print_error(error->message);
    g_error_free(error);
    return 1;
}

int cli_usage_error(const CliArgs *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_autofree char *full =
            g_strdup_printf("%s\nTry '%s --help' for more information.", msg, cli_args_path(a));
    print_error(full);
    return 2;
}

static int run_command(const CliCommand *command, const char *path, const char *const *words);

gboolean cli_check_max_args(const CliArgs *a, guint max)
{
    guint n = cli_n_positional(a);
    if (n <= max)
        return TRUE;
    g_autofree char *extra = g_strjoinv(" ", (char **)cli_positional(a) + max);
    cli_usage_error(a, "unexpected extra argument%s '%s'", n - max > 1 ? "s" : "", extra);
    return FALSE;
}

/* Options of a group are those of what it does without a command: before one they would be lost. */
static int run_sub_command(
        const CliCommand *command, const char *path, const CliArgs *args, const char *const *words)
{
    const CliCommand *sub = cli_find_command(command->sub, words[0]);
    if (!sub)
        return cli_usage_error(args, "No such command '%s'.", words[0]);
    if (command->run && cli_has_options(args))
        return cli_error("options cannot be listed before command ('%s')", words[0]);
    g_autofree char *sub_path = g_strdup_printf("%s %s", path, words[0]);
    return run_command(sub, sub_path, words + 1);
}

/* Runs `command` with words (without its name); path is how the user got there. */
static int run_command(const CliCommand *command, const char *path, const char *const *words)
{
    int rest;
    CliArgs *args = cli_args_parse(command, path, words, &rest);
    if (!args)
        return 2;
    int status;
    if (cli_args_wants_help(args)) {
        g_autofree char *text = cli_help_text(command, path);
        fputs(text, stdout);
        status = 0;
    } else if (command->sub && words[rest]) {
        status = run_sub_command(command, path, args, words + rest);
    } else if (!command->hidden && command->args && !*command->args &&
               !cli_check_max_args(args, 0)) {
        status = 2;
    } else if (remote_runs_takes(path) && cli_given(args, "remote")) {
        status = remote_runs(args, path, words);
    } else if (command->run) {
        status = command->run(args);
    } else {
        g_autofree char *text = cli_help_text(command, path);
        fputs(text, stdout);
        status = 0;
    }
    cli_args_free(args);
    return status;
}

int cli_run_command(const char *const *argv)
{
    const CliCommand *command = cli_find_command(cli_commands, argv[0]);
    g_return_val_if_fail(command, 2);
    g_autofree char *path = g_strdup_printf("guild %s", argv[0]);
    return run_command(command, path, argv + 1);
}

/* The named folder, absolute; NULL after an error message if it is none. */
static char *checked_dir(const char *option_value)
{
    g_autofree char *expanded = fs_expanduser(option_value);
    if (!fs_exists(expanded)) {
        cli_error("directory '%s' does not exist", expanded);
        return NULL;
    }
    if (!fs_is_dir(expanded)) {
        cli_error("'%s' is not a directory", expanded);
        return NULL;
    }
    return fs_abspath(expanded, NULL);
}

/* A home that is named but not there is made if the folder it would be in exists: a new home is
 * one step for the user, a mistyped path still an error. */
static char *checked_home(const char *option_value)
{
    g_autofree char *expanded = fs_expanduser(option_value);
    g_autofree char *path = fs_abspath(expanded, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    g_autoptr(GError) error = NULL;
    if (!fs_exists(path) && fs_is_dir(parent) && !fs_mkdirs(path, &error)) {
        cli_error("%s", error->message);
        return NULL;
    }
    return checked_dir(path);
}

static void init_log_level(gboolean debug)
{
    const char *env = g_getenv("LOG_LEVEL");
    char *end = NULL;
    gint64 level = env ? g_ascii_strtoll(env, &end, 10) : 0;
    if (debug)
        log_set_level(LOG_DEBUG);
    else if (env && end != env && !*end && level > 0 && level <= 50)
        log_set_level((LogLevel)level);
}

/* Applies the global options; gives an exit status, or -1 to go on. */
static int apply_globals(const CliArgs *globals)
{
    const char *dir = cli_string(globals, "cwd");
    const char *named_home = cli_string(globals, "home");
    if (!named_home)
        named_home = g_getenv("GUILD_HOME");
    if (dir && !(cwd = checked_dir(dir)))
        return 1;
    if (named_home && named_home[0] && !(home_option = checked_home(named_home)))
        return 1;
    init_log_level(cli_flag(globals, "debug"));
    if (cli_flag(globals, "version")) {
        puts("guild " GUILD_VERSION);
        return 0;
    }
    return -1;
}

void cli_complete_global(const char *key, const char *value)
{
    char **kept = strcmp(key, "cwd") == 0 ? &cwd : strcmp(key, "home") == 0 ? &home_option : NULL;
    g_autofree char *dir = kept ? checked_dir(value) : NULL;
    if (!dir)
        return;
    g_free(*kept);
    *kept = g_steal_pointer(&dir);
    g_clear_pointer(&home, g_free); /* depends on both */
}

static void free_state(void)
{
    g_clear_pointer(&cwd, g_free);
    g_clear_pointer(&home, g_free);
    g_clear_pointer(&home_option, g_free);
}

int cli_main(int argc, char **argv)
{
    static const CliOption *const tables[] = {cli_global_options, NULL};
    const CliCommand guild = {.name = "guild", .options = tables, .sub = cli_commands};
    int rest;
    CliArgs *globals = cli_args_parse(&guild, "guild", (const char *const *)argv + 1, &rest);
    if (!globals)
        return 2;
    const char *const *words = (const char *const *)argv + 1 + rest;
    int status = apply_globals(globals);
    if (status < 0 && (cli_args_wants_help(globals) || !words[0])) {
        g_autofree char *text = cli_help_main();
        fputs(text, stdout);
        status = 0;
    } else if (status < 0) {
        const CliCommand *command = cli_find_command(cli_commands, words[0]);
        status = command ? cli_run_command(words)
                         : cli_usage_error(globals, "No such command '%s'.", words[0]);
    }
    cli_args_free(globals);
    free_state();
    if (fflush(stdout) != 0 && status == 0)
        status = cli_error("cannot write output: %s", g_strerror(errno));
    return status;
}
