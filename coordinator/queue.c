/* SPDX-License-Identifier: Apache-2.0 */
/* The durable queue in SQLite: see queue.h. What is put is kept in memory, the last state of each
 * job and task; a timer has all of it written in one transaction and then tells those who wait.
 * That is done on a thread: a busy disk takes seconds to say that something is on it. What could
 * not be written (a full disk) stays, is tried again, and nobody is told that it is durable until
 * it is. */
#include "coordinator/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "coordinator/lazy_sqlite.h"
#include "engine/base/apart.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/json.h"
#include "engine/base/log.h"

#define SCHEMA_VERSION 1
/* 2025, in seconds since 1970. */
#define EPOCH_BEGINS 1735689600
/* After a failure. */
#define RETRY_MS 1000

static const char schema[] =
        "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY, run TEXT NOT NULL, batch INTEGER,"
        " user TEXT, priority INTEGER, retries INTEGER, retry_failed INTEGER, request TEXT,"
        " options TEXT, state INTEGER, submitted INTEGER, exit_status INTEGER);"
        "CREATE TABLE IF NOT EXISTS task (id INTEGER PRIMARY KEY, job INTEGER NOT NULL,"
        " idx INTEGER, run TEXT NOT NULL, state INTEGER, lease INTEGER, attempt INTEGER,"
        " failures INTEGER, worker TEXT);"
        "CREATE INDEX IF NOT EXISTS task_job ON task (job, idx);";

enum { S_PUT_JOB, S_PUT_TASK, S_DELETE_JOB, S_DELETE_TASKS, N_STATEMENTS };
static const char *const statements[N_STATEMENTS] = {
        [S_PUT_JOB] = "INSERT OR REPLACE INTO job VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        /* What a task is stays the same; to replace its row would move it in its index too. */
        [S_PUT_TASK] =
                ("INSERT INTO task VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9) ON CONFLICT (id) DO UPDATE"
                 " SET state = ?5, lease = ?6, attempt = ?7, failures = ?8, worker = ?9"),
        [S_DELETE_JOB] = "DELETE FROM job WHERE id = ?",
        [S_DELETE_TASKS] = "DELETE FROM task WHERE job = ?",
};

typedef struct {
    QueueFn fn;
    gpointer data;
} Waiter;

/* What becomes durable together. */
typedef struct {
    GHashTable *jobs, *tasks; /* id → QueueJob, QueueTask */
    GArray *deleted;          /* guint64 ids of jobs; before the others */
    GArray *waiters;          /* Waiter: told when it is durable */
    gboolean speaks_of_runs;  /* not only of leases: they must be on the disk before */
} Group;

struct Queue {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *stmts[N_STATEMENTS];
    GMainContext *context;
    guint commit_ms;
    GSource *timer;
    Group *next;    /* what is put now */
    Group *written; /* what a thread writes; NULL: nothing is written */
    Apart *writer;  /* it, from then on nobody else's are `db`, `stmts` and the group's rows */
    char *runs;     /* folder whose file system is synced */
    int runs_fd;    /* the writer's; -1: not open yet */
    gboolean same_boot;
    gboolean done;   /* it began, and is over: */
    GError *problem; /* what went wrong, or NULL */
    char *failing;   /* why the last try failed, which was said; NULL: it did not */
    guint64 epoch, counter;
};

void queue_job_free(QueueJob *j)
{
    if (!j)
        return;
    g_free(j->run);
    g_free(j->user);
    value_unref(j->request);
    value_unref(j->options);
    g_free(j);
}

void queue_task_free(QueueTask *t)
{
    if (!t)
        return;
    g_free(t->run);
    g_free(t->worker);
    g_free(t);
}

static Group *group_new(void)
{
    Group *g = g_new0(Group, 1);
    g->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    g->deleted = g_array_new(FALSE, FALSE, sizeof(guint64));
    g->jobs = g_hash_table_new_full(
            g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)queue_job_free);
    g->tasks = g_hash_table_new_full(
            g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)queue_task_free);
    return g;
}

static void group_free(Group *g)
{
    g_array_unref(g->waiters);
    g_array_unref(g->deleted);
    g_hash_table_unref(g->jobs);
    g_hash_table_unref(g->tasks);
    g_free(g);
}

static gboolean group_is_empty(const Group *g)
{
    return !g_hash_table_size(g->jobs) && !g_hash_table_size(g->tasks) && !g->deleted->len;
}

static gboolean db_error(Queue *q, const char *what, GError **error)
{
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_IO, "cannot %s %s: %s", what, q->path,
            q->db ? sqlite3_errmsg(q->db) : "out of memory");
    return FALSE;
}

static gint64 get_meta(Queue *q, const char *key)
{
    sqlite3_stmt *st = NULL;
    gint64 value = 0;
    if (sqlite3_prepare_v2(q->db, "SELECT value FROM meta WHERE key = ?", -1, &st, NULL) ==
            SQLITE_OK) {
        sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
        if (sqlite3_step(st) == SQLITE_ROW)
            value = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    return value;
}

static gboolean set_meta(Queue *q, const char *key, gint64 value)
{
    sqlite3_stmt *st = NULL;
    gboolean ok = sqlite3_prepare_v2(q->db, "INSERT OR REPLACE INTO meta VALUES (?,?)", -1, &st,
                          NULL) == SQLITE_OK;
    if (ok) {
        sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 2, value);
        ok = sqlite3_step(st) == SQLITE_DONE;
    }
    sqlite3_finalize(st);
    return ok;
}

static gboolean prepare(Queue *q, GError **error)
{
    if (sqlite3_exec(q->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", NULL, NULL,
                NULL) != SQLITE_OK ||
            sqlite3_exec(q->db, schema, NULL, NULL, NULL) != SQLITE_OK)
        return db_error(q, "open the queue", error);
    gint64 version = get_meta(q, "schema");
    if (version > SCHEMA_VERSION) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                "the queue %s was written by a newer guild (version %" G_GINT64_FORMAT ")", q->path,
                version);
        return FALSE;
    }
    /* By the clock, for the workers of a queue that was lost know its leases. */
    gint64 seconds = (clock_timestamp_us() / G_USEC_PER_SEC) - EPOCH_BEGINS;
    q->epoch = (guint64)CLAMP(seconds, get_meta(q, "epoch") + 1, G_MAXINT32);
    gint64 boot = g_str_hash(clock_boot_id());
    q->same_boot = boot == get_meta(q, "boot");
    if (!set_meta(q, "schema", SCHEMA_VERSION) || !set_meta(q, "epoch", (gint64)q->epoch) ||
            !set_meta(q, "boot", boot))
        return db_error(q, "write the queue", error);
    for (int i = 0; i < N_STATEMENTS; i++)
        if (sqlite3_prepare_v2(q->db, statements[i], -1, &q->stmts[i], NULL) != SQLITE_OK)
            return db_error(q, "open the queue", error);
    return TRUE;
}

Queue *queue_open(const char *home, GMainContext *context, guint commit_ms, GError **error)
{
    g_autofree char *dir = g_build_filename(home, "coordinator", NULL);
    if (!fs_mkdirs(dir, error))
        return NULL;
    Queue *q = g_new0(Queue, 1);
    q->path = g_build_filename(dir, "queue.db", NULL);
    q->context = context;
    q->commit_ms = commit_ms;
    q->next = group_new();
    q->runs = g_build_filename(home, "runs", NULL);
    q->runs_fd = -1;
    if (sqlite3_open_v2(q->path, &q->db,
                SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                NULL) != SQLITE_OK) {
        db_error(q, "open the queue", error);
        queue_close(q);
        return NULL;
    }
    sqlite3_busy_timeout(q->db, 5000);
    if (!prepare(q, error)) {
        queue_close(q);
        return NULL;
    }
    return q;
}

void queue_close(Queue *q)
{
    if (!q)
        return;
    if (q->db)
        queue_flush(q, NULL);
    if (q->timer) {
        g_source_destroy(q->timer);
        g_source_unref(q->timer);
    }
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(q->stmts[i]);
    sqlite3_close(q->db);
    group_free(q->next);
    if (q->runs_fd >= 0)
        close(q->runs_fd);
    g_free(q->failing);
    g_free(q->runs);
    g_free(q->path);
    g_free(q);
}

gboolean queue_same_boot(Queue *q)
{
    return !q || q->same_boot;
}

guint64 queue_next_id(Queue *q)
{
    static guint64 local;
    if (!q)
        return ++local;
    return q->epoch << 32 | ++q->counter;
}

/* ---- writing ---- */

static gboolean step(Queue *q, sqlite3_stmt *st, GError **error)
{
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return rc == SQLITE_DONE || db_error(q, "write the queue", error);
}

static void bind_value(sqlite3_stmt *st, int i, const Value *v)
{
    if (!value_is_null(v))
        sqlite3_bind_text(st, i, json_dump(v, 0, FALSE), -1, g_free);
}

static gboolean write_job(Queue *q, const QueueJob *j, GError **error)
{
    sqlite3_stmt *st = q->stmts[S_PUT_JOB];
    sqlite3_bind_int64(st, 1, (gint64)j->id);
    sqlite3_bind_text(st, 2, j->run, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 3, j->batch);
    sqlite3_bind_text(st, 4, j->user, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 5, j->priority);
    sqlite3_bind_int(st, 6, j->retries);
    sqlite3_bind_int(st, 7, j->retry_failed);
    bind_value(st, 8, j->request);
    bind_value(st, 9, j->options);
    sqlite3_bind_int(st, 10, j->state);
    sqlite3_bind_int64(st, 11, j->submitted_us);
    sqlite3_bind_int(st, 12, j->exit_status);
    return step(q, st, error);
}

static gboolean write_task(Queue *q, const QueueTask *t, GError **error)
{
    sqlite3_stmt *st = q->stmts[S_PUT_TASK];
    sqlite3_bind_int64(st, 1, (gint64)t->id);
    sqlite3_bind_int64(st, 2, (gint64)t->job);
    sqlite3_bind_int64(st, 3, t->index);
    sqlite3_bind_text(st, 4, t->run, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 5, t->state);
    sqlite3_bind_int64(st, 6, (gint64)t->lease);
    sqlite3_bind_int(st, 7, t->attempt);
    sqlite3_bind_int(st, 8, t->failures);
    sqlite3_bind_text(st, 9, t->worker, -1, SQLITE_STATIC);
    return step(q, st, error);
}

static gboolean delete_of_job(Queue *q, int statement, guint64 id, GError **error)
{
    sqlite3_bind_int64(q->stmts[statement], 1, (gint64)id);
    return step(q, q->stmts[statement], error);
}

static gboolean delete_job(Queue *q, guint64 id, GError **error)
{
    return delete_of_job(q, S_DELETE_JOB, id, error) && delete_of_job(q, S_DELETE_TASKS, id, error);
}

/* Nobody asks for the tasks of a job that is over, and there may be millions in time. */
static gboolean forget_tasks(Queue *q, const Group *g, GError **error)
{
    GHashTableIter it;
    gpointer item;
    g_hash_table_iter_init(&it, g->jobs);
    while (g_hash_table_iter_next(&it, NULL, &item)) {
        const QueueJob *j = item;
        gboolean over = j->state == JOB_DONE || j->state == JOB_STOPPED;
        if (over && !delete_of_job(q, S_DELETE_TASKS, j->id, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean write_all(Queue *q, const Group *g, GError **error)
{
    GHashTableIter it;
    gpointer item;
    for (guint i = 0; i < g->deleted->len; i++)
        if (!delete_job(q, g_array_index(g->deleted, guint64, i), error))
            return FALSE;
    g_hash_table_iter_init(&it, g->jobs);
    while (g_hash_table_iter_next(&it, NULL, &item))
        if (!write_job(q, item, error))
            return FALSE;
    g_hash_table_iter_init(&it, g->tasks);
    while (g_hash_table_iter_next(&it, NULL, &item))
        if (!write_task(q, item, error))
            return FALSE;
    return forget_tasks(q, g, error);
}

/* A failed transaction is rolled back whole: none of its writes is there. */
static gboolean commit(Queue *q, const Group *g, GError **error)
{
    if (sqlite3_exec(q->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return db_error(q, "write the queue", error);
    if (!write_all(q, g, error) || (sqlite3_exec(q->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK &&
                                           !db_error(q, "write the queue", error))) {
        sqlite3_exec(q->db, "ROLLBACK", NULL, NULL, NULL);
        return FALSE;
    }
    return TRUE;
}

/* ---- when ---- */

/* The descriptor is kept: it is the one that hears of what could not be written meanwhile. */
static gboolean sync_runs(Queue *q, GError **error)
{
    if (q->runs_fd < 0 && !fs_mkdirs(q->runs, error))
        return FALSE;
    if (q->runs_fd < 0)
        q->runs_fd = open(q->runs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (q->runs_fd >= 0 && syncfs(q->runs_fd) == 0)
        return TRUE;
    g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(errno), "cannot sync %s: %s",
            q->runs, g_strerror(errno));
    return FALSE;
}

static void write_group(gpointer queue)
{
    Queue *q = queue;
    if (!q->written->speaks_of_runs || sync_runs(q, &q->problem))
        commit(q, q->written, &q->problem);
    q->done = TRUE;
}

static void take_group(Queue *q)
{
    q->written = q->next;
    q->next = group_new();
    q->done = FALSE;
}

static gboolean steal_newer(gpointer key, gpointer item, gpointer older)
{
    g_hash_table_replace(older, key, item);
    return TRUE;
}

static gboolean is_of_deleted(gpointer key, gpointer task, gpointer deleted)
{
    const GArray *ids = deleted;
    for (guint i = 0; i < ids->len; i++)
        if (((QueueTask *)task)->job == g_array_index(ids, guint64, i))
            return TRUE;
    return FALSE;
}

/* What was put meanwhile goes on top of what could not be written, and both are the next. */
static void give_group_back(Queue *q)
{
    Group *old = g_steal_pointer(&q->written), *new = q->next;
    g_hash_table_foreach_remove(old->tasks, is_of_deleted, new->deleted);
    for (guint i = 0; i < new->deleted->len; i++)
        g_hash_table_remove(old->jobs, &g_array_index(new->deleted, guint64, i));
    g_hash_table_foreach_steal(new->jobs, steal_newer, old->jobs);
    g_hash_table_foreach_steal(new->tasks, steal_newer, old->tasks);
    g_array_append_vals(old->deleted, new->deleted->data, new->deleted->len);
    g_array_append_vals(old->waiters, new->waiters->data, new->waiters->len);
    old->speaks_of_runs |= new->speaks_of_runs;
    group_free(new);
    q->next = old;
}

static void tell_waiters(const Group *g)
{
    for (guint i = 0; i < g->waiters->len; i++) {
        const Waiter *w = &g_array_index(g->waiters, Waiter, i);
        w->fn(NULL, w->data);
    }
}

/* FALSE: the group could not be written. */
static gboolean group_written(Queue *q, GError **error)
{
    g_autoptr(GError) problem = g_steal_pointer(&q->problem);
    if (problem) {
        give_group_back(q);
        if (!q->failing)
            log_error("%s (it is tried again until it can be written)", problem->message);
        g_free(q->failing);
        q->failing = g_strdup(problem->message);
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    if (q->failing)
        log_info("the queue %s can be written again", q->path);
    g_clear_pointer(&q->failing, g_free);
    Group *g = g_steal_pointer(&q->written);
    tell_waiters(g);
    group_free(g);
    return TRUE;
}

static void arm(Queue *q, guint ms);

static void on_written(gpointer queue)
{
    Queue *q = queue;
    q->writer = NULL;
    if (!group_written(q, NULL))
        arm(q, RETRY_MS);
    else if (!group_is_empty(q->next))
        arm(q, q->commit_ms);
}

static gboolean on_timer(gpointer data)
{
    Queue *q = data;
    g_clear_pointer(&q->timer, g_source_unref);
    if (group_is_empty(q->next))
        return G_SOURCE_REMOVE;
    take_group(q);
    q->writer = apart_start_short(q->context, write_group, on_written, q);
    return G_SOURCE_REMOVE;
}

static void arm(Queue *q, guint ms)
{
    if (q->timer || q->writer)
        return;
    q->timer = g_timeout_source_new(ms);
    g_source_set_priority(q->timer, G_PRIORITY_DEFAULT - 10);
    g_source_set_callback(q->timer, on_timer, q, NULL);
    g_source_attach(q->timer, q->context);
}

/* Waits for the thread. FALSE: what it had could not be written. */
static gboolean finish_writing(Queue *q, GError **error)
{
    if (!q->writer)
        return TRUE;
    apart_cancel(g_steal_pointer(&q->writer));
    if (q->done)
        return group_written(q, error);
    give_group_back(q); /* it had not begun */
    return TRUE;
}

gboolean queue_flush(Queue *q, GError **error)
{
    if (!q)
        return TRUE;
    gboolean ok = finish_writing(q, error);
    if (ok && !group_is_empty(q->next)) {
        take_group(q);
        write_group(q);
        ok = group_written(q, error);
    }
    if (!ok)
        arm(q, RETRY_MS);
    return ok;
}

const char *queue_problem(const Queue *q)
{
    return q ? q->failing : NULL;
}

/* ---- what is put ---- */

void queue_put_job(Queue *q, const QueueJob *j)
{
    if (!q)
        return;
    QueueJob *copy = g_new0(QueueJob, 1);
    *copy = *j;
    copy->run = g_strdup(j->run);
    copy->user = g_strdup(j->user);
    copy->request = value_copy(j->request); /* values are not for two threads */
    copy->options = value_copy(j->options);
    g_hash_table_replace(q->next->jobs, &copy->id, copy);
    q->next->speaks_of_runs = TRUE;
    arm(q, q->commit_ms);
}

void queue_put_task(Queue *q, const QueueTask *t)
{
    if (!q)
        return;
    QueueTask *copy = g_new0(QueueTask, 1);
    *copy = *t;
    copy->run = g_strdup(t->run);
    copy->worker = g_strdup(t->worker);
    g_hash_table_replace(q->next->tasks, &copy->id, copy);
    q->next->speaks_of_runs |= t->state != TASK_LEASED;
    arm(q, q->commit_ms);
}

static gboolean is_of_job(gpointer key, gpointer task, gpointer id)
{
    return ((QueueTask *)task)->job == *(guint64 *)id;
}

void queue_delete_job(Queue *q, guint64 id)
{
    if (!q)
        return;
    g_hash_table_foreach_remove(q->next->tasks, is_of_job, &id);
    g_hash_table_remove(q->next->jobs, &id);
    g_array_append_val(q->next->deleted, id);
    arm(q, q->commit_ms);
}

void queue_after(Queue *q, QueueFn fn, gpointer data)
{
    Group *last = !q ? NULL : !group_is_empty(q->next) ? q->next : q->written;
    if (!last) {
        fn(NULL, data);
        return;
    }
    Waiter w = {fn, data};
    g_array_append_val(last->waiters, w);
}

/* ---- reading ---- */

static Value *column_value(sqlite3_stmt *st, int i)
{
    const char *text = (const char *)sqlite3_column_text(st, i);
    return text ? json_parse(text, -1, "queue", NULL) : NULL;
}

static char *column_text(sqlite3_stmt *st, int i)
{
    return g_strdup((const char *)sqlite3_column_text(st, i));
}

GPtrArray *queue_load_jobs(Queue *q, GError **error)
{
    g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func((GDestroyNotify)queue_job_free);
    sqlite3_stmt *st = NULL;
    if (!q)
        return g_steal_pointer(&jobs);
    finish_writing(q, NULL);
    if (sqlite3_prepare_v2(q->db, "SELECT * FROM job ORDER BY submitted, id", -1, &st, NULL) !=
            SQLITE_OK) {
        db_error(q, "read the queue", error);
        return NULL;
    }
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        QueueJob *j = g_new0(QueueJob, 1);
        g_ptr_array_add(jobs, j);
        j->id = (guint64)sqlite3_column_int64(st, 0);
        j->run = column_text(st, 1);
        j->batch = sqlite3_column_int(st, 2);
        j->user = column_text(st, 3);
        j->priority = sqlite3_column_int(st, 4);
        j->retries = sqlite3_column_int(st, 5);
        j->retry_failed = sqlite3_column_int(st, 6);
        j->request = column_value(st, 7);
        j->options = column_value(st, 8);
        j->state = sqlite3_column_int(st, 9);
        j->submitted_us = sqlite3_column_int64(st, 10);
        j->exit_status = sqlite3_column_int(st, 11);
    }
    sqlite3_finalize(st);
    if (rc != SQLITE_DONE) {
        db_error(q, "read the queue", error);
        return NULL;
    }
    return g_steal_pointer(&jobs);
}

GPtrArray *queue_load_tasks(Queue *q, guint64 job, GError **error)
{
    g_autoptr(GPtrArray) tasks = g_ptr_array_new_with_free_func((GDestroyNotify)queue_task_free);
    sqlite3_stmt *st = NULL;
    if (!q)
        return g_steal_pointer(&tasks);
    finish_writing(q, NULL);
    if (sqlite3_prepare_v2(q->db, "SELECT * FROM task WHERE job = ? ORDER BY idx", -1, &st, NULL) !=
            SQLITE_OK) {
        db_error(q, "read the queue", error);
        return NULL;
    }
    sqlite3_bind_int64(st, 1, (gint64)job);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        QueueTask *t = g_new0(QueueTask, 1);
        g_ptr_array_add(tasks, t);
        t->id = (guint64)sqlite3_column_int64(st, 0);
        t->job = (guint64)sqlite3_column_int64(st, 1);
        t->index = sqlite3_column_int64(st, 2);
        t->run = column_text(st, 3);
        t->state = sqlite3_column_int(st, 4);
        t->lease = (guint64)sqlite3_column_int64(st, 5);
        t->attempt = sqlite3_column_int(st, 6);
        t->failures = sqlite3_column_int(st, 7);
        t->worker = column_text(st, 8);
    }
    sqlite3_finalize(st);
    if (rc != SQLITE_DONE) {
        db_error(q, "read the queue", error);
        return NULL;
    }
    return g_steal_pointer(&tasks);
}

/* A connection of its own: the other may be a thread's for as long as the disk takes. */
Value *queue_last_options(Queue *q, const char *run)
{
    static const char sql[] = "SELECT options FROM job WHERE run = ? ORDER BY id DESC LIMIT 1";
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    Value *options = NULL;
    if (!q)
        return NULL;
    if (sqlite3_open_v2(q->path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) ==
                    SQLITE_OK &&
            sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK) {
        sqlite3_bind_text(st, 1, run, -1, SQLITE_STATIC);
        options = sqlite3_step(st) == SQLITE_ROW ? column_value(st, 0) : NULL;
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return options;
}
