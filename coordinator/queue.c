/* SPDX-License-Identifier: Apache-2.0 */
/* The durable queue in SQLite: see queue.h. What is put is kept in memory, the last state of each
 * job and task; a timer writes all of it in one transaction and then tells those who wait. What
 * could not be written (a full disk) stays, is tried again, and nobody is told that it is durable
 * until it is. */
#include "coordinator/queue.h"

#include <errno.h>
#include <string.h>

#include "coordinator/lazy_sqlite.h"
#include "engine/base/fs.h"
#include "engine/base/json.h"
#include "engine/base/log.h"

#define SCHEMA_VERSION 1
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

struct Queue {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *stmts[N_STATEMENTS];
    GMainContext *context;
    guint commit_ms;
    GSource *timer;
    GHashTable *jobs, *tasks; /* id → QueueJob, QueueTask that are to be written */
    GArray *deleted;          /* guint64 ids of jobs */
    gboolean failing;         /* the last try failed, and that was said */
    GArray *waiters;
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
    q->epoch = (guint64)get_meta(q, "epoch") + 1;
    if (!set_meta(q, "schema", SCHEMA_VERSION) || !set_meta(q, "epoch", (gint64)q->epoch))
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
    q->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    q->deleted = g_array_new(FALSE, FALSE, sizeof(guint64));
    q->jobs = g_hash_table_new_full(
            g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)queue_job_free);
    q->tasks = g_hash_table_new_full(
            g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)queue_task_free);
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
    g_array_unref(q->waiters);
    g_array_unref(q->deleted);
    g_hash_table_unref(q->jobs);
    g_hash_table_unref(q->tasks);
    g_free(q->path);
    g_free(q);
}

guint64 queue_next_id(Queue *q)
{
    static guint64 local;
    if (!q)
        return ++local;
    return q->epoch << 32 | ++q->counter;
}

/* ---- writing ---- */

static void arm(Queue *q, guint ms);

static gboolean on_timer(gpointer data)
{
    Queue *q = data;
    g_clear_pointer(&q->timer, g_source_unref);
    if (!queue_flush(q, NULL))
        arm(q, RETRY_MS);
    return G_SOURCE_REMOVE;
}

static void arm(Queue *q, guint ms)
{
    if (q->timer)
        return;
    q->timer = g_timeout_source_new(ms);
    g_source_set_priority(q->timer, G_PRIORITY_DEFAULT - 10);
    g_source_set_callback(q->timer, on_timer, q, NULL);
    g_source_attach(q->timer, q->context);
}

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

static gboolean delete_job(Queue *q, guint64 id, GError **error)
{
    gboolean ok = TRUE;
    for (int i = S_DELETE_JOB; ok && i <= S_DELETE_TASKS; i++) {
        sqlite3_bind_int64(q->stmts[i], 1, (gint64)id);
        ok = step(q, q->stmts[i], error);
    }
    return ok;
}

void queue_put_job(Queue *q, const QueueJob *j)
{
    if (!q)
        return;
    QueueJob *copy = g_new0(QueueJob, 1);
    *copy = *j;
    copy->run = g_strdup(j->run);
    copy->user = g_strdup(j->user);
    copy->request = value_ref(j->request);
    copy->options = value_ref(j->options);
    g_hash_table_replace(q->jobs, &copy->id, copy);
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
    g_hash_table_replace(q->tasks, &copy->id, copy);
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
    g_hash_table_foreach_remove(q->tasks, is_of_job, &id);
    g_hash_table_remove(q->jobs, &id);
    g_array_append_val(q->deleted, id);
    arm(q, q->commit_ms);
}

static gboolean nothing_to_write(const Queue *q)
{
    return !g_hash_table_size(q->jobs) && !g_hash_table_size(q->tasks) && !q->deleted->len;
}

void queue_after(Queue *q, QueueFn fn, gpointer data)
{
    if (!q || nothing_to_write(q)) {
        fn(NULL, data);
        return;
    }
    Waiter w = {fn, data};
    g_array_append_val(q->waiters, w);
    arm(q, q->commit_ms);
}

static gboolean write_all(Queue *q, GError **error)
{
    GHashTableIter it;
    gpointer item;
    for (guint i = 0; i < q->deleted->len; i++)
        if (!delete_job(q, g_array_index(q->deleted, guint64, i), error))
            return FALSE;
    g_hash_table_iter_init(&it, q->jobs);
    while (g_hash_table_iter_next(&it, NULL, &item))
        if (!write_job(q, item, error))
            return FALSE;
    g_hash_table_iter_init(&it, q->tasks);
    while (g_hash_table_iter_next(&it, NULL, &item))
        if (!write_task(q, item, error))
            return FALSE;
    return TRUE;
}

/* A failed transaction is rolled back whole: none of its writes is there. */
static gboolean commit(Queue *q, GError **error)
{
    if (nothing_to_write(q))
        return TRUE;
    if (sqlite3_exec(q->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return db_error(q, "write the queue", error);
    if (!write_all(q, error) || (sqlite3_exec(q->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK &&
                                        !db_error(q, "write the queue", error))) {
        sqlite3_exec(q->db, "ROLLBACK", NULL, NULL, NULL);
        return FALSE;
    }
    g_hash_table_remove_all(q->jobs);
    g_hash_table_remove_all(q->tasks);
    g_array_set_size(q->deleted, 0);
    return TRUE;
}

gboolean queue_flush(Queue *q, GError **error)
{
    if (!q)
        return TRUE;
    g_autoptr(GError) err = NULL;
    if (!commit(q, &err)) {
        if (!q->failing)
            log_error("%s (it is tried again until it can be written)", err->message);
        q->failing = TRUE;
        g_propagate_error(error, g_steal_pointer(&err));
        return FALSE;
    }
    if (q->failing)
        log_info("the queue %s can be written again", q->path);
    q->failing = FALSE;
    g_autoptr(GArray) waiters = q->waiters;
    q->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    for (guint i = 0; i < waiters->len; i++) {
        Waiter *w = &g_array_index(waiters, Waiter, i);
        w->fn(NULL, w->data);
    }
    return TRUE;
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
