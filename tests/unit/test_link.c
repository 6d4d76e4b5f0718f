/* SPDX-License-Identifier: Apache-2.0 */
/* Promises 2 and 3 at the worker: a real one, and a coordinator that is played here word by word,
 * with the silences, the late answers and the frames that no good one would send. */
#include <signal.h>

#include "engine/base/digest.h"
#include "engine/op/op.h"
#include "engine/wire/filelist.h"
#include "engine/wire/transfer.h"
#include "tests/unit/op_fixture.h"
#include "tests/unit/peer_fixture.h"
#include "worker/worker.h"

#define LONG_US (60 * G_USEC_PER_SEC)
#define ID "11111111111111111111111111111111"

/* The coordinator's side. */
typedef struct {
    RunFixture base; /* the worker's home, and ours where it runs in place */
    KeyRing *keys;
    AccessKey *key;
    TestPeer ears;
    char *endpoint;
    GBytes *from;     /* whoever spoke last */
    gboolean answers; /* each HELLO, with `welcome` */
    gboolean late;    /* each PING, as if it were the one before */
    MsgWelcome welcome;
    gint64 again_us; /* its first pause */
    Worker *w;
    guint n_connected, n_ended;
    int status;
    char *why;
} Desk;

static void say(Desk *d, MsgKind kind, const void *msg)
{
    g_autoptr(GBytes) body = wire_pack(kind, msg);
    g_assert_cmpint(zsource_send(d->ears.z, d->from, body), ==, ZSEND_OK);
}

static void welcome(Desk *d, guint64 seq)
{
    d->welcome.seq = seq;
    say(d, MSG_WELCOME, &d->welcome);
}

static void on_heard(ZSource *z, const ZMessage *m, gpointer desk)
{
    Desk *d = desk;
    if (d->from)
        g_bytes_unref(d->from);
    d->from = g_bytes_new(m->peer, m->peer_len);
    peer_heard(z, m, &d->ears);
    const Heard *h = g_queue_peek_tail(&d->ears.heard);
    if (h->kind == MSG_HELLO && d->answers)
        welcome(d, ((const MsgHello *)h->msg)->seq);
    if (h->kind == MSG_PING && d->late) {
        MsgPong pong = {((const MsgPing *)h->msg)->seq - 1};
        say(d, MSG_PONG, &pong);
    }
}

static void on_connected(Worker *w, gboolean in_place, gpointer desk)
{
    (void)w;
    (void)in_place;
    ((Desk *)desk)->n_connected++;
}

static void on_ended(Worker *w, int status, const char *error, gpointer desk)
{
    Desk *d = desk;
    (void)w;
    d->n_ended++;
    d->status = status;
    d->why = g_strdup(error);
}

/* It listens, and answers nothing yet. */
static void desk_init(Desk *d, gboolean in_place)
{
    g_autoptr(GError) error = NULL;
    char real[256];
    size_t len = sizeof real;
    *d = (Desk){.again_us = G_USEC_PER_SEC / 20,
            .welcome = {.version = WIRE_VERSION, .in_place = in_place, .lease_us = LONG_US}};
    run_fixture_init(&d->base, NULL);
    d->keys = keyring_open(d->base.home, TRUE, &error);
    g_assert_no_error(error);
    d->key = keyring_authorize(d->keys, ROLE_WORKER, "w1", &error);
    g_assert_no_error(error);
    d->ears.zmq = zmq_ctx_new();
    void *socket = zmq_socket(d->ears.zmq, ZMQ_ROUTER);
    keys_apply_server(socket, d->keys);
    g_assert_cmpint(zmq_bind(socket, "tcp://127.0.0.1:*"), ==, 0);
    g_assert_cmpint(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, real, &len), ==, 0);
    d->endpoint = g_strdup(real);
    d->ears.z = zsource_new(socket, NULL, on_heard, d);
}

/* A worker of one slot. give_up_us 0: it is patient. */
static void start_worker(Desk *d, gint64 give_up_us)
{
    static const WorkerListener listener = {.connected = on_connected, .ended = on_ended};
    g_autoptr(GError) error = NULL;
    WorkerOptions o = {.home = d->base.home,
            .url = d->endpoint,
            .key = d->key,
            .slots = 1,
            .name = "w1",
            .connect_us = LONG_US,
            .again_us = d->again_us,
            .give_up_us = give_up_us};
    d->w = worker_new(&o, NULL, &listener, d, &error);
    g_assert_no_error(error);
}

/* A worker that was welcomed. */
static void connect_worker(Desk *d, gint64 give_up_us)
{
    d->answers = TRUE;
    start_worker(d, give_up_us);
    PEER_WAIT_FOR(d->n_connected);
}

/* As a coordinator that was restarted does; the worker says HELLO, and is welcome. */
static void forget_worker(Desk *d)
{
    while (peer_find(&d->ears, MSG_HELLO))
        wire_free(MSG_HELLO, peer_await(&d->ears, MSG_HELLO));
    MsgRefused no = {.reason = (char *)"say hello first"};
    say(d, MSG_REFUSED, &no);
}

static void desk_clear(Desk *d)
{
    Heard *h;
    worker_free(d->w);
    zsource_free(d->ears.z);
    while ((h = g_queue_pop_head(&d->ears.heard))) {
        wire_free(h->kind, h->msg);
        g_free(h);
    }
    zmq_ctx_term(d->ears.zmq);
    keyring_free(d->keys);
    access_key_free(d->key);
    g_bytes_unref(d->from);
    g_free(d->endpoint);
    g_free(d->why);
    run_fixture_clear(&d->base, NULL);
}

/* A staged run of the home that both see. It prints a line and waits for a file of the home, and
 * does not care for SIGTERM. */
static Run *stage(Desk *d, const char *id)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *gate = g_build_filename(d->base.home, "gate", NULL);
    g_autofree char *yaml = g_strdup_printf(
            "op: {exec: \"sh -c 'trap : TERM; echo one; while [ ! -e %s ] && [ -d %s ]; "
            "do sleep 0.05; done'\"}",
            gate, d->base.home);
    g_auto(OpFixture) f = op_fixture(yaml, NULL);
    f.op->opref = opref_new("guildfile", d->base.home, "", "", "op");
    const OpRequest req = {.home = d->base.home, .run_id = id};
    g_autoptr(Op) op = op_for_opdef(f.op, &req, &error);
    g_assert_no_error(error);
    Run *run = op_stage(op, FALSE, &error);
    g_assert_no_error(error);
    return run;
}

static void open_gate(Desk *d)
{
    g_autofree char *gate = g_build_filename(d->base.home, "gate", NULL);
    g_assert_true(fs_write(gate, "", -1, NULL));
}

static void start_in_place(Desk *d, Run *run, guint64 task)
{
    MsgStart m = {.task = task,
            .lease = task + 100,
            .attempt = 1,
            .run = (char *)run_id(run),
            .run_dir = (char *)run_id(run),
            .want_output = TRUE};
    say(d, MSG_START, &m);
}

/* Waits until its process has printed its line; its pid. */
static pid_t await_process(Desk *d, Run *run)
{
    wire_free(MSG_OUTPUT, peer_await(&d->ears, MSG_OUTPUT));
    g_assert_true(run_has_process(run));
    return run_pid(run);
}

/* Of a run that is built from files, which the worker waits for. */
static void start_elsewhere(Desk *d, guint64 task)
{
    MsgStart m = {.task = task, .lease = task + 100, .attempt = 1, .run = (char *)ID};
    say(d, MSG_START, &m);
}

/* Of one that comes whole. */
static void start_with_files(Desk *d, Run *run, guint64 task)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) files =
            filelist_scan(run_dir(run), FILELIST_INLINE, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    start_elsewhere(d, task);
    MsgFiles list = {.task = task, .lease = task + 100, .files = files, .last = TRUE};
    say(d, MSG_FILES, &list);
}

/* Waits for a HELLO that tells of `n` tasks. */
static void await_hello_holding(Desk *d, guint n)
{
    for (;;) {
        MsgHello *m = peer_await(&d->ears, MSG_HELLO);
        guint held = m->held ? m->held->len : 0;
        wire_free(MSG_HELLO, m);
        if (held == n)
            return;
    }
}

/* ---- who is at the other end ---- */

static guint64 await_hello(Desk *d)
{
    MsgHello *m = peer_await(&d->ears, MSG_HELLO);
    guint64 seq = m->seq;
    wire_free(MSG_HELLO, m);
    return seq;
}

/* A coordinator that was away answers all of them at once; with each it may have taken something
 * back. */
static void test_only_the_answer_to_the_last_hello_counts(void)
{
    Desk d;
    desk_init(&d, FALSE);
    start_worker(&d, 0);
    guint64 first = await_hello(&d), second = await_hello(&d);
    g_assert_cmpuint(second, >, first);
    welcome(&d, first);
    PEER_WAIT_FOR(d.n_connected || peer_find(&d.ears, MSG_HELLO));
    g_assert_cmpuint(d.n_connected, ==, 0);
    d.answers = TRUE;
    PEER_WAIT_FOR(d.n_connected);
    desk_clear(&d);
}

/* Its leases count from when it asked: by then they would be as good as over. */
static void test_in_place_an_answer_that_came_late_is_asked_for_again(void)
{
    Desk d;
    desk_init(&d, TRUE);
    d.welcome.lease_us = 2; /* any answer is late */
    start_worker(&d, 0);
    guint64 asked = await_hello(&d);
    welcome(&d, asked);
    PEER_WAIT_FOR(d.n_connected || peer_find(&d.ears, MSG_HELLO));
    g_assert_cmpuint(d.n_connected, ==, 0);
    d.welcome.lease_us = LONG_US;
    d.answers = TRUE;
    PEER_WAIT_FOR(d.n_connected);
    desk_clear(&d);
}

/* 0.1, 0.2, 0.4 and 0.8 s, where four without growth take the half of a second. */
static void test_it_tries_again_with_growing_pauses(void)
{
    Desk d;
    desk_init(&d, FALSE);
    d.again_us = G_USEC_PER_SEC / 10;
    start_worker(&d, 0);
    await_hello(&d);
    await_hello(&d);
    gint64 since_us = clock_monotonic_us();
    for (guint i = 0; i < 4; i++)
        await_hello(&d);
    g_assert_cmpint(clock_monotonic_us() - since_us, >, 1200000);
    desk_clear(&d);
}

static void test_silence_is_noticed(void)
{
    Desk d;
    desk_init(&d, FALSE);
    d.welcome.lease_us = 300000;
    connect_worker(&d, 0);
    guint64 before = 0;
    while (peer_find(&d.ears, MSG_HELLO))
        before = await_hello(&d);
    g_assert_cmpuint(await_hello(&d), >, before);
    desk_clear(&d);
}

static void test_a_frame_that_is_too_large_ends_the_connection(void)
{
    Desk d;
    desk_init(&d, FALSE);
    connect_worker(&d, 0);
    while (peer_find(&d.ears, MSG_HELLO))
        await_hello(&d);
    gsize size = WIRE_MAX_FRAME + 1;
    g_autoptr(GBytes) body = g_bytes_new_take(g_malloc0(size), size);
    MsgDrain drain = {TRUE};
    g_assert_cmpint(zsource_send(d.ears.z, d.from, body), ==, ZSEND_OK);
    say(&d, MSG_DRAIN, &drain); /* who took the one takes the other */
    PEER_WAIT_FOR(peer_find(&d.ears, MSG_HELLO) || peer_find(&d.ears, MSG_BYE));
    g_assert_null(peer_find(&d.ears, MSG_BYE));
    desk_clear(&d);
}

/* ---- ends ---- */

static void test_it_gives_up_and_ends_what_it_runs(void)
{
    Desk d;
    desk_init(&d, TRUE);
    g_autoptr(Run) run = stage(&d, ID);
    connect_worker(&d, 2 * G_USEC_PER_SEC);
    start_in_place(&d, run, 1);
    pid_t pid = await_process(&d, run);
    PEER_WAIT_FOR(d.n_ended);
    g_assert_cmpint(d.status, ==, 1);
    g_assert_nonnull(strstr(d.why, "no coordinator answered"));
    PEER_WAIT_FOR(kill(pid, 0) < 0 && run_has_attr(run, "exit_status"));
    desk_clear(&d);
}

static void test_told_to_drain_it_finishes_what_it_runs_and_takes_no_more(void)
{
    Desk d;
    desk_init(&d, TRUE);
    g_autoptr(Run) first = stage(&d, ID);
    connect_worker(&d, 0);
    start_in_place(&d, first, 1);
    await_process(&d, first);
    start_elsewhere(&d, 2);
    MsgDrain drain = {TRUE};
    say(&d, MSG_DRAIN, &drain);
    start_elsewhere(&d, 3);
    for (guint64 task = 2; task <= 3; task++) {
        MsgReturned *back = peer_await(&d.ears, MSG_RETURNED);
        g_assert_cmpuint(back->task, ==, task);
        wire_free(MSG_RETURNED, back);
    }
    g_assert_true(run_has_process(first));
    open_gate(&d);
    MsgDone *done = peer_await(&d.ears, MSG_DONE);
    g_assert_cmpint(done->exit_status, ==, 0);
    g_assert_cmpint(done->cause, ==, DONE_EXITED);
    g_assert_cmpuint(d.n_ended, ==, 0); /* not before its report is taken */
    MsgAck ack = {done->task, done->lease, TRUE};
    say(&d, MSG_ACK, &ack);
    wire_free(MSG_DONE, done);
    wire_free(MSG_BYE, peer_await(&d.ears, MSG_BYE));
    PEER_WAIT_FOR(d.n_ended);
    g_assert_cmpint(d.status, ==, 0);
    desk_clear(&d);
}

/* Others may begin it now: nothing that it does here counts any more. */
static void test_told_to_end_it_hands_back_at_once(void)
{
    Desk d;
    desk_init(&d, FALSE);
    g_autoptr(Run) run = stage(&d, ID);
    connect_worker(&d, 0);
    start_with_files(&d, run, 1);
    MsgStarted *started = peer_await(&d.ears, MSG_STARTED);
    pid_t pid = started->pid;
    wire_free(MSG_STARTED, started);
    wire_free(MSG_OUTPUT, peer_await(&d.ears, MSG_OUTPUT));
    worker_stop(d.w, LONG_US);
    wire_free(MSG_BYE, peer_await(&d.ears, MSG_BYE));
    g_assert_cmpint(kill(pid, 0), ==, 0);
    g_assert_cmpuint(d.n_ended, ==, 0);
    open_gate(&d);
    PEER_WAIT_FOR(d.n_ended);
    g_assert_cmpint(d.status, ==, 0);
    g_assert_null(peer_find(&d.ears, MSG_DONE));
    desk_clear(&d);
}

/* There another may begin it only when it has ended here, and then does. */
static void test_told_to_end_it_hands_back_what_ran_in_place_when_that_has_ended(void)
{
    Desk d;
    desk_init(&d, TRUE);
    g_autoptr(Run) run = stage(&d, ID);
    connect_worker(&d, 0);
    start_in_place(&d, run, 1);
    await_process(&d, run);
    worker_stop(d.w, LONG_US);
    g_assert_null(peer_find(&d.ears, MSG_RETURNED));
    open_gate(&d);
    wire_free(MSG_RETURNED, peer_await(&d.ears, MSG_RETURNED));
    g_assert_false(run_has_process(run));
    PEER_WAIT_FOR(d.n_ended);
    g_assert_null(peer_find(&d.ears, MSG_DONE));
    desk_clear(&d);
}

/* An answer that was long on its way says nothing of now. */
static void test_in_place_late_answers_renew_no_lease(void)
{
    Desk d;
    desk_init(&d, TRUE);
    d.welcome.lease_us = 2 * G_USEC_PER_SEC;
    d.late = TRUE;
    g_autoptr(Run) run = stage(&d, ID);
    connect_worker(&d, 0);
    start_in_place(&d, run, 1);
    wire_free(MSG_RETURNED, peer_await(&d.ears, MSG_RETURNED));
    g_assert_false(run_has_process(run));
    g_assert_cmpuint(d.n_ended, ==, 0);
    desk_clear(&d);
}

/* ---- what it has in hand, over a connection's end ---- */

static void test_what_it_printed_is_sent_again(void)
{
    Desk d;
    desk_init(&d, TRUE);
    g_autoptr(Run) run = stage(&d, ID);
    connect_worker(&d, 0);
    start_in_place(&d, run, 1);
    await_process(&d, run);
    forget_worker(&d);
    await_hello_holding(&d, 1);
    MsgOutput *again = peer_await(&d.ears, MSG_OUTPUT);
    g_assert_cmpuint(again->offset, ==, 0);
    g_assert_cmpmem("one\n", 4, g_bytes_get_data(again->data, NULL), g_bytes_get_size(again->data));
    wire_free(MSG_OUTPUT, again);
    open_gate(&d);
    wire_free(MSG_DONE, peer_await(&d.ears, MSG_DONE));
    desk_clear(&d);
}

/* At once: who has its result waits for nothing else. */
static void test_an_unacknowledged_report_comes_with_the_new_connection(void)
{
    Desk d;
    desk_init(&d, TRUE);
    d.welcome.lease_us = 12 * G_USEC_PER_SEC; /* a PING in 2 s */
    g_autoptr(Run) run = stage(&d, ID);
    open_gate(&d);
    connect_worker(&d, 0);
    start_in_place(&d, run, 1);
    wire_free(MSG_DONE, peer_await(&d.ears, MSG_DONE));
    forget_worker(&d);
    await_hello_holding(&d, 1);
    while (peer_find(&d.ears, MSG_PING))
        wire_free(MSG_PING, peer_await(&d.ears, MSG_PING));
    PEER_WAIT_FOR(peer_find(&d.ears, MSG_DONE) || peer_find(&d.ears, MSG_PING));
    g_assert_nonnull(peer_find(&d.ears, MSG_DONE));
    desk_clear(&d);
}

static void test_what_the_coordinator_gave_to_others_is_ended_and_not_told(void)
{
    Desk d;
    desk_init(&d, TRUE);
    g_autoptr(Run) run = stage(&d, ID);
    connect_worker(&d, 0);
    start_in_place(&d, run, 1);
    pid_t pid = await_process(&d, run);
    g_autoptr(GPtrArray) drop = g_ptr_array_new_with_free_func(held_task_free);
    g_ptr_array_add(drop, held_task_new(1, 101, run_id(run), HELD_RUNS));
    d.welcome.drop = drop;
    forget_worker(&d);
    await_hello_holding(&d, 1);
    PEER_WAIT_FOR(kill(pid, 0) < 0);
    d.welcome.drop = NULL;
    forget_worker(&d);
    await_hello_holding(&d, 0);
    g_assert_null(peer_find(&d.ears, MSG_DONE));
    g_assert_null(peer_find(&d.ears, MSG_RETURNED));
    worker_stop(d.w, 0); /* when the last of what it ran is over, it is */
    PEER_WAIT_FOR(d.n_ended);
    desk_clear(&d);
}

/* The rest of the list was on the connection that is gone. */
static void test_a_task_whose_list_was_cut_off_is_given_back(void)
{
    Desk d;
    desk_init(&d, FALSE);
    connect_worker(&d, 0);
    start_elsewhere(&d, 1);
    forget_worker(&d);
    await_hello_holding(&d, 1);
    MsgReturned *back = peer_await(&d.ears, MSG_RETURNED);
    g_assert_cmpuint(back->lease, ==, 101);
    wire_free(MSG_RETURNED, back);
    desk_clear(&d);
}

static void test_content_that_was_asked_for_is_asked_for_again(void)
{
    Desk d;
    desk_init(&d, FALSE);
    connect_worker(&d, 0);
    start_elsewhere(&d, 1);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    FileEntry *e = file_entry_new("large", FILE_REGULAR);
    e->size = 2 * WIRE_CHUNK;
    g_autofree char *content = g_malloc0(e->size);
    e->digest = digest_sha256(content, e->size);
    g_ptr_array_add(files, e);
    MsgFiles list = {.task = 1, .lease = 101, .files = files, .last = TRUE};
    say(&d, MSG_FILES, &list);
    for (guint i = 0; i < 2; i++)
        wire_free(MSG_GET, peer_await(&d.ears, MSG_GET));
    /* The first piece came, the second one was on its way. */
    g_autoptr(GBytes) piece = g_bytes_new_static(content, WIRE_CHUNK);
    MsgChunk chunk = {.digest = e->digest, .data = piece};
    say(&d, MSG_CHUNK, &chunk);
    forget_worker(&d);
    await_hello_holding(&d, 1);
    MsgGet *get = peer_await(&d.ears, MSG_GET);
    g_assert_cmpstr(get->digest, ==, e->digest);
    g_assert_cmpuint(get->offset, ==, WIRE_CHUNK);
    wire_free(MSG_GET, get);
    desk_clear(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/link/last-answer", test_only_the_answer_to_the_last_hello_counts);
    g_test_add_func("/link/late-answer", test_in_place_an_answer_that_came_late_is_asked_for_again);
    g_test_add_func("/link/growing-pauses", test_it_tries_again_with_growing_pauses);
    g_test_add_func("/link/silence", test_silence_is_noticed);
    g_test_add_func("/link/too-large", test_a_frame_that_is_too_large_ends_the_connection);
    g_test_add_func("/link/gives-up", test_it_gives_up_and_ends_what_it_runs);
    g_test_add_func("/link/drain", test_told_to_drain_it_finishes_what_it_runs_and_takes_no_more);
    g_test_add_func("/link/hands-back", test_told_to_end_it_hands_back_at_once);
    g_test_add_func("/link/hands-back-in-place",
            test_told_to_end_it_hands_back_what_ran_in_place_when_that_has_ended);
    g_test_add_func("/link/late-pong", test_in_place_late_answers_renew_no_lease);
    g_test_add_func("/link/printed", test_what_it_printed_is_sent_again);
    g_test_add_func("/link/report", test_an_unacknowledged_report_comes_with_the_new_connection);
    g_test_add_func(
            "/link/dropped", test_what_the_coordinator_gave_to_others_is_ended_and_not_told);
    g_test_add_func("/link/cut-off-list", test_a_task_whose_list_was_cut_off_is_given_back);
    g_test_add_func("/link/content", test_content_that_was_asked_for_is_asked_for_again);
    return g_test_run();
}
