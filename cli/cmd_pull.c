/* SPDX-License-Identifier: Apache-2.0 */
/* `guild pull`, `push`, `sync` and `remotes`: runs between this home and a coordinator's. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/remote_client.h"
#include "cli/runs_args.h"
#include "engine/project/userconfig.h"
#include "engine/run/store.h"

/* ---- pull ---- */

/* Adds the ids that a RUN means there: an id, its beginning, an index or a range of the list. */
static gboolean add_meant(RemoteClient *c, const char *run, Value *ids, GError **error)
{
    const char *argv[] = {"select", "--all", run, NULL};
    g_autoptr(RemoteOutput) o = remote_command(c, argv, error);
    if (!o)
        return FALSE;
    if (o->exit_status) {
        const char *why = g_strstrip(o->err);
        g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_REFUSED, "remote '%s': %s", remote_name(c),
                g_str_has_prefix(why, "guild: ") ? why + strlen("guild: ") : why);
        return FALSE;
    }
    g_auto(GStrv) lines = g_strsplit(g_strstrip(o->out), "\n", -1);
    for (char **line = lines; *line && **line; line++)
        value_list_append(ids, value_new_string(*line));
    return TRUE;
}

/* With the trials of batches; without RUNs, all. */
static Value *wanted_runs(RemoteClient *c, const char *const *runs, GError **error)
{
    g_autoptr(Value) args = value_new_map();
    g_autoptr(Value) ids = value_new_list();
    for (; *runs; runs++)
        if (!add_meant(c, *runs, ids, error))
            return NULL;
    value_map_set(args, "runs", g_steal_pointer(&ids));
    return remote_call(c, "runs", args, error);
}

static int pull_all(RemoteClient *c, const Value *ids, GError **error)
{
    g_autoptr(RunStore) store = run_store_open(cli_home(), error);
    if (!store || !run_store_ensure(store, error))
        return cli_gerror(*error);
    int failed = 0;
    for (gsize i = 0; i < value_list_size(ids); i++) {
        g_autoptr(GError) err = NULL;
        const char *id = value_get_string(value_list_at(ids, i));
        if (remote_pull(c, id, run_store_runs_dir(store), FALSE, &err)) {
            printf("Pulled %s\n", id);
            continue;
        }
        failed = cli_error("cannot pull %s: %s", id, err->message);
        if (g_error_matches(err, REMOTE_ERROR, REMOTE_ERROR_CONNECT))
            break;
    }
    return failed;
}

static int pull(CliArgs *args)
{
    GError *error = NULL;
    const char *const *words = cli_positional(args);
    if (!words[0])
        return cli_usage_error(args, "give the REMOTE to pull from");
    g_autoptr(RemoteClient) c = remote_open(words[0], &error);
    g_autoptr(Value) ids = c ? wanted_runs(c, words + 1, &error) : NULL;
    if (!ids)
        return cli_gerror(error);
    if (!value_list_size(ids)) {
        fprintf(stderr, "Nothing to copy.\n");
        return 0;
    }
    if (!cli_flag(args, "yes")) {
        g_autofree char *prompt = g_strdup_printf("You are about to copy %u run(s) from %s.\n"
                                                  "Continue?",
                (guint)value_list_size(ids), words[0]);
        if (!out_confirm(prompt, TRUE))
            return EXIT_ABORTED;
    }
    return pull_all(c, ids, &error);
}

static const CliOption *const pull_tables[] = {runs_yes_option, NULL};

const CliCommand cmd_pull = {
        .name = "pull",
        .args = "REMOTE [RUN]...",
        .summary = "Copy runs from a remote to this home.",
        .help = "RUN is a run ID there, the beginning of one, or an index or range of indexes "
                "(START:END) of 'guild runs --remote REMOTE'; without any, all runs are copied. "
                "A batch brings its trials. Files that are here already are not copied again.",
        .options = pull_tables,
        .run = pull,
        .args_complete = "remote",
};

/* ---- push ---- */

static int push_all(RemoteClient *c, GPtrArray *runs)
{
    int failed = 0;
    for (guint i = 0; i < runs->len; i++) {
        GError *error = NULL;
        RemoteSubmit o = {.retries = -1, .start = FALSE, .replace = TRUE, .copy = TRUE};
        if (remote_submit(c, runs->pdata[i], &o, &error))
            printf("Pushed %s\n", run_id(runs->pdata[i]));
        else
            failed = cli_gerror(error);
    }
    return failed;
}

static int push(CliArgs *args)
{
    GError *error = NULL;
    const char *const *words = cli_positional(args);
    if (!words[0])
        return cli_usage_error(args, "give the REMOTE to push to");
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    g_autoptr(GPtrArray) runs = runs_choice_selected(&choice, words + 1);
    if (!runs)
        return choice.status;
    if (!cli_flag(args, "yes")) {
        g_autofree char *prompt = g_strdup_printf(
                "You are about to copy %u run(s) to %s.\nContinue?", runs->len, words[0]);
        if (!out_confirm(prompt, TRUE))
            return EXIT_ABORTED;
    }
    g_autoptr(RemoteClient) c = remote_open(words[0], &error);
    return c ? push_all(c, runs) : cli_gerror(error);
}

static const CliOption *const push_tables[] = {
        runs_common_filters, runs_status_filters, runs_yes_option, NULL};

const CliCommand cmd_push = {
        .name = "push",
        .args = "REMOTE [RUN]...",
        .summary = "Copy runs of this home to a remote.",
        .help = "Without RUN all runs are copied that match the filters.\n\n" RUNS_HELP_RUNS
                "\n\n" RUNS_HELP_FILTERS,
        .options = push_tables,
        .run = push,
        .args_complete = "remote-run",
};

/* ---- sync ---- */

/* Runs here that are known to run there. */
static int sync_runs(CliArgs *args)
{
    GError *error = NULL;
    g_autoptr(RunStore) store = run_store_open(cli_home(), &error);
    if (!store)
        return cli_gerror(error);
    const char *only = cli_positional(args)[0];
    g_autoptr(GPtrArray) runs = run_store_list(store, RUN_STORE_RUNS);
    int status = 0;
    for (guint i = 0; i < runs->len; i++) {
        Run *run = runs->pdata[i];
        g_autofree char *remote = run_remote(run);
        if (!remote || !*g_strstrip(remote) || (only && strcmp(only, remote)))
            continue;
        g_autoptr(RemoteClient) c = remote_open(remote, &error);
        if (!c || !remote_pull(c, run_id(run), run_store_runs_dir(store), FALSE, &error)) {
            status = cli_error(
                    "cannot synchronize %s with %s: %s", run_id(run), remote, error->message);
            g_clear_error(&error);
            continue;
        }
        printf("Synchronized %s with %s\n", run_id(run), remote);
    }
    return status;
}

static const CliOption *const no_tables[] = {NULL};

const CliCommand cmd_sync = {
        .name = "sync",
        .args = "[REMOTE]",
        .summary = "Bring runs of this home that run remotely up to date.",
        .help = "Runs that were started on a remote with --start are copied back as they are there "
                "now.",
        .options = no_tables,
        .run = sync_runs,
        .args_complete = "remote",
};

/* ---- remotes ---- */

static int list_remotes(CliArgs *args)
{
    GError *error = NULL;
    g_auto(GStrv) names = userconfig_remote_names(cli_cwd(), &error);
    if (!names)
        return cli_gerror(error);
    g_autoptr(OutTable) table = out_table_new(3);
    for (char **name = names; *name; name++) {
        g_autoptr(Value) def = userconfig_remote(cli_cwd(), *name, NULL);
        char **cells = g_new0(char *, 4);
        cells[0] = g_strdup(*name);
        cells[1] = g_strdup(value_map_string(def, "type", ""));
        cells[2] = g_strdup(value_map_string(def, "description", ""));
        out_table_add(table, cells);
    }
    out_table_print(table, stdout, 0, OUT_PLAIN);
    return 0;
}

const CliCommand cmd_remotes = {
        .name = "remotes",
        .args = "",
        .summary = "List the remotes of the user configuration.",
        .help = "Remotes are defined under 'remotes' in the user configuration "
                "(~/.guild/config.yml):\n\n"
                "  remotes: {lab: {type: coordinator, host: HOST, port: 7707, key: FILE}}",
        .options = no_tables,
        .run = list_remotes,
};
