/* SPDX-License-Identifier: Apache-2.0 */
/* The ZAP handler (ZeroMQ RFC 27): libzmq asks it about each new connection's key, before any
 * message of that peer reaches our code. Asked on the main loop, like everything. A key that the
 * key ring knows is let in under its own text as User-Id, by which every later message is judged
 * again. */
#include <string.h>

#include "coordinator/internal.h"

struct Zap {
    Coordinator *c;
    void *socket;
    GSource *source;
};

typedef struct {
    GSource source;
    Zap *zap;
} ZapSource;

#define MAX_FRAMES 8

/* Frames of a request: address, empty, version, request id, domain, peer address, identity,
 * mechanism, credentials (32 bytes of key). */
static gboolean answer(Zap *z)
{
    zmq_msg_t frames[MAX_FRAMES + 4];
    guint n = 0;
    int more = 1;
    while (more && n < G_N_ELEMENTS(frames)) {
        zmq_msg_init(&frames[n]);
        if (zmq_msg_recv(&frames[n], z->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&frames[n]);
            break;
        }
        more = zmq_msg_more(&frames[n++]);
    }
    if (n == 0)
        return FALSE;
    /* REP strips address and delimiter. */
    char key[KEY_LEN + 1] = "";
    gboolean curve = n >= 7 && zmq_msg_size(&frames[5]) == 5 &&
                     !memcmp(zmq_msg_data(&frames[5]), "CURVE", 5) &&
                     zmq_msg_size(&frames[6]) == 32;
    if (curve)
        zmq_z85_encode(key, zmq_msg_data(&frames[6]), 32);
    gboolean ok = curve && keyring_role(z->c->keys, key, NULL) != ROLE_NONE;
    const char *parts[] = {
            "1.0", "", ok ? "200" : "400", ok ? "OK" : "unknown key", ok ? key : "", ""};
    for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
        int flags = i + 1 < G_N_ELEMENTS(parts) ? ZMQ_SNDMORE : 0;
        if (i == 1 && n >= 2)
            zmq_send(z->socket, zmq_msg_data(&frames[1]), zmq_msg_size(&frames[1]), flags);
        else
            zmq_send(z->socket, parts[i], strlen(parts[i]), flags);
    }
    for (guint i = 0; i < n; i++)
        zmq_msg_close(&frames[i]);
    return TRUE;
}

static gboolean pending(Zap *z)
{
    int events = 0;
    size_t len = sizeof events;
    return zmq_getsockopt(z->socket, ZMQ_EVENTS, &events, &len) == 0 && (events & ZMQ_POLLIN);
}

static gboolean zap_prepare(GSource *s, gint *timeout)
{
    *timeout = -1;
    return pending(((ZapSource *)s)->zap);
}
static gboolean zap_check(GSource *s)
{
    return pending(((ZapSource *)s)->zap);
}

static gboolean zap_dispatch(GSource *s, GSourceFunc callback, gpointer data)
{
    for (int i = 0; i < 64 && answer(((ZapSource *)s)->zap); i++)
        ;
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs zap_funcs = {zap_prepare, zap_check, zap_dispatch, NULL, NULL, NULL};

Zap *zap_new(Coordinator *c, GError **error)
{
    Zap *z = g_new0(Zap, 1);
    z->c = c;
    z->socket = zmq_socket(c->zmq, ZMQ_REP);
    if (!z->socket || zmq_bind(z->socket, "inproc://zeromq.zap.01") < 0) {
        g_set_error(error, COORDINATOR_ERROR, COORDINATOR_ERROR_KEYS,
                "cannot start the key handler: %s", zmq_strerror(zmq_errno()));
        if (z->socket)
            zmq_close(z->socket);
        g_free(z);
        return NULL;
    }
    int fd = -1;
    size_t len = sizeof fd;
    zmq_getsockopt(z->socket, ZMQ_FD, &fd, &len);
    z->source = g_source_new(&zap_funcs, sizeof(ZapSource));
    ((ZapSource *)z->source)->zap = z;
    g_source_add_unix_fd(z->source, fd, G_IO_IN);
    g_source_attach(z->source, c->context);
    return z;
}

void zap_free(Zap *z)
{
    if (!z)
        return;
    int linger = 0;
    g_source_destroy(z->source);
    g_source_unref(z->source);
    zmq_setsockopt(z->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(z->socket);
    g_free(z);
}
