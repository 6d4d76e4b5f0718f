/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler's promises as little stories. */
#include <string.h>

#include "coordinator/scheduler.h"

static Request ask(const char *text)
{
    Request r;
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) map = text ? request_parse_text(text, &error) : NULL;
    g_assert_no_error(error);
    g_assert_true(request_from_value(map, &r, &error));
    return r;
}

static SchedWorker worker(Scheduler *s, const char *has, guint prefetch)
{
    Resources r;
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) map = request_parse_text(has, &error);
    g_assert_no_error(error);
    g_assert_true(resources_from_value(map, NULL, &r, &error));
    return sched_worker_add(s, &r, prefetch, 0);
}

/* The next start, which must be of a task with this data. */
static SchedDecision expect(Scheduler *s, SchedAction action, guint64 data)
{
    SchedDecision d;
    g_assert_true(sched_next(s, 0, &d));
    g_assert_cmpint(d.action, ==, action);
    g_assert_cmpuint(d.data, ==, data);
    return d;
}

static void expect_nothing(Scheduler *s)
{
    SchedDecision d;
    g_assert_false(sched_next(s, 0, &d));
}

static void add(Scheduler *s, SchedGroup g, const char *text, guint64 data)
{
    Request r = ask(text);
    sched_task_add(s, g, &r, data);
}

static void test_first_in_first_out(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup g = sched_group_add(s, "ann", 0, FALSE);
    worker(s, "cpus=2", 0);
    add(s, g, NULL, 1);
    add(s, g, "cpus=2", 2);
    add(s, g, NULL, 3);
    SchedDecision d = expect(s, SCHED_START, 1);
    expect(s, SCHED_START, 3); /* 2 doesn't fit; 3 is let past */
    expect_nothing(s);
    sched_task_remove(s, d.task);
    expect_nothing(s);
}

static void test_higher_priority_first(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup low = sched_group_add(s, "ann", 0, FALSE);
    SchedGroup high = sched_group_add(s, "ann", 5, FALSE);
    add(s, low, NULL, 1);
    add(s, high, NULL, 2);
    worker(s, "cpus=1", 0);
    expect(s, SCHED_START, 2);
    expect_nothing(s);
}

static void test_batches_of_a_user_go_in_the_order_in_which_they_came(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup first = sched_group_add(s, "ann", 0, FALSE);
    SchedGroup second = sched_group_add(s, "ann", 0, FALSE);
    for (guint i = 1; i <= 2; i++)
        add(s, second, NULL, 20 + i);
    for (guint i = 1; i <= 2; i++)
        add(s, first, NULL, 10 + i);
    worker(s, "cpus=3", 0);
    expect(s, SCHED_START, 11);
    expect(s, SCHED_START, 12);
    expect(s, SCHED_START, 21);
    expect_nothing(s);
}

static void test_a_priority_may_change_while_it_waits(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup a = sched_group_add(s, "ann", 3, FALSE), b = sched_group_add(s, "ann", 2, FALSE);
    add(s, a, NULL, 1);
    add(s, a, NULL, 2);
    add(s, b, NULL, 3);
    worker(s, "cpus=1", 0);
    SchedDecision d = expect(s, SCHED_START, 1);
    sched_group_set_priority(s, b, 4);
    sched_task_remove(s, d.task);
    expect(s, SCHED_START, 3);
}

static void test_one_of_less_priority_is_let_past_what_waits_for_room(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup low = sched_group_add(s, "ann", 0, FALSE);
    SchedGroup high = sched_group_add(s, "ann", 5, FALSE);
    worker(s, "cpus=2", 0);
    add(s, low, NULL, 1);
    expect(s, SCHED_START, 1);
    add(s, high, "cpus=2", 2);
    add(s, low, NULL, 3);
    expect(s, SCHED_START, 3);
    expect_nothing(s);
}

static void test_users_share_fairly(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup a = sched_group_add(s, "ann", 0, FALSE);
    SchedGroup b = sched_group_add(s, "bob", 0, FALSE);
    for (guint i = 0; i < 4; i++)
        add(s, a, NULL, 10 + i);
    for (guint i = 0; i < 4; i++)
        add(s, b, NULL, 20 + i);
    worker(s, "cpus=4", 0);
    guint of_b = 0;
    SchedDecision d;
    while (sched_next(s, 0, &d))
        of_b += d.data >= 20;
    g_assert_cmpuint(of_b, ==, 2);
}

static void test_a_large_task_is_not_starved(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup g = sched_group_add(s, "ann", 0, FALSE);
    worker(s, "cpus=2", 0);
    add(s, g, NULL, 1);
    add(s, g, NULL, 2);
    GQueue running = G_QUEUE_INIT;
    SchedDecision d;
    while (sched_next(s, 0, &d))
        g_queue_push_tail(&running, GUINT_TO_POINTER(d.task));
    add(s, g, "cpus=2", 99);
    gboolean served = FALSE;
    /* An endless stream of small ones: each that ends makes room for the next. */
    for (guint i = 0; i < 4 * SCHED_PASSES && !served; i++) {
        add(s, g, NULL, 100 + i);
        if (running.length)
            sched_task_remove(s, GPOINTER_TO_UINT(g_queue_pop_head(&running)));
        while (sched_next(s, 0, &d)) {
            served = served || d.data == 99;
            g_queue_push_tail(&running, GUINT_TO_POINTER(d.task));
        }
    }
    g_queue_clear(&running);
    g_assert_true(served);
}

/* Workers hold the next ones for when a slot is free, and begin them by themselves. */
static void test_nor_by_what_workers_hold(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup a = sched_group_add(s, "ann", 0, FALSE), b = sched_group_add(s, "bob", 0, FALSE);
    worker(s, "cpus=2", 2);
    add(s, a, NULL, 1);
    add(s, a, "cpus=2", 99);
    for (guint i = 0; i < 8 * SCHED_PASSES; i++)
        add(s, b, NULL, 100 + i);
    g_autoptr(GQueue) running = g_queue_new();
    g_autoptr(GQueue) held = g_queue_new();
    guint ended = 0;
    gboolean served = FALSE;
    for (; ended < 4 * SCHED_PASSES && !served; ended++) {
        SchedDecision d;
        while (sched_next(s, 0, &d)) {
            g_queue_push_tail(d.action == SCHED_START ? running : held, GUINT_TO_POINTER(d.task));
            g_assert_false(d.action == SCHED_PREFETCH && d.data == 99); /* it would not fit there */
            served = served || d.data == 99;
        }
        if (served)
            break;
        sched_task_remove(s, GPOINTER_TO_UINT(g_queue_pop_head(running)));
        gpointer next = g_queue_pop_head(held);
        if (next) {
            sched_task_running(s, GPOINTER_TO_UINT(next));
            g_queue_push_tail(running, next);
        }
    }
    g_assert_true(served);
    g_assert_cmpuint(ended, >=, SCHED_PASSES / 2); /* and yet the small ones were let past */
}

static void test_gpus_are_shared_in_fractions(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup g = sched_group_add(s, "ann", 0, FALSE);
    worker(s, "cpus=8,gpus=2", 0);
    for (guint i = 0; i < 5; i++)
        add(s, g, "gpus=0.5", i + 1);
    for (guint i = 0; i < 4; i++)
        expect(s, SCHED_START, i + 1);
    expect_nothing(s);
    g_assert_cmpuint(sched_counts(s).waiting, ==, 1);
}

static void test_a_fraction_fits_on_one_device(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup g = sched_group_add(s, "ann", 0, FALSE);
    worker(s, "cpus=8,gpus=2", 0);
    for (guint i = 1; i <= 2; i++) {
        add(s, g, "gpus=0.7", i);
        expect(s, SCHED_START, i);
    }
    add(s, g, "gpus=0.5", 3); /* there is 0.6, but on two */
    expect_nothing(s);
}

static void test_fractions_leave_whole_devices_for_others(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup g = sched_group_add(s, "ann", 0, FALSE);
    worker(s, "cpus=8,gpus=2", 0);
    static const char *const asked[] = {"gpus=0.5", "gpus=0.3", "gpus=1"};
    for (guint i = 0; i < G_N_ELEMENTS(asked); i++) {
        add(s, g, asked[i], i + 1);
        expect(s, SCHED_START, i + 1);
    }
}

static void test_memory_is_counted(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup g = sched_group_add(s, "ann", 0, FALSE);
    worker(s, "cpus=8,mem=4G", 0);
    add(s, g, "mem=3G", 1);
    add(s, g, "mem=2G", 2);
    SchedDecision d = expect(s, SCHED_START, 1);
    expect_nothing(s);
    sched_task_remove(s, d.task);
    expect(s, SCHED_START, 2);
    Request more = ask("mem=5G"), all = ask("mem=4G");
    g_assert_cmpint(sched_fit(s, &more), ==, SCHED_NOWHERE);
    g_assert_cmpint(sched_fit(s, &all), ==, SCHED_WAITS);
}

static void test_what_fits_nowhere_is_said(void)
{
    g_autoptr(Scheduler) s = sched_new();
    Request big = ask("gpus=4"), small = ask(NULL);
    g_assert_cmpint(sched_fit(s, &small), ==, SCHED_NO_WORKERS);
    worker(s, "cpus=2,gpus=2", 0);
    g_assert_cmpint(sched_fit(s, &big), ==, SCHED_NOWHERE);
    g_autofree char *why = sched_fit_why(s, &big);
    g_assert_nonnull(strstr(why, "4 gpus"));
    g_assert_cmpint(sched_fit(s, &small), ==, SCHED_FITS);
}

static void test_a_lost_worker_gives_its_tasks_back_in_order(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup g = sched_group_add(s, "ann", 0, FALSE);
    SchedWorker w = worker(s, "cpus=2", 2);
    for (guint i = 1; i <= 5; i++)
        add(s, g, NULL, i);
    SchedDecision d;
    while (sched_next(s, 0, &d))
        ;
    g_assert_cmpuint(sched_worker_load(s, w), ==, 4);
    sched_worker_remove(s, w, NULL, NULL);
    g_assert_cmpuint(sched_counts(s).waiting, ==, 5);
    worker(s, "cpus=5", 0);
    for (guint i = 1; i <= 5; i++)
        expect(s, SCHED_START, i);
}

static void test_held_tasks_are_recalled_for_an_idle_worker(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup g = sched_group_add(s, "ann", 0, FALSE);
    worker(s, "cpus=1", 2);
    for (guint i = 1; i <= 3; i++)
        add(s, g, NULL, i);
    expect(s, SCHED_START, 1);
    expect(s, SCHED_PREFETCH, 2);
    expect(s, SCHED_PREFETCH, 3);
    expect_nothing(s);
    SchedWorker idle = worker(s, "cpus=1", 2);
    SchedDecision d = expect(s, SCHED_RECALL, 3);
    expect_nothing(s);
    sched_task_requeue(s, d.task);
    SchedDecision again = expect(s, SCHED_START, 3);
    g_assert_cmpuint(again.worker, ==, idle);
}

static void test_no_prefetch_for_a_group_that_may_stop(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup g = sched_group_add(s, "ann", 0, TRUE);
    worker(s, "cpus=1", 4);
    add(s, g, NULL, 1);
    add(s, g, NULL, 2);
    expect(s, SCHED_START, 1);
    expect_nothing(s);
}

static void test_a_drained_or_paused_worker_takes_nothing(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup g = sched_group_add(s, "ann", 0, FALSE);
    SchedWorker w = worker(s, "cpus=1", 1);
    sched_worker_pause(s, w, TRUE);
    add(s, g, NULL, 1);
    expect_nothing(s);
    sched_worker_pause(s, w, FALSE);
    SchedDecision d = expect(s, SCHED_START, 1);
    sched_worker_drain(s, w);
    sched_task_remove(s, d.task);
    add(s, g, NULL, 2);
    expect_nothing(s);
}

static void test_a_worker_that_ends_soon_gets_no_long_task(void)
{
    g_autoptr(Scheduler) s = sched_new();
    SchedGroup g = sched_group_add(s, "ann", 0, FALSE);
    Resources r;
    g_autoptr(Value) map = request_parse_text("cpus=4", NULL);
    g_assert_true(resources_from_value(map, NULL, &r, NULL));
    sched_worker_add(s, &r, 0, 60 * G_USEC_PER_SEC);
    add(s, g, "time=2m", 1);
    add(s, g, "time=30s", 2);
    expect(s, SCHED_START, 2);
    expect_nothing(s);
}

static void test_requests_are_read_and_refused(void)
{
    static const char *const bad[] = {
            "cpus=x", "cpus=-1", "gpus=1.5", "mem=8Q", "cpus", "=1", "license=", NULL};
    for (const char *const *b = bad; *b; b++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) v = request_parse_text(*b, &error);
        g_assert_null(v);
        g_assert_nonnull(error);
    }
    Request r = ask("mem=8G,gpus=0.5,license=2,labels=big+fast,time=1h");
    g_assert_cmpint(r.mem_bytes, ==, G_GINT64_CONSTANT(8) << 30);
    g_assert_cmpint(r.gpus, ==, AMOUNT_ONE / 2);
    g_assert_cmpuint(r.n_labels, ==, 2);
    g_assert_cmpint(r.time_us, ==, 3600 * (gint64)G_USEC_PER_SEC);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scheduler/first-in-first-out", test_first_in_first_out);
    g_test_add_func("/scheduler/higher-priority-first", test_higher_priority_first);
    g_test_add_func("/scheduler/order-of-batches",
            test_batches_of_a_user_go_in_the_order_in_which_they_came);
    g_test_add_func("/scheduler/changed-priority", test_a_priority_may_change_while_it_waits);
    g_test_add_func(
            "/scheduler/let-past", test_one_of_less_priority_is_let_past_what_waits_for_room);
    g_test_add_func("/scheduler/users-share-fairly", test_users_share_fairly);
    g_test_add_func("/scheduler/large-task-not-starved", test_a_large_task_is_not_starved);
    g_test_add_func("/scheduler/large-task-not-starved-by-held-ones", test_nor_by_what_workers_hold);
    g_test_add_func("/scheduler/gpu-fractions", test_gpus_are_shared_in_fractions);
    g_test_add_func("/scheduler/gpu-on-one-device", test_a_fraction_fits_on_one_device);
    g_test_add_func(
            "/scheduler/gpu-whole-devices", test_fractions_leave_whole_devices_for_others);
    g_test_add_func("/scheduler/memory", test_memory_is_counted);
    g_test_add_func("/scheduler/fits-nowhere", test_what_fits_nowhere_is_said);
    g_test_add_func("/scheduler/lost-worker", test_a_lost_worker_gives_its_tasks_back_in_order);
    g_test_add_func("/scheduler/recall", test_held_tasks_are_recalled_for_an_idle_worker);
    g_test_add_func("/scheduler/no-prefetch", test_no_prefetch_for_a_group_that_may_stop);
    g_test_add_func("/scheduler/drained-or-paused", test_a_drained_or_paused_worker_takes_nothing);
    g_test_add_func("/scheduler/worker-ends-soon", test_a_worker_that_ends_soon_gets_no_long_task);
    g_test_add_func("/scheduler/requests", test_requests_are_read_and_refused);
    return g_test_run();
}
