/* SPDX-License-Identifier: Apache-2.0 */
/* Promise 3: what a coordinator that was started again on its home knows of what was asked of it.
 */
#include "tests/unit/lease_fixture.h"

#define FIRST "11111111111111111111111111111111"
#define SECOND "22222222222222222222222222222222"

static void queue_run(PeerFixture *f, const char *id, const JobOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Run) run = run_fixture_run(&f->base, id, "op", 1, 0);
    run_del_attr(run, "exit_status");
    g_assert_true(run_set_marker(run, "PENDING", &error));
    g_assert_nonnull(coordinator_add(f->c, run, options, NULL, NULL, &error));
    g_assert_no_error(error);
}

static void restart(PeerFixture *f)
{
    coordinator_free(f->c);
    peer_fixture_start(f, 3, 0);
}

/* The run that a worker of one slot is given first. */
static void assert_first(PeerFixture *f, const char *id)
{
    TestPeer *w = peer_worker(f, "w1");
    MsgStart *start = peer_await(w, MSG_START);
    g_assert_cmpstr(start->run, ==, id);
    wire_free(MSG_START, start);
    peer_end(w);
}

static void test_priorities(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    queue_run(&f, FIRST, &(JobOptions){.retries = -1});
    queue_run(&f, SECOND, &(JobOptions){.retries = -1, .priority = 5});
    restart(&f);
    assert_first(&f, SECOND);
    peer_fixture_clear(&f);
}

static void test_priorities_that_were_changed(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 200); /* who is answered before it is on disk is found out */
    queue_run(&f, FIRST, &(JobOptions){.retries = -1});
    queue_run(&f, SECOND, &(JobOptions){.retries = -1, .priority = 5});
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "c");
    TestPeer *p = peer_connect(&f, key, "c");
    peer_hello_client(p);
    g_autoptr(Value) args = value_new_map();
    value_map_set_string(args, "run", FIRST);
    value_map_set_int(args, "priority", 9);
    MsgCall call = {.id = 1, .method = (char *)"priority", .args = args};
    peer_say(p, MSG_CALL, &call);
    MsgReply *reply = peer_await(p, MSG_REPLY);
    g_assert_cmpstr(reply->error, ==, NULL);
    wire_free(MSG_REPLY, reply);
    Queue *q = queue_open(f.base.home, NULL, 0, NULL);
    g_autoptr(GPtrArray) jobs = queue_load_jobs(q, NULL);
    g_assert_cmpuint(jobs->len, ==, 2);
    g_assert_cmpint(((QueueJob *)jobs->pdata[0])->priority, ==, 9);
    queue_close(q);
    peer_end(p);
    restart(&f);
    assert_first(&f, FIRST);
    peer_fixture_clear(&f);
}

/* One more after the first, which was before the restart. */
static void test_how_often_it_may_be_lost(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    queue_run(&f, FIRST, &(JobOptions){.retries = 1});
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_WORKER, "w1");
    TestPeer *w = peer_connect(&f, key, "w1");
    wire_free(MSG_WELCOME, peer_hello_worker(&f, w, NULL));
    MsgStart start = await_start(w);
    say_started(w, &start);
    lose(&f, w);
    start = await_start(w);
    say_started(w, &start);
    peer_sync(w);
    peer_end(w);
    restart(&f);
    g_autoptr(GPtrArray) held = g_ptr_array_new_with_free_func(held_task_free);
    g_ptr_array_add(held, held_task_new(start.task, start.lease, FIRST, HELD_RUNS));
    w = peer_connect(&f, key, "w1");
    wire_free(MSG_WELCOME, peer_hello_worker(&f, w, held));
    lose(&f, w);
    PEER_WAIT_FOR(recorded_as_ended(f.base.home) || peer_find(w, MSG_START));
    g_assert_null(peer_find(w, MSG_START));
    g_autoptr(Run) run = run_store_new_run(f.base.store, FIRST);
    g_autoptr(Value) why = run_get_attr(run, "error", NULL);
    g_assert_nonnull(strstr(value_get_string(why), "gave up after 2 attempts"));
    peer_end(w);
    peer_fixture_clear(&f);
}

/* Twice more after the first time, which was before the restart. */
static void test_how_often_it_may_fail(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    queue_run(&f, FIRST, &(JobOptions){.retries = 0, .retry_failed = 2});
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_WORKER, "w1");
    TestPeer *w = peer_connect(&f, key, "w1");
    wire_free(MSG_WELCOME, peer_hello_worker(&f, w, NULL));
    MsgStart start = await_start(w);
    g_assert_true(report(w, start.task, start.lease, 1));
    start = await_start(w); /* given, and not begun */
    peer_end(w);
    restart(&f);
    g_autoptr(GPtrArray) held = g_ptr_array_new_with_free_func(held_task_free);
    g_ptr_array_add(held, held_task_new(start.task, start.lease, FIRST, HELD_WAITS));
    w = peer_connect(&f, key, "w1");
    wire_free(MSG_WELCOME, peer_hello_worker(&f, w, held));
    g_assert_true(report(w, start.task, start.lease, 1));
    start = await_start(w);
    g_assert_cmpuint(start.attempt, ==, 3);
    g_assert_true(report(w, start.task, start.lease, 1));
    PEER_WAIT_FOR(recorded_as_ended(f.base.home) || peer_find(w, MSG_START));
    g_assert_null(peer_find(w, MSG_START));
    peer_end(w);
    peer_fixture_clear(&f);
}

static void test_what_has_ended(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    queue_run(&f, FIRST, &(JobOptions){.retries = -1});
    TestPeer *w = peer_worker(&f, "w0");
    MsgStart start = await_start(w);
    g_assert_true(report(w, start.task, start.lease, 0));
    peer_end(w);
    restart(&f);
    queue_run(&f, SECOND, &(JobOptions){.retries = -1});
    assert_first(&f, SECOND);
    peer_fixture_clear(&f);
}

/* ---- a submission that is said twice ---- */

/* Gives the answer's error; NULL: it is taken. */
static char *submit(TestPeer *p, const char *name, gboolean again, gboolean replace)
{
    g_autoptr(Value) options = value_new_map();
    value_map_set_string(options, "submission", name);
    value_map_set(options, "again", value_new_bool(again));
    value_map_set(options, "replace", value_new_bool(replace));
    MsgSubmit submit = {
            .id = 7, .run = (char *)FIRST, .retries = -1, .options = options, .start = TRUE};
    peer_say(p, MSG_SUBMIT, &submit);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    g_ptr_array_add(files, text_file(".guild/opref", "test:/p '' '' op"));
    g_ptr_array_add(files, text_file(".guild/STAGED", ""));
    MsgFiles list = {.id = 7, .files = files, .last = TRUE};
    peer_say(p, MSG_FILES, &list);
    MsgSubmitted *told = peer_await(p, MSG_SUBMITTED);
    g_assert_cmpuint(told->id, ==, 7);
    char *error = g_strdup(told->error);
    wire_free(MSG_SUBMITTED, told);
    peer_sync(p);
    g_assert_null(peer_find(p, MSG_SUBMITTED)); /* once */
    return error;
}

static TestPeer *client(PeerFixture *f, const AccessKey *key)
{
    TestPeer *p = peer_connect(f, key, "c");
    peer_hello_client(p);
    return p;
}

static guint number_of_jobs(PeerFixture *f)
{
    Queue *q = queue_open(f->base.home, NULL, 0, NULL);
    g_autoptr(GPtrArray) jobs = queue_load_jobs(q, NULL);
    queue_close(q);
    return jobs->len;
}

/* Its client was not told: while it waits, when we were started again, and when it has ended. */
static void test_a_submission_that_is_said_again_is_done_once(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "c");
    TestPeer *p = client(&f, key);
    g_assert_cmpstr(submit(p, "one", FALSE, FALSE), ==, NULL);
    g_assert_cmpstr(submit(p, "one", TRUE, FALSE), ==, NULL);
    peer_end(p);
    restart(&f);
    p = client(&f, key);
    g_assert_cmpstr(submit(p, "one", TRUE, FALSE), ==, NULL);
    g_autofree char *waits = submit(p, "two", TRUE, FALSE);
    g_assert_nonnull(strstr(waits, "is there already"));
    TestPeer *w = peer_worker(&f, "w1");
    MsgStart start = await_start(w);
    g_assert_true(report(w, start.task, start.lease, 0));
    PEER_WAIT_FOR(recorded_as_ended(f.base.home));
    for (guint i = 0; i < 2; i++) { /* it took the place of another, or may do so */
        g_assert_cmpstr(submit(p, "one", TRUE, i), ==, NULL);
        peer_sync(w);
        g_assert_null(peer_find(w, MSG_START));
    }
    g_assert_cmpuint(number_of_jobs(&f), ==, 1);
    g_assert_cmpstr(submit(p, "two", TRUE, TRUE), ==, NULL);
    start = await_start(w);
    g_assert_cmpuint(number_of_jobs(&f), ==, 2);
    peer_end(w);
    peer_end(p);
    peer_fixture_clear(&f);
}

/* ---- a batch before the queue has it ---- */

static void assert_status(PeerFixture *f, RunStatus status)
{
    g_autoptr(Run) run = run_store_new_run(f->base.store, FIRST);
    g_assert_cmpint(run_status(run), ==, status);
}

static void assert_first_trial(PeerFixture *f)
{
    TestPeer *w = peer_worker(f, "w1");
    MsgStart *start = peer_await(w, MSG_START);
    g_assert_cmpstr(start->run, !=, FIRST);
    wire_free(MSG_START, start);
    peer_end(w);
}

/* Queued, and not yet on disk. */
static Run *queue_batch(PeerFixture *f)
{
    g_autoptr(GError) error = NULL;
    Run *run = run_fixture_run(&f->base, FIRST, "+", 1, 0);
    run_del_attr(run, "exit_status");
    g_autoptr(OpRef) batch = opref_new("builtin", "guildai", "0", "", "+");
    g_autoptr(OpRef) op = opref_new("test", "/p", "", "", "op");
    g_autofree char *dir = run_guild_path(run, "proto");
    g_autoptr(Run) proto = run_new(dir, NULL);
    g_assert_true(run_write_opref(run, batch, &error));
    g_assert_true(run_init_skel(proto, &error) && run_write_opref(proto, op, &error));
    g_assert_true(run_set_marker(run, "PENDING", &error));
    coordinator_add(f->c, run, &(JobOptions){.retries = -1}, NULL, NULL, &error);
    g_assert_no_error(error);
    return run;
}

/* Nobody would take the mark away that it runs, had we ended before. */
static void test_a_batch_begins_when_it_is_recorded(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 200);
    g_autoptr(Run) run = queue_batch(&f);
    assert_status(&f, RUN_PENDING);
    g_assert_cmpuint(number_of_jobs(&f), ==, 0);
    PEER_WAIT_FOR(number_of_jobs(&f) == 1);
    PEER_WAIT_FOR(run_attr_int(run, "started", 0) > 1);
    peer_fixture_clear(&f);
}

static void test_a_batch_that_was_not_begun_is_begun_by_the_next(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 200);
    g_autoptr(Run) run = queue_batch(&f);
    coordinator_free(f.c);
    assert_status(&f, RUN_PENDING);
    g_assert_cmpint(run_attr_int(run, "started", 0), ==, 1);
    g_assert_cmpuint(number_of_jobs(&f), ==, 1);
    peer_fixture_start(&f, 3, 0);
    PEER_WAIT_FOR(run_attr_int(run, "started", 0) > 1);
    assert_first_trial(&f);
    peer_fixture_clear(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/restarted/priorities", test_priorities);
    g_test_add_func("/restarted/changed-priorities", test_priorities_that_were_changed);
    g_test_add_func("/restarted/lost", test_how_often_it_may_be_lost);
    g_test_add_func("/restarted/failed", test_how_often_it_may_fail);
    g_test_add_func("/restarted/ended", test_what_has_ended);
    g_test_add_func("/restarted/said-again", test_a_submission_that_is_said_again_is_done_once);
    g_test_add_func("/restarted/batch-begins", test_a_batch_begins_when_it_is_recorded);
    g_test_add_func("/restarted/batch-not-begun", test_a_batch_that_was_not_begun_is_begun_by_the_next);
    return g_test_run();
}
