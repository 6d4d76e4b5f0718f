/* SPDX-License-Identifier: Apache-2.0 */
/* `guild runs` and `guild runs list`: the list of runs; the group of the commands that manage them.
 */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/out.h"
#include "cli/runs_args.h"
#include "cli/runs_comments.h"
#include "cli/runs_format.h"
#include "engine/base/fs.h"
#include "engine/base/json.h"

#define RUNS_PER_GROUP 20

static const CliOption list_options[] = {
        {"all", "-a, --all", OPT_FLAG, NULL, "Show all runs; without it only the last 20."},
        {"more", "-m, --more", OPT_COUNT, NULL, "Show 20 more runs. May be repeated."},
        {"limit", "-n, --limit", OPT_INT, "N", "Show at most N runs.", .at_least = "1"},
        {"deleted", "-d, --deleted", OPT_FLAG, NULL, "Show deleted runs."},
        {"comments", "-c, --comments", OPT_FLAG, NULL, "Show the comments of runs."},
        {"verbose", "-v, --verbose", OPT_FLAG, NULL, "Show details of runs."},
        {"json", "--json", OPT_FLAG, NULL, "Print JSON."},
        {"simplified", "-s, --simplified", OPT_FLAG, NULL, "Show a simple list."},
        CLI_OPTIONS_END,
};

static const char *const columns[] = {
        "index", "op_desc", "started", "status_with_remote", "label", NULL};
static const char *const simple_columns[] = {
        "num_index", "op_desc", "status_with_remote", "label", NULL};

static Value *listed_attr(Run *run, const char *name)
{
    if (strcmp(name, "status") == 0)
        return value_new_string(run_status_name(run_status(run)));
    Value *v = run_try_attr(run, name);
    return v ? v : value_new_null();
}

static Value *listed_run_data(Run *run)
{
    static const char *const attrs[] = {"exit_status", "cmd", "comments", "marked", "label",
            "started", "status", "stopped", "tags"};
    const OpRef *ref = run_peek_opref(run);
    g_autofree char *opref = ref ? opref_to_string(ref) : NULL;
    Value *data = value_new_map();
    value_map_set_string(data, "id", run_id(run));
    value_map_set_string(data, "run_dir", run_dir(run));
    value_map_set_string(data, "opref", opref ? opref : "");
    for (gsize i = 0; i < G_N_ELEMENTS(attrs); i++)
        value_map_set(data, attrs[i], listed_attr(run, attrs[i]));
    g_autoptr(Run) proto = run_batch_proto(run);
    if (proto)
        value_map_set(data, "batch_proto", listed_run_data(proto));
    return data;
}

/* A run of an archive is where the user said that the archive is, as the reference writes it; what a
 * zip file was unpacked into is gone when we are. */
static void set_archived_dir(Value *data, Run *run, const char *archive, gboolean is_zip)
{
    g_autofree char *base = g_path_get_basename(run_dir(run));
    g_autofree char *dir = is_zip ? g_strdup_printf("%s:%s", archive, base)
                                  : g_build_filename(archive, base, NULL);
    value_map_set_string(data, "run_dir", dir);
}

static void print_json(GPtrArray *runs, const RunsChoice *choice, const char *archive)
{
    gboolean is_path = archive && fs_exists(archive);
    g_autoptr(Value) list = value_new_list();
    for (guint i = 0; i < runs->len; i++) {
        Value *data = listed_run_data(runs->pdata[i]);
        if (is_path)
            set_archived_dir(data, runs->pdata[i], archive, choice->scratch != NULL);
        value_list_append(list, data);
    }
    g_autofree char *json = json_dump(list, 0, FALSE);
    puts(json);
}

static void limit_runs(GPtrArray *runs, CliArgs *args)
{
    gint64 limit = cli_int(args, "limit", 0);
    guint total = runs->len;
    if (cli_flag(args, "all"))
        return;
    if (limit <= 0)
        limit = ((gint64)cli_count(args, "more") + 1) * RUNS_PER_GROUP;
    if (limit >= total)
        return;
    g_ptr_array_set_size(runs, (int)limit);
    if (!cli_given(args, "limit"))
        out_note("Showing the first %u runs (%u total) - use --all to show all or -m to show more",
                runs->len, total);
}

static gboolean check_args(CliArgs *args)
{
    static const char *const incompatible[] = {"comments", "verbose", "comments", "json", "json",
            "verbose", "archive", "deleted", "all", "limit", NULL};
    return runs_check_incompatible(args, incompatible);
}

static int list_runs(CliArgs *args)
{
    if (!check_args(args))
        return 1;
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    if (cli_flag(args, "deleted"))
        choice.query.where = RUN_STORE_TRASH;
    g_autoptr(GPtrArray) runs = runs_choice_filtered(&choice);
    if (!runs)
        return choice.status;
    const char *const *shown = cli_flag(args, "simplified") ? simple_columns : columns;
    if (cli_flag(args, "json")) {
        if (cli_given(args, "limit") || cli_given(args, "more") || cli_given(args, "all"))
            out_note("--json option always shows all runs");
        print_json(runs, &choice, cli_string(args, "archive"));
        return 0;
    }
    limit_runs(runs, args);
    if (cli_flag(args, "comments")) {
        runs_comments_print(runs, shown, FALSE);
        return 0;
    }
    g_autoptr(OutTable) table = runs_table(runs, shown, cli_flag(args, "verbose"));
    out_table_print(table, stdout, 0, OUT_PLAIN);
    return 0;
}

static const CliOption *const tables[] = {list_options, runs_archive_option, runs_common_filters,
        runs_status_filters, runs_remote_option, NULL};

#define LIST_HELP                                                                                  \
    "Lists runs, the newest first. The index in brackets stands for a run in the arguments of "    \
    "other commands; it changes when runs are added, deleted or filtered.\n\n" RUNS_HELP_FILTERS

static const CliCommand cmd_runs_list = {
        .name = "list",
        .args = "",
        .summary = "List runs.",
        .help = LIST_HELP,
        .options = tables,
        .run = list_runs,
};

static const CliCommand *const subcommands[] = {
        &cmd_runs_list,
        &cmd_info,
        &cmd_archive,
        &cmd_comment,
        &cmd_delete,
        &cmd_diff,
        &cmd_export,
        &cmd_import,
        &cmd_label,
        &cmd_mark,
        &cmd_pull,
        &cmd_purge,
        &cmd_push,
        &cmd_restore,
        &cmd_stop,
        &cmd_tag,
        NULL,
};

const CliCommand cmd_runs = {
        .name = "runs",
        .summary = "Show or manage runs.",
        .help = LIST_HELP,
        .options = tables,
        .run = list_runs,
        .sub = subcommands,
};
