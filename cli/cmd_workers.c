/* SPDX-License-Identifier: Apache-2.0 */
/* `guild workers`: who works for a coordinator, what each has and runs; `drain` and `alloc`. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/remote_client.h"
#include "engine/base/json.h"
#include "engine/base/text.h"
#include "engine/wire/resources.h"

static const CliOption remote_option[] = {
        {"remote", "-r, --remote", OPT_STRING, "REMOTE",
                "The coordinator (default: the one that serves this home).", "remote"},
        CLI_OPTIONS_END,
};
static const CliOption list_options[] = {
        {"json", "--json", OPT_FLAG, NULL, "Print a JSON list."},
        CLI_OPTIONS_END,
};

static char *describe(const Value *resources)
{
    GString *s = g_string_new(NULL);
    for (gsize i = 0; value_is_map(resources) && i < value_map_size(resources); i++) {
        const char *key = value_map_key_at(resources, i);
        const Value *v = value_map_at(resources, i);
        g_autofree char *text = NULL;
        if (value_is_list(v) && !value_list_size(v))
            continue;
        if (value_is_list(v))
            text = g_strdup_printf("%u", (guint)value_list_size(v));
        else if (!strcmp(key, "mem") && value_is_number(v))
            text = text_format_bytes((guint64)value_get_float(v));
        else
            text = value_str(v);
        g_string_append_printf(s, "%s%s=%s", s->len ? " " : "", key, text);
    }
    return g_string_free(s, FALSE);
}

static guint count_running(const Value *runs)
{
    guint n = 0;
    for (gsize i = 0; i < value_list_size(runs); i++)
        n += value_map_bool(value_list_at(runs, i), "running", FALSE);
    return n;
}

static void add_worker(OutTable *table, const Value *w)
{
    const Value *runs = value_map_get(w, "runs");
    char **cells = g_new0(char *, 7);
    cells[0] = g_strdup(value_map_string(w, "name", ""));
    cells[1] = g_strndup(value_map_string(w, "session", ""), 8);
    cells[2] = g_strdup(value_map_string(w, "state", ""));
    cells[3] = describe(value_map_get(w, "resources"));
    cells[4] = g_strdup_printf("%u running", runs ? count_running(runs) : 0);
    cells[5] = g_strdup_printf("%.1f s ago", (double)value_map_int(w, "silent_us", 0) / 1e6);
    out_table_add(table, cells);
    for (gsize i = 0; runs && i < value_list_size(runs); i++) {
        const Value *run = value_list_at(runs, i);
        if (!value_map_bool(run, "running", FALSE))
            continue;
        g_autofree char *devices = value_map_has(run, "devices")
                                           ? value_str(value_map_get(run, "devices"))
                                           : g_strdup("");
        g_autofree char *line =
                g_strdup_printf("    %s %s", value_map_string(run, "run", ""), devices);
        out_table_detail(table, g_strchomp(line));
    }
}

static int list(CliArgs *args)
{
    GError *error = NULL;
    g_autoptr(RemoteClient) c = remote_open(cli_string(args, "remote"), &error);
    g_autoptr(Value) workers = c ? remote_call(c, "workers", NULL, &error) : NULL;
    if (!workers)
        return cli_gerror(error);
    if (cli_flag(args, "json")) {
        g_autofree char *text = json_dump(workers, 2, FALSE);
        puts(text);
        return 0;
    }
    g_autoptr(OutTable) table = out_table_new(6);
    for (gsize i = 0; i < value_list_size(workers); i++)
        add_worker(table, value_list_at(workers, i));
    out_table_print(table, stdout, 0, OUT_PLAIN);
    return 0;
}

static int drain(CliArgs *args)
{
    GError *error = NULL;
    if (cli_n_positional(args) != 1)
        return cli_usage_error(args, "give the NAME of a worker");
    g_autoptr(Value) call = value_new_map();
    value_map_set_string(call, "worker", cli_positional(args)[0]);
    g_autoptr(RemoteClient) c = remote_open(cli_string(args, "remote"), &error);
    g_autoptr(Value) n = c ? remote_call(c, "drain", call, &error) : NULL;
    if (!n)
        return cli_gerror(error);
    printf("Draining %s.\n", cli_positional(args)[0]);
    return 0;
}

static const CliOption *const drain_tables[] = {remote_option, NULL};
static const CliCommand cmd_drain = {
        .name = "drain",
        .args = "NAME",
        .summary = "Let a worker finish what it runs and exit.",
        .help = "NAME is a worker's name or the beginning of its session. It takes no more trials.",
        .options = drain_tables,
        .run = drain,
};
/* "1h", "30m", "90" (seconds) as `time` of a request has it, in µs. */
static gboolean parse_time(const char *text, gint64 *us, GError **error)
{
    g_autoptr(Value) map = value_new_map();
    Request request;
    value_map_set_string(map, "time", text);
    if (!request_from_value(map, &request, error))
        return FALSE;
    *us = request.time_us;
    return TRUE;
}

static Value *alloc_settings(CliArgs *args, GError **error)
{
    const char *const *words = cli_positional(args);
    const char *time = cli_string(args, "time");
    gint64 time_us = 0;
    if (time && !parse_time(time, &time_us, error))
        return NULL;
    Value *v = value_new_map();
    value_map_set_int(v, "max_workers", cli_int(args, "max_workers", 0));
    value_map_set_int(v, "time_us", time_us);
    if (cli_given(args, "idle"))
        value_map_set_int(v, "idle_us", (gint64)(cli_float(args, "idle", 0) * 1e6));
    if (cli_string(args, "host"))
        value_map_set_string(v, "host", cli_string(args, "host"));
    value_map_set(v, "args", value_new_strv(words + 1));
    return v;
}

static void print_alloc(const Value *status)
{
    const Value *jobs = value_map_get(status, "jobs");
    gint64 max = value_map_int(status, "max_workers", 0);
    if (max == 0 && value_map_size(jobs) == 0) {
        puts("No workers are asked of Slurm.");
        return;
    }
    printf("slurm: up to %d worker%s\n", (int)max, max == 1 ? "" : "s");
    for (gsize i = 0; i < value_map_size(jobs); i++) {
        g_autofree char *state = value_str(value_map_at(jobs, i));
        printf("  job %s %s\n", value_map_key_at(jobs, i), state);
    }
    if (value_map_string(status, "error", NULL))
        printf("  last error: %s\n", value_map_string(status, "error", ""));
}

static int alloc(CliArgs *args)
{
    GError *error = NULL;
    g_autoptr(Value) settings = NULL;
    if (cli_n_positional(args) > 0) {
        if (strcmp(cli_positional(args)[0], "slurm") != 0)
            return cli_usage_error(
                    args, "cannot ask '%s' for workers: only 'slurm'", cli_positional(args)[0]);
        if (!cli_given(args, "max_workers"))
            return cli_usage_error(args, "give --max-workers");
        settings = alloc_settings(args, &error);
        if (!settings)
            return cli_gerror(error);
    }
    g_autoptr(RemoteClient) c = remote_open(cli_string(args, "remote"), &error);
    g_autoptr(Value) status = c ? remote_call(c, "alloc", settings, &error) : NULL;
    if (!status)
        return cli_gerror(error);
    print_alloc(status);
    return 0;
}

static const CliOption alloc_options[] = {
        {"max_workers", "-n, --max-workers", OPT_INT, "N",
                "How many workers there may be at once. 0 asks for no more and cancels what "
                "waits."},
        {"time", "-t, --time", OPT_STRING, "TIME",
                "How long an allocation lasts: 1h, 30m. Trials that state a longer time are not "
                "given to "
                "its worker."},
        {"idle", "--idle-exit", OPT_FLOAT, "SECONDS",
                "A worker that is idle for so long ends its allocation (default 60)."},
        {"host", "--host", OPT_STRING, "HOST",
                "Where workers find the coordinator (default: what it is bound to, else its host's "
                "name)."},
        CLI_OPTIONS_END,
};
static const CliOption *const alloc_tables[] = {alloc_options, remote_option, NULL};
static const CliCommand cmd_alloc = {
        .name = "alloc",
        .args = "[slurm] [-- SBATCH ARGS]",
        .summary = "Ask Slurm for workers while trials wait.",
        .help = "With 'slurm' the coordinator submits a job for each worker that waiting trials "
                "could use, up to "
                "--max-workers; what follows '--' is given to sbatch. Workers leave when they are "
                "idle. "
                "Without an argument, shows what was asked for.\n\n"
                "    guild workers alloc slurm --max-workers 8 --time 4h -- --partition=gpu "
                "--gres=gpu:1",
        .options = alloc_tables,
        .run = alloc,
};
static const CliCommand *const subcommands[] = {&cmd_alloc, &cmd_drain, NULL};
static const CliOption *const tables[] = {list_options, remote_option, NULL};

const CliCommand cmd_workers = {
        .name = "workers",
        .args = "",
        .summary = "Show the workers of a coordinator.",
        .help = "For each worker: its name, session and state, what it has, what it runs, and when "
                "it was "
                "last heard of.",
        .options = tables,
        .run = list,
        .sub = subcommands,
};
