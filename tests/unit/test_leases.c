/* SPDX-License-Identifier: Apache-2.0 */
/* Promises 1 to 3 at the coordinator: which reports count, how often a task is tried again, what is
 * on disk when a report is acknowledged, what a coordinator that was started again takes back. */
#include "engine/base/apart.h"
#include "engine/base/log.h"
#include "coordinator/lazy_sqlite.h"
#include "tests/unit/lease_fixture.h"

static void test_only_the_report_under_the_lease_counts(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = peer_worker(&f, "w1");
    MsgStart first = await_start(w);
    say_started(w, &first);
    lose(&f, w);
    MsgStart second = await_start(w);
    g_assert_cmpuint(second.task, ==, first.task);
    g_assert_cmpuint(second.lease, !=, first.lease);
    g_assert_cmpuint(second.attempt, ==, 2);
    say_started(w, &second);
    g_assert_false(report(w, first.task, first.lease, 7));
    TestPeer *other = peer_worker(&f, "w2");
    g_assert_false(report(other, second.task, second.lease, 8));
    peer_sync(w);
    g_assert_cmpuint(ended.times, ==, 0);
    g_assert_true(report(w, second.task, second.lease, 0));
    PEER_WAIT_FOR(ended.times);
    g_assert_cmpint(ended.status, ==, 0);
    g_assert_false(report(w, second.task, second.lease, 9));
    g_assert_cmpuint(ended.times, ==, 1);
    peer_end(other);
    peer_end(w);
    peer_fixture_clear(&f);
}

static void test_a_task_is_tried_no_oftener_than_asked(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 2, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = peer_worker(&f, "w1");
    for (guint attempt = 1; attempt <= 3; attempt++) {
        g_assert_cmpuint(ended.times, ==, 0);
        MsgStart start = await_start(w);
        g_assert_cmpuint(start.attempt, ==, attempt);
        say_started(w, &start);
        lose(&f, w);
    }
    PEER_WAIT_FOR(ended.times || peer_find(w, MSG_START));
    g_assert_cmpuint(ended.times, ==, 1);
    g_assert_cmpint(ended.status, ==, 1);
    g_assert_cmpint(run_status(run), ==, RUN_ERROR);
    g_autoptr(Value) why = run_get_attr(run, "error", NULL);
    g_assert_nonnull(why);
    g_assert_nonnull(strstr(value_get_string(why), "gave up after 3 attempts"));
    peer_end(w);
    peer_fixture_clear(&f);
}

/* It renews its leases for ever, and begins nothing. */
static void test_a_worker_that_never_works_loses_what_it_was_given(void)
{
    PeerFixture f;
    Ended ended;
    run_fixture_init(&f.base, NULL);
    CoordinatorOptions o = { .home = f.base.home, .bind = "tcp://127.0.0.1:*", .retries = 3,
        .lease_us = G_USEC_PER_SEC / 2 };
    f.c = coordinator_new(&o, NULL, NULL);
    f.keys = keyring_open(f.base.home, FALSE, NULL);
    f.zmq = zmq_ctx_new();
    TestPeer *idler = peer_worker(&f, "w1");
    g_autoptr(Run) run = add_run(&f, &ended);
    MsgStart given = await_start(idler);
    TestPeer *other = peer_worker(&f, "w2");
    gint64 until_us = clock_monotonic_us() + PEER_WAIT_US;
    while (!peer_find(other, MSG_START)) {
        g_assert_cmpint(clock_monotonic_us(), <, until_us);
        peer_sync(idler); /* both are alive */
        peer_sync(other);
        peer_turn();
    }
    wire_free(MSG_STOP, peer_await(idler, MSG_STOP));
    MsgStart again = await_start(other);
    g_assert_cmpuint(again.task, ==, given.task);
    say_started(other, &again);
    g_assert_false(report(idler, given.task, given.lease, 0));
    g_assert_true(report(other, again.task, again.lease, 0));
    PEER_WAIT_FOR(ended.times);
    peer_end(idler);
    peer_end(other);
    peer_fixture_clear(&f);
}

/* In place a task may begin without our hearing of it: when the link was cut first. It was ended
 * with its lease, so there is no exit status and no process, and it is to be run all the same. */
static void test_a_trial_begun_unheard_of_is_run_again(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = peer_worker(&f, "w1");
    MsgStart first = await_start(w);
    run_clear_marker(run, "PENDING");
    g_autofree char *lock = run_guild_path(run, "LOCK");
    g_assert_true(fs_write(lock, "2147483647", -1, NULL)); /* of no process */
    lose(&f, w);
    MsgStart second = await_start(w);
    g_assert_cmpuint(second.lease, !=, first.lease);
    g_assert_cmpint(run_status(run), ==, RUN_PENDING);
    say_started(w, &second);
    g_assert_true(report(w, second.task, second.lease, 0));
    PEER_WAIT_FOR(ended.times);
    peer_end(w);
    peer_fixture_clear(&f);
}

static void test_an_acknowledged_result_is_on_disk(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 200); /* so long that an early acknowledgement would be seen */
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = peer_worker(&f, "w1");
    MsgStart start = await_start(w);
    say_started(w, &start);
    peer_sync(w);
    g_assert_false(recorded_as_ended(f.base.home));
    g_assert_true(report(w, start.task, start.lease, 0));
    g_assert_true(recorded_as_ended(f.base.home));
    peer_end(w);
    peer_fixture_clear(&f);
}

static void test_a_coordinator_started_again_takes_back_what_runs(void)
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
    peer_fixture_start(&f, 3, 0);

    g_autoptr(GPtrArray) held = g_ptr_array_new_with_free_func(held_task_free);
    g_ptr_array_add(held, held_task_new(start.task, start.lease + 1, run_id(run), 1));
    g_ptr_array_add(held, held_task_new(start.task, start.lease, run_id(run), 1));
    w = peer_connect(&f, key, "w1");
    MsgWelcome *welcome = peer_hello_worker(&f, w, held);
    g_assert_cmpuint(welcome->drop ? welcome->drop->len : 0, ==, 1);
    g_assert_cmpuint(((HeldTask *)welcome->drop->pdata[0])->lease, ==, start.lease + 1);
    wire_free(MSG_WELCOME, welcome);
    g_assert_false(report(w, start.task, start.lease + 1, 7));
    g_assert_true(report(w, start.task, start.lease, 0));
    g_assert_null(peer_find(w, MSG_START));
    peer_end(w);
    peer_fixture_clear(&f);
}

static void test_what_a_lost_worker_ran_goes_to_another(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *lost = peer_worker(&f, "w1");
    MsgStart first = await_start(lost);
    say_started(lost, &first);
    peer_sync(lost);
    TestPeer *w = peer_worker(&f, "w2");
    g_assert_true(keyring_revoke(f.keys, "w1", NULL));
    MsgPing ping = { .seq = 1 };
    peer_say(lost, MSG_PING, &ping);
    MsgStart second = await_start(w);
    g_assert_cmpuint(second.attempt, ==, 2);
    g_assert_true(report(w, second.task, second.lease, 0));
    PEER_WAIT_FOR(ended.times);
    peer_end(w);
    peer_end(lost);
    peer_fixture_clear(&f);
}

static void test_a_task_that_costs_its_worker_is_given_up(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 0, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *lost = peer_worker(&f, "w1");
    MsgStart first = await_start(lost);
    say_started(lost, &first);
    peer_sync(lost);
    TestPeer *w = peer_worker(&f, "w2");
    g_assert_true(keyring_revoke(f.keys, "w1", NULL));
    MsgPing ping = { .seq = 1 };
    peer_say(lost, MSG_PING, &ping);
    PEER_WAIT_FOR(ended.times || peer_find(w, MSG_START));
    g_assert_null(peer_find(w, MSG_START));
    g_assert_cmpint(run_status(run), ==, RUN_ERROR);
    g_autoptr(Value) why = run_get_attr(run, "error", NULL);
    g_assert_nonnull(strstr(value_get_string(why), "worker w1 was lost"));
    peer_end(w);
    peer_end(lost);
    peer_fixture_clear(&f);
}

/* It ended after it had marked the run as executing elsewhere, before the lease was on disk. */
static void test_a_mark_of_a_lease_that_was_never_given_is_not_somebody_elses(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    coordinator_free(f.c);
    g_autofree char *mark = run_guild_path(run, "LOCK.remote");
    g_assert_true(fs_write(mark, "w9", -1, NULL));
    peer_fixture_start(&f, 3, 0);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    g_assert_cmpuint(start.lease, >, 0);
    g_assert_cmpuint(ended.times, ==, 0);
    peer_end(w);
    peer_fixture_clear(&f);
}

/* As if the machine had been started since. */
static void forget_the_boot(const char *home)
{
    g_autofree char *path = g_build_filename(home, "coordinator", "queue.db", NULL);
    sqlite3 *db = NULL;
    g_assert_cmpint(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, "UPDATE meta SET value = value + 1 WHERE key = 'boot'", NULL,
                            NULL, NULL), ==, SQLITE_OK);
    sqlite3_close(db);
}

/* What the coordinator left that ended while it brought the second attempt's result home; its worker died as
 * well, before it could report again. */
typedef struct {
    gboolean marked; /* as executing elsewhere: not all is there */
    gboolean booted; /* what was not on the disk yet may be lost */
    gboolean again;  /* expected: it is run again */
} Left;

static void check_left(const Left *left)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_WORKER, "w1");
    TestPeer *w = peer_connect(&f, key, "w1");
    hello_elsewhere(w, NULL);
    MsgStart start = await_start(w);
    say_started(w, &start);
    hello_elsewhere(w, NULL); /* the first attempt is lost */
    start = await_start(w);
    g_assert_cmpuint(start.attempt, ==, 2);
    say_started(w, &start);
    peer_sync(w);
    peer_end(w);
    coordinator_free(f.c);
    g_autofree char *output = run_guild_path(run, "output");
    g_autofree char *mark = run_guild_path(run, "LOCK.remote");
    g_assert_true(fs_write(output, "printed", -1, NULL));
    g_assert_true(run_write_attr_int(run, "exit_status", 0, NULL));
    g_assert_true(fs_exists(mark));
    if (!left->marked)
        g_assert_true(fs_remove(mark, NULL));
    if (left->booted)
        forget_the_boot(f.base.home);
    peer_fixture_start(&f, 3, 0);

    g_autoptr(GPtrArray) held = g_ptr_array_new_with_free_func(held_task_free);
    g_ptr_array_add(held, held_task_new(start.task, start.lease, run_id(run), HELD_ENDED));
    w = peer_connect(&f, key, "w1");
    hello_elsewhere(w, held);
    wire_free(MSG_WELCOME, peer_await(w, MSG_WELCOME));
    hello_elsewhere(w, NULL);
    wire_free(MSG_WELCOME, peer_await(w, MSG_WELCOME));
    peer_sync(w);
    if (left->again) {
        start = await_start(w);
        g_assert_cmpuint(start.attempt, ==, 3);
        g_assert_false(run_has_attr(run, "exit_status"));
    } else {
        g_assert_null(peer_find(w, MSG_START));
        g_assert_cmpint(run_status(run), ==, RUN_COMPLETED);
        g_autofree char *text = fs_read(output, 0, NULL, NULL);
        g_assert_cmpstr(text, ==, "printed");
        PEER_WAIT_FOR(recorded_as_ended(f.base.home));
    }
    peer_end(w);
    peer_fixture_clear(&f);
}

static void test_a_result_that_came_whole_outlives_its_coordinator_and_its_worker(void)
{
    check_left(&(Left){ 0 });
}

static void test_a_result_of_which_part_came_does_not_count(void)
{
    check_left(&(Left){ .marked = TRUE, .again = TRUE });
}

static void test_a_result_that_the_disk_may_lack_does_not_count(void)
{
    check_left(&(Left){ .booted = TRUE, .again = TRUE });
}

static void test_a_result_that_cannot_be_written_is_not_acknowledged(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    say_started(w, &start);
    g_autofree char *obstacle = g_build_filename(run_dir(run), "out", NULL);
    g_autofree char *made = g_build_filename(obstacle, "a.txt", NULL);
    g_assert_true(fs_write(obstacle, "", 0, NULL)); /* nobody said that it is to become a folder */
    MsgDone done = { .task = start.task, .lease = start.lease, .cause = DONE_EXITED,
        .started_us = 1, .stopped_us = 2 };
    say_files(w, &start, "out/a.txt");
    peer_say(w, MSG_DONE, &done);
    peer_sync(w);
    peer_sync(w);
    g_assert_null(peer_find(w, MSG_ACK));
    g_assert_cmpuint(ended.times, ==, 0);
    g_assert_true(fs_remove_tree(obstacle, NULL));
    say_files(w, &start, "out/a.txt");
    g_assert_true(report(w, start.task, start.lease, 0));
    g_autofree char *text = fs_read(made, 0, NULL, NULL);
    g_assert_cmpstr(text, ==, "content");
    PEER_WAIT_FOR(ended.times);
    peer_end(w);
    peer_fixture_clear(&f);
}

/* A worker elsewhere writes into its own run what a run has to say, not what the coordinator has. */
static void test_a_worker_does_not_touch_what_is_ours(void)
{
    static const char *const ours[] = { ".guild/LOCK", ".guild/attrs/id", ".guild/attempts/1/output",
        ".guild/attrs/attempts", ".guild/proto/.guild/opref" };
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    for (guint i = 0; i < G_N_ELEMENTS(ours); i++)
        g_ptr_array_add(files, file(ours[i]));
    g_ptr_array_add(files, file(".guild/attrs/own"));
    MsgStarted m = { .task = start.task, .lease = start.lease, .started_us = 1, .files = files };
    peer_say(w, MSG_STARTED, &m);
    peer_sync(w);
    g_autofree char *own = run_fixture_text(run, "attrs/own");
    g_assert_cmpstr(own, ==, "content");
    for (guint i = 0; i < G_N_ELEMENTS(ours); i++) {
        g_autofree char *path = g_build_filename(run_dir(run), ours[i], NULL);
        g_autofree char *text = fs_read(path, 0, NULL, NULL);
        g_assert_cmpstr(text, !=, "content");
    }
    peer_end(w);
    peer_fixture_clear(&f);
}

/* Runs that a run made come below it. A link there would become the door to another folder of this
 * machine, and a LOCK the end of whatever process has that number here. */
static void test_runs_of_a_run_are_folders_and_nobody_elses_processes(void)
{
    static const char *const ids[] = { "22222222222222222222222222222222", "linked", ".hidden", "a b" };
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autofree char *path = g_strconcat(".guild/children/", ids[i], i == 1 ? "" : "/.guild/LOCK", NULL);
        FileEntry *e = i == 1 ? file_entry_new(path, FILE_LINK) : file(path);
        e->target = i == 1 ? g_strdup("/etc") : NULL;
        g_ptr_array_add(files, e);
    }
    g_autofree char *opref = g_strconcat(".guild/children/", ids[0], "/.guild/opref", NULL);
    g_ptr_array_add(files, file(opref));
    MsgFiles m = { .task = start.task, .lease = start.lease, .files = files, .last = TRUE };
    say_started(w, &start);
    peer_say(w, MSG_FILES, &m);
    g_assert_true(report(w, start.task, start.lease, 0));
    g_autofree char *runs = g_path_get_dirname(run_dir(run));
    g_auto(GStrv) names = fs_list(runs, NULL);
    g_assert_cmpuint(g_strv_length(names), ==, 2);
    g_assert_cmpstr(names[1], ==, ids[0]);
    g_autofree char *child = g_build_filename(runs, ids[0], ".guild", NULL);
    g_auto(GStrv) left = fs_list(child, NULL);
    g_assert_cmpuint(g_strv_length(left), ==, 1);
    g_assert_cmpstr(left[0], ==, "opref");
    peer_end(w);
    peer_fixture_clear(&f);
}

/* A worker that was cut off says again that it began, and its run may have ended since. That it has ended is
 * known when its result is here: a coordinator that is started again before that must not think so. */
static void test_that_it_began_says_nothing_of_its_end(void)
{
    PeerFixture f;
    Ended ended;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    TestPeer *w = worker_elsewhere(&f);
    MsgStart start = await_start(w);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    g_ptr_array_add(files, file(".guild/attrs/exit_status"));
    g_ptr_array_add(files, file(".guild/attrs/stopped"));
    g_ptr_array_add(files, file(".guild/attrs/cmd"));
    MsgStarted m = { .task = start.task, .lease = start.lease, .started_us = 1, .files = files };
    peer_say(w, MSG_STARTED, &m);
    peer_sync(w);
    g_assert_true(run_has_attr(run, "cmd"));
    g_assert_false(run_has_attr(run, "exit_status"));
    g_assert_false(run_has_attr(run, "stopped"));
    peer_end(w);
    peer_fixture_clear(&f);
}

/* A local batch has no tick, and goes on all the same when its worker could not run something for a while. */
static void test_a_local_worker_that_missed_is_asked_again(void)
{
    static const JobListener listener = { .ended = on_ended };
    g_autoptr(GError) error = NULL;
    PeerFixture f = { .zmq = zmq_ctx_new() };
    Ended ended = { 0 };
    run_fixture_init(&f.base, NULL);
    f.c = coordinator_new_local(f.base.home, f.zmq, "inproc://test", NULL, &error);
    g_assert_no_error(error);
    g_autoptr(Run) run = run_fixture_run(&f.base, "22222222222222222222222222222222", "op", 1, 0);
    run_del_attr(run, "exit_status");
    g_assert_true(run_set_marker(run, "PENDING", NULL));
    JobOptions o = { .retries = -1 };
    g_assert_nonnull(coordinator_add(f.c, run, &o, &listener, &ended, &error));
    TestPeer *w = peer_connect(&f, NULL, "w");
    wire_free(MSG_WELCOME, peer_hello_worker(&f, w, NULL));
    MsgStart first = await_start(w);
    MsgDone lost = { .task = first.task, .lease = first.lease, .cause = DONE_LOST };
    peer_say(w, MSG_DONE, &lost);
    MsgStart second = await_start(w);
    wire_free(MSG_ACK, peer_await(w, MSG_ACK));
    g_assert_true(report(w, second.task, second.lease, 0));
    PEER_WAIT_FOR(ended.times);
    peer_end(w);
    coordinator_free(f.c);
    zmq_ctx_term(f.zmq);
    run_fixture_clear(&f.base, NULL);
}

typedef struct {
    gint begun; /* atomic */
    GMutex gate; /* held: it may not end */
    gboolean told;
} Busy;

static void be_busy(gpointer data)
{
    Busy *b = data;
    g_atomic_int_set(&b->begun, 1);
    g_mutex_lock(&b->gate);
    g_mutex_unlock(&b->gate);
}

static void busy_told(gpointer data)
{
    ((Busy *)data)->told = TRUE;
}

static void see_the_end(LogLevel level, const char *line, gpointer seen)
{
    *(gboolean *)seen |= strstr(line, "the connection of worker w1 ended") != NULL;
}

/* What prepares trials is kept busy until the worker's connection has ended; then one thread goes on,
 * and does first what came first. */
static void test_a_worker_that_goes_while_its_trial_is_prepared(void)
{
    PeerFixture f;
    Ended ended;
    Busy busy[4] = { { 0 } }, after = { 0 };
    gboolean seen = FALSE;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = add_run(&f, &ended);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_WORKER, "w1");
    TestPeer *w = peer_connect(&f, key, "w1");
    wire_free(MSG_WELCOME, peer_hello_worker(&f, w, NULL));
    MsgStart first = await_start(w);
    say_started(w, &first);
    peer_sync(w);
    g_autofree char *output = run_guild_path(run, "output");
    g_assert_true(fs_write(output, "of the first attempt\n", -1, NULL));
    g_mutex_init(&after.gate);
    for (guint i = 0; i < G_N_ELEMENTS(busy); i++) {
        g_mutex_init(&busy[i].gate);
        g_mutex_lock(&busy[i].gate);
        apart_start(NULL, be_busy, busy_told, &busy[i]);
    }
    for (guint i = 0; i < G_N_ELEMENTS(busy); i++)
        PEER_WAIT_FOR(g_atomic_int_get(&busy[i].begun));
    lose(&f, w);
    PEER_WAIT_FOR(!fs_exists(output)); /* it was put aside: the second attempt is prepared */
    LogLevel level = log_level();
    log_set_level(LOG_DEBUG);
    log_set_hook(see_the_end, &seen);
    peer_end(w);
    PEER_WAIT_FOR(seen);
    log_set_hook(NULL, NULL);
    log_set_level(level);
    apart_start(NULL, be_busy, busy_told, &after);
    g_mutex_unlock(&busy[0].gate);
    PEER_WAIT_FOR(after.told);
    w = peer_connect(&f, key, "w1");
    wire_free(MSG_WELCOME, peer_hello_worker(&f, w, NULL));
    for (guint i = 1; i < G_N_ELEMENTS(busy); i++)
        g_mutex_unlock(&busy[i].gate);
    MsgStart second = await_start(w);
    g_assert_cmpuint(second.lease, >, first.lease);
    say_started(w, &second);
    g_assert_true(report(w, second.task, second.lease, 0));
    PEER_WAIT_FOR(ended.times);
    for (guint i = 1; i < G_N_ELEMENTS(busy); i++)
        PEER_WAIT_FOR(busy[i].told);
    g_assert_cmpuint(ended.times, ==, 1);
    peer_end(w);
    peer_fixture_clear(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/leases/only-the-report-under-the-lease-counts",
            test_only_the_report_under_the_lease_counts);
    g_test_add_func("/leases/tried-no-oftener-than-asked", test_a_task_is_tried_no_oftener_than_asked);
    g_test_add_func("/leases/acknowledged-is-on-disk", test_an_acknowledged_result_is_on_disk);
    g_test_add_func("/leases/taken-back-after-a-start",
            test_a_coordinator_started_again_takes_back_what_runs);
    g_test_add_func("/leases/mark-without-a-lease",
            test_a_mark_of_a_lease_that_was_never_given_is_not_somebody_elses);
    g_test_add_func("/leases/never-works", test_a_worker_that_never_works_loses_what_it_was_given);
    g_test_add_func("/leases/begun-unheard-of", test_a_trial_begun_unheard_of_is_run_again);
    g_test_add_func("/leases/another-worker-gets-it", test_what_a_lost_worker_ran_goes_to_another);
    g_test_add_func("/leases/given-up", test_a_task_that_costs_its_worker_is_given_up);
    g_test_add_func("/leases/unwritable-result",
            test_a_result_that_cannot_be_written_is_not_acknowledged);
    g_test_add_func("/leases/ours-is-not-touched", test_a_worker_does_not_touch_what_is_ours);
    g_test_add_func("/leases/runs-of-a-run", test_runs_of_a_run_are_folders_and_nobody_elses_processes);
    g_test_add_func("/leases/began-is-not-ended", test_that_it_began_says_nothing_of_its_end);
    g_test_add_func("/leases/gone-while-prepared", test_a_worker_that_goes_while_its_trial_is_prepared);
    g_test_add_func("/leases/local-again", test_a_local_worker_that_missed_is_asked_again);
    g_test_add_func("/leases/whole-result",
            test_a_result_that_came_whole_outlives_its_coordinator_and_its_worker);
    g_test_add_func("/leases/part-is-not-whole", test_a_result_of_which_part_came_does_not_count);
    g_test_add_func("/leases/power-lost", test_a_result_that_the_disk_may_lack_does_not_count);
    return g_test_run();
}
