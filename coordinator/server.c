/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's socket: one ROUTER, on inproc or on tcp with CURVE. Each frame becomes a struct
 * or is dropped; each struct goes to the function that its kind names, if the peer's role allows
 * that kind NOW: a key that was revoked a moment ago has no role. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "coordinator/internal.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

/* Peers that said HELLO; more are refused. */
#define MAX_PEERS 20000

static void peer_free(gpointer data)
{
    Peer *p = data;
    if (p->member)
        p->member->peer = NULL;
    if (p->submissions)
        g_hash_table_unref(p->submissions);
    if (p->watches)
        g_hash_table_unref(p->watches);
    transfer_free(p->xfer);
    g_bytes_unref(p->id);
    g_free(p->key);
    g_free(p->key_name);
    g_free(p->name);
    g_free(p);
}

static ZSend send_to(Coordinator *c, GBytes *id, MsgKind kind, const void *msg)
{
    g_autoptr(GBytes) body = wire_pack(kind, msg);
    return zsource_send(c->router, id, body);
}

gboolean peer_transfer_send(GBytes *message, gpointer peer)
{
    const Peer *p = peer;
    gboolean allowed = p->c->local || keyring_allows(p->c->keys, p->key);
    return allowed && zsource_send(p->c->router, p->id, message) == ZSEND_OK;
}

gboolean peer_send(Peer *p, MsgKind kind, const void *msg)
{
    g_autoptr(GBytes) body = wire_pack(kind, msg);
    return peer_transfer_send(body, p);
}

static void refuse(Coordinator *c, GBytes *id, gboolean fatal, const char *fmt, ...)
        G_GNUC_PRINTF(4, 5);
static void refuse(Coordinator *c, GBytes *id, gboolean fatal, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *reason = g_strdup_vprintf(fmt, args);
    va_end(args);
    MsgRefused m = {reason, fatal};
    send_to(c, id, MSG_REFUSED, &m);
}

static void peer_revoked(Peer *p)
{
    Coordinator *c = p->c;
    g_autoptr(GBytes) id = g_bytes_ref(p->id);
    if (p->member)
        member_remove(p->member, "its key was revoked");
    refuse(c, id, TRUE, "its key is not authorized any more");
    g_hash_table_remove(c->peers, id);
}

void server_drop_revoked(Coordinator *c)
{
    GHashTableIter it;
    gpointer p;
    g_autoptr(GPtrArray) revoked = g_ptr_array_new();
    g_hash_table_iter_init(&it, c->peers);
    while (g_hash_table_iter_next(&it, NULL, &p))
        if (!keyring_allows(c->keys, ((Peer *)p)->key))
            g_ptr_array_add(revoked, p);
    for (guint i = 0; i < revoked->len; i++)
        peer_revoked(revoked->pdata[i]);
}

void peer_drop(Peer *p)
{
    Coordinator *c = p->c;
    Member *m = g_steal_pointer(&p->member);
    if (m)
        member_disconnected(m, FALSE);
    g_hash_table_remove(c->peers, p->id);
}

/* ---- hello ---- */

static KeyUse *key_use(Coordinator *c, const char *key)
{
    KeyUse *use = g_hash_table_lookup(c->uses, key);
    if (!use) {
        use = g_new0(KeyUse, 1);
        g_hash_table_insert(c->uses, g_strdup(key), use);
    }
    return use;
}

static Peer *peer_new(Coordinator *c, GBytes *id, KeyRole role, const char *key,
        const char *key_name, const char *name)
{
    Peer *p = g_new0(Peer, 1);
    p->c = c;
    p->id = g_bytes_ref(id);
    p->role = role;
    p->key = g_strdup(key);
    p->key_name = g_strdup(key_name);
    p->use = key_use(c, key);
    p->name = g_strdup(name ? name : "?");
    p->fd = -1;
    p->xfer = transfer_new(c->blobs, peer_transfer_send, p);
    if (!c->local) {
        transfer_look_apart(p->xfer, c->context);
        transfer_confine(p->xfer, run_store_runs_dir(c->store));
    }
    p->submissions = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, submission_free);
    p->watches = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, watch_free);
    g_hash_table_insert(c->peers, p->id, p);
    return p;
}

static int frame_fd(const ZMessage *z)
{
    return z->frame ? zmq_msg_get(z->frame, ZMQ_SRCFD) : -1;
}

/* A connection that had the same descriptor is gone, whatever the monitor has yet to tell. */
static void forget_fd(Coordinator *c, int fd)
{
    GHashTableIter it;
    gpointer p;
    if (fd < 0)
        return;
    g_hash_table_iter_init(&it, c->peers);
    while (g_hash_table_iter_next(&it, NULL, &p))
        if (((Peer *)p)->fd == fd) {
            peer_drop(p);
            return;
        }
}

static void hello(Coordinator *c, GBytes *id, const ZMessage *z, KeyRole role, const char *key,
        const char *key_name, const MsgHello *m)
{
    gboolean worker = !g_strcmp0(m->role, "worker");
    if (m->version != WIRE_VERSION) {
        log_warning("refused %s: it speaks version %d of the protocol, we speak %d",
                m->name ? m->name : "?", m->version, WIRE_VERSION);
        refuse(c, id, TRUE,
                "it speaks version %d of the protocol and we speak %d: use the same guild on both "
                "sides",
                WIRE_VERSION, m->version);
        return;
    }
    if (worker ? !(role & ROLE_WORKER) : !(role & (ROLE_CLIENT | ROLE_READER))) {
        refuse(c, id, TRUE, "the key '%s' has the role '%s', which may not %s", key_name,
                key_role_name(role), worker ? "serve as a worker" : "send commands");
        return;
    }
    if (g_hash_table_size(c->peers) >= MAX_PEERS) {
        refuse(c, id, FALSE, "too many connections");
        return;
    }
    Peer *old = g_hash_table_lookup(c->peers, id);
    gboolean again = old != NULL;
    if (old)
        peer_drop(old);
    zmonitor_drain(c->monitor);
    int fd = c->local ? -1 : frame_fd(z);
    forget_fd(c, fd);
    Peer *p = peer_new(c, id, role, key, key_name, m->name);
    p->fd = fd;
    p->again = again;
    p->seen_us = clock_monotonic_us();
    if (worker) {
        member_hello(p, m);
        return;
    }
    MsgWelcome welcome = {.version = WIRE_VERSION,
            .instance = c->instance,
            .software = "guild",
            .lease_us = c->lease_us,
            .read_only = !(role & ROLE_CLIENT)};
    p->welcomed = TRUE;
    peer_send(p, MSG_WELCOME, &welcome);
}

/* ---- messages of those who are welcome ---- */

static void on_ping(Peer *p, void *msg)
{
    const MsgPing *m = msg;
    MsgPong pong = {m->seq};
    if (p->member) {
        p->member->load_permille = m->load_permille;
        if (m->busy)
            p->member->worked_us = p->seen_us;
        p->member->mem_free_bytes = m->mem_free_bytes;
    } else {
        watch_received(p, m->seq);
    }
    peer_send(p, MSG_PONG, &pong);
}

static void on_started(Peer *p, void *msg)
{
    result_started(p, msg);
}
static void on_output(Peer *p, void *msg)
{
    result_output(p, msg);
}
static void on_done(Peer *p, void *msg)
{
    result_done(p, msg);
}
static void on_returned(Peer *p, void *msg)
{
    result_returned(p, msg);
}
static void on_submit(Peer *p, void *msg)
{
    submit_begin(p, msg);
}
static void on_call(Peer *p, void *msg)
{
    call_handle(p, msg);
}
static void on_watch(Peer *p, void *msg)
{
    watch_begin(p, msg);
}

static void on_bye(Peer *p, void *msg)
{
    const MsgBye *m = msg;
    if (p->member)
        member_bye(p->member, m->reason);
}

static void on_files(Peer *p, void *msg)
{
    MsgFiles *m = msg;
    if (m->task)
        result_files(p, m);
    else
        submit_files(p, m);
}

static void on_get(Peer *p, void *msg)
{
    transfer_handle(p->xfer, MSG_GET, msg);
}
static void on_chunk(Peer *p, void *msg)
{
    transfer_handle(p->xfer, MSG_CHUNK, msg);
}
static void on_missing(Peer *p, void *msg)
{
    transfer_handle(p->xfer, MSG_MISSING, msg);
}

/* Who may send what. Kinds that are not here are never sent to a coordinator. */
static const struct {
    guint roles;
    gboolean needs_member;
    void (*handle)(Peer *, void *);
} handlers[MSG_N_KINDS] = {
        [MSG_PING] = {ROLE_WORKER | ROLE_CLIENT | ROLE_READER, FALSE, on_ping},
        [MSG_STARTED] = {ROLE_WORKER, TRUE, on_started},
        [MSG_OUTPUT] = {ROLE_WORKER, TRUE, on_output},
        [MSG_DONE] = {ROLE_WORKER, TRUE, on_done},
        [MSG_RETURNED] = {ROLE_WORKER, TRUE, on_returned},
        [MSG_BYE] = {ROLE_WORKER, TRUE, on_bye},
        [MSG_FILES] = {ROLE_WORKER | ROLE_CLIENT, FALSE, on_files},
        [MSG_GET] = {ROLE_WORKER | ROLE_CLIENT | ROLE_READER, FALSE, on_get},
        [MSG_CHUNK] = {ROLE_WORKER | ROLE_CLIENT, FALSE, on_chunk},
        [MSG_MISSING] = {ROLE_WORKER | ROLE_CLIENT, FALSE, on_missing},
        [MSG_SUBMIT] = {ROLE_CLIENT, FALSE, on_submit},
        [MSG_CALL] = {ROLE_CLIENT | ROLE_READER, FALSE, on_call},
        [MSG_WATCH] = {ROLE_CLIENT | ROLE_READER, FALSE, on_watch},
};

/* Counted; the first and each power of two is told. */
static void drop_frame(Coordinator *c, const char *why)
{
    c->n_dropped++;
    if ((c->n_dropped & (c->n_dropped - 1)) == 0)
        log_warning("dropped a frame that is no message we take (%" G_GUINT64_FORMAT " so far): %s",
                c->n_dropped, why);
}

static void handle(Coordinator *c, GBytes *id, const ZMessage *z, KeyRole role, const char *key,
        const char *key_name, MsgKind kind, void *msg)
{
    if (kind == MSG_HELLO) {
        hello(c, id, z, role, key, key_name, msg);
        return;
    }
    Peer *p = g_hash_table_lookup(c->peers, id);
    if (!p || g_strcmp0(p->key, key)) {
        /* It knows us, we don't know it: we were restarted, or gave it up. It says HELLO again. */
        refuse(c, id, FALSE, "say hello first");
        return;
    }
    p->role = role;
    p->seen_us = clock_monotonic_us();
    if (p->member) {
        p->member->renewed_us = p->seen_us;
        if (kind != MSG_PING)
            p->member->worked_us = p->seen_us;
    }
    if (!handlers[kind].handle || !(handlers[kind].roles & role) ||
            (handlers[kind].needs_member && !p->member)) {
        g_autofree char *why = g_strdup_printf(
                "'%s' from %s (role %s)", wire_kind_name(kind), p->name, key_role_name(role));
        drop_frame(c, why);
        return;
    }
    handlers[kind].handle(p, msg);
}

static void on_message(ZSource *z, const ZMessage *m, gpointer data)
{
    Coordinator *c = data;
    if (m->n_frames != 1) {
        drop_frame(c, "not one frame");
        return;
    }
    const char *key = "", *key_name = "local";
    KeyRole role = ROLE_OWNER;
    if (!c->local) {
        key = zmq_msg_gets(m->frame, "User-Id");
        role = keyring_role(c->keys, key, &key_name);
    }
    g_autoptr(GBytes) id = g_bytes_new(m->peer, m->peer_len);
    if (role == ROLE_NONE) {
        Peer *p = g_hash_table_lookup(c->peers, id);
        if (p) {
            log_warning("%s sent a message with a key that is not authorized any more", p->name);
            peer_revoked(p);
        }
        return;
    }
    g_autofree char *kept_key = g_strdup(key);
    g_autofree char *kept_name = g_strdup(key_name);
    g_autoptr(GError) error = NULL;
    MsgKind kind;
    void *msg = wire_unpack(m->body, m->body_len, &kind, &error);
    if (!msg) {
        drop_frame(c, error->message);
        return;
    }
    handle(c, id, m, role, kept_key, kept_name, kind, msg);
    wire_free(kind, msg);
}

/* ---- connections ---- */

static void on_monitor(int event, int value, const char *address, gpointer data)
{
    Coordinator *c = data;
    if (event == ZMQ_EVENT_DISCONNECTED)
        forget_fd(c, value);
    else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        log_debug("a connection was refused: its key is not authorized");
    else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ||
             event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        log_debug("a connection was refused: no handshake of ours");
}

static void peers_init(Coordinator *c)
{
    c->peers = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, NULL, peer_free);
    c->uses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void set_int(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

static gboolean bind_error(GError **error, const char *address)
{
    g_set_error(error, COORDINATOR_ERROR, COORDINATOR_ERROR_BIND, "cannot listen on %s: %s",
            address, zmq_strerror(zmq_errno()));
    return FALSE;
}

gboolean server_open_local(Coordinator *c, const char *endpoint, GError **error)
{
    void *socket = zmq_socket(c->zmq, ZMQ_ROUTER);
    set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
    set_int(socket, ZMQ_SNDHWM, 0); /* our own worker: bounded by what it is given */
    set_int(socket, ZMQ_RCVHWM, 0);
    peers_init(c);
    if (zmq_bind(socket, endpoint) < 0) {
        bind_error(error, endpoint);
        zmq_close(socket);
        return FALSE;
    }
    c->endpoint = g_strdup(endpoint);
    c->router = zsource_new(socket, c->context, on_message, c);
    return TRUE;
}

gboolean server_open(Coordinator *c, const char *bind, GError **error)
{
    void *socket = zmq_socket(c->zmq, ZMQ_ROUTER);
    gint64 max = WIRE_MAX_FRAME;
    set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
    set_int(socket, ZMQ_SNDHWM, 20000);
    set_int(socket, ZMQ_RCVHWM, 1000); /* frames of one peer that wait for us */
    set_int(socket, ZMQ_BACKLOG, 1024);
    set_int(socket, ZMQ_IPV6, strchr(bind, '[') != NULL);
    set_int(socket, ZMQ_HANDSHAKE_IVL, 10000);
    set_int(socket, ZMQ_TCP_KEEPALIVE, 1);
    set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, 30);
    set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, 10);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max);
    zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "guild", 5);
    keys_apply_server(socket, c->keys);
    peers_init(c);
    c->monitor = zmonitor_new(c->zmq, socket, c->context, on_monitor, c);
    char real[256];
    size_t len = sizeof real;
    if (zmq_bind(socket, bind) < 0 || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, real, &len) < 0) {
        bind_error(error, bind);
        zmonitor_free(g_steal_pointer(&c->monitor));
        zmq_close(socket);
        return FALSE;
    }
    c->endpoint = g_strdup(real);
    c->router = zsource_new(socket, c->context, on_message, c);
    return TRUE;
}

void server_close(Coordinator *c)
{
    g_clear_pointer(&c->peers, g_hash_table_unref);
    g_clear_pointer(&c->uses, g_hash_table_unref);
    zmonitor_free(g_steal_pointer(&c->monitor));
    zsource_free(g_steal_pointer(&c->router));
}
