/* SPDX-License-Identifier: Apache-2.0 */
/* The durable queue: what was told to be on disk is there when it is opened again. */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "coordinator/queue.h"
#include "engine/base/fs.h"

static Queue *open_queue(const char *home)
{
    g_autoptr(GError) error = NULL;
    Queue *q = queue_open(home, NULL, 1, &error);
    g_assert_no_error(error);
    return q;
}

static void on_durable(const GError *error, gpointer data)
{
    g_assert_no_error(error);
    *(gboolean *)data = TRUE;
}

static void put_some(Queue *q, guint64 job_id)
{
    g_autoptr(Value) request = value_new_map();
    value_map_set_int(request, "cpus", 2);
    QueueJob j = {.id = job_id,
            .run = (char *)"batch",
            .batch = TRUE,
            .user = (char *)"ann",
            .priority = 3,
            .retries = -1,
            .request = request,
            .submitted_us = 5};
    queue_put_job(q, &j);
    for (int i = 0; i < 3; i++) {
        g_autofree char *run = g_strdup_printf("run%d", i);
        QueueTask t = {.id = queue_next_id(q),
                .job = job_id,
                .index = i,
                .run = run,
                .state = TASK_LEASED,
                .lease = 9,
                .attempt = 2,
                .worker = (char *)"w"};
        queue_put_task(q, &t);
    }
}

static void test_what_was_put_is_there_again(void)
{
    g_autofree char *home = fs_mkdtemp("guild-test-", NULL);
    Queue *q = open_queue(home);
    guint64 id = queue_next_id(q);
    gboolean durable = FALSE;
    put_some(q, id);
    queue_after(q, on_durable, &durable);
    g_assert_false(durable);
    while (!durable)
        g_main_context_iteration(NULL, TRUE);
    queue_close(q);
    q = open_queue(home);
    g_autoptr(GPtrArray) jobs = queue_load_jobs(q, NULL);
    g_assert_cmpuint(jobs->len, ==, 1);
    QueueJob *j = jobs->pdata[0];
    g_assert_cmpuint(j->id, ==, id);
    g_assert_cmpint(j->priority, ==, 3);
    g_assert_cmpint(value_map_int(j->request, "cpus", 0), ==, 2);
    g_autoptr(GPtrArray) tasks = queue_load_tasks(q, id, NULL);
    g_assert_cmpuint(tasks->len, ==, 3);
    QueueTask *t = tasks->pdata[2];
    g_assert_cmpstr(t->run, ==, "run2");
    g_assert_cmpint(t->state, ==, TASK_LEASED);
    g_assert_cmpint(t->attempt, ==, 2);
    queue_close(q);
    fs_remove_tree(home, NULL);
}

/* As on a full disk: no file gets any larger. */
static void set_room(gboolean room)
{
    static struct rlimit before;
    struct rlimit none;
    if (!room) {
        signal(SIGXFSZ, SIG_IGN);
        g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    }
    none = (struct rlimit){0, before.rlim_max};
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, room ? &before : &none), ==, 0);
}

static gboolean on_too_late(gpointer data)
{
    (void)data;
    g_assert_not_reached();
}

static void test_what_has_no_room_is_written_later(void)
{
    g_autofree char *home = fs_mkdtemp("guild-test-", NULL);
    Queue *q = open_queue(home);
    gboolean durable = FALSE;
    g_autoptr(GError) error = NULL;
    set_room(FALSE);
    put_some(q, 5);
    queue_after(q, on_durable, &durable);
    g_main_context_iteration(NULL, TRUE); /* its own try; there is nothing else to do */
    gboolean flushed = queue_flush(q, &error);
    set_room(TRUE);
    g_assert_false(flushed);
    g_assert_nonnull(strstr(error->message, home));
    g_assert_false(durable);
    guint limit = g_timeout_add_seconds(30, on_too_late, NULL);
    while (!durable) /* it tries again by itself */
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(limit);
    g_autoptr(GPtrArray) tasks = queue_load_tasks(q, 5, NULL);
    g_assert_cmpuint(tasks->len, ==, 3);
    queue_close(q);
    fs_remove_tree(home, NULL);
}

static void test_numbers_are_never_given_twice(void)
{
    g_autofree char *home = fs_mkdtemp("guild-test-", NULL);
    guint64 last = 0;
    for (int i = 0; i < 3; i++) { /* each start without a proper end in between */
        Queue *q = open_queue(home);
        for (int k = 0; k < 3; k++) {
            guint64 id = queue_next_id(q);
            g_assert_cmpuint(id, >, last);
            last = id;
        }
        queue_close(q);
    }
    fs_remove_tree(home, NULL);
}

static void test_a_deleted_job_takes_its_tasks_along(void)
{
    g_autofree char *home = fs_mkdtemp("guild-test-", NULL);
    Queue *q = open_queue(home);
    put_some(q, 77);
    queue_delete_job(q, 77);
    g_assert_true(queue_flush(q, NULL));
    g_autoptr(GPtrArray) tasks = queue_load_tasks(q, 77, NULL);
    g_assert_cmpuint(tasks->len, ==, 0);
    queue_close(q);
    fs_remove_tree(home, NULL);
}

static void test_a_file_that_is_no_queue_is_refused(void)
{
    g_autofree char *home = fs_mkdtemp("guild-test-", NULL);
    g_autofree char *dir = g_build_filename(home, "coordinator", NULL);
    g_autofree char *path = g_build_filename(dir, "queue.db", NULL);
    fs_mkdirs(dir, NULL);
    fs_write(path, "this is no database, and long enough to be taken for one otherwise", -1, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(queue_open(home, NULL, 1, &error));
    g_assert_nonnull(strstr(error->message, path));
    fs_remove_tree(home, NULL);
}

static void test_no_queue_remembers_nothing_and_waits_for_nothing(void)
{
    gboolean durable = FALSE;
    put_some(NULL, 1);
    queue_after(NULL, on_durable, &durable);
    g_assert_true(durable);
    g_assert_true(queue_flush(NULL, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/queue/there-again", test_what_was_put_is_there_again);
    g_test_add_func("/queue/no-room", test_what_has_no_room_is_written_later);
    g_test_add_func("/queue/numbers", test_numbers_are_never_given_twice);
    g_test_add_func("/queue/deleted-job", test_a_deleted_job_takes_its_tasks_along);
    g_test_add_func("/queue/no-queue-file", test_a_file_that_is_no_queue_is_refused);
    g_test_add_func("/queue/none", test_no_queue_remembers_nothing_and_waits_for_nothing);
    return g_test_run();
}
