/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that speak the protocol and end every task at once, many in one process, to measure the
 * coordinator alone.
 *
 *     fake_workers URL ACCESS_FILE TOKEN WORKERS SLOTS TASKS
 *
 * TOKEN is that of the coordinator's home, so that nothing is copied. After TASKS results have been
 * acknowledged it prints the seconds from the first task that came to the last acknowledgement; how
 * many were acknowledged when all workers had joined, and in how many seconds; and exits. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/wire/keys.h"
#include "engine/wire/wire.h"
#include "engine/wire/zsource.h"

typedef struct {
    GMainLoop *loop;
    void *zmq;
    AccessKey *key;
    const char *url, *token;
    int slots;
    guint wanted, acknowledged, refused;
    gint64 first_us, last_us;
    guint n, joined, acknowledged_before; /* all have joined */
    gint64 joined_us;
    gboolean failed;
} Fakes;

static void tell(ZSource *z, MsgKind kind, const void *msg)
{
    g_autoptr(GBytes) packed = wire_pack(kind, msg);

    if (zsource_send(z, NULL, packed) != ZSEND_OK) {
        fprintf(stderr, "fake_workers: cannot send %s\n", wire_kind_name(kind));
        exit(1);
    }
}

static void end_task(ZSource *z, const MsgStart *start)
{
    gint64 now_us = g_get_real_time();
    MsgStarted started = {
            .task = start->task, .lease = start->lease, .started_us = now_us, .pid = getpid()};
    MsgDone done = {.task = start->task,
            .lease = start->lease,
            .cause = DONE_EXITED,
            .started_us = now_us,
            .stopped_us = now_us};

    tell(z, MSG_STARTED, &started);
    tell(z, MSG_DONE, &done);
}

static void take_message(Fakes *f, ZSource *z, MsgKind kind, const void *msg)
{
    switch (kind) {
    case MSG_WELCOME:
        if (++f->joined == f->n) {
            f->joined_us = clock_monotonic_us();
            f->acknowledged_before = f->acknowledged;
        }
        break;
    case MSG_START:
        if (!f->first_us)
            f->first_us = clock_monotonic_us();
        end_task(z, msg);
        break;
    case MSG_ACK:
        f->refused += !((const MsgAck *)msg)->accepted;
        f->last_us = clock_monotonic_us();
        if (++f->acknowledged >= f->wanted)
            g_main_loop_quit(f->loop);
        break;
    case MSG_REFUSED:
        fprintf(stderr, "fake_workers: refused: %s\n", ((const MsgRefused *)msg)->reason);
        f->failed = TRUE;
        g_main_loop_quit(f->loop);
        break;
    default:
        break;
    }
}

static void on_message(ZSource *z, const ZMessage *m, gpointer data)
{
    MsgKind kind;
    g_autoptr(GError) error = NULL;
    void *msg = wire_unpack(m->body, m->body_len, &kind, &error);

    if (!msg) {
        fprintf(stderr, "fake_workers: %s\n", error->message);
        exit(1);
    }
    take_message(data, z, kind, msg);
    wire_free(kind, msg);
}

static ZSource *join(Fakes *f, int number)
{
    void *socket = zmq_socket(f->zmq, ZMQ_DEALER);
    g_autofree char *name = g_strdup_printf("fake%d", number);
    g_autofree char *session = g_strdup_printf("%08x%08x", g_random_int(), g_random_int());
    g_autoptr(Value) resources = value_new_map();

    value_map_set_int(resources, "cpus", f->slots);
    keys_apply_client(socket, f->key);
    if (!socket || zmq_connect(socket, f->url) != 0) {
        fprintf(stderr, "fake_workers: cannot connect to %s: %s\n", f->url, zmq_strerror(errno));
        exit(1);
    }
    ZSource *z = zsource_new(socket, NULL, on_message, f);
    MsgHello hello = {.version = WIRE_VERSION,
            .role = (char *)"worker",
            .name = name,
            .software = (char *)"fake",
            .session = session,
            .resources = resources,
            .home_token = (char *)f->token,
            .pid = getpid()};
    tell(z, MSG_HELLO, &hello);
    return z;
}

static gboolean ping_all(gpointer data)
{
    GPtrArray *sources = data;
    MsgPing ping = {.seq = 1};

    for (guint i = 0; i < sources->len; i++)
        tell(g_ptr_array_index(sources, i), MSG_PING, &ping);
    return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: fake_workers URL ACCESS_FILE TOKEN WORKERS SLOTS TASKS\n");
        return 2;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(AccessKey) key = access_key_load(argv[2], &error);
    if (!key) {
        fprintf(stderr, "fake_workers: %s\n", error->message);
        return 1;
    }
    Fakes f = {.loop = g_main_loop_new(NULL, FALSE),
            .zmq = zmq_ctx_new(),
            .key = key,
            .url = argv[1],
            .token = argv[3],
            .slots = atoi(argv[5]),
            .wanted = (guint)atoi(argv[6]),
            .n = (guint)atoi(argv[4])};
    g_autoptr(GPtrArray) sources = g_ptr_array_new_with_free_func((GDestroyNotify)zsource_free);

    zmq_ctx_set(f.zmq, ZMQ_MAX_SOCKETS, 4096);
    for (int i = 0; i < atoi(argv[4]); i++)
        g_ptr_array_add(sources, join(&f, i));
    g_timeout_add_seconds(5, ping_all, sources);
    g_main_loop_run(f.loop);
    g_ptr_array_set_size(sources, 0);
    zmq_ctx_term(f.zmq);
    if (f.failed || f.refused) {
        fprintf(stderr, "fake_workers: %u results were refused\n", f.refused);
        return 1;
    }
    printf("%.6f %u %.6f\n", (double)(f.last_us - f.first_us) / 1e6,
            f.acknowledged - f.acknowledged_before, (double)(f.last_us - f.joined_us) / 1e6);
    g_main_loop_unref(f.loop);
    return 0;
}
