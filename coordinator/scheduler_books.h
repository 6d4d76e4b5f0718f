/* SPDX-License-Identifier: Apache-2.0 */
/* What the scheduler keeps, for its two halves: scheduler.c keeps the books, decide.c decides.
 *
 * Tasks are in one array, chained by index; a queue per (group, class) of waiting ones; workers,
 * each with what it has free and lists of the tasks it was given. Workers that may be able to take
 * something are in a ring; one that was found to fit nothing leaves it until something about it or
 * about the queues changes. That bounds the work: every look that finds nothing costs a change that
 * happened before. */
#pragma once

#include "coordinator/scheduler.h"

typedef enum { T_FREE, T_WAITING, T_RUNNING, T_PREFETCHED } TaskStatus;

typedef struct {
    guint64 data;
    guint64 gpu_mask; /* what was taken, of a running one */
    guint32 queue;
    guint32 worker;
    guint32 next, prev; /* in the queue (waiting) or in the worker's list (others) */
    guint32 seq;        /* age: first in, first out */
    guint8 status;
    guint8 recalled;
} Task;

/* Tasks of one group with one request. */
typedef struct {
    guint32 group, class;
    guint32 head, tail;
    guint32 n_waiting, n_tasks;
    guint32 passed;   /* tasks given to workers while the head could not be placed */
    guint32 reserved; /* worker kept for the head */
} TaskQueue;

typedef struct {
    char *user;
    guint32 user_index;
    int priority;
    gboolean no_prefetch, used;
    GArray *queues; /* guint32 */
    guint32 n_waiting, n_tasks;
    guint64 order; /* first come */
} Group;

typedef struct {
    Request request;
    guint32 users; /* queues */
} Class;

typedef struct {
    Resources r;
    gboolean used, draining, paused;
    gboolean in_ring[2];
    guint32 expecting; /* a task that was recalled elsewhere to be run here */
    guint prefetch;
    gint64 ends_us;
    guint32 head[2], tail[2]; /* what it runs, what it holds for later; oldest first */
    guint32 n_running, n_prefetched;
    guint32 reserved_for; /* queue */
} Worker;

struct Scheduler {
    GArray *tasks; /* Task; index 0 unused */
    guint32 free_task;
    GArray *queues; /* TaskQueue */
    GArray *groups; /* Group */
    GPtrArray *classes;
    GArray *workers;   /* Worker */
    GHashTable *users; /* name → index+1 in running */
    GArray *given;     /* guint32 of a user: tasks that workers have */
    GArray *order;     /* guint32 groups with waiting tasks, by priority and age */
    GQueue ring[2];    /* workers worth a look: to start on, to prefetch to */
    guint64 next_order;
    guint32 next_seq;
    SchedCounts counts;
    gboolean recall_done; /* nothing to recall until something changes */
};

#define TASK(s, i) (&g_array_index((s)->tasks, Task, i))
#define QUEUE(s, i) (&g_array_index((s)->queues, TaskQueue, i))
#define GROUP(s, i) (&g_array_index((s)->groups, Group, i))
#define WORKER(s, i) (&g_array_index((s)->workers, Worker, i))
#define CLASS(s, i) ((Class *)(s)->classes->pdata[i])

enum { L_RUNNING, L_PREFETCHED }; /* a worker's lists */

/* From its queue. */
void sched_dequeue(Scheduler *s, guint32 t);
/* Onto a worker: counted as running, or held for later. */
void sched_place(Scheduler *s, guint32 t, guint32 worker, gboolean running);
const Request *sched_task_request(Scheduler *s, const Task *t);
