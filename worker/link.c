/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's connection. libzmq reconnects by itself; what it can't know is who is at the other
 * end. So after every new connection we say HELLO with what we hold, and nothing else is sent
 * before WELCOME; PING renews our leases and notices when nobody answers. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "worker/echo.h"
#include "worker/internal.h"

/* A HELLO that is not answered is repeated after Worker.again_us, then with growing pauses. */
#define MAX_PAUSE_US (10 * G_USEC_PER_SEC)
/* libzmq tries again when a connection breaks, but not after a frame that it can't take (garbage of
 * whoever listens there meanwhile, a bit that flipped): after so long without a try we begin anew. In
 * first pauses. */
#define CONNECT_AGAIN_PAUSES 20
/* Output on its way, in bytes: a coordinator that reads slowly, or whose link is cut without a
 * word, is not to fill our memory. A PING in between tells how much of it was read. */
#define OUTPUT_WINDOW (4 * 1024 * 1024)
#define OUTPUT_PING_BYTES (OUTPUT_WINDOW / 8)

struct Link {
    Worker *w;
    AccessKey *key; /* NULL: inproc */
    ZSource *z;
    ZMonitor *monitor;
    Transfer *xfer;
    gboolean up; /* welcomed, and not lost since */
    gboolean ever_up;
    gboolean handshaken;
    gboolean reached; /* somebody accepted a connection */
    gint64 ended_us;  /* monotonic: since when there is no connection and no try; 0: there is one */
    char *instance;
    gint64 lease_us;
    gint64 heard_us;   /* monotonic: last message, or when we began */
    gint64 said_us;    /* last PING or HELLO */
    gint64 ping_us;    /* the last PING */
    gint64 renewed_us; /* when that was said which was answered last: leases count from there */
    gint64 pause_us;   /* between tries; grows */
    char *refusal;     /* why a handshake did not succeed */
    guint64 seq;
    guint64 hello_seq;
    guint64 out_sent, out_read;     /* bytes of output, on this connection */
    guint64 asked_seq, asked_bytes; /* of the PING that asks how much was read; 0: none does */
};

gboolean link_transfer_send(GBytes *message, gpointer link)
{
    const Link *l = link;
    return l->up && zsource_send(l->z, NULL, message) == ZSEND_OK;
}

static gboolean send_now(Link *l, MsgKind kind, const void *msg)
{
    g_autoptr(GBytes) body = wire_pack(kind, msg);
    return zsource_send(l->z, NULL, body) == ZSEND_OK;
}

gboolean link_send(Link *l, MsgKind kind, const void *msg)
{
    return l->up && send_now(l, kind, msg);
}

gboolean link_up(Link *l)
{
    return l->up;
}
Transfer *link_transfer(Link *l)
{
    return l->xfer;
}
gint64 link_lease_us(Link *l)
{
    return l->lease_us;
}
gint64 link_unrenewed_us(Link *l)
{
    return clock_monotonic_us() - l->renewed_us;
}

static gboolean is_building(const Worker *w)
{
    for (guint i = 0; i < w->tasks->len; i++)
        if (((const WTask *)w->tasks->pdata[i])->build)
            return TRUE;
    return FALSE;
}

static void say_ping(Link *l)
{
    Worker *w = l->w;
    MsgPing ping = {.seq = ++l->seq, .busy = is_building(w)};
    l->said_us = l->ping_us = clock_monotonic_us();
    for (guint i = 0; i < w->tasks->len; i++)
        echo_mark(w->tasks->pdata[i]);
    send_now(l, MSG_PING, &ping);
}

/* ---- output ---- */

static void maybe_ask(Link *l)
{
    if (l->w->inproc || l->asked_seq || l->out_sent - l->out_read < OUTPUT_PING_BYTES)
        return;
    say_ping(l);
    l->asked_seq = l->seq;
    l->asked_bytes = l->out_sent;
}

gboolean link_send_output(Link *l, const MsgOutput *m)
{
    if (!l->w->inproc && l->out_sent - l->out_read >= OUTPUT_WINDOW)
        return FALSE;
    if (!link_send(l, MSG_OUTPUT, m))
        return FALSE;
    l->out_sent += g_bytes_get_size(m->data);
    maybe_ask(l);
    return TRUE;
}

static void output_read(Link *l, guint64 seq)
{
    if (!l->asked_seq || seq < l->asked_seq)
        return;
    l->out_read = l->asked_bytes;
    l->asked_seq = 0;
    for (guint i = 0; i < l->w->tasks->len; i++)
        echo_catch_up(l->w->tasks->pdata[i]);
    maybe_ask(l);
}

/* ---- hello ---- */

static HeldState held_state(const WTask *t)
{
    return t->stage == W_REPORT ? HELD_ENDED : t->stage >= W_PREPARE ? HELD_RUNS : HELD_WAITS;
}

static void say_hello(Link *l)
{
    Worker *w = l->w;
    g_autofree char *token = w->inproc ? NULL : keys_token_read(w->home);
    g_autoptr(GPtrArray) held = g_ptr_array_new_with_free_func(held_task_free);
    for (guint i = 0; i < w->tasks->len; i++) {
        WTask *t = w->tasks->pdata[i];
        if (!t->dropped)
            g_ptr_array_add(held, held_task_new(t->task, t->lease, t->run_id, held_state(t)));
    }
    MsgHello m = {.version = WIRE_VERSION,
            .role = (char *)"worker",
            .name = w->name,
            .software = (char *)"guild",
            .session = w->session,
            .resources = w->have,
            .labels = w->labels,
            .home_token = token,
            .boot_id = (char *)clock_boot_id(),
            .pid = (int)getpid(),
            .ends_us = w->ends_us,
            .held = held,
            .seq = ++l->hello_seq};
    l->said_us = clock_monotonic_us();
    send_now(l, MSG_HELLO, &m);
}

static WTask *find_task(Worker *w, guint64 task, guint64 lease)
{
    for (guint i = 0; i < w->tasks->len; i++) {
        WTask *t = w->tasks->pdata[i];
        if (t->task == task && t->lease == lease)
            return t;
    }
    return NULL;
}

/* A coordinator that was away answers all our HELLOs at once, each by what it said that we hold: what
 * it gives us after one answer it takes back with the next. Only the last counts. In place one that
 * came late is asked for again: our leases count from when we asked. */
static gboolean is_stale(Link *l, const MsgWelcome *m)
{
    if (m->seq && m->seq != l->hello_seq)
        return TRUE;
    if (!m->in_place || l->w->inproc || clock_monotonic_us() - l->said_us < m->lease_us / 2)
        return FALSE;
    say_hello(l);
    return TRUE;
}

static void on_welcome(Link *l, const MsgWelcome *m)
{
    Worker *w = l->w;
    gboolean first = !l->ever_up;
    if (is_stale(l, m))
        return;
    if (m->version != WIRE_VERSION) {
        g_autofree char *text = g_strdup_printf(
                "the coordinator at %s speaks version %d of the protocol and we speak %d: use the "
                "same guild on both sides",
                w->url, m->version, WIRE_VERSION);
        worker_over(w, 1, text);
        return;
    }
    l->up = l->ever_up = TRUE;
    l->renewed_us = l->said_us;
    l->lease_us = m->lease_us > 0 ? m->lease_us : 30 * G_USEC_PER_SEC;
    l->pause_us = l->w->again_us;
    l->out_sent = l->out_read = l->asked_seq = 0;
    w->in_place = m->in_place;
    g_free(l->instance);
    l->instance = g_strdup(m->instance);
    for (guint i = 0; m->drop && i < m->drop->len; i++) {
        HeldTask *h = m->drop->pdata[i];
        WTask *t = find_task(w, h->task, h->lease);
        if (t)
            wtask_drop(t);
    }
    if (first && w->listener.connected)
        w->listener.connected(w, m->in_place, w->data);
    else if (!first)
        log_info("connected again to %s", w->url);
    transfer_resume(l->xfer);
    for (guint i = 0; i < w->tasks->len; i++) {
        WTask *t = w->tasks->pdata[i];
        if (!first) {
            wtask_say_again(t);
            echo_rewind(t);
        }
        if (t->stage == W_REPORT && !t->dropped)
            wtask_report(t);
    }
    /* Lists that were on their way are lost with the old connection. */
    for (guint i = w->tasks->len; i-- > 0;) {
        WTask *t = w->tasks->pdata[i];
        if (t->stage == W_FILES && !first)
            wtask_give_back(t, "its list was cut off");
    }
    worker_look(w);
}

static void lost(Link *l, const char *why)
{
    if (!l->up)
        return;
    l->up = FALSE;
    log_warning("lost the coordinator (%s); trying again", why);
}

static void on_refused(Link *l, const MsgRefused *m)
{
    if (m->fatal) {
        g_autofree char *text =
                g_strdup_printf("%s refused us: %s", l->w->url, m->reason ? m->reason : "");
        worker_over(l->w, 1, text);
        return;
    }
    l->up = FALSE;
    /* It answers so to each message that was on its way when it was restarted: one HELLO is enough.
     */
    if (clock_monotonic_us() - l->said_us > l->w->again_us)
        say_hello(l);
}

/* The answer to an earlier PING, late, says nothing of what has come since. */
static void on_pong(Link *l, const MsgPong *m)
{
    if (m->seq == l->seq) {
        l->renewed_us = l->ping_us;
        for (guint i = 0; i < l->w->tasks->len; i++)
            echo_heard(l->w->tasks->pdata[i]);
    }
    output_read(l, m->seq);
}

static void on_message(ZSource *z, const ZMessage *zm, gpointer data)
{
    Link *l = data;
    Worker *w = l->w;
    g_autoptr(GError) error = NULL;
    MsgKind kind;
    void *msg = wire_unpack(zm->body, zm->body_len, &kind, &error);
    if (!msg) {
        log_debug("dropped a message of the coordinator: %s", error->message);
        return;
    }
    l->heard_us = clock_monotonic_us();
    if (kind == MSG_WELCOME)
        on_welcome(l, msg);
    else if (kind == MSG_REFUSED)
        on_refused(l, msg);
    else if (!l->up)
        ; /* of before a loss */
    else if (kind == MSG_PONG)
        on_pong(l, msg);
    else if (kind == MSG_START)
        wtask_start(w, msg);
    else if (kind == MSG_FILES)
        wtask_files(w, msg);
    else if (kind == MSG_STOP)
        wtask_stop(w, msg);
    else if (kind == MSG_ACK)
        wtask_ack(w, msg);
    else if (kind == MSG_DRAIN)
        worker_drain(w);
    else if (kind == MSG_GET || kind == MSG_CHUNK || kind == MSG_MISSING)
        transfer_handle(l->xfer, kind, msg);
    wire_free(kind, msg);
}

/* ---- the connection ---- */

static void on_monitor(int event, int value, const char *address, gpointer data)
{
    Link *l = data;
    if (event & (ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CONNECT_DELAYED | ZMQ_EVENT_CONNECT_RETRIED))
        l->ended_us = 0;
    else if (event & (ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                             ZMQ_EVENT_HANDSHAKE_FAILED_AUTH))
        l->ended_us = clock_monotonic_us();
    if (event == ZMQ_EVENT_CONNECTED) {
        l->reached = TRUE;
    } else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        l->handshaken = TRUE;
        l->up = FALSE;
        say_hello(l);
    } else if (event == ZMQ_EVENT_DISCONNECTED) {
        lost(l, "the connection ended");
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        g_free(l->refusal);
        l->refusal = g_strdup("it does not know our key");
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) {
        g_free(l->refusal);
        l->refusal = g_strdup("its key is not the one that ours is for, or it is no coordinator");
    }
}

static void set_int(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

/* What the system says of a connection to there: libzmq keeps it to itself. */
static char *why_unreachable(const char *url, gboolean *no_host)
{
    g_autofree char *host = g_strdup(strstr(url, "://") ? strstr(url, "://") + 3 : url);
    char *colon = strrchr(host, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    *no_host = FALSE;
    if (!colon)
        return NULL;
    *colon = 0;
    const char *name = *host == '[' ? host + 1 : host;
    host[strcspn(host, "]")] = 0;
    int rc = getaddrinfo(name, colon + 1, &hints, &found);
    if (rc) {
        *no_host = TRUE;
        return g_strdup(gai_strerror(rc));
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int problem = connect(fd, found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
    if (problem == EINPROGRESS) {
        struct pollfd p = {fd, POLLOUT, 0};
        socklen_t len = sizeof problem;
        problem = ETIMEDOUT;
        if (poll(&p, 1, 500) == 1)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &len);
    }
    close(fd);
    freeaddrinfo(found);
    return problem ? g_strdup(g_strerror(problem)) : NULL;
}

Link *link_new(Worker *w, const AccessKey *key, GError **error)
{
    void *socket = zmq_socket(w->zmq, ZMQ_DEALER);
    gint64 max = WIRE_MAX_FRAME;
    set_int(socket, ZMQ_SNDHWM, w->inproc ? 0 : 20000);
    set_int(socket, ZMQ_RCVHWM, w->inproc ? 0 : 20000);
    if (!w->inproc) {
        zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max);
        set_int(socket, ZMQ_IPV6, 1);
        set_int(socket, ZMQ_RECONNECT_IVL, 200);
        set_int(socket, ZMQ_RECONNECT_IVL_MAX, 5000);
        set_int(socket, ZMQ_HANDSHAKE_IVL, 10000);
        set_int(socket, ZMQ_CONNECT_TIMEOUT, 5000);
        set_int(socket, ZMQ_TCP_KEEPALIVE, 1);
        set_int(socket, ZMQ_TCP_MAXRT, 30000);
        keys_apply_client(socket, key);
    }
    gboolean no_host = FALSE;
    g_autofree char *problem = w->inproc ? NULL : why_unreachable(w->url, &no_host);
    if (no_host) {
        g_set_error(error, KEYS_ERROR, KEYS_ERROR_FORMAT, "cannot find the host of %s: %s", w->url,
                problem);
        zmq_close(socket);
        return NULL;
    }
    Link *l = g_new0(Link, 1);
    l->w = w;
    l->heard_us = l->renewed_us = clock_monotonic_us();
    l->lease_us = 30 * G_USEC_PER_SEC;
    if (!w->inproc)
        l->monitor = zmonitor_new(w->zmq, socket, w->context, on_monitor, l);
    if (zmq_connect(socket, w->url) < 0) {
        g_set_error(error, KEYS_ERROR, KEYS_ERROR_FORMAT, "cannot connect to %s: %s", w->url,
                zmq_strerror(zmq_errno()));
        zmonitor_free(l->monitor);
        zmq_close(socket);
        g_free(l);
        return NULL;
    }
    l->z = zsource_new(socket, w->context, on_message, l);
    l->xfer = transfer_new(w->blobs, link_transfer_send, l);
    if (!w->inproc)
        transfer_look_apart(l->xfer, w->context);
    w->link = l;
    if (w->inproc)
        say_hello(l);
    return l;
}

void link_free(Link *l)
{
    if (!l)
        return;
    transfer_free(l->xfer);
    zmonitor_free(l->monitor);
    zsource_free(l->z);
    g_free(l->instance);
    g_free(l->refusal);
    g_free(l);
}

static void give_up(Link *l)
{
    Worker *w = l->w;
    gboolean no_host = FALSE;
    g_autofree char *text = NULL;
    g_autofree char *problem = l->ever_up || l->reached ? NULL : why_unreachable(w->url, &no_host);
    if (problem)
        text = g_strdup_printf("cannot reach a coordinator at %s: %s", w->url, problem);
    else if (!l->ever_up && l->reached && !l->handshaken && !l->refusal)
        text = g_strdup_printf("%s does not accept the key: it is for another coordinator, or what "
                               "listens there is none",
                w->url);
    else if (l->refusal && !l->ever_up)
        text = g_strdup_printf("%s refused the connection: %s", w->url, l->refusal);
    else
        text = g_strdup_printf("no coordinator answered at %s for %.4g s", w->url,
                (double)w->give_up_us / G_USEC_PER_SEC);
    worker_over(w, 1, text);
}

static void connect_again(Link *l, gint64 now_us)
{
    void *socket = zsource_socket(l->z);
    l->ended_us = now_us;
    zmq_disconnect(socket, l->w->url);
    zmq_connect(socket, l->w->url); /* if it can't now, it is tried again */
}

/* Renews leases, notices silence, gives up. */
void link_tick(Link *l, gint64 now_us)
{
    Worker *w = l->w;
    gint64 silent = now_us - l->heard_us;
    if (l->ended_us && now_us - l->ended_us >= CONNECT_AGAIN_PAUSES * w->again_us)
        connect_again(l, now_us);
    if (l->up && silent > l->lease_us)
        lost(l, "no answer");
    gint64 patience = l->ever_up ? w->give_up_us : w->connect_us;
    if (silent > patience || (!l->ever_up && l->refusal && silent > 5 * G_USEC_PER_SEC)) {
        give_up(l);
        return;
    }
    if (l->up && now_us - l->said_us >= l->lease_us / 6) {
        say_ping(l);
    } else if (!l->up && l->handshaken && now_us - l->said_us >= l->pause_us) {
        l->pause_us = CLAMP(l->pause_us * 2, w->again_us, MAX_PAUSE_US);
        say_hello(l);
    }
}
