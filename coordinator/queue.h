/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's memory: HOME/coordinator/queue.db, SQLite in WAL mode. Holds jobs (a submitted
 * batch or run each) and tasks (a trial each), and nothing that a run directory knows better.
 *
 * Writes are collected and committed in groups; queue_after() tells when everything written so far
 * is on disk. What is recorded speaks of run directories (made, or with a result in them), so these
 * are on disk before: the file system of HOME/runs is synced first (on a thread, as all of it), and
 * what it does not hold yet is not committed. Leases speak of nothing but themselves, and a group
 * of them alone is not held up by that. A NULL Queue is a local batch's: it remembers nothing, and
 * queue_after() calls back at once. */
#pragma once

#include "engine/base/value.h"

typedef struct Queue Queue;

/* Numbers in the file. */
typedef enum {
    JOB_ACTIVE,
    JOB_DONE,
    JOB_STOPPED,
    JOB_STOPPING, /* nothing more of it begins, and what runs is being ended */
    JOB_ENDING,   /* nothing more of it begins, and what runs may end by itself */
} JobState;
typedef enum {
    TASK_WAITING,
    TASK_LEASED,
    TASK_DONE,
    TASK_LEFT, /* stopped before it began */
} TaskState;

typedef struct {
    guint64 id;
    char *run; /* run id of the batch or the single run */
    gboolean batch;
    char *user;
    int priority, retries, retry_failed;
    Value *request; /* what the submitter asked, or NULL */
    Value *options;
    JobState state;
    gint64 submitted_us;
    int exit_status;
} QueueJob;

typedef struct {
    guint64 id, job;
    gint64 index; /* which trial of the batch, from 0 in the order asked */
    char *run;
    TaskState state;
    guint64 lease; /* the last one given */
    int attempt;   /* from 1; 0: never given out */
    int failures;  /* ended in error by itself (for --retry-failed) */
    char *worker;  /* session of the worker that holds it */
} QueueTask;

void queue_job_free(QueueJob *j);
void queue_task_free(QueueTask *t);

/* Opens and brings the schema up to date; a newer schema is refused. Corrupt files are an error
 * that names the path. commit_ms: how long a write may wait for others to share its commit. */
Queue *queue_open(const char *home, GMainContext *context, guint commit_ms, GError **error);
void queue_close(Queue *q); /* commits first */

/* FALSE if the machine was started (its boot id is another) since the queue was opened last: what
 * was written then and not recorded may be there in parts. */
gboolean queue_same_boot(Queue *q);

/* A number never given before, in this run or an earlier one: for leases, jobs and tasks. */
guint64 queue_next_id(Queue *q);

/* Insert or replace. The tasks of one that is over (JOB_DONE, JOB_STOPPED) are forgotten. */
void queue_put_job(Queue *q, const QueueJob *j);
void queue_put_task(Queue *q, const QueueTask *t); /* insert or replace */
void queue_delete_job(Queue *q, guint64 id);       /* with its tasks */
/* When all that was put so far is durable; while it can't be (a full disk) it is tried again and
 * again. `error` is NULL. */
typedef void (*QueueFn)(const GError *error, gpointer data);
void queue_after(Queue *q, QueueFn fn, gpointer data);
/* Why it can't be written at present; NULL: it can. Good until the loop runs again. */
const char *queue_problem(const Queue *q);
/* All of it now, however long the disk takes. */
gboolean queue_flush(Queue *q, GError **error);

/* Everything, for the start. */
GPtrArray *queue_load_jobs(Queue *q, GError **error);               /* QueueJob*, oldest first */
GPtrArray *queue_load_tasks(Queue *q, guint64 job, GError **error); /* QueueTask*, by index */
/* The options of the last job that was made of a run, over or not, as the file has them; NULL: there
 * was none, or it can't be read. Waits for no writer. */
Value *queue_last_options(Queue *q, const char *run);
