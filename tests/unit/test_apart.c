/* SPDX-License-Identifier: Apache-2.0 */
/* Work beside a loop, and what is done with its outcome. */
#include "engine/base/apart.h"

typedef struct {
    GMainContext *context;
    GThread *loop, *worked_on, *told_on;
    gint begun, may_end; /* atomic */
    int told;
} Job;

static void work(gpointer data)
{
    Job *j = data;
    j->worked_on = g_thread_self();
    g_atomic_int_set(&j->begun, 1);
    while (!g_atomic_int_get(&j->may_end)) /* work that takes as long as the test wants */
        g_usleep(1000);
}

static void done(gpointer data)
{
    Job *j = data;
    j->told_on = g_thread_self();
    j->told++;
}

static void job_init(Job *j)
{
    *j = (Job){.context = g_main_context_new(), .loop = g_thread_self()};
}

static void wait_until_begun(Job *j)
{
    while (!g_atomic_int_get(&j->begun))
        g_usleep(1000);
}

static void test_the_loop_goes_on_and_is_told(void)
{
    Job j;
    job_init(&j);
    apart_start(j.context, work, done, &j);
    wait_until_begun(&j);
    while (g_main_context_iteration(j.context, FALSE))
        ;
    g_assert_cmpint(j.told, ==, 0);
    g_atomic_int_set(&j.may_end, 1);
    while (!j.told)
        g_main_context_iteration(j.context, TRUE);
    g_assert_true(j.told_on == j.loop);
    g_assert_true(j.worked_on != j.loop);
    g_main_context_unref(j.context);
}

static gpointer let_it_end(gpointer data)
{
    Job *j = data;
    g_usleep(20000); /* so that who waits for it begins to wait before; either order must do */
    g_atomic_int_set(&j->may_end, 1);
    return NULL;
}

static void test_who_cancels_waits_for_what_has_begun_and_is_not_told(void)
{
    Job j;
    job_init(&j);
    Apart *a = apart_start(j.context, work, done, &j);
    wait_until_begun(&j);
    GThread *other = g_thread_new("other", let_it_end, &j);
    apart_cancel(a);
    g_assert_cmpint(g_atomic_int_get(&j.may_end), ==, 1);
    g_thread_join(other);
    while (g_main_context_iteration(j.context, FALSE))
        ;
    g_assert_cmpint(j.told, ==, 0);
    g_main_context_unref(j.context);
}

static void test_what_has_not_begun_never_does(void)
{
    Job busy[4], waits;
    for (guint i = 0; i < G_N_ELEMENTS(busy); i++) {
        job_init(&busy[i]);
        apart_start(busy[i].context, work, done, &busy[i]);
    }
    for (guint i = 0; i < G_N_ELEMENTS(busy); i++)
        wait_until_begun(&busy[i]);
    job_init(&waits);
    apart_cancel(apart_start(waits.context, work, done, &waits)); /* returns, though all are busy */
    for (guint i = 0; i < G_N_ELEMENTS(busy); i++) {
        g_atomic_int_set(&busy[i].may_end, 1);
        while (!busy[i].told)
            g_main_context_iteration(busy[i].context, TRUE);
        g_main_context_unref(busy[i].context);
    }
    g_assert_cmpint(g_atomic_int_get(&waits.begun), ==, 0);
    g_assert_cmpint(waits.told, ==, 0);
    g_main_context_unref(waits.context);
}

static void test_short_work_does_not_stand_behind_long(void)
{
    Job busy[4], brief;
    for (guint i = 0; i < G_N_ELEMENTS(busy); i++) {
        job_init(&busy[i]);
        apart_start(busy[i].context, work, done, &busy[i]);
    }
    for (guint i = 0; i < G_N_ELEMENTS(busy); i++)
        wait_until_begun(&busy[i]);
    job_init(&brief);
    brief.may_end = 1;
    apart_start_short(brief.context, work, done, &brief);
    while (!brief.told)
        g_main_context_iteration(brief.context, TRUE);
    for (guint i = 0; i < G_N_ELEMENTS(busy); i++) {
        g_assert_cmpint(busy[i].told, ==, 0);
        g_atomic_int_set(&busy[i].may_end, 1);
        while (!busy[i].told)
            g_main_context_iteration(busy[i].context, TRUE);
        g_main_context_unref(busy[i].context);
    }
    g_main_context_unref(brief.context);
}

static void work_while_wanted(gpointer data)
{
    Job *j = data;
    g_atomic_int_set(&j->begun, 1);
    while (!apart_is_unwanted())
        g_usleep(1000);
}

static void test_work_may_see_that_it_is_not_wanted_any_more(void)
{
    Job hurried, cancelled;
    g_assert_false(apart_is_unwanted());
    job_init(&hurried);
    Apart *a = apart_start(hurried.context, work_while_wanted, done, &hurried);
    wait_until_begun(&hurried);
    apart_hurry(a);
    while (!hurried.told)
        g_main_context_iteration(hurried.context, TRUE);
    job_init(&cancelled);
    a = apart_start(cancelled.context, work_while_wanted, done, &cancelled);
    wait_until_begun(&cancelled);
    apart_cancel(a);
    g_assert_cmpint(cancelled.told, ==, 0);
    g_main_context_unref(hurried.context);
    g_main_context_unref(cancelled.context);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/apart/loop-goes-on", test_the_loop_goes_on_and_is_told);
    g_test_add_func(
            "/apart/cancel-begun", test_who_cancels_waits_for_what_has_begun_and_is_not_told);
    g_test_add_func("/apart/cancel-waiting", test_what_has_not_begun_never_does);
    g_test_add_func("/apart/short", test_short_work_does_not_stand_behind_long);
    g_test_add_func("/apart/unwanted", test_work_may_see_that_it_is_not_wanted_any_more);
    return g_test_run();
}
