/* SPDX-License-Identifier: Apache-2.0 */
/* A coordinator on tcp in this process, and peers that speak its protocol word by word: for what no
 * well-behaved worker or client would ever send. All on the default main context. */
#pragma once

#include <string.h>

#include "coordinator/coordinator.h"
#include "coordinator/queue.h"
#include "engine/base/clock.h"
#include "engine/wire/keys.h"
#include "engine/wire/wire.h"
#include "engine/wire/zsource.h"
#include "tests/unit/run_fixture.h"

#define PEER_WAIT_US (30 * G_USEC_PER_SEC)

typedef struct {
    RunFixture base;
    KeyRing *keys;
    Coordinator *c;
    void *zmq; /* of the peers */
} PeerFixture;

typedef struct {
    MsgKind kind;
    void *msg;
} Heard;

typedef struct {
    void *zmq;
    char *session;
    ZSource *z;
    ZMonitor *monitor;
    GQueue heard; /* Heard */
    gboolean shaken, refused, cut;
} TestPeer;

static inline void peer_fixture_start(PeerFixture *f, int retries, guint commit_ms)
{
    g_autoptr(GError) error = NULL;
    CoordinatorOptions o = { .home = f->base.home, .bind = "tcp://127.0.0.1:*", .retries = retries,
        .commit_ms = commit_ms };
    f->c = coordinator_new(&o, NULL, &error);
    g_assert_no_error(error);
}

static inline void peer_fixture_init(PeerFixture *f, int retries, guint commit_ms)
{
    g_autoptr(GError) error = NULL;
    run_fixture_init(&f->base, NULL);
    peer_fixture_start(f, retries, commit_ms);
    f->keys = keyring_open(f->base.home, FALSE, &error);
    g_assert_no_error(error);
    f->zmq = zmq_ctx_new();
}

static inline void peer_fixture_clear(PeerFixture *f)
{
    coordinator_free(f->c);
    keyring_free(f->keys);
    zmq_ctx_term(f->zmq);
    run_fixture_clear(&f->base, NULL);
}

static inline void peer_heard(ZSource *z, const ZMessage *m, gpointer peer)
{
    g_autoptr(GError) error = NULL;
    Heard *h = g_new0(Heard, 1);
    (void)z;
    h->msg = wire_unpack(m->body, m->body_len, &h->kind, &error);
    g_assert_no_error(error);
    g_queue_push_tail(&((TestPeer *)peer)->heard, h);
}

static inline void peer_event(int event, int value, const char *address, gpointer peer)
{
    TestPeer *p = peer;
    (void)value;
    (void)address;
    p->shaken |= event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
    p->refused |= event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    p->cut |= event == ZMQ_EVENT_DISCONNECTED;
}

/* Connects with this key (NULL: on inproc there are none); says nothing yet. */
static inline TestPeer *peer_connect(PeerFixture *f, const AccessKey *key, const char *session)
{
    TestPeer *p = g_new0(TestPeer, 1);
    void *socket = zmq_socket(f->zmq, ZMQ_DEALER);
    p->zmq = f->zmq;
    p->session = g_strdup(session);
    if (key)
        keys_apply_client(socket, key);
    p->monitor = zmonitor_new(f->zmq, socket, NULL, peer_event, p);
    g_assert_cmpint(zmq_connect(socket, coordinator_endpoint(f->c)), ==, 0);
    p->z = zsource_new(socket, NULL, peer_heard, p);
    return p;
}

static inline void peer_end(TestPeer *p)
{
    Heard *h;
    zmonitor_free(p->monitor);
    zsource_free(p->z);
    while ((h = g_queue_pop_head(&p->heard))) {
        wire_free(h->kind, h->msg);
        g_free(h);
    }
    g_free(p->session);
    g_free(p);
}

static inline void peer_say(TestPeer *p, MsgKind kind, const void *msg)
{
    g_autoptr(GBytes) body = wire_pack(kind, msg);
    g_assert_cmpint(zsource_send(p->z, NULL, body), ==, ZSEND_OK);
}

/* Turns the main loop until *condition. */
#define PEER_WAIT_FOR(condition)                               \
    do {                                                       \
        gint64 until_us = clock_monotonic_us() + PEER_WAIT_US; \
        while (!(condition)) {                                 \
            g_assert_cmpint(clock_monotonic_us(), <, until_us); \
            peer_turn();                                       \
        }                                                      \
    } while (0)

static inline gboolean peer_tick(gpointer data)
{
    (void)data;
    return G_SOURCE_CONTINUE;
}

static inline void peer_turn(void)
{
    guint tick = g_timeout_add(20, peer_tick, NULL);
    g_main_context_iteration(NULL, TRUE);
    g_source_remove(tick);
}

static inline GList *peer_find(TestPeer *p, MsgKind kind)
{
    for (GList *l = p->heard.head; l; l = l->next)
        if (((Heard *)l->data)->kind == kind)
            return l;
    return NULL;
}

/* The next message of this kind, waited for; free with wire_free. Others stay. */
static inline gpointer peer_await(TestPeer *p, MsgKind kind)
{
    PEER_WAIT_FOR(peer_find(p, kind));
    GList *l = peer_find(p, kind);
    g_autofree Heard *h = l->data;
    g_queue_delete_link(&p->heard, l);
    return h->msg;
}

/* All that was said before has been answered now. */
static inline void peer_sync(TestPeer *p)
{
    static guint64 seq;
    MsgPing ping = { .seq = ++seq };
    peer_say(p, MSG_PING, &ping);
    MsgPong *pong = peer_await(p, MSG_PONG);
    g_assert_cmpuint(pong->seq, ==, seq);
    wire_free(MSG_PONG, pong);
}

/* HELLO as a worker that sees the home, holding `held` (NULL: nothing); gives its WELCOME. */
static inline MsgWelcome *peer_hello_worker(PeerFixture *f, TestPeer *p, GPtrArray *held)
{
    g_autofree char *token = keys_token_read(f->base.home);
    g_autoptr(Value) resources = value_new_map();
    value_map_set_int(resources, "cpus", 1);
    MsgHello m = { .version = WIRE_VERSION, .role = (char *)"worker", .name = p->session,
        .session = p->session, .resources = resources, .home_token = token, .held = held };
    peer_say(p, MSG_HELLO, &m);
    return peer_await(p, MSG_WELCOME);
}

static inline void peer_hello_client(TestPeer *p)
{
    MsgHello m = { .version = WIRE_VERSION, .role = (char *)"client", .name = (char *)"test" };
    peer_say(p, MSG_HELLO, &m);
    wire_free(MSG_WELCOME, peer_await(p, MSG_WELCOME));
}

static inline AccessKey *peer_key(PeerFixture *f, KeyRole role, const char *name)
{
    g_autoptr(GError) error = NULL;
    AccessKey *key = keyring_authorize(f->keys, role, name, &error);
    g_assert_no_error(error);
    return key;
}

/* A worker of one slot that said HELLO. */
static inline TestPeer *peer_worker(PeerFixture *f, const char *name)
{
    g_autoptr(AccessKey) key = peer_key(f, ROLE_WORKER, name);
    TestPeer *p = peer_connect(f, key, name);
    wire_free(MSG_WELCOME, peer_hello_worker(f, p, NULL));
    return p;
}
