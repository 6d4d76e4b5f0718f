/* SPDX-License-Identifier: Apache-2.0 */
/* `guild coordinator`: serves this home to workers and clients; `authorize`, `revoke` and `keys`
 * say who they may be. */
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/notify.h"
#include "cli/out.h"
#include "coordinator/coordinator.h"
#include "engine/base/log.h"
#include "engine/wire/keys.h"
#include "engine/wire/wire.h"

typedef struct {
    GMainLoop *loop;
    Coordinator *coordinator;
} Service;

static void on_closed(gpointer data)
{
    g_main_loop_quit(((Service *)data)->loop);
}

static gboolean on_signal(gpointer data)
{
    Service *s = data;
    log_info("stopping: workers keep what they run until a coordinator is back");
    notify_state("STOPPING=1");
    coordinator_shutdown(s->coordinator, on_closed, s);
    return G_SOURCE_REMOVE;
}

static char *bind_address(const CliArgs *args)
{
    const char *given = cli_string(args, "bind");
    if (!given)
        return g_strdup_printf("tcp://0.0.0.0:%d", WIRE_PORT);
    g_autofree char *url =
            strstr(given, "://") ? g_strdup(given) : g_strconcat("tcp://", given, NULL);
    const char *host = strstr(url, "://") + 3;
    const char *colon = strrchr(host, ':');
    if (!colon || strchr(colon, ']'))
        return g_strdup_printf("%s:%d", url, WIRE_PORT);
    return g_steal_pointer(&url);
}

static int serve(CliArgs *args)
{
    g_autofree char *bind = bind_address(args);
    log_set_style(cli_flag(args, "json_log") ? LOG_STYLE_JSON : LOG_STYLE_SERVICE);
    CoordinatorOptions o = {.home = cli_home(),
            .bind = bind,
            .lease_us = (gint64)(cli_float(args, "lease", 30) * G_USEC_PER_SEC),
            .retries = (int)cli_int(args, "retries", -1),
            .cache_bytes = (guint64)(cli_float(args, "cache", 0) * 1e9),
            .metrics_port = (int)cli_int(args, "metrics_port", 0),
            .metrics_bind = cli_string(args, "metrics_bind")};
    if (!g_str_has_prefix(bind, "tcp://"))
        return cli_error("cannot listen on %s: only tcp is served", bind);
    if (o.lease_us < G_USEC_PER_SEC / 5)
        return cli_error("--lease must be 0.2 s or more");
    GError *error = NULL;
    Service s = {.loop = g_main_loop_new(NULL, FALSE)};
    s.coordinator = coordinator_new(&o, g_main_context_default(), &error);
    if (!s.coordinator) {
        g_main_loop_unref(s.loop);
        return cli_gerror(error);
    }
    g_unix_signal_add(SIGINT, on_signal, &s);
    g_unix_signal_add(SIGTERM, on_signal, &s);
    signal(SIGPIPE, SIG_IGN);
    log_info("coordinator of %s listens on %s", cli_home(), coordinator_endpoint(s.coordinator));
    notify_ready();
    g_main_loop_run(s.loop);
    coordinator_free(s.coordinator);
    g_main_loop_unref(s.loop);
    return 0;
}

static const CliOption serve_options[] = {
        {"bind", "-b, --bind", OPT_STRING, "ADDRESS",
                "Where to listen: HOST:PORT or tcp://HOST:PORT (default: all addresses, port "
                "7707). Port 0 "
                "takes any free one."},
        {"lease", "--lease", OPT_FLOAT, "SECONDS",
                "A worker not heard of for so long has lost its trials to others (default 30)."},
        {"retries", "--retries", OPT_INT, "N",
                "How often a trial is tried again when its worker was lost, unless its batch says "
                "otherwise "
                "(default 3)."},
        {"cache", "--cache", OPT_FLOAT, "GB", "Size limit of the cache of files (default: none)."},
        {"metrics_port", "--metrics-port", OPT_INT, "PORT",
                "Serve /metrics for Prometheus and /health over HTTP on this port."},
        {"metrics_bind", "--metrics-bind", OPT_STRING, "ADDRESS",
                "IPv4 address to serve them on (default 127.0.0.1)."},
        {"json_log", "--json-log", OPT_FLAG, NULL, "Write log lines as JSON objects."},
        CLI_OPTIONS_END,
};
static const CliOption *const serve_tables[] = {serve_options, NULL};

/* ---- keys ---- */

static gboolean name_ok(const char *name)
{
    return *name && strlen(name) < 100 && g_utf8_validate(name, -1, NULL) &&
           !strpbrk(name, "\n\r/");
}

static int authorize(CliArgs *args)
{
    GError *error = NULL;
    const char *role_name = cli_string(args, "role");
    const char *path = cli_positional(args)[0];
    KeyRole role = key_role_parse(role_name);
    if (cli_n_positional(args) != 1)
        return cli_usage_error(args, "give the FILE to write");
    if (role == ROLE_NONE || role == ROLE_OWNER)
        return cli_usage_error(args, "--role must be worker, client or reader");
    g_autofree char *base = g_path_get_basename(path);
    const char *name = cli_string(args, "name");
    if (!name)
        name = base;
    if (!name_ok(name))
        return cli_error("'%s' can't be the name of a key", name);
    if (g_file_test(path, G_FILE_TEST_EXISTS))
        return cli_error("%s exists already: keys are not overwritten", path);
    g_autoptr(KeyRing) ring = keyring_open(cli_home(), TRUE, &error);
    g_autoptr(AccessKey) key = ring ? keyring_authorize(ring, role, name, &error) : NULL;
    if (!key)
        return cli_gerror(error);
    key->host = g_strdup(cli_string(args, "host"));
    key->port = (int)cli_int(args, "port", 0);
    if (!access_key_save(key, path, &error)) {
        keyring_revoke(ring, key->public_key, NULL);
        return cli_gerror(error);
    }
    printf("Wrote %s: role %s, name %s. Copy it to the other machine and keep it private (0600).\n",
            path, key_role_name(role), name);
    return 0;
}

static const CliOption authorize_options[] = {
        {"role", "--role", OPT_STRING, "ROLE",
                "What the key may do: worker (run trials), client (submit and manage runs) or "
                "reader (only "
                "look).",
                "choice:worker,client,reader"},
        {"name", "--name", OPT_STRING, "NAME",
                "What the key is called (default: the file's name)."},
        {"host", "--host", OPT_STRING, "HOST", "Put the coordinator's host into the file."},
        {"port", "--port", OPT_INT, "PORT", "Put its port into the file."},
        CLI_OPTIONS_END,
};
static const CliOption *const authorize_tables[] = {authorize_options, NULL};

static int revoke_key(CliArgs *args)
{
    GError *error = NULL;
    if (cli_n_positional(args) != 1)
        return cli_usage_error(args, "give the NAME of a key");
    g_autoptr(KeyRing) ring = keyring_open(cli_home(), FALSE, &error);
    if (!ring || !keyring_revoke(ring, cli_positional(args)[0], &error))
        return cli_gerror(error);
    printf("Revoked %s.\n", cli_positional(args)[0]);
    return 0;
}

static void print_key(const char *name, KeyRole role, const char *public_key, gpointer data)
{
    printf("%-20s %-8s %s\n", name, key_role_name(role), public_key);
}

static int list_keys(CliArgs *args)
{
    GError *error = NULL;
    g_autoptr(KeyRing) ring = keyring_open(cli_home(), FALSE, &error);
    if (!ring)
        return cli_gerror(error);
    keyring_foreach(ring, print_key, NULL);
    return 0;
}

static const CliOption *const no_tables[] = {NULL};

static const CliCommand cmd_authorize = {
        .name = "authorize",
        .args = "FILE",
        .summary = "Make an access file for another machine.",
        .help = "Makes a key for a role and writes it to FILE, together with the public key of "
                "this home's "
                "coordinator. Copy the file to the machine that is to use it: a worker names it "
                "with "
                "'guild worker --key FILE', a client in its user configuration:\n\n"
                "  remotes: {lab: {type: coordinator, host: HOST, key: FILE}}",
        .options = authorize_tables,
        .run = authorize,
        .args_complete = "file",
};
static const CliCommand cmd_revoke = {
        .name = "revoke",
        .args = "NAME",
        .summary = "Take a key's rights away.",
        .help = "From now on nothing that comes with this key is acted on, also on open "
                "connections.",
        .options = no_tables,
        .run = revoke_key,
};
static const CliCommand cmd_keys = {
        .name = "keys",
        .args = "",
        .summary = "List the keys that may speak to the coordinator.",
        .help = "Shows name, role and public key of each.",
        .options = no_tables,
        .run = list_keys,
};
static const CliCommand *const subcommands[] = {&cmd_authorize, &cmd_revoke, &cmd_keys, NULL};

const CliCommand cmd_coordinator = {
        .name = "coordinator",
        .args = "",
        .summary = "Serve runs to workers on other machines.",
        .help = "Takes batches and runs from clients, hands their trials to workers and keeps the "
                "results "
                "in this home. Runs in the foreground until it is stopped; what was submitted "
                "survives "
                "that, and a crash: started again it goes on.\n\n"
                "The first start makes keys in the home. Commands and workers on this home need "
                "nothing "
                "more; for another machine make an access file with 'guild coordinator authorize'.",
        .options = serve_tables,
        .run = serve,
        .sub = subcommands,
};
