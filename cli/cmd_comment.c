/* SPDX-License-Identifier: Apache-2.0 */
/* `guild comment`: adds, lists and deletes comments of runs. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/edit.h"
#include "cli/runs_comments.h"
#include "cli/runs_format.h"
#include "cli/runs_op.h"
#include "engine/base/clock.h"
#include "engine/op/op.h"

static const CliOption comment_options[] = {
        {"list", "-l, --list", OPT_FLAG, NULL, "List the comments of runs."},
        {"add", "-a, --add", OPT_STRING, "COMMENT", "Add COMMENT."},
        {"edit", "-e, --edit", OPT_FLAG, NULL,
                "Type the comment in an editor; so without --add too."},
        {"delete", "-d, --delete", OPT_INT, "INDEX", "Delete the comment that --list numbers so."},
        {"clear", "-c, --clear", OPT_FLAG, NULL, "Delete all comments."},
        {"user", "-u, --user", OPT_STRING, "USER",
                "Who comments: USER or USER@HOST; you if not given."},
        CLI_OPTIONS_END,
};

static const char *const list_columns[] = {
        "short_id", "op_desc", "started", "status_with_remote", "label", NULL};

/* The comments so far, a list that may be changed. */
static Value *comments_copy(Run *run)
{
    g_autoptr(Value) comments = run_try_attr(run, "comments");
    return comments && value_is_list(comments) ? value_copy(comments) : value_new_list();
}

static int write_comments(GPtrArray *runs, guint i, const Value *comments)
{
    g_autoptr(GError) error = NULL;
    return run_write_attr(runs->pdata[i], "comments", comments, &error)
                   ? 0
                   : cli_gerror(g_steal_pointer(&error));
}

static int list_comments(RunsChoice *choice)
{
    const char *const *run_args = cli_positional(choice->args);
    g_autoptr(GPtrArray) runs = runs_choice_selected(choice, *run_args ? run_args : runs_latest);
    if (!runs)
        return choice->status;
    runs_comments_print(runs, list_columns, TRUE);
    return 0;
}

static int apply_delete(GPtrArray *runs, RunsChoice *choice)
{
    gint64 index = cli_int(choice->args, "delete", 0);
    for (guint i = 0; i < runs->len; i++) {
        g_autoptr(Value) comments = comments_copy(runs->pdata[i]);
        g_autoptr(Value) kept = value_new_list();
        gint64 n = (gint64)value_list_size(comments);
        gint64 gone = index > 0 ? index - 1 : n + index - 1; /* as Python indexes */
        for (gint64 c = 0; c < n; c++)
            if (c != gone)
                value_list_append(kept, value_ref(value_list_at(comments, (gsize)c)));
        if (write_comments(runs, i, kept) != 0)
            return 1;
    }
    fprintf(stderr, "Deleted comment for %u run(s)\n", runs->len);
    return 0;
}

static int apply_clear(GPtrArray *runs, RunsChoice *choice)
{
    for (guint i = 0; i < runs->len; i++)
        run_del_attr(runs->pdata[i], "comments");
    fprintf(stderr, "Deleted all comments for %u run(s)\n", runs->len);
    return 0;
}

/* --- adding --- */

static const char *added_text; /* what apply_add() adds; a command runs once in a process */

static Value *new_comment(const char *text, const char *user_option)
{
    g_auto(GStrv) parts = g_strsplit(user_option ? user_option : "", "@", 2);
    gboolean named = user_option && *user_option;
    const char *user = named ? parts[0] : g_getenv("USER");
    const char *host = named && parts[1] && *parts[1] ? parts[1] : op_host_name();
    Value *comment = value_new_map();
    value_map_set_string(comment, "body", text);
    value_map_set_string(comment, "user", user ? user : "");
    value_map_set_string(comment, "host", host);
    value_map_set_int(comment, "time", clock_timestamp_us());
    return comment;
}

static int apply_add(GPtrArray *runs, RunsChoice *choice)
{
    for (guint i = 0; i < runs->len; i++) {
        g_autoptr(Value) comments = comments_copy(runs->pdata[i]);
        value_list_append(comments, new_comment(added_text, cli_string(choice->args, "user")));
        if (write_comments(runs, i, comments) != 0)
            return 1;
    }
    fprintf(stderr, "Added comment to %u run(s)\n", runs->len);
    return 0;
}

/* The runs as a preview shows them, without the space at both ends. */
static char *runs_text(GPtrArray *runs)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    g_assert(stream);
    g_autoptr(OutTable) table = runs_table(runs, runs_preview_columns, FALSE);
    out_table_print(table, stream, 2, OUT_PLAIN);
    fclose(stream);
    char *stripped = g_strdup(g_strstrip(text));
    free(text);
    return stripped;
}

static char *editor_template(const char *initial, GPtrArray *runs)
{
    GString *text = g_string_new(initial ? initial : "");
    g_string_append(text, "\n# Type a comment for the runs below. Lines starting with '#' are \n"
                          "# ignored. An empty comment aborts the command.\n#\n# Runs:");
    g_autofree char *shown = runs_text(runs);
    g_auto(GStrv) lines = g_strsplit(shown, "\n", -1);
    for (char **line = lines; *line; line++)
        g_string_append_printf(text, "\n#  %s", *line);
    return g_string_free(text, FALSE);
}

static int add_comment(RunsChoice *choice)
{
    CliArgs *args = choice->args;
    const char *const *run_args = cli_positional(args);
    g_autoptr(GPtrArray) runs = runs_choice_selected(choice, *run_args ? run_args : runs_latest);
    if (!runs)
        return choice->status;
    g_autofree char *text = g_strdup(cli_string(args, "add"));
    gboolean edited = !text || !*text || cli_flag(args, "edit");
    if (edited) {
        g_autofree char *initial = editor_template(text, runs);
        g_autoptr(GError) error = NULL;
        g_free(text);
        text = edit_text(initial, ".GUILD_COMMENT", TRUE, &error);
        if (!text)
            return cli_gerror(g_steal_pointer(&error));
    }
    if (!*g_strstrip(text)) {
        fputs("Aborting due to an empty comment.\n", stderr);
        return 1;
    }
    added_text = text;
    if (edited && !choice->remote)
        return apply_add(runs, choice);
    const RunsOp op = {
            .action = "comment",
            .preview = "You are about to add a comment to the following runs:",
            .prompt = "Continue?",
            .no_runs = "No runs to modify.",
            .confirm_default = TRUE,
            .apply = apply_add,
    };
    return runs_op_on(choice, runs, &op);
}

static int delete_comments(RunsChoice *choice)
{
    gboolean clear = cli_flag(choice->args, "clear");
    g_autofree char *preview =
            clear ? g_strdup("WARNING: You are about to delete ALL comments from the following "
                             "runs:")
                  : g_strdup_printf("You are about to delete comment %s from the following runs:",
                            cli_string(choice->args, "delete"));
    const RunsOp op = {
            .action = "comment",
            .preview = preview,
            .preview_style = clear ? OUT_YELLOW : OUT_PLAIN,
            .prompt = "Continue?",
            .no_runs = "No runs to modify.",
            .default_runs = runs_latest,
            .confirm_default = !clear,
            .apply = clear ? apply_clear : apply_delete,
    };
    return runs_op(choice, cli_positional(choice->args), &op);
}

static int comment(CliArgs *args)
{
    static const char *const incompatible[] = {"list", "add", "list", "delete", "list", "clear",
            "add", "delete", "add", "clear", "edit", "delete", "edit", "clear", "delete", "clear",
            NULL};
    static const char *const remote_incompatible[] = {"remote", "edit", NULL};
    if (!runs_check_incompatible(args, incompatible) ||
            !runs_check_incompatible(args, remote_incompatible))
        return 1;
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    if (cli_flag(args, "list"))
        return list_comments(&choice);
    if (cli_int(args, "delete", 0) != 0 || cli_flag(args, "clear"))
        return delete_comments(&choice);
    if (choice.remote && !cli_string(args, "add"))
        return cli_error("--remote option required on of: --list, --add, --delete, --clear\n"
                         "Try `%s --help` for more information.",
                "guild comment");
    return add_comment(&choice);
}

static const CliOption *const tables[] = {comment_options, runs_common_filters, runs_status_filters,
        runs_remote_option, runs_yes_option, NULL};

const CliCommand cmd_comment = {
        .name = "comment",
        .args = "[RUN]...",
        .summary = "Add or remove run comments.",
        .help = "Adds a comment to runs, to the latest unless RUN is given; an editor opens unless "
                "--add is used. --list shows comments and their indexes.\n\n" RUNS_HELP_RUNS
                "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = comment,
        .args_complete = "run",
};
