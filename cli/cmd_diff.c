/* SPDX-License-Identifier: Apache-2.0 */
/* `guild diff`: shows how two runs differ, or a run and a folder, with the user's diff program. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/child.h"
#include "cli/runs_args.h"
#include "cli/runs_paths.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/project/userconfig.h"

static const CliOption diff_options[] = {
        {"output", "-O, --output", OPT_FLAG, NULL, "Compare output."},
        {"sourcecode", "-s, --sourcecode", OPT_FLAG, NULL, "Compare source code."},
        {"env", "-e, --env", OPT_FLAG, NULL, "Compare environments."},
        {"flags", "-f, --flags", OPT_FLAG, NULL, "Compare flags."},
        {"attrs", "-a, --attrs", OPT_FLAG, NULL, "Compare all attributes."},
        {"deps", "-D, --deps", OPT_FLAG, NULL, "Compare dependencies."},
        {"paths", "-p, --path", OPT_MULTI, "PATH", "Compare PATH. May be repeated.", "run-file"},
        {"working", "-w, --working", OPT_FLAG, NULL,
                "Compare the run's source code with the project's as it is now."},
        {"dir", "-d, --dir", OPT_STRING, "PATH", "Compare the run with the folder PATH.", "dir"},
        {"cmd", "-c, --cmd", OPT_STRING, "CMD", "Program that compares."},
        CLI_OPTIONS_END,
};

#define DEFAULT_COMMAND "diff -ru"

typedef struct {
    char *path, *other;
} PathPair;

static void pair_free(gpointer data)
{
    PathPair *pair = data;
    g_free(pair->path);
    g_free(pair->other);
    g_free(pair);
}

static void add_pair(GPtrArray *pairs, char *path /* taken over */, char *other /* taken over */)
{
    PathPair *pair = g_new(PathPair, 1);
    *pair = (PathPair){path, other};
    g_ptr_array_add(pairs, pair);
}

/* --- the diff program --- */

/* The extension as os.path.splitext has it. */
static const char *extension(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    name += strspn(name, ".");
    const char *dot = strrchr(name, '.');
    return dot ? dot : "";
}

/* `diff: command:` of the user's configuration: a command, or a map from extensions (also as
 * regular expressions) to commands. */
static char *configured_command(const char *path)
{
    g_autoptr(Value) config = userconfig_load(cli_cwd(), NULL);
    const Value *command = value_map_get(value_map_get(config, "diff"), "command");
    if (value_is_string(command))
        return g_strdup(value_get_string(command));
    if (!value_is_map(command)) {
        if (!value_is_null(command))
            log_warning("unsupported configuration for diff command");
        return NULL;
    }
    const char *ext = extension(path);
    for (gsize i = 0; i < value_map_size(command); i++) {
        const char *pattern = value_map_key_at(command, i);
        const Value *found = value_map_at(command, i);
        if (strcmp(pattern, "default") != 0 && value_is_string(found) &&
                (strcmp(ext, pattern) == 0 || g_regex_match_simple(pattern, ext, 0, 0)))
            return g_strdup(value_get_string(found));
    }
    return g_strdup(value_map_string(command, "default", NULL));
}

static char *default_command(const char *path)
{
    static const char *const notebook[] = {"nbdiff-web -M", NULL};
    static const char *const common[] = {"meld", "xxdiff -r", "dirdiff", "colordiff", NULL};
    const char *const *candidates = strcmp(extension(path), ".ipynb") == 0 ? notebook : common;
    for (; *candidates; candidates++) {
        g_auto(GStrv) words = g_strsplit(*candidates, " ", 2);
        g_autofree char *program = g_find_program_in_path(words[0]);
        if (program)
            return g_strdup(*candidates);
    }
    return g_strdup(DEFAULT_COMMAND);
}

static int run_diff(CliArgs *args, const PathPair *pair)
{
    g_autofree char *command = g_strdup(cli_string(args, "cmd"));
    if (!command || !*command) {
        g_free(command);
        command = configured_command(pair->path);
    }
    if (!command || !*command) {
        g_free(command);
        command = default_command(pair->path);
    }
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) words = text_shell_split(command, &error);
    if (!words || !*words)
        return cli_error("invalid diff command '%s'", command);
    guint n = g_strv_length(words);
    words = g_renew(char *, words, n + 3);
    words[n] = g_strdup(pair->path);
    words[n + 1] = g_strdup(pair->other);
    words[n + 2] = NULL;
    fflush(stdout);
    child_run((const char *const *)words, NULL, NULL, NULL, &error);
    if (!error)
        return 0;
    g_autofree char *joined = g_strjoinv(" ", words);
    return cli_error("error running '%s': %s", joined, error->message);
}

/* --- what to compare --- */

static void add_joined(
        GPtrArray *pairs, const char *dir, const char *other, const char *const *paths)
{
    for (; *paths; paths++)
        add_pair(pairs, fs_join(dir, *paths), fs_join(other, *paths));
}

static void add_guild_paths(GPtrArray *pairs, Run *run, Run *other, CliArgs *args)
{
    static const struct {
        const char *key, *path;
    } attrs[] = {{"env", "attrs/env"}, {"flags", "attrs/flags"}, {"deps", "attrs/deps"}};
    if (cli_flag(args, "attrs"))
        add_pair(pairs, run_guild_path(run, "attrs"), run_guild_path(other, "attrs"));
    for (gsize i = 0; i < G_N_ELEMENTS(attrs); i++) {
        if (!cli_flag(args, attrs[i].key))
            continue;
        if (cli_flag(args, "attrs"))
            log_warning("ignoring --%s (already included in --attrs)", attrs[i].key);
        else
            add_pair(pairs, run_guild_path(run, attrs[i].path),
                    run_guild_path(other, attrs[i].path));
    }
    if (cli_flag(args, "output"))
        add_pair(pairs, run_guild_path(run, "output"), run_guild_path(other, "output"));
}

static GPtrArray *run_pairs(Run *run, Run *other, CliArgs *args)
{
    GPtrArray *pairs = g_ptr_array_new_with_free_func(pair_free);
    const char *const *paths = cli_multi(args, "paths");
    add_guild_paths(pairs, run, other, args);
    if (!cli_flag(args, "sourcecode")) {
        add_joined(pairs, run_dir(run), run_dir(other), paths);
    } else {
        g_autofree char *dir = runs_sourcecode_dir(run), *other_dir = runs_sourcecode_dir(other);
        if (*paths)
            add_joined(pairs, dir, other_dir, paths);
        else
            add_pair(pairs, g_strdup(dir), g_strdup(other_dir));
    }
    if (pairs->len == 0)
        add_pair(pairs, g_strdup(run_dir(run)), g_strdup(run_dir(other)));
    return pairs;
}

/* A run against --dir or the project; NULL after an error. */
static GPtrArray *dir_pairs(Run *run, CliArgs *args)
{
    gboolean working = cli_flag(args, "working");
    const char *const *paths = cli_multi(args, "paths");
    g_autofree char *dir = working ? runs_sourcecode_dir(run) : g_strdup(run_dir(run));
    g_autofree char *other = working ? runs_project_sourcecode_dir(run)
                                     : fs_abspath(cli_string(args, "dir"), cli_cwd());
    if (!other) {
        cli_error("cannot find working source code directory for run %.8s\nTry specifying the "
                  "directory with 'guild diff %.8s --dir DIR'.",
                run_id(run), run_id(run));
        return NULL;
    }
    GPtrArray *pairs = g_ptr_array_new_with_free_func(pair_free);
    if (*paths)
        add_joined(pairs, dir, other, paths);
    else
        add_pair(pairs, g_strdup(dir), g_strdup(other));
    return pairs;
}

static gboolean check_args(CliArgs *args)
{
    static const char *const incompatible[] = {"working", "dir", "working", "sourcecode", NULL};
    if (!runs_check_incompatible(args, incompatible))
        return FALSE;
    guint n = cli_n_positional(args);
    gboolean one_run = cli_given(args, "dir") || cli_flag(args, "working");
    if (n == 2 && one_run)
        cli_error("cannot specify second RUN and --%s", cli_given(args, "dir") ? "dir" : "working");
    else if (n == 1 && !one_run)
        cli_error("diff requires two runs\nTry specifying a second RUN or 'guild diff --help' for "
                  "more information.");
    else
        return TRUE;
    return FALSE;
}

static int diff(CliArgs *args)
{
    if (!cli_check_max_args(args, 2))
        return 2;
    if (!check_args(args))
        return 1;
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, TRUE))
        return choice.status;
    const char *const *run_args = cli_positional(args);
    gboolean one_run = cli_given(args, "dir") || cli_flag(args, "working");
    g_autoptr(Run) run = runs_choice_one(&choice, run_args[0] ? run_args[0] : one_run ? "1" : "2");
    if (!run)
        return choice.status;
    g_autoptr(Run) other = NULL;
    if (!one_run && !(other = runs_choice_one(&choice, run_args[0] ? run_args[1] : "1")))
        return choice.status;
    g_autoptr(GPtrArray) pairs = one_run ? dir_pairs(run, args) : run_pairs(run, other, args);
    if (!pairs)
        return 1;
    int status = 0;
    for (guint i = 0; i < pairs->len && status == 0; i++)
        status = run_diff(args, pairs->pdata[i]);
    return status;
}

static const CliOption *const tables[] = {
        diff_options, runs_common_filters, runs_status_filters, runs_remote_option, NULL};

const CliCommand cmd_diff = {
        .name = "diff",
        .args = "[RUN [RUN]]",
        .summary = "Diff two runs.",
        .help = "Compares two runs, the latest two unless they are given; or one run with the "
                "project "
                "(--working) or a folder (--dir). The program is --cmd, else 'diff: command:' in "
                "the "
                "user's configuration, else meld, xxdiff, dirdiff, colordiff or "
                "diff.\n\n" RUNS_HELP_RUNS "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = diff,
        .args_complete = "run",
};
