/* SPDX-License-Identifier: Apache-2.0 */
/* `guild queue`: what a coordinator has yet to run, in its order, and what each waits for. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/remote_client.h"
#include "engine/base/clock.h"
#include "engine/base/json.h"

static void add_job(OutTable *table, const Value *j)
{
    gint64 left = value_map_int(j, "left", -1);
    char **cells = g_new0(char *, 8);
    cells[0] = g_strndup(value_map_string(j, "run", ""), 8);
    cells[1] = g_strdup(
            value_map_bool(j, "stopping", FALSE) ? "stopping" : value_map_string(j, "user", ""));
    cells[2] = g_strdup_printf("priority %" G_GINT64_FORMAT, value_map_int(j, "priority", 0));
    cells[3] = clock_format_local(value_map_int(j, "submitted", 0));
    cells[4] = g_strdup_printf("%" G_GINT64_FORMAT " done, %" G_GINT64_FORMAT " failed",
            value_map_int(j, "done", 0), value_map_int(j, "failed", 0));
    cells[5] = left < 0 ? g_strdup_printf(
                                  "%" G_GINT64_FORMAT " running", value_map_int(j, "running", 0))
                        : g_strdup_printf("%" G_GINT64_FORMAT " running, %" G_GINT64_FORMAT " left",
                                  value_map_int(j, "running", 0), left);
    const char *waits = value_map_string(j, "waits_for", NULL);
    cells[6] = waits ? g_strdup_printf("waits for %s", waits) : g_strdup("");
    out_table_add(table, cells);
}

static int list(CliArgs *args)
{
    GError *error = NULL;
    g_autoptr(RemoteClient) c = remote_open(cli_string(args, "remote"), &error);
    g_autoptr(Value) jobs = c ? remote_call(c, "queue", NULL, &error) : NULL;
    if (!jobs)
        return cli_gerror(error);
    if (cli_flag(args, "json")) {
        g_autofree char *text = json_dump(jobs, 2, FALSE);
        puts(text);
        return 0;
    }
    g_autoptr(OutTable) table = out_table_new(7);
    for (gsize i = 0; i < value_list_size(jobs); i++)
        add_job(table, value_list_at(jobs, i));
    out_table_print(table, stdout, 0, OUT_PLAIN);
    return 0;
}

static int set_priority(CliArgs *args)
{
    GError *error = NULL;
    char *end = NULL;
    const char *const *words = cli_positional(args);
    gint64 priority = cli_n_positional(args) == 2 ? g_ascii_strtoll(words[1], &end, 10) : 0;
    if (!end || *end || end == words[1] || priority < -1000000 || priority > 1000000)
        return cli_usage_error(args, "give RUN and a whole number");
    g_autoptr(Value) call = value_new_map();
    value_map_set_string(call, "run", words[0]);
    value_map_set_int(call, "priority", priority);
    g_autoptr(RemoteClient) c = remote_open(cli_string(args, "remote"), &error);
    g_autoptr(Value) ok = c ? remote_call(c, "priority", call, &error) : NULL;
    return ok ? 0 : cli_gerror(error);
}

static const CliOption options[] = {
        {"remote", "-r, --remote", OPT_STRING, "REMOTE",
                "The coordinator (default: the one that serves this home).", "remote"},
        {"json", "--json", OPT_FLAG, NULL, "Print a JSON list."},
        CLI_OPTIONS_END,
};
static const CliOption *const tables[] = {options, NULL};

static const CliCommand cmd_priority = {
        .name = "priority",
        .args = "RUN PRIORITY",
        .summary = "Change the priority of a batch or run in the queue.",
        .help = "Higher goes first; 0 is what a batch has unless it was submitted with another "
                "one.",
        .options = tables,
        .run = set_priority,
};
static const CliCommand *const subcommands[] = {&cmd_priority, NULL};

const CliCommand cmd_queue = {
        .name = "queue",
        .args = "",
        .summary = "Show what a coordinator has yet to run.",
        .help = "Batches and runs that are not ended, in the order in which they are served, with "
                "what they "
                "wait for.",
        .options = tables,
        .run = list,
        .sub = subcommands,
};
