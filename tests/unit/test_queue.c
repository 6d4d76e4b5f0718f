/* SPDX-License-Identifier: Apache-2.0 */
/* The durable queue: what was told to be on disk is there when it is opened again. */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "coordinator/lazy_sqlite.h"
#include "coordinator/queue.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

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

static guint n_tasks(Queue *q, guint64 job)
{
    g_autoptr(GPtrArray) tasks = queue_load_tasks(q, job, NULL);
    return tasks->len;
}

/* The file does not grow with every trial that there ever was. */
static void test_tasks_of_what_is_over_are_forgotten(void)
{
    static const struct {
        JobState state;
        guint n;
    } jobs[] = {{JOB_ACTIVE, 3}, {JOB_DONE, 0}, {JOB_STOPPED, 0}, {JOB_STOPPING, 3}, {JOB_ENDING, 3}};
    g_autofree char *home = fs_mkdtemp("guild-test-", NULL);
    Queue *q = open_queue(home);
    g_autoptr(Value) options = value_new_map();
    value_map_set_string(options, "submission", "name");
    for (guint i = 0; i < G_N_ELEMENTS(jobs); i++) {
        g_autofree char *run = g_strdup_printf("batch%u", i);
        put_some(q, i + 1);
        QueueJob j = {.id = i + 1, .run = run, .state = jobs[i].state, .options = options};
        queue_put_job(q, &j);
    }
    g_assert_true(queue_flush(q, NULL));
    queue_close(q);
    q = open_queue(home);
    g_autoptr(GPtrArray) known = queue_load_jobs(q, NULL);
    g_assert_cmpuint(known->len, ==, G_N_ELEMENTS(jobs));
    for (guint i = 0; i < G_N_ELEMENTS(jobs); i++)
        g_assert_cmpuint(n_tasks(q, i + 1), ==, jobs[i].n);
    g_autoptr(Value) last = queue_last_options(q, "batch1");
    g_assert_cmpstr(value_map_string(last, "submission", NULL), ==, "name");
    queue_close(q);
    fs_remove_tree(home, NULL);
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

/* Workers still hold leases of a queue that was lost: a new one begins behind what it gave. */
static void test_numbers_of_a_new_queue_go_by_the_clock(void)
{
    g_autofree char *home = fs_mkdtemp("guild-test-", NULL);
    gint64 before = clock_timestamp_us() / G_USEC_PER_SEC;
    Queue *q = open_queue(home);
    gint64 first = (gint64)(queue_next_id(q) >> 32);
    queue_close(q);
    Queue *again = open_queue(home);
    gint64 second = (gint64)(queue_next_id(again) >> 32);
    queue_close(again);
    fs_remove_tree(home, NULL);
    gint64 after = clock_timestamp_us() / G_USEC_PER_SEC;
    g_assert_cmpint(first, >=, before - 1735689600);
    g_assert_cmpint(first, <=, after - 1735689600);
    g_assert_cmpint(second, >, first);
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
    for (int written = 0; written <= 1; written++) { /* before it was on disk, and after */
        g_autofree char *home = fs_mkdtemp("guild-test-", NULL);
        Queue *q = open_queue(home);
        put_some(q, 77);
        g_assert_true(!written || queue_flush(q, NULL));
        queue_delete_job(q, 77);
        g_assert_true(queue_flush(q, NULL));
        g_autoptr(GPtrArray) jobs = queue_load_jobs(q, NULL);
        g_assert_cmpuint(jobs->len, ==, 0);
        g_autoptr(GPtrArray) tasks = queue_load_tasks(q, 77, NULL);
        g_assert_cmpuint(tasks->len, ==, 0);
        queue_close(q);
        fs_remove_tree(home, NULL);
    }
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

/* ---- while it is written ---- */

/* Whoever else has the file: it can't be written until that ends. */
static sqlite3 *hold_file(const char *home)
{
    g_autofree char *path = g_build_filename(home, "coordinator", "queue.db", NULL);
    sqlite3 *db = NULL;
    g_assert_cmpint(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), ==, SQLITE_OK);
    return db;
}

static void let_go(sqlite3 *db)
{
    g_assert_cmpint(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), ==, SQLITE_OK);
    sqlite3_close(db);
}

static gboolean on_beat(gpointer beats)
{
    ++*(int *)beats;
    return G_SOURCE_CONTINUE;
}

static void count_errors(LogLevel level, const char *line, gpointer errors)
{
    *(int *)errors += level >= LOG_ERROR;
}

static void put_task(Queue *q, guint64 id, int attempt)
{
    QueueTask t = {
            .id = id, .job = 1, .run = (char *)"r", .state = TASK_LEASED, .attempt = attempt};
    queue_put_task(q, &t);
}

static int attempt_of(Queue *q)
{
    g_autoptr(GPtrArray) tasks = queue_load_tasks(q, 1, NULL);
    g_assert_cmpuint(tasks->len, ==, 1);
    return ((QueueTask *)tasks->pdata[0])->attempt;
}

/* Some turns of the loop, with timers in between. */
static void turn(int n)
{
    int beats = 0;
    guint source = g_timeout_add(5, on_beat, &beats);
    while (beats < n)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(source);
}

typedef struct {
    GString *order;
    char name;
    gboolean told;
} Told;

static void on_told(const GError *error, gpointer data)
{
    Told *t = data;
    g_assert_no_error(error);
    g_string_append_c(t->order, t->name);
    t->told = TRUE;
}

static void test_the_loop_goes_on_while_it_is_written(void)
{
    g_autofree char *home = fs_mkdtemp("guild-test-", NULL);
    g_autoptr(GString) order = g_string_new(NULL);
    Told first = {order, 'a', FALSE}, second = {order, 'b', FALSE}, third = {order, 'c', FALSE};
    int errors = 0;
    Queue *q = open_queue(home);
    log_set_hook(count_errors, &errors);
    sqlite3 *db = hold_file(home);
    put_task(q, 7, 1);
    queue_after(q, on_told, &first);
    turn(10);                         /* a thread waits for the file */
    queue_after(q, on_told, &second); /* all that was put so far is what is being written */
    put_task(q, 7, 2);
    queue_after(q, on_told, &third);
    turn(10);
    g_assert_false(first.told || second.told || third.told);
    let_go(db);
    while (!third.told)
        g_main_context_iteration(NULL, TRUE);
    log_set_hook(NULL, NULL);
    g_assert_cmpstr(order->str, ==, "abc");
    g_assert_cmpint(errors, ==, 0);
    g_assert_cmpint(attempt_of(q), ==, 2);
    queue_close(q);
    fs_remove_tree(home, NULL);
}

static void test_who_flushes_waits_for_what_is_being_written(void)
{
    g_autofree char *home = fs_mkdtemp("guild-test-", NULL);
    g_autoptr(GString) order = g_string_new(NULL);
    Told first = {order, 'a', FALSE}, second = {order, 'b', FALSE};
    Queue *q = open_queue(home);
    put_task(q, 7, 1);
    queue_after(q, on_told, &first);
    g_main_context_iteration(NULL, TRUE); /* it begins */
    put_task(q, 7, 2);
    queue_after(q, on_told, &second);
    g_assert_true(queue_flush(q, NULL));
    g_assert_cmpstr(order->str, ==, "ab");
    g_assert_cmpint(attempt_of(q), ==, 2);
    queue_close(q);
    fs_remove_tree(home, NULL);
}

/* What was put later is not replaced by what failed earlier, and what was deleted stays so. */
static void test_what_failed_comes_before_what_was_put_meanwhile(void)
{
    g_autofree char *home = fs_mkdtemp("guild-test-", NULL);
    g_autoptr(GString) order = g_string_new(NULL);
    Told first = {order, 'a', FALSE}, second = {order, 'b', FALSE};
    int errors = 0;
    Queue *q = open_queue(home);
    log_set_hook(count_errors, &errors);
    sqlite3 *db = hold_file(home);
    put_task(q, 7, 1);
    put_some(q, 5);
    queue_after(q, on_told, &first);
    turn(10);
    put_task(q, 7, 2);
    queue_delete_job(q, 5);
    queue_after(q, on_told, &second);
    while (!errors) /* the thread gives up waiting for the file */
        g_main_context_iteration(NULL, TRUE);
    let_go(db);
    while (!second.told)
        g_main_context_iteration(NULL, TRUE);
    log_set_hook(NULL, NULL);
    g_assert_cmpstr(order->str, ==, "ab");
    g_assert_cmpint(attempt_of(q), ==, 2);
    g_autoptr(GPtrArray) jobs = queue_load_jobs(q, NULL), tasks = queue_load_tasks(q, 5, NULL);
    g_assert_cmpuint(jobs->len + tasks->len, ==, 0);
    queue_close(q);
    fs_remove_tree(home, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/queue/there-again", test_what_was_put_is_there_again);
    g_test_add_func("/queue/no-room", test_what_has_no_room_is_written_later);
    g_test_add_func("/queue/over", test_tasks_of_what_is_over_are_forgotten);
    g_test_add_func("/queue/numbers", test_numbers_are_never_given_twice);
    g_test_add_func("/queue/numbers-of-a-new-queue", test_numbers_of_a_new_queue_go_by_the_clock);
    g_test_add_func("/queue/deleted-job", test_a_deleted_job_takes_its_tasks_along);
    g_test_add_func("/queue/no-queue-file", test_a_file_that_is_no_queue_is_refused);
    g_test_add_func("/queue/none", test_no_queue_remembers_nothing_and_waits_for_nothing);
    g_test_add_func("/queue/loop-goes-on", test_the_loop_goes_on_while_it_is_written);
    g_test_add_func("/queue/flush", test_who_flushes_waits_for_what_is_being_written);
    g_test_add_func("/queue/failed-first", test_what_failed_comes_before_what_was_put_meanwhile);
    return g_test_run();
}
