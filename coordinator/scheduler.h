/* SPDX-License-Identifier: Apache-2.0 */
/* Who runs what: a pure decision. Tasks wait in groups (a batch each); workers have resources;
 * sched_next() gives one assignment after the other until nothing more can be done. No I/O, no
 * clock: the time that matters (a worker's end) is passed in. That is what lets a test run a
 * million tasks over a thousand imagined workers.
 *
 * Order: higher priority first; among users of equal priority the one with the least running
 * gets the next place; first in first out within a group. Tasks with the same request share a
 * class: waiting tasks are kept per (group, class), so a decision costs by the number of those
 * queues and not by the number of tasks. A task that does not fit now is let past by others that
 * do, but not for ever: after SCHED_PASSES it gets a worker reserved, which takes nothing else
 * until it fits.
 *
 * When no worker has room left, each is given a few tasks more (prefetch) so that none of its
 * slots waits for a round trip. When another worker runs dry meanwhile, such tasks are recalled. */
#pragma once

#include "engine/wire/resources.h"

typedef struct Scheduler Scheduler;
/* Handles; 0 is none. A task's handle is reused after sched_task_remove(). */
typedef guint32 SchedTask;
typedef guint32 SchedGroup;
typedef guint32 SchedWorker;

#define SCHED_PASSES 64

Scheduler *sched_new(void);
void sched_free(Scheduler *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scheduler, sched_free)

/* A batch. `user` decides fair shares. no_prefetch: each task is decided when a slot is free (a
 * batch that stops at the first failure). */
SchedGroup sched_group_add(Scheduler *s, const char *user, int priority, gboolean no_prefetch);
void sched_group_remove(Scheduler *s, SchedGroup g); /* must have no tasks */
void sched_group_set_priority(Scheduler *s, SchedGroup g, int priority);

/* `data` is the caller's, given back in assignments. Goes to the end of the group's queue. */
SchedTask sched_task_add(Scheduler *s, SchedGroup g, const Request *request, guint64 data);
/* The task is finished or withdrawn, whatever its state; frees what it held. */
void sched_task_remove(Scheduler *s, SchedTask t);
/* A running or prefetched task goes back to the front of its queue. */
void sched_task_requeue(Scheduler *s, SchedTask t);
/* The worker says that it runs now (a prefetched one began). */
void sched_task_running(Scheduler *s, SchedTask t);
guint64 sched_task_data(Scheduler *s, SchedTask t);
SchedWorker sched_task_worker(Scheduler *s, SchedTask t); /* 0: waits */
/* Puts a waiting task on a worker that says that it has it already (after a restart of ours). */
void sched_task_adopt(Scheduler *s, SchedTask t, SchedWorker w, gboolean running);

SchedWorker sched_worker_add(Scheduler *s, const Resources *r, guint prefetch, gint64 ends_us);
/* Its tasks are requeued; fn (may be NULL) is told each first. */
void sched_worker_remove(
        Scheduler *s, SchedWorker w, void (*fn)(SchedTask, guint64 data, gpointer), gpointer user);
void sched_worker_drain(Scheduler *s, SchedWorker w); /* takes no more */
/* It can't be reached for now: takes no more, keeps what it has. */
void sched_worker_pause(Scheduler *s, SchedWorker w, gboolean paused);
guint sched_worker_load(Scheduler *s, SchedWorker w); /* running and prefetched tasks */

typedef enum {
    SCHED_START,    /* give the task to the worker: there is room */
    SCHED_PREFETCH, /* give it to the worker for later */
    SCHED_RECALL,   /* ask the worker to return it if it has not begun */
} SchedAction;
typedef struct {
    SchedAction action;
    SchedTask task;
    SchedWorker worker;
    guint64 data;
} SchedDecision;

/* The next decision, already counted. FALSE: nothing more to do until something changes. */
gboolean sched_next(Scheduler *s, gint64 now_us, SchedDecision *d);

typedef enum { SCHED_FITS, SCHED_WAITS, SCHED_NOWHERE, SCHED_NO_WORKERS } SchedFit;
/* Could a task with this request run: now, when room is made, on no worker that is here. */
SchedFit sched_fit(Scheduler *s, const Request *request);
/* For people: why NOWHERE, by the worker that comes nearest. Newly allocated. */
char *sched_fit_why(Scheduler *s, const Request *request);

typedef struct {
    guint waiting, prefetched, running, workers;
} SchedCounts;
SchedCounts sched_counts(Scheduler *s);
guint sched_group_waiting(Scheduler *s, SchedGroup g);
/* Bytes per task that the scheduler keeps, for the benchmark. */
gsize sched_task_bytes(void);
