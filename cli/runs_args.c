/* SPDX-License-Identifier: Apache-2.0 */
/* Options and choice of runs. See runs_args.h. */
#include "cli/runs_args.h"

#include <stdio.h>
#include <string.h>

#include "cli/parse.h"
#include "cli/runs_archive.h"
#include "coordinator/coordinator.h"
#include "engine/base/fs.h"

const RunsRemote *runs_remote;

const CliOption runs_common_filters[] = {
        {"filter_expr", "-F, --filter", OPT_STRING, "EXPR", "Only runs for which EXPR holds."},
        {"filter_ops", "-Fo, --operation", OPT_MULTI, "VAL",
                "Only runs of operations that match VAL.", "run-op"},
        {"filter_labels", "-Fl, --label", OPT_MULTI, "VAL",
                "Only runs whose label contains VAL; '-' for runs without a label.", "run-label"},
        {"filter_unlabeled", "-Fu, --unlabeled", OPT_FLAG, NULL, "Only runs without a label."},
        {"filter_tags", "-Ft, --tag", OPT_MULTI, "TAG", "Only runs with TAG.", "run-tag"},
        {"filter_comments", "-Fc, --comment", OPT_MULTI, "VAL",
                "Only runs with a comment that contains VAL."},
        {"filter_marked", "-Fm, --marked", OPT_FLAG, NULL, "Only marked runs."},
        {"filter_unmarked", "-Fn, --unmarked", OPT_FLAG, NULL, "Only runs that are not marked."},
        {"filter_started", "-Fs, --started", OPT_STRING, "RANGE",
                "Only runs started within RANGE."},
        {"filter_digest", "-Fd, --digest", OPT_STRING, "VAL",
                "Only runs whose source code digest begins with VAL.", "run-digest"},
        CLI_OPTIONS_END,
};

/* Two switches of one row in --help, as click's `--on / --off`: of both the last counts. */
#define STATUS_OPTION(letter, word, text)                                                          \
    {                                                                                              \
        "status_" word, "-S" letter ", --" word, OPT_FLAG, NULL, text,                             \
                .undoes = "not_" word, .shown = "-S" letter ", --" word " / --not-" word           \
    }
#define NOT_STATUS_OPTION(word, text)                                                              \
    {                                                                                              \
        "not_" word, "--not-" word, OPT_FLAG, NULL, text, .undoes = "status_" word, .shown = ""    \
    }

const CliOption runs_status_filters[] = {
        STATUS_OPTION("r", "running", "Only running runs."),
        STATUS_OPTION("c", "completed", "Only completed runs."),
        STATUS_OPTION("e", "error", "Only runs that ended with an error."),
        STATUS_OPTION("t", "terminated", "Only runs that a user stopped."),
        STATUS_OPTION("p", "pending", "Only pending runs."),
        STATUS_OPTION("s", "staged", "Only staged runs."),
        NOT_STATUS_OPTION("running", "No running runs."),
        NOT_STATUS_OPTION("completed", "No completed runs."),
        NOT_STATUS_OPTION("error", "No runs that ended with an error."),
        NOT_STATUS_OPTION("terminated", "No runs that a user stopped."),
        NOT_STATUS_OPTION("pending", "No pending runs."),
        NOT_STATUS_OPTION("staged", "No staged runs."),
        {"status_chars", "-S", OPT_STRING, "CHARS", "Status letters of the options above, joined.",
                .hidden = TRUE},
        CLI_OPTIONS_END,
};

const CliOption runs_yes_option[] = {
        {"yes", "-y, --yes", OPT_FLAG, NULL, "Don't ask before anything is changed."},
        CLI_OPTIONS_END,
};

const CliOption runs_remote_option[] = {
        {"remote", "-r, --remote", OPT_STRING, "REMOTE",
                "Use the runs of REMOTE rather than those here.", "remote"},
        CLI_OPTIONS_END,
};

const CliOption runs_archive_option[] = {
        {"archive", "-A, --archive", OPT_STRING, "PATH",
                "Use the runs in PATH, a folder or zip file that 'guild export' made.", "file"},
        CLI_OPTIONS_END,
};

static const struct {
    char letter;
    const char *key, *not_key;
    RunStatus status;
} statuses[] = {
        {'r', "status_running", "not_running", RUN_RUNNING},
        {'c', "status_completed", "not_completed", RUN_COMPLETED},
        {'e', "status_error", "not_error", RUN_ERROR},
        {'t', "status_terminated", "not_terminated", RUN_TERMINATED},
        {'p', "status_pending", "not_pending", RUN_PENDING},
        {'s', "status_staged", "not_staged", RUN_STAGED},
};

static gboolean apply_status_chars(RunsChoice *choice, const char *chars)
{
    for (const char *c = chars; *c; c++) {
        gsize i = 0;
        while (i < G_N_ELEMENTS(statuses) && statuses[i].letter != *c)
            i++;
        if (i == G_N_ELEMENTS(statuses)) {
            choice->status = cli_error("unrecognized status char '%c' in option '-S'\n"
                                       "Try '%s --help' for more information.",
                    *c, cli_args_path(choice->args));
            return FALSE;
        }
        choice->query.status[statuses[i].status] = TRUE;
    }
    return TRUE;
}

static gboolean fill_query(RunsChoice *choice)
{
    CliArgs *args = choice->args;
    RunQuery *q = &choice->query;
    run_query_init(q);
    for (gsize i = 0; i < G_N_ELEMENTS(statuses); i++) {
        if (cli_flag(args, statuses[i].not_key))
            q->status[statuses[i].status] = FALSE;
        if (cli_flag(args, statuses[i].key))
            q->status[statuses[i].status] = TRUE;
    }
    const char *chars = cli_string(args, "status_chars");
    if (chars && !apply_status_chars(choice, chars))
        return FALSE;
    q->filter = cli_string(args, "filter_expr");
    q->ops = cli_multi(args, "filter_ops");
    q->labels = cli_multi(args, "filter_labels");
    q->unlabeled = cli_flag(args, "filter_unlabeled");
    q->tags = cli_multi(args, "filter_tags");
    q->comments = cli_multi(args, "filter_comments");
    q->marked = cli_flag(args, "filter_marked");
    q->unmarked = cli_flag(args, "filter_unmarked");
    q->started = cli_string(args, "filter_started");
    if (q->started && !*q->started)
        q->started = NULL; /* like every other filter that is empty */
    q->digest = cli_string(args, "filter_digest");
    if (*q->labels && q->unlabeled)
        choice->status = cli_error("--label and --unlabeled cannot both be used");
    else if (q->marked && q->unmarked)
        choice->status = cli_error("--marked and --unmarked cannot both be used");
    return choice->status == 0;
}

static RunStore *open_remote(RunsChoice *choice, gboolean files, GError **error)
{
    if (runs_remote)
        return runs_remote->open(choice->remote, files, &choice->scratch, error);
    g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_IO, "remote %s is not available to this command",
            choice->remote);
    return NULL;
}

static gboolean open_choice(RunsChoice *choice, CliArgs *args, const char *archive, gboolean files)
{
    *choice = (RunsChoice){.args = args, .remote = cli_string(args, "remote")};
    if (!fill_query(choice))
        return FALSE;
    g_autoptr(GError) error = NULL;
    if ((choice->remote || archive) && g_getenv(COMMAND_FOR_REMOTE))
        g_set_error(&error, RUN_ERROR_DOMAIN, RUN_ERR_IO,
                "runs that are elsewhere can't be used on a remote");
    else if (choice->remote)
        choice->store = open_remote(choice, files, &error);
    else if (archive)
        choice->store = runs_archive_open(archive, &choice->scratch, &error);
    else
        choice->store = run_store_open(cli_home(), &error);
    if (!choice->store)
        choice->status = cli_gerror(g_steal_pointer(&error));
    return choice->store != NULL;
}

gboolean runs_choice_init(RunsChoice *choice, CliArgs *args, gboolean files)
{
    return open_choice(choice, args, cli_string(args, "archive"), files);
}

gboolean runs_choice_init_archive(RunsChoice *choice, CliArgs *args, const char *archive)
{
    return open_choice(choice, args, archive, TRUE);
}

void runs_choice_clear(RunsChoice *choice)
{
    g_clear_pointer(&choice->store, run_store_free);
    if (choice->scratch)
        fs_remove_tree(choice->scratch, NULL);
    g_clear_pointer(&choice->scratch, g_free);
}

/* Where users find help: options of `guild runs` are those of `guild runs list`. */
static const char *help_path(CliArgs *args)
{
    const char *path = cli_args_path(args);
    return strcmp(path, "guild runs") == 0 ? "guild runs list" : path;
}

static int no_such_run(RunsChoice *choice, const char *arg)
{
    if (choice->terse)
        return cli_error(
                "could not find a run matching '%s'\nTry 'guild runs list' for a list.", arg);
    return cli_error("could not find a run matching '%s'\nTry 'guild runs list' for a list or '%s "
                     "--help' for more information.",
            arg, help_path(choice->args));
}

GPtrArray *runs_choice_filtered(RunsChoice *choice)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *runs = run_query_list(choice->store, &choice->query, &error);
    if (runs)
        return runs;
    gboolean range = g_str_has_prefix(error->message, "invalid RANGE");
    if (range)
        choice->status = cli_error("%s\nTry '%s --help' for help specifying time ranges.",
                error->message, help_path(choice->args));
    else
        choice->status = cli_gerror(g_steal_pointer(&error));
    return NULL;
}

static GPtrArray *select_or_report(RunsChoice *choice, GPtrArray *runs, const char *const *run_args)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *selected = run_select(runs, run_args, &error);
    if (selected)
        return selected;
    if (g_error_matches(error, RUN_ERROR_DOMAIN, RUN_ERR_NOT_FOUND)) {
        const char *quote = strchr(error->message, '\'');
        g_autofree char *arg = g_strndup(quote + 1, strlen(quote) - 2);
        choice->status = no_such_run(choice, arg);
    } else {
        fprintf(stderr, "%s\n", error->message);
        choice->status = 1;
    }
    return NULL;
}

GPtrArray *runs_choice_selected(RunsChoice *choice, const char *const *run_args)
{
    g_autoptr(GPtrArray) runs = runs_choice_filtered(choice);
    return runs ? select_or_report(choice, runs, run_args) : NULL;
}

Run *runs_choice_one(RunsChoice *choice, const char *run_arg)
{
    g_autoptr(GPtrArray) runs = runs_choice_filtered(choice);
    if (!runs)
        return NULL;
    if (runs->len == 0) {
        choice->status = cli_error("no matching runs");
        return NULL;
    }
    const char *args[] = {run_arg && *run_arg ? run_arg : "1", NULL};
    g_autoptr(GPtrArray) selected = select_or_report(choice, runs, args);
    if (!selected)
        return NULL;
    if (selected->len == 1)
        return run_ref(selected->pdata[0]);
    if (selected->len == 0) {
        choice->status = no_such_run(choice, args[0]);
    } else {
        fprintf(stderr, "'%s' matches multiple runs:\n", args[0]);
        for (guint i = 0; i < selected->len; i++)
            fprintf(stderr, "  %.8s\n", run_id(selected->pdata[i]));
        choice->status = 1;
    }
    return NULL;
}

/* "--list-all" for the key "list_all". */
static char *long_name(const char *key)
{
    return g_strdelimit(g_strconcat("--", key, NULL), "_", '-');
}

gboolean runs_check_incompatible(CliArgs *args, const char *const *pairs)
{
    for (; *pairs; pairs += 2) {
        if (!cli_is_set(args, pairs[0]) || !cli_is_set(args, pairs[1]))
            continue;
        g_autofree char *first = long_name(pairs[0]), *second = long_name(pairs[1]);
        cli_error("%s and %s cannot both be specified\nTry '%s --help' for more information.",
                first, second, help_path(args));
        return FALSE;
    }
    return TRUE;
}

gboolean runs_check_required(CliArgs *args, const char *const *keys)
{
    GString *names = g_string_new(NULL);
    gboolean given = FALSE;
    for (; *keys; keys++) {
        g_autofree char *name = long_name(*keys);
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", name);
        given = given || cli_is_set(args, *keys);
    }
    if (!given)
        cli_error("missing one of: %s\nTry `%s --help` for more information.", names->str,
                cli_args_path(args));
    g_string_free(names, TRUE);
    return given;
}
