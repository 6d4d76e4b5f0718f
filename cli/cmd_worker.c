/* SPDX-License-Identifier: Apache-2.0 */
/* `guild worker`: runs trials for a coordinator, here or on another machine. */
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/notify.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/wire/resources.h"
#include "engine/wire/wire.h"
#include "worker/worker.h"

/* What was running is to be gone within 5 s of a signal. */
#define STOP_GRACE_US (4 * G_USEC_PER_SEC)

typedef struct {
    GMainLoop *loop;
    Worker *worker;
    char *url;
    gboolean over;
    int status;
    char *error;
    guint n_signals;
} Service;

static void on_ended(Worker *w, int status, const char *error, gpointer data)
{
    Service *s = data;
    s->over = TRUE;
    s->status = status;
    s->error = g_strdup(error);
    g_main_loop_quit(s->loop);
}

static void on_connected(Worker *w, gboolean in_place, gpointer data)
{
    log_info("connected to %s%s", ((Service *)data)->url,
            in_place ? "; runs are executed in place" : "");
    notify_ready();
}

static gboolean on_stop(gpointer data)
{
    Service *s = data;
    notify_state("STOPPING=1");
    worker_stop(s->worker, s->n_signals++ ? 0 : STOP_GRACE_US);
    return G_SOURCE_CONTINUE;
}

/* SIGUSR1: as `guild workers drain`. */
static gboolean on_drain(gpointer data)
{
    log_info("draining: what runs is finished, nothing more is taken");
    worker_drain(((Service *)data)->worker);
    return G_SOURCE_CONTINUE;
}

/* "--have license=2" joined into one map. */
static Value *have_map(CliArgs *args, GError **error)
{
    g_autoptr(Value) map = value_new_map();
    for (const char *const *h = cli_multi(args, "have"); *h; h++) {
        g_autoptr(Value) one = request_parse_text(*h, error);
        if (!one)
            return NULL;
        value_map_update(map, one);
    }
    return g_steal_pointer(&map);
}

/* The URL with its port; NULL: the coordinator of our own home. */
static char *worker_url(CliArgs *args, const AccessKey *key, GError **error)
{
    const char *given = cli_positional(args)[0];
    if (given) {
        g_autofree char *url =
                strstr(given, "://") ? g_strdup(given) : g_strconcat("tcp://", given, NULL);
        const char *colon = strrchr(url + 6, ':');
        return colon && !strchr(colon, ']') ? g_steal_pointer(&url)
                                            : g_strdup_printf("%s:%d", url, WIRE_PORT);
    }
    if (key && key->host)
        return g_strdup_printf("tcp://%s:%d", key->host, key->port ? key->port : WIRE_PORT);
    g_autofree char *path = keys_endpoint_path(cli_home());
    char *text = fs_read(path, 1024, NULL, NULL);
    if (!text)
        g_set_error(error, KEYS_ERROR, KEYS_ERROR_ABSENT,
                "no coordinator serves %s; name one: guild worker tcp://HOST:PORT --key FILE",
                cli_home());
    return text ? g_strstrip(text) : NULL;
}

static AccessKey *load_key(CliArgs *args, GError **error)
{
    const char *given = cli_string(args, "key");
    g_autofree char *local = keys_local_path(cli_home());
    g_autofree char *path = given ? fs_expanduser(given) : g_strdup(local);
    if (!given && !fs_exists(path)) {
        g_set_error(error, KEYS_ERROR, KEYS_ERROR_ABSENT,
                "a key is needed: --key FILE, as 'guild coordinator authorize --role worker FILE' "
                "makes it on the coordinator's machine");
        return NULL;
    }
    return access_key_load(path, error);
}

static int finish(Service *s)
{
    worker_free(s->worker);
    g_main_loop_unref(s->loop);
    int status = s->status;
    if (s->error)
        status = cli_error("%s", s->error);
    g_free(s->error);
    g_free(s->url);
    return status;
}

static int work(CliArgs *args)
{
    static const WorkerListener listener = {on_ended, on_connected};
    GError *error = NULL;
    log_set_style(cli_flag(args, "json_log") ? LOG_STYLE_JSON : LOG_STYLE_SERVICE);
    if (!cli_check_max_args(args, 1))
        return 2;
    g_autoptr(AccessKey) key = load_key(args, &error);
    g_autoptr(Value) have = key ? have_map(args, &error) : NULL;
    if (!have)
        return cli_gerror(error);
    Service s = {0};
    s.url = worker_url(args, key, &error);
    if (!s.url)
        return cli_gerror(error);
    gint64 ends = (gint64)(cli_float(args, "time", 0) * 60 * G_USEC_PER_SEC);
    WorkerOptions o = {.home = cli_home(),
            .url = s.url,
            .key = key,
            .slots = (int)cli_int(args, "slots", 0),
            .have = have,
            .labels = cli_multi(args, "labels"),
            .name = cli_string(args, "name"),
            .connect_us = cli_given(args, "give_up")
                                  ? (gint64)(cli_float(args, "give_up", 0) * G_USEC_PER_SEC)
                                  : 0,
            .give_up_us = (gint64)(cli_float(args, "give_up", 3600) * G_USEC_PER_SEC),
            .ends_us = ends > 0 ? g_get_real_time() + ends : 0,
            .idle_exit_us = (gint64)(cli_float(args, "idle_exit", 0) * G_USEC_PER_SEC),
            .cache_bytes = (guint64)(cli_float(args, "cache", 20) * 1e9)};
    if (o.slots < 0)
        return cli_error("--slots must be 1 or more");
    s.loop = g_main_loop_new(NULL, FALSE);
    signal(SIGPIPE, SIG_IGN);
    s.worker = worker_new(&o, g_main_context_default(), &listener, &s, &error);
    if (!s.worker) {
        finish(&s);
        return cli_gerror(error);
    }
    g_unix_signal_add(SIGINT, on_stop, &s);
    g_unix_signal_add(SIGTERM, on_stop, &s);
    g_unix_signal_add(SIGHUP, on_stop, &s);
    g_unix_signal_add(SIGUSR1, on_drain, &s);
    if (!s.over)
        g_main_loop_run(s.loop);
    return finish(&s);
}

static const CliOption options[] = {
        {"key", "-k, --key", OPT_STRING, "FILE",
                "Access file with the role of a worker (default: that of a coordinator on this "
                "home).",
                "file"},
        {"slots", "-s, --slots", OPT_INT, "N",
                "How many CPUs to offer: trials that ask for nothing take one each (default: all "
                "cores)."},
        {"name", "--name", OPT_STRING, "NAME",
                "What the worker is called (default: the host's name)."},
        {"have", "--have", OPT_MULTI, "NAME=AMOUNT",
                "Further resources: license=2, mem=8G, gpus=2. May be used more than once."},
        {"labels", "-l, --label", OPT_MULTI, "LABEL",
                "A label that trials may ask for. May be used more than once."},
        {"give_up", "--give-up", OPT_FLOAT, "SECONDS",
                "Stop when no coordinator has answered for so long (default 3600, and 8 for the "
                "first "
                "connection)."},
        {"idle_exit", "--idle-exit", OPT_FLOAT, "SECONDS", "Exit when idle for so long."},
        {"time", "--time", OPT_FLOAT, "MINUTES",
                "How long this worker will live: trials that state a longer time are not given to "
                "it."},
        {"cache", "--cache", OPT_FLOAT, "GB", "Size limit of the cache of files (default 20)."},
        {"json_log", "--json-log", OPT_FLAG, NULL, "Write log lines as JSON objects."},
        CLI_OPTIONS_END,
};
static const CliOption *const tables[] = {options, NULL};

const CliCommand cmd_worker = {
        .name = "worker",
        .args = "[tcp://HOST:PORT]",
        .summary = "Run trials for a coordinator.",
        .help = "Connects to a coordinator, offers what this machine has, and runs what it is "
                "given. On the "
                "coordinator's own home no argument is needed. Runs in the foreground; SIGTERM and "
                "Ctrl-C "
                "hand everything back at once, SIGUSR1 finishes what runs first.\n\n"
                "When the connection is lost, trials go on and are delivered when the coordinator "
                "is back.",
        .options = tables,
        .run = work,
};
