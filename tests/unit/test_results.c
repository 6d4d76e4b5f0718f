/* SPDX-License-Identifier: Apache-2.0 */
/* Promises 1 to 3 at the coordinator, what is on disk and when: nobody is told of anything before
 * it is there, and of what a worker sends that is taken which it may send, once. */
#include <signal.h>
#include <sys/resource.h>

#include "coordinator/internal.h"
#include "engine/base/digest.h"
#include "tests/unit/lease_fixture.h"

#define COMMIT_MS 200 /* so long that who is told too early is seen */

/* ---- on disk before it is told ---- */

static void test_a_lease_is_on_disk_before_its_worker_hears_of_it(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, COMMIT_MS);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = peer_worker(&f, "w1");
    MsgStart start = await_start(w);
    Queue *q = queue_open(f.base.home, NULL, 0, NULL);
    g_autoptr(GPtrArray) jobs = queue_load_jobs(q, NULL);
    g_assert_cmpuint(jobs->len, ==, 1);
    g_autoptr(GPtrArray) tasks = queue_load_tasks(q, ((QueueJob *)jobs->pdata[0])->id, NULL);
    g_assert_cmpuint(tasks->len, ==, 1);
    const QueueTask *t = tasks->pdata[0];
    g_assert_cmpint(t->state, ==, TASK_LEASED);
    g_assert_cmpuint(t->lease, ==, start.lease);
    g_assert_cmpstr(t->worker, ==, "w1");
    queue_close(q);
    peer_end(w);
    peer_fixture_clear(&f);
}

static void test_a_submission_is_on_disk_before_its_client_is_told(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, COMMIT_MS);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "c");
    TestPeer *p = peer_connect(&f, key, "c");
    peer_hello_client(p);
    MsgSubmit submit = {.id = 7,
            .run = (char *)"22222222222222222222222222222222",
            .retries = -1,
            .start = TRUE};
    peer_say(p, MSG_SUBMIT, &submit);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    g_ptr_array_add(files, text_file(".guild/opref", "test:/p '' '' op"));
    g_ptr_array_add(files, text_file(".guild/STAGED", ""));
    MsgFiles list = {.id = 7, .files = files, .last = TRUE};
    peer_say(p, MSG_FILES, &list);
    MsgSubmitted *told = peer_await(p, MSG_SUBMITTED);
    g_assert_cmpstr(told->error, ==, NULL);
    wire_free(MSG_SUBMITTED, told);
    Queue *q = queue_open(f.base.home, NULL, 0, NULL);
    g_autoptr(GPtrArray) jobs = queue_load_jobs(q, NULL);
    g_assert_cmpuint(jobs->len, ==, 1);
    queue_close(q);
    peer_end(p);
    peer_fixture_clear(&f);
}

/* It waits or runs: a second one of its name would pull its directory from under it. */
static void test_what_is_queued_is_not_replaced(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "c");
    TestPeer *p = peer_connect(&f, key, "c");
    peer_hello_client(p);
    g_autoptr(Value) options = value_new_map();
    value_map_set(options, "replace", value_new_bool(TRUE));
    MsgSubmit submit = {
            .id = 7, .run = (char *)run_id(run), .retries = -1, .options = options, .start = TRUE};
    peer_say(p, MSG_SUBMIT, &submit);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    g_ptr_array_add(files, text_file(".guild/opref", "test:/p '' '' other"));
    MsgFiles list = {.id = 7, .files = files, .last = TRUE};
    peer_say(p, MSG_FILES, &list);
    MsgSubmitted *told = peer_await(p, MSG_SUBMITTED);
    g_assert_nonnull(strstr(told->error, "is there already"));
    wire_free(MSG_SUBMITTED, told);
    g_autofree char *ref = run_fixture_text(run, "opref");
    g_assert_null(strstr(ref, "other"));
    peer_end(p);
    peer_fixture_clear(&f);
}

/* As on a full disk: no file gets any larger. */
static void no_room(const GError *error, gpointer before)
{
    struct rlimit none;
    (void)error;
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, before), ==, 0);
    none = (struct rlimit){0, ((struct rlimit *)before)->rlim_max};
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
}

/* The lease is on disk, and then there is no room to mark the run, which is no fault of the run. */
static void test_what_has_no_room_to_be_handed_out_waits(void)
{
    PeerFixture f;
    Ended ended;
    struct rlimit before;
    peer_fixture_init(&f, 3, 400);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_WORKER, "w1");
    TestPeer *w = peer_connect(&f, key, "w1");
    PEER_WAIT_FOR(w->shaken);
    g_autoptr(Run) run = add_run(&f, &ended);
    PEER_WAIT_FOR(f.c->queue && sched_counts(f.c->sched).waiting);
    QueueJob other = {.id = 1, .run = (char *)"other", .state = JOB_DONE};
    queue_put_job(f.c->queue, &other);
    queue_after(
            f.c->queue, no_room, &before); /* before the lease is told, which is written with it */
    hello_elsewhere(w, NULL);
    g_autofree char *mark = run_guild_path(run, "LOCK.remote");
    PEER_WAIT_FOR(f.c->hold || ended.times || peer_find(w, MSG_START));
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    g_assert_cmpuint(ended.times, ==, 0);
    g_assert_null(peer_find(w, MSG_START));
    g_assert_false(fs_exists(mark));
    MsgStart start = await_start(w);
    g_assert_cmpuint(start.attempt, ==, 1);
    peer_end(w);
    peer_fixture_clear(&f);
}

/* ---- what a result brings ---- */

/* Started and lost in the middle of what it brings home, the coordinator takes a run that has an
 * exit status for whole. */
static void test_that_it_ended_is_written_when_all_else_is_there(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    say_started(w, &start);
    g_autofree char *obstacle = g_build_filename(run_dir(run), "out", NULL);
    g_assert_true(fs_write(obstacle, "", 0, NULL)); /* nobody said that it is to become a folder */
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    g_ptr_array_add(files, text_file(".guild/attrs/exit_status", "0\n"));
    g_ptr_array_add(files, text_file(".guild/attrs/own", "1\n"));
    g_ptr_array_add(files, text_file("out/a.txt", "printed"));
    MsgFiles list = {.task = start.task, .lease = start.lease, .files = files, .last = TRUE};
    MsgDone done = {.task = start.task, .lease = start.lease, .cause = DONE_EXITED};
    peer_say(w, MSG_FILES, &list);
    peer_say(w, MSG_DONE, &done);
    PEER_WAIT_FOR(run_has_attr(run, "own"));
    peer_sync(w);
    g_assert_false(run_has_attr(run, "exit_status"));
    peer_end(w);
    peer_fixture_clear(&f);
}

static void test_a_result_does_not_touch_what_is_ours(void)
{
    static const char *const ours[] = {".guild/LOCK", ".guild/LOCK.remote", ".guild/PENDING",
            ".guild/attrs/id", ".guild/attrs/attempts", ".guild/attempts/1/output",
            ".guild/proto/.guild/opref"};
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    say_started(w, &start);
    for (guint i = 0; i < G_N_ELEMENTS(ours); i++)
        say_files(w, &start, ours[i]);
    say_files(w, &start, "own");
    g_assert_true(report(w, start.task, start.lease, 0));
    g_autofree char *own = g_build_filename(run_dir(run), "own", NULL);
    g_assert_true(fs_exists(own));
    for (guint i = 0; i < G_N_ELEMENTS(ours); i++) {
        g_autofree char *path = g_build_filename(run_dir(run), ours[i], NULL);
        g_autofree char *text = fs_read(path, 0, NULL, NULL);
        g_assert_cmpstr(text, !=, "content");
    }
    peer_end(w);
    peer_fixture_clear(&f);
}

static void say_output(TestPeer *w, const MsgStart *start, guint64 offset, const char *text)
{
    g_autoptr(GBytes) data = g_bytes_new(text, strlen(text));
    MsgOutput m = {.task = start->task, .lease = start->lease, .offset = offset, .data = data};
    peer_say(w, MSG_OUTPUT, &m);
}

static void assert_output(Run *run, const char *expected)
{
    g_autofree char *path = run_guild_path(run, "output");
    g_autofree char *text = fs_read(path, 0, NULL, NULL);
    g_assert_cmpstr(text, ==, expected);
}

static void test_output_is_kept_once_and_without_gaps(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    say_started(w, &start);
    say_output(w, &start, 0, "one\n");
    say_output(w, &start, 8, "three\n"); /* what was before it is on its way yet, or lost */
    peer_sync(w);
    assert_output(run, "one\n");
    say_output(w, &start, 0, "one\ntwo\n"); /* after a new connection: from its beginning */
    say_output(w, &start, 4, "two\n");
    peer_sync(w);
    assert_output(run, "one\ntwo\n");
    peer_end(w);
    peer_fixture_clear(&f);
}

/* Its file list names `.guild/output` with this content, which is not sent along. */
static void say_output_file(TestPeer *w, const MsgStart *start, const char *text)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    FileEntry *e = file_entry_new(".guild/output", FILE_REGULAR);
    e->size = strlen(text);
    e->mode = 0644;
    e->digest = digest_sha256(text, e->size);
    g_ptr_array_add(files, e);
    MsgFiles m = {.task = start->task, .lease = start->lease, .files = files, .last = TRUE};
    peer_say(w, MSG_FILES, &m);
}

static void serve(TestPeer *w, const char *text)
{
    MsgGet *get = peer_await(w, MSG_GET);
    g_autoptr(GBytes) data = g_bytes_new(text, strlen(text));
    MsgChunk chunk = {.digest = get->digest, .offset = get->offset, .data = data};
    peer_say(w, MSG_CHUNK, &chunk);
    wire_free(MSG_GET, get);
}

static void test_output_that_came_already_does_not_travel_again(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    say_started(w, &start);
    say_output(w, &start, 0, "one\ntwo\n");
    say_output_file(w, &start, "one\ntwo\n");
    g_assert_true(report(w, start.task, start.lease, 0));
    g_assert_null(peer_find(w, MSG_GET));
    assert_output(run, "one\ntwo\n");
    peer_end(w);
    peer_fixture_clear(&f);
}

/* As long, and another: a byte was lost in the middle, say, and one came twice. */
static void test_output_that_came_otherwise_is_fetched(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    say_started(w, &start);
    say_output(w, &start, 0, "one\ntow\n");
    say_output_file(w, &start, "one\ntwo\n");
    MsgDone done = {.task = start.task, .lease = start.lease, .cause = DONE_EXITED};
    peer_say(w, MSG_DONE, &done);
    PEER_WAIT_FOR(peer_find(w, MSG_GET) || peer_find(w, MSG_ACK));
    serve(w, "one\ntwo\n");
    wire_free(MSG_ACK, peer_await(w, MSG_ACK));
    assert_output(run, "one\ntwo\n");
    peer_end(w);
    peer_fixture_clear(&f);
}

static void test_a_report_that_comes_twice_counts_once(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    say_started(w, &start);
    say_output_file(w, &start, "one\n");
    MsgDone done = {.task = start.task, .lease = start.lease, .cause = DONE_EXITED};
    peer_say(w, MSG_DONE, &done);
    PEER_WAIT_FOR(peer_find(w, MSG_GET));
    done.exit_status = 3; /* no honest worker's: it shows which one counted */
    peer_say(w, MSG_DONE, &done);
    peer_sync(w);
    g_assert_cmpuint(ended.times, ==, 0);
    serve(w, "one\n");
    wire_free(MSG_ACK, peer_await(w, MSG_ACK));
    PEER_WAIT_FOR(ended.times);
    peer_sync(w);
    g_assert_cmpuint(ended.times, ==, 1);
    g_assert_cmpint(ended.status, ==, 0);
    g_assert_null(peer_find(w, MSG_ACK));
    g_assert_null(peer_find(w, MSG_GET));
    peer_end(w);
    peer_fixture_clear(&f);
}

/* ---- attempts ---- */

/* A file of its result went before it was fetched: what came is no result. */
static void test_a_result_that_cannot_be_fetched_is_another_attempts(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    say_started(w, &start);
    say_output_file(w, &start, "one\n");
    MsgDone done = {.task = start.task, .lease = start.lease, .cause = DONE_EXITED};
    peer_say(w, MSG_DONE, &done);
    MsgGet *get = peer_await(w, MSG_GET);
    MsgMissing missing = {get->digest, (char *)"it went"};
    peer_say(w, MSG_MISSING, &missing);
    wire_free(MSG_GET, get);
    MsgAck *ack = peer_await(w, MSG_ACK);
    g_assert_false(ack->accepted);
    wire_free(MSG_ACK, ack);
    start = await_start(w);
    g_assert_cmpuint(start.attempt, ==, 2);
    g_assert_cmpuint(ended.times, ==, 0);
    peer_end(w);
    peer_fixture_clear(&f);
}

/* A restarted run has one of its last life: a crash now would be taken for its end. */
static void test_an_exit_status_of_before_goes_when_an_attempt_begins(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    g_assert_true(run_write_attr_int(run, "exit_status", 0, NULL));
    TestPeer *w = worker_elsewhere(&f);
    await_start(w);
    g_assert_false(run_has_attr(run, "exit_status"));
    peer_end(w);
    peer_fixture_clear(&f);
}

static void test_what_was_never_begun_costs_no_attempt(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 0, 0); /* not even one */
    g_autoptr(Run) run = add_run(&f, &ended);
    for (guint i = 1; i <= 3; i++) {
        g_autofree char *name = g_strdup_printf("w%u", i);
        TestPeer *w = peer_worker(&f, name);
        MsgStart start = await_start(w);
        g_assert_cmpuint(start.attempt, ==, 1);
        g_assert_true(keyring_revoke(f.keys, name, NULL));
        MsgPing ping = {.seq = 1};
        peer_say(w, MSG_PING, &ping);
        wire_free(MSG_REFUSED, peer_await(w, MSG_REFUSED));
        peer_end(w);
    }
    g_assert_cmpuint(ended.times, ==, 0);
    peer_fixture_clear(&f);
}

/* Its start crossed the wish to stop it, which was for what had not begun. */
static void test_what_began_when_it_was_to_stop_is_stopped(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "c");
    TestPeer *p = peer_connect(&f, key, "c");
    peer_hello_client(p);
    g_autoptr(Value) args = value_new_map();
    value_map_set_string(args, "run", run_id(run));
    MsgCall call = {.id = 1, .method = (char *)"stop", .args = args};
    peer_say(p, MSG_CALL, &call);
    wire_free(MSG_REPLY, peer_await(p, MSG_REPLY));
    for (guint began = 0; began <= 1; began++) {
        MsgStop *stop = peer_await(w, MSG_STOP);
        g_assert_cmpint(stop->recall, ==, !began);
        wire_free(MSG_STOP, stop);
        if (!began)
            say_started(w, &start);
    }
    peer_end(p);
    peer_end(w);
    peer_fixture_clear(&f);
}

/* ---- who is there ---- */

static void test_a_draining_worker_that_comes_back_is_told_again(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    TestPeer *w = peer_worker(&f, "w1");
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "c");
    TestPeer *p = peer_connect(&f, key, "c");
    peer_hello_client(p);
    g_autoptr(Value) args = value_new_map();
    value_map_set_string(args, "worker", "w1");
    MsgCall drain = {.id = 1, .method = (char *)"drain", .args = args};
    peer_say(p, MSG_CALL, &drain);
    wire_free(MSG_DRAIN, peer_await(w, MSG_DRAIN));
    lose(&f, w); /* it says HELLO again */
    wire_free(MSG_DRAIN, peer_await(w, MSG_DRAIN));
    peer_end(p);
    peer_end(w);
    peer_fixture_clear(&f);
}

#define SHORT_LEASE_US G_USEC_PER_SEC

static void start_with_short_lease(PeerFixture *f)
{
    CoordinatorOptions o = {.home = f->base.home,
            .bind = "tcp://127.0.0.1:*",
            .retries = 3,
            .lease_us = SHORT_LEASE_US};
    f->c = coordinator_new(&o, NULL, NULL);
    g_assert_nonnull(f->c);
}

/* Everybody does, in this one process: nothing is said meanwhile. */
static void stand_still(void)
{
    g_usleep(SHORT_LEASE_US * 3 / 2);
    peer_turn();
}

/* What its workers said meanwhile is not read yet: their silence is its own. */
static void test_a_coordinator_that_stood_still_takes_nothing_away(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    coordinator_free(f.c);
    start_with_short_lease(&f);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = peer_worker(&f, "w1");
    MsgStart start = await_start(w);
    say_started(w, &start);
    peer_sync(w);
    stand_still();
    g_assert_true(report(w, start.task, start.lease, 0));
    PEER_WAIT_FOR(ended.times);
    peer_end(w);
    peer_fixture_clear(&f);
}

/* Nor does it give to others what a worker still runs that it has not heard yet. */
static void test_nor_does_one_that_was_just_started_again(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_WORKER, "w1");
    TestPeer *w = peer_connect(&f, key, "w1");
    wire_free(MSG_WELCOME, peer_hello_worker(&f, w, NULL));
    MsgStart start = await_start(w);
    say_started(w, &start);
    peer_sync(w);
    peer_end(w);
    coordinator_free(f.c);
    start_with_short_lease(&f);
    TestPeer *other = peer_worker(&f, "w2");
    stand_still();
    peer_sync(other);
    g_autoptr(GPtrArray) held = g_ptr_array_new_with_free_func(held_task_free);
    g_ptr_array_add(held, held_task_new(start.task, start.lease, run_id(run), HELD_RUNS));
    w = peer_connect(&f, key, "w1");
    MsgWelcome *welcome = peer_hello_worker(&f, w, held);
    g_assert_cmpuint(welcome->drop ? welcome->drop->len : 0, ==, 0);
    wire_free(MSG_WELCOME, welcome);
    g_assert_true(report(w, start.task, start.lease, 0));
    g_assert_null(peer_find(other, MSG_START));
    peer_end(other);
    peer_end(w);
    peer_fixture_clear(&f);
}

/* ---- after a start ---- */

static void test_what_nobody_claims_goes_to_another(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *lost = peer_worker(&f, "w1");
    MsgStart first = await_start(lost);
    say_started(lost, &first);
    peer_sync(lost);
    peer_end(lost);
    coordinator_free(f.c);
    start_with_short_lease(&f);
    TestPeer *w = peer_worker(&f, "w2");
    gint64 until_us = clock_monotonic_us() + PEER_WAIT_US;
    while (!peer_find(w, MSG_START)) {
        g_assert_cmpint(clock_monotonic_us(), <, until_us);
        peer_sync(w); /* it is alive */
        peer_turn();
    }
    MsgStart second = await_start(w);
    g_assert_cmpuint(second.task, ==, first.task);
    g_assert_cmpuint(second.attempt, ==, 2);
    peer_end(w);
    peer_fixture_clear(&f);
}

/* Here, while it waited for a worker: by its lock it runs. */
static void test_what_somebody_started_here_is_given_to_nobody(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    run_clear_marker(run, "PENDING");
    g_assert_true(run_write_lock(run, getpid(), NULL));
    TestPeer *w = worker_elsewhere(&f);
    PEER_WAIT_FOR(ended.times || peer_find(w, MSG_START));
    g_assert_null(peer_find(w, MSG_START));
    g_autofree char *mark = run_guild_path(run, "LOCK.remote");
    g_assert_false(fs_exists(mark));
    peer_end(w);
    peer_fixture_clear(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func(
            "/results/lease-on-disk", test_a_lease_is_on_disk_before_its_worker_hears_of_it);
    g_test_add_func(
            "/results/submission-on-disk", test_a_submission_is_on_disk_before_its_client_is_told);
    g_test_add_func("/results/not-replaced", test_what_is_queued_is_not_replaced);
    g_test_add_func("/results/stop-crossed", test_what_began_when_it_was_to_stop_is_stopped);
    g_test_add_func("/results/no-room", test_what_has_no_room_to_be_handed_out_waits);
    g_test_add_func("/results/end-is-last", test_that_it_ended_is_written_when_all_else_is_there);
    g_test_add_func("/results/ours-is-not-touched", test_a_result_does_not_touch_what_is_ours);
    g_test_add_func("/results/output-once", test_output_is_kept_once_and_without_gaps);
    g_test_add_func("/results/output-there", test_output_that_came_already_does_not_travel_again);
    g_test_add_func("/results/output-otherwise", test_output_that_came_otherwise_is_fetched);
    g_test_add_func("/results/twice", test_a_report_that_comes_twice_counts_once);
    g_test_add_func(
            "/results/not-to-be-fetched", test_a_result_that_cannot_be_fetched_is_another_attempts);
    g_test_add_func("/results/exit-status-of-before",
            test_an_exit_status_of_before_goes_when_an_attempt_begins);
    g_test_add_func("/results/never-begun", test_what_was_never_begun_costs_no_attempt);
    g_test_add_func("/results/drains-again", test_a_draining_worker_that_comes_back_is_told_again);
    g_test_add_func("/results/stood-still", test_a_coordinator_that_stood_still_takes_nothing_away);
    g_test_add_func(
            "/results/stood-still-at-its-start", test_nor_does_one_that_was_just_started_again);
    g_test_add_func("/results/unclaimed", test_what_nobody_claims_goes_to_another);
    g_test_add_func("/results/started-here", test_what_somebody_started_here_is_given_to_nobody);
    return g_test_run();
}
