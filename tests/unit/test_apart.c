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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/apart/loop-goes-on", test_the_loop_goes_on_and_is_told);
    g_test_add_func(
            "/apart/cancel-begun", test_who_cancels_waits_for_what_has_begun_and_is_not_told);
    g_test_add_func("/apart/cancel-waiting", test_what_has_not_begun_never_does);
    return g_test_run();
}
