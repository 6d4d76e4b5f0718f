/* SPDX-License-Identifier: Apache-2.0 */
/* The GSource around a ZeroMQ socket, and the monitor of its connections: see zsource.h. */
#include "engine/wire/zsource.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

/* Above the largest frame, and enough free memory kept for a window of content. */
#define MMAP_BYTES (4 * 1024 * 1024)
#define KEEP_BYTES (16 * 1024 * 1024)

void *zcontext_new(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
#endif
    return zmq_ctx_new();
}

/* Messages handled in one turn of the loop, so that one busy socket starves nobody. */
#define MAX_PER_TURN 64
#define MAX_TURN_US 20000

struct ZSource {
    GSource source;
    void *socket;
    gpointer fd_tag;
    ZSourceFn fn;
    gpointer data;
    gboolean closed;
};

static gboolean readable(ZSource *z)
{
    int events = 0;
    size_t len = sizeof events;
    return !z->closed && zmq_getsockopt(z->socket, ZMQ_EVENTS, &events, &len) == 0 &&
           (events & ZMQ_POLLIN);
}

static gboolean zs_prepare(GSource *source, gint *timeout)
{
    *timeout = -1;
    return readable((ZSource *)source);
}

static gboolean zs_check(GSource *source)
{
    return readable((ZSource *)source);
}

/* Reads one message whole and hands it on. FALSE: nothing there. */
static gboolean receive(ZSource *z, gboolean router)
{
    zmq_msg_t peer, body;
    zmq_msg_init(&peer);
    if (router && zmq_msg_recv(&peer, z->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&peer);
        return FALSE;
    }
    zmq_msg_init(&body);
    ZMessage m = {0};
    int more = 1;
    if (!router && zmq_msg_recv(&body, z->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&peer);
        zmq_msg_close(&body);
        return FALSE;
    }
    if (!router) {
        m.n_frames = 1;
        more = zmq_msg_more(&body);
    } else {
        more = zmq_msg_more(&peer);
    }
    while (more) {
        if (zmq_msg_recv(&body, z->socket, 0) < 0)
            break;
        m.n_frames++;
        more = zmq_msg_more(&body);
    }
    m.peer = router ? zmq_msg_data(&peer) : NULL;
    m.peer_len = zmq_msg_size(&peer);
    m.body = zmq_msg_data(&body);
    m.body_len = zmq_msg_size(&body);
    m.frame = &body;
    z->fn(z, &m, z->data);
    zmq_msg_close(&peer);
    zmq_msg_close(&body);
    return TRUE;
}

static gboolean zs_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    ZSource *z = (ZSource *)source;
    int type = 0;
    size_t len = sizeof type;
    zmq_getsockopt(z->socket, ZMQ_TYPE, &type, &len);
    gint64 until_us = g_get_monotonic_time() + MAX_TURN_US;
    for (int i = 0; i < MAX_PER_TURN && !z->closed && g_get_monotonic_time() < until_us; i++)
        if (!receive(z, type == ZMQ_ROUTER))
            break;
    return z->closed ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static void zs_finalize(GSource *source)
{
    ZSource *z = (ZSource *)source;
    int linger = 0;
    zmq_setsockopt(z->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(z->socket);
}

static GSourceFuncs zs_funcs = {zs_prepare, zs_check, zs_dispatch, zs_finalize, NULL, NULL};

static ZSource *attach(
        GSourceFuncs *funcs, void *socket, GMainContext *context, ZSourceFn fn, gpointer data)
{
    GSource *source = g_source_new(funcs, sizeof(ZSource));
    ZSource *z = (ZSource *)source;
    z->socket = socket;
    z->fn = fn;
    z->data = data;
    int fd = -1;
    size_t len = sizeof fd;
    zmq_getsockopt(socket, ZMQ_FD, &fd, &len);
    z->fd_tag = g_source_add_unix_fd(source, fd, G_IO_IN);
    g_source_set_name(source, "zeromq");
    g_source_attach(source, context);
    return z;
}

ZSource *zsource_new(void *socket, GMainContext *context, ZSourceFn fn, gpointer data)
{
    return attach(&zs_funcs, socket, context, fn, data);
}

void zsource_free(ZSource *z)
{
    if (!z)
        return;
    z->closed = TRUE;
    g_source_destroy(&z->source);
    g_source_unref(&z->source); /* the socket is closed when a running dispatch lets go */
}

void *zsource_socket(ZSource *z)
{
    return z->socket;
}

static ZSend send_result(void)
{
    return errno == EAGAIN ? ZSEND_FULL : ZSEND_GONE;
}

/* Bodies from this size on are handed over without a copy. */
#define SHARE_BYTES 16384

static void let_go(void *data, void *hint)
{
    g_bytes_unref(hint);
}

static gboolean send_body(ZSource *z, GBytes *body)
{
    gsize n;
    const void *p = g_bytes_get_data(body, &n);
    if (n < SHARE_BYTES)
        return zmq_send(z->socket, p, n, ZMQ_DONTWAIT) >= 0;
    zmq_msg_t msg;
    /* libzmq only reads it, on its own thread; GBytes are counted atomically. */
    if (zmq_msg_init_data(&msg, (void *)p, n, let_go, g_bytes_ref(body)) < 0) {
        g_bytes_unref(body);
        return FALSE;
    }
    if (zmq_msg_send(&msg, z->socket, ZMQ_DONTWAIT) >= 0)
        return TRUE;
    int code = errno;
    zmq_msg_close(&msg);
    errno = code;
    return FALSE;
}

ZSend zsource_send(ZSource *z, GBytes *peer, GBytes *body)
{
    if (z->closed)
        return ZSEND_GONE;
    gsize n;
    const void *p;
    if (peer) {
        p = g_bytes_get_data(peer, &n);
        if (zmq_send(z->socket, p, n, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
            return send_result();
    }
    if (!send_body(z, body))
        return send_result();
    /* The edge on ZMQ_FD may have been used up by this send: prepare, which reads ZMQ_EVENTS, must
     * run before the loop sleeps. It does, if we are inside the loop; from outside, wake it. */
    GMainContext *context = g_source_get_context(&z->source);
    gboolean inside = g_main_depth() > 0 && g_main_context_is_owner(context);
    if (!inside && readable(z))
        g_main_context_wakeup(context);
    return ZSEND_OK;
}

struct ZMonitor {
    ZSource *z;
    void *watched;
    ZMonitorFn fn;
    gpointer data;
};

/* A monitor's messages have two frames: 2 bytes event and 4 bytes value, then the address. */
static gboolean monitor_receive(ZMonitor *m)
{
    zmq_msg_t head, addr;
    zmq_msg_init(&head);
    if (zmq_msg_recv(&head, zsource_socket(m->z), ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&head);
        return FALSE;
    }
    guint16 event = 0;
    guint32 value = 0;
    if (zmq_msg_size(&head) >= 6) {
        memcpy(&event, zmq_msg_data(&head), 2);
        memcpy(&value, (char *)zmq_msg_data(&head) + 2, 4);
    }
    zmq_msg_init(&addr);
    g_autofree char *address = NULL;
    if (zmq_msg_more(&head) && zmq_msg_recv(&addr, zsource_socket(m->z), 0) >= 0)
        address = g_strndup(zmq_msg_data(&addr), zmq_msg_size(&addr));
    zmq_msg_close(&addr);
    zmq_msg_close(&head);
    m->fn(event, (int)value, address ? address : "", m->data);
    return TRUE;
}

static gboolean monitor_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    ZSource *z = (ZSource *)source;
    ZMonitor *m = z->data;
    for (int i = 0; i < MAX_PER_TURN && !z->closed; i++)
        if (!monitor_receive(m))
            break;
    return z->closed ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static GSourceFuncs monitor_funcs = {
        zs_prepare, zs_check, monitor_dispatch, zs_finalize, NULL, NULL};

ZMonitor *zmonitor_new(
        void *zmq_context, void *socket, GMainContext *context, ZMonitorFn fn, gpointer data)
{
    static int serial = 0;
    g_autofree char *address = g_strdup_printf("inproc://monitor-%d", ++serial);
    if (zmq_socket_monitor(socket, address, ZMQ_EVENT_ALL) < 0)
        return NULL;
    void *pair = zmq_socket(zmq_context, ZMQ_PAIR);
    if (!pair || zmq_connect(pair, address) < 0) {
        if (pair)
            zmq_close(pair);
        return NULL;
    }
    ZMonitor *m = g_new0(ZMonitor, 1);
    m->watched = socket;
    m->fn = fn;
    m->data = data;
    m->z = attach(&monitor_funcs, pair, context, NULL, m);
    return m;
}

void zmonitor_drain(ZMonitor *m)
{
    while (m && monitor_receive(m))
        ;
}

void zmonitor_free(ZMonitor *m)
{
    if (!m)
        return;
    zmq_socket_monitor(m->watched, NULL, 0);
    zsource_free(m->z);
    g_free(m);
}
