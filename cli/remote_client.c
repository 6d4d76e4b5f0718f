/* SPDX-License-Identifier: Apache-2.0 */
/* A command's connection: see remote_client.h. Each request runs a main context of our own until
 * its answer is there. */
#include "cli/remote_client_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/project/userconfig.h"

#define CONNECT_MS 5000
/* Output that is watched is acknowledged so often: see coordinator/watch.c. */
#define ACKNOWLEDGE_BYTES (512 * 1024)
#define HELLO_MS 4000
/* How long a lost coordinator is waited for while a run is watched. */
#define LOST_MS (10 * 60 * 1000)

GQuark remote_error_quark(void)
{
    return g_quark_from_static_string("guild-remote-error");
}
const char *remote_name(RemoteClient *c)
{
    return c->name;
}

/* ---- where and with what ---- */

static gboolean own_coordinator(RemoteClient *c, GError **error)
{
    g_autofree char *path = keys_endpoint_path(cli_home());
    g_autofree char *key = keys_local_path(cli_home());
    g_autofree char *text = fs_read(path, 1024, NULL, NULL);
    const char *colon = text ? strrchr(g_strstrip(text), ':') : NULL;
    if (!colon || !g_str_has_prefix(text, "tcp://")) {
        g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_CONFIG,
                "no coordinator serves %s (start one with 'guild coordinator', or name a remote "
                "with --remote)",
                cli_home());
        return FALSE;
    }
    c->host = g_strndup(text + 6, (gsize)(colon - text - 6));
    c->port = atoi(colon + 1);
    return (c->key = access_key_load(key, error)) != NULL;
}

static gboolean configured(RemoteClient *c, const Value *def, GError **error)
{
    const char *type = value_map_string(def, "type", "");
    const char *file = value_map_string(def, "key", NULL);
    if (strcmp(type, "coordinator")) {
        g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_CONFIG,
                "remote '%s' is of type '%s': only 'coordinator' is supported", c->name, type);
        return FALSE;
    }
    if (!file) {
        g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_CONFIG,
                "remote '%s' has no 'key': the access file that 'guild coordinator authorize' made",
                c->name);
        return FALSE;
    }
    g_autofree char *path = fs_expanduser(file);
    if (!(c->key = access_key_load(path, error)))
        return FALSE;
    const char *host = value_map_string(def, "host", c->key->host);
    if (!host || !*host) {
        g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_CONFIG, "remote '%s' has no 'host'", c->name);
        return FALSE;
    }
    c->host = g_strdup(host);
    g_autofree char *port =
            value_map_has(def, "port") ? value_str(value_map_get(def, "port")) : NULL;
    c->port = port ? atoi(port) : c->key->port ? c->key->port : WIRE_PORT;
    return TRUE;
}

static gboolean find_remote(RemoteClient *c, GError **error)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(Value) def = c->name ? userconfig_remote(cli_cwd(), c->name, &err) : NULL;
    if (def)
        return configured(c, def, error);
    if (!c->name || !strcmp(c->name, "local"))
        return own_coordinator(c, error);
    g_propagate_error(error, g_steal_pointer(&err));
    return FALSE;
}

/* A first connection of our own, because libzmq doesn't say what went wrong with its. */
static gboolean reach(RemoteClient *c, GError **error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    g_autofree char *port = g_strdup_printf("%d", c->port);
    int rc = getaddrinfo(c->host, port, &hints, &found);
    if (rc) {
        g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_CONNECT,
                "cannot find host '%s' of remote '%s': %s", c->host, c->name, gai_strerror(rc));
        return FALSE;
    }
    int problem = EHOSTUNREACH;
    for (struct addrinfo *a = found; a && problem; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        struct pollfd p = {fd, POLLOUT, 0};
        socklen_t len = sizeof problem;
        problem = connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
        if (problem == EINPROGRESS) {
            problem = ETIMEDOUT;
            if (poll(&p, 1, CONNECT_MS) == 1)
                getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &len);
        }
        close(fd);
    }
    freeaddrinfo(found);
    if (problem)
        g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_CONNECT,
                "cannot reach the coordinator of remote '%s' at %s:%d: %s", c->name, c->host,
                c->port, g_strerror(problem));
    return problem == 0;
}

/* ---- messages ---- */

gboolean remote_transfer_send(GBytes *message, gpointer client)
{
    const RemoteClient *c = client;
    return zsource_send(c->z, NULL, message) == ZSEND_OK;
}

void remote_send(RemoteClient *c, MsgKind kind, const void *msg)
{
    g_autoptr(GBytes) message = wire_pack(kind, msg);
    remote_transfer_send(message, c);
}

static void say_hello(RemoteClient *c)
{
    char name[256] = "client";
    gethostname(name, sizeof name - 1);
    MsgHello m = {.version = WIRE_VERSION,
            .role = (char *)"client",
            .name = name,
            .software = (char *)"guild",
            .pid = (int)getpid()};
    remote_send(c, MSG_HELLO, &m);
}

static void send_watch(RemoteClient *c)
{
    MsgWatch m = {.run = c->watched,
            .offset = c->seen,
            .output = c->watcher->output != NULL,
            .events = TRUE};
    remote_send(c, MSG_WATCH, &m);
}

static void on_welcome(RemoteClient *c, const MsgWelcome *m)
{
    if (m->version != WIRE_VERSION) {
        g_free(c->refused);
        c->refused = g_strdup_printf("it speaks version %d of the protocol and we speak %d: use "
                                     "the same guild on both sides",
                m->version, WIRE_VERSION);
        return;
    }
    if (!c->welcomed && c->connection++)
        log_info("remote '%s' is back", c->name);
    c->welcomed = TRUE;
    c->received = c->acknowledged = 0;
    c->read_only = m->read_only;
    if (c->watched)
        send_watch(c);
}

static void on_reply(RemoteClient *c, const MsgReply *m)
{
    if (m->id != c->waiting_id)
        return;
    if (m->more) {
        c->pieces++;
        g_string_append(c->out, value_map_string(m->result, "out", ""));
        g_string_append(c->err, value_map_string(m->result, "err", ""));
        return;
    }
    c->result = value_ref(m->result);
    c->error = g_strdup(m->error);
    c->answered = !c->wants_list || c->error || c->files_complete;
}

static void on_files(RemoteClient *c, MsgFiles *m)
{
    if (m->id != c->waiting_id || !m->files)
        return;
    if (!c->files)
        c->files = g_ptr_array_new_with_free_func(file_entry_free);
    g_ptr_array_set_free_func(m->files, NULL);
    g_ptr_array_extend_and_steal(c->files, g_steal_pointer(&m->files));
    c->files_complete = m->last;
    c->answered = c->answered || (m->last && c->result);
}

static void on_event(RemoteClient *c, const MsgEvent *m)
{
    const RemoteWatcher *w = c->watcher;
    if (!w || !m->what || g_strcmp0(m->run, c->watched))
        return;
    c->seen = (guint64)value_map_int(m->data, "offset", (gint64)c->seen);
    if (!strcmp(m->what, "log") && w->log)
        w->log((int)value_map_int(m->data, "level", 20), value_map_string(m->data, "text", ""),
                c->watcher_data);
    else if (!strcmp(m->what, "progress") && w->progress)
        w->progress(value_map_int(m->data, "done", 0), value_map_int(m->data, "running", 0),
                value_map_int(m->data, "failed", 0), value_map_int(m->data, "left", -1),
                c->watcher_data);
    else if (!strcmp(m->what, "end") || !strcmp(m->what, "gone")) {
        const char *error = value_map_string(m->data, "error", NULL);
        if (error && w->log)
            w->log(LOG_ERROR, error, c->watcher_data);
        c->ended = TRUE;
        c->exit_status = (int)value_map_int(m->data, "exit_status", 1);
        g_free(c->end_status);
        c->end_status = g_strdup(value_map_string(m->data, "status", NULL));
    }
}

static void on_output(RemoteClient *c, const MsgOutput *m)
{
    gsize n = 0;
    const void *data = m->data ? g_bytes_get_data(m->data, &n) : NULL;
    if (!c->watcher || !c->watcher->output || !n || g_strcmp0(m->run, c->watched))
        return;
    c->seen = m->offset + n;
    c->received += n;
    c->watcher->output(m->stream, data, n, c->watcher_data);
    if (c->received - c->acknowledged < ACKNOWLEDGE_BYTES)
        return;
    c->acknowledged = c->received;
    MsgPing ping = {.seq = c->received};
    remote_send(c, MSG_PING, &ping);
}

static gboolean waits(const RemoteClient *c)
{
    return (c->waiting_id && !c->answered) || c->watched || c->fetching;
}

static void on_lost(RemoteClient *c)
{
    if (c->welcomed && waits(c))
        log_warning("the connection to remote '%s' is lost: waiting for it", c->name);
    c->welcomed = FALSE;
}

static void on_refused(RemoteClient *c, const MsgRefused *m)
{
    if (!m->fatal) { /* it was started anew, or has given us up */
        on_lost(c);
        say_hello(c);
        return;
    }
    g_free(c->refused);
    c->refused = g_strdup(m->reason ? m->reason : "no reason given");
}

static void on_message(ZSource *z, const ZMessage *zm, gpointer data)
{
    RemoteClient *c = data;
    MsgKind kind;
    void *msg = wire_unpack(zm->body, zm->body_len, &kind, NULL);
    if (!msg)
        return;
    if (kind == MSG_WELCOME)
        on_welcome(c, msg);
    else if (kind == MSG_REFUSED)
        on_refused(c, msg);
    else if (kind == MSG_REPLY)
        on_reply(c, msg);
    else if (kind == MSG_SUBMITTED && ((MsgSubmitted *)msg)->id == c->waiting_id) {
        c->answered = TRUE;
        c->error = g_strdup(((MsgSubmitted *)msg)->error);
    } else if (kind == MSG_FILES)
        on_files(c, msg);
    else if (kind == MSG_EVENT)
        on_event(c, msg);
    else if (kind == MSG_OUTPUT)
        on_output(c, msg);
    else if (kind == MSG_GET || kind == MSG_CHUNK || kind == MSG_MISSING)
        transfer_handle(c->xfer, kind, msg);
    wire_free(kind, msg);
}

static void on_monitor(int event, int value, const char *address, gpointer data)
{
    RemoteClient *c = data;
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        say_hello(c);
    } else if (event == ZMQ_EVENT_DISCONNECTED) {
        on_lost(c);
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        g_free(c->refused);
        c->refused = g_strdup("it does not know the key");
    }
}

/* ---- waiting ---- */

static gboolean on_time(gpointer flag)
{
    *(gboolean *)flag = TRUE;
    return G_SOURCE_REMOVE;
}

gboolean remote_turn_until(RemoteClient *c, const gboolean *done, guint ms)
{
    gboolean late = FALSE, welcomed = c->welcomed;
    guint connection = c->connection;
    GSource *timer = g_timeout_source_new(ms);
    g_source_set_callback(timer, on_time, &late, NULL);
    g_source_attach(timer, c->context);
    while (!*done && !late && !c->refused && !c->interrupted && c->welcomed == welcomed &&
            c->connection == connection)
        g_main_context_iteration(c->context, TRUE);
    g_source_destroy(timer);
    g_source_unref(timer);
    return *done;
}

gboolean remote_not_answered(RemoteClient *c, GError **error)
{
    if (c->refused)
        g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_REFUSED,
                "the coordinator of remote '%s' at %s:%d refused us: %s", c->name, c->host, c->port,
                c->refused);
    else
        g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_CONNECT,
                "the coordinator of remote '%s' at %s:%d does not answer", c->name, c->host,
                c->port);
    return FALSE;
}

/* ---- opening ---- */

static void set_int(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

static gboolean connect_to(RemoteClient *c, GError **error)
{
    gint64 max = WIRE_MAX_FRAME;
    c->context = g_main_context_new();
    c->zmq = zcontext_new();
    void *socket = zmq_socket(c->zmq, ZMQ_DEALER);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max);
    set_int(socket, ZMQ_IPV6, 1);
    set_int(socket, ZMQ_RECONNECT_IVL, 200);
    set_int(socket, ZMQ_RECONNECT_IVL_MAX, 5000);
    set_int(socket, ZMQ_SNDHWM, 20000);
    set_int(socket, ZMQ_RCVHWM, 20000);
    keys_apply_client(socket, c->key);
    c->monitor = zmonitor_new(c->zmq, socket, c->context, on_monitor, c);
    c->address = g_strdup_printf(
            strchr(c->host, ':') ? "tcp://[%s]:%d" : "tcp://%s:%d", c->host, c->port);
    c->z = zsource_new(socket, c->context, on_message, c);
    c->blobs = blobs_open(cli_home(), 0, error);
    if (!c->blobs)
        return FALSE;
    c->xfer = transfer_new(c->blobs, remote_transfer_send, c);
    if (zmq_connect(socket, c->address) < 0) {
        g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_CONNECT, "cannot connect to %s: %s",
                c->address, zmq_strerror(zmq_errno()));
        return FALSE;
    }
    if (remote_turn_until(c, &c->welcomed, HELLO_MS))
        return TRUE;
    if (c->refused)
        return remote_not_answered(c, error);
    g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_REFUSED,
            "%s:%d (remote '%s') does not accept the key: it is for another coordinator, or what "
            "listens there is none",
            c->host, c->port, c->name);
    return FALSE;
}

RemoteClient *remote_open(const char *name, GError **error)
{
    RemoteClient *c = g_new0(RemoteClient, 1);
    c->name = g_strdup(name);
    c->out = g_string_new(NULL);
    c->err = g_string_new(NULL);
    gboolean ok = find_remote(c, error);
    if (!c->name)
        c->name = g_strdup("local");
    if (!ok || !reach(c, error) || !connect_to(c, error)) {
        remote_close(c);
        return NULL;
    }
    return c;
}

void remote_close(RemoteClient *c)
{
    if (!c)
        return;
    transfer_free(c->xfer);
    zmonitor_free(c->monitor);
    zsource_free(c->z);
    if (c->zmq)
        zmq_ctx_term(c->zmq);
    blobs_close(c->blobs);
    if (c->context)
        g_main_context_unref(c->context);
    access_key_free(c->key);
    value_unref(c->result);
    g_clear_pointer(&c->files, g_ptr_array_unref);
    g_string_free(c->out, TRUE);
    g_string_free(c->err, TRUE);
    g_free(c->error);
    g_free(c->refused);
    g_free(c->watched);
    g_free(c->end_status);
    g_free(c->name);
    g_free(c->host);
    g_free(c->address);
    g_free(c);
}

/* ---- requests ---- */

static void expect(RemoteClient *c)
{
    c->waiting_id = ++c->next_id;
    c->answered = FALSE;
    g_clear_pointer(&c->result, value_unref);
    g_clear_pointer(&c->error, g_free);
    g_clear_pointer(&c->files, g_ptr_array_unref);
    c->files_complete = c->wants_list = FALSE;
    g_string_truncate(c->out, 0);
    g_string_truncate(c->err, 0);
}

/* Something comes, or is fetched of us: it lives. */
static guint64 movement(RemoteClient *c)
{
    return c->pieces + transfer_bytes_out(c->xfer);
}

static gboolean was_lost(RemoteClient *c, GError **error)
{
    g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_CONNECT,
            "the connection to remote '%s' was lost before it answered: look what was done before "
            "you try again",
            c->name);
    return FALSE;
}

gboolean remote_ask(
        RemoteClient *c, RemoteRequest request, gboolean once, gpointer data, GError **error)
{
    gboolean goes_on = TRUE;
    guint asked_on = c->connection;
    expect(c);
    request(c, FALSE, data);
    while (goes_on && !c->answered && !c->refused && !c->interrupted) {
        guint64 moved = movement(c);
        gboolean welcomed = c->welcomed;
        remote_turn_until(c, &c->answered, ANSWER_MS);
        goes_on = movement(c) != moved || c->welcomed != welcomed || c->connection != asked_on;
        if (once && !c->answered && (!c->welcomed || c->connection != asked_on))
            return was_lost(c, error);
        if (!c->answered && c->welcomed && c->connection != asked_on) {
            asked_on = c->connection;
            expect(c);
            request(c, TRUE, data);
        }
    }
    if (!c->answered)
        return remote_not_answered(c, error);
    if (!c->error)
        return TRUE;
    g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_REFUSED, "remote '%s': %s", c->name, c->error);
    return FALSE;
}

static void send_call(RemoteClient *c, gboolean again, gpointer call)
{
    ((MsgCall *)call)->id = c->waiting_id;
    remote_send(c, MSG_CALL, call);
}

static Value *call(
        RemoteClient *c, const char *method, const Value *args, gboolean once, GError **error)
{
    MsgCall m = {0, (char *)method, (Value *)args};
    if (!remote_ask(c, send_call, once, &m, error))
        return NULL;
    return c->result ? value_ref(c->result) : value_new_null();
}

Value *remote_call(RemoteClient *c, const char *method, const Value *args, GError **error)
{
    return call(c, method, args, FALSE, error);
}

RemoteOutput *remote_command(RemoteClient *c, const char *const *argv, GError **error)
{
    g_autoptr(Value) args = value_new_map();
    value_map_set(args, "argv", value_new_strv(argv));
    /* It may have been done, and to delete run 1 twice deletes two. */
    g_autoptr(Value) result = call(c, "command", args, TRUE, error);
    if (!result)
        return NULL;
    RemoteOutput *o = g_new0(RemoteOutput, 1);
    o->out = g_strndup(c->out->str, c->out->len);
    o->err = g_strndup(c->err->str, c->err->len);
    o->exit_status = (int)value_map_int(result, "exit_status", 1);
    return o;
}

void remote_output_free(RemoteOutput *o)
{
    if (!o)
        return;
    g_free(o->out);
    g_free(o->err);
    g_free(o);
}

/* ---- watching ---- */

static gboolean on_interrupt(gpointer client)
{
    ((RemoteClient *)client)->interrupted = TRUE;
    return G_SOURCE_CONTINUE;
}

int remote_watch(RemoteClient *c, const char *run, guint64 offset, const RemoteWatcher *watcher,
        gpointer data, GError **error)
{
    c->watched = g_strdup(run);
    c->watcher = watcher;
    c->watcher_data = data;
    c->seen = offset;
    GSource *sigint = g_unix_signal_source_new(SIGINT);
    g_source_set_callback(sigint, on_interrupt, c, NULL);
    g_source_attach(sigint, c->context);
    send_watch(c);
    while (!c->ended && !c->interrupted) {
        gboolean stop = FALSE;
        if (c->welcomed)
            remote_turn_until(c, &c->ended, 10000);
        else
            stop = !remote_turn_until(c, &c->welcomed, LOST_MS) && !c->interrupted;
        if (stop || c->refused) {
            remote_not_answered(c, error);
            break;
        }
    }
    g_source_destroy(sigint);
    g_source_unref(sigint);
    c->watcher = NULL;
    g_clear_pointer(&c->watched, g_free);
    return c->ended ? c->exit_status : c->interrupted ? -SIGINT : -1;
}

const char *remote_end_status(RemoteClient *c)
{
    return c->end_status;
}
