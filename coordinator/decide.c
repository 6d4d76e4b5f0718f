/* SPDX-License-Identifier: Apache-2.0 */
/* The decision: which waiting task goes to which worker now. Order and fairness are scheduler.h's.
 */
#include "coordinator/scheduler_books.h"

static gboolean in_time(const Worker *w, const Request *r, gint64 now_us)
{
    return !w->ends_us || !r->time_us || now_us + r->time_us <= w->ends_us;
}

/* A large task that was passed over long enough gets the worker that would fit it. */
static void passed_over(Scheduler *s, TaskQueue *q, guint32 qi, guint32 worker)
{
    Worker *w = WORKER(s, worker);
    if (q->reserved || w->reserved_for || q->passed < SCHED_PASSES ||
            !resources_fit_ever(&w->r, &CLASS(s, q->class)->request))
        return;
    q->reserved = worker;
    w->reserved_for = qi;
}

static gboolean older(Scheduler *s, const TaskQueue *a, const TaskQueue *b)
{
    return (gint32)(TASK(s, a->head)->seq - TASK(s, b->head)->seq) < 0;
}

/* How many of the tasks that a worker began last are looked at. */
#define MAX_LIKE 8

/* What is held for later is to begin when one that runs ends: so it must be like one of those. A
 * larger one would wait at the worker for ever, let past by what comes after it. */
static gboolean runs_like(Scheduler *s, const Worker *w, guint32 class)
{
    guint n = 0;
    for (guint32 t = w->tail[L_RUNNING]; t && n < MAX_LIKE; t = TASK(s, t)->prev, n++)
        if (QUEUE(s, TASK(s, t)->queue)->class == class)
            return TRUE;
    return FALSE;
}

/* The queue of the group with the oldest head that this worker can serve, or 0. */
static guint32 group_offer(
        Scheduler *s, const Group *g, guint32 worker, gboolean prefetch, gint64 now_us)
{
    guint32 best = 0;
    for (guint i = 0; i < g->queues->len; i++) {
        guint32 qi = g_array_index(g->queues, guint32, i);
        TaskQueue *q = QUEUE(s, qi);
        Worker *w = WORKER(s, worker);
        if (!q->n_waiting || (w->reserved_for && w->reserved_for != qi))
            continue;
        const Request *r = &CLASS(s, q->class)->request;
        gboolean fits = prefetch ? runs_like(s, w, q->class) : resources_fit_now(&w->r, r);
        if (!fits || !in_time(w, r, now_us)) {
            passed_over(s, q, qi, worker);
            continue;
        }
        if (!best || older(s, q, QUEUE(s, best)))
            best = qi;
    }
    return best;
}

/* Walks groups of one priority, the user with the least running first. */
static guint32 pick_queue(Scheduler *s, guint32 worker, gboolean prefetch, gint64 now_us)
{
    guint i = 0;
    while (i < s->order->len) {
        int priority = GROUP(s, g_array_index(s->order, guint32, i))->priority;
        guint32 best = 0, best_given = 0;
        for (; i < s->order->len; i++) {
            const Group *g = GROUP(s, g_array_index(s->order, guint32, i));
            if (g->priority != priority)
                break;
            guint32 given = g_array_index(s->given, guint32, g->user_index);
            if ((best && given >= best_given) || (prefetch && g->no_prefetch))
                continue;
            guint32 q = group_offer(s, g, worker, prefetch, now_us);
            if (q) {
                best = q;
                best_given = given;
            }
        }
        if (best)
            return best;
    }
    return 0;
}

/* Everyone who waits longer than the one that was served has been let past once more. */
static void count_passes(Scheduler *s, guint32 served)
{
    QUEUE(s, served)->passed = 0;
    for (guint i = 0; i < s->order->len; i++) {
        const Group *g = GROUP(s, g_array_index(s->order, guint32, i));
        for (guint j = 0; j < g->queues->len; j++) {
            TaskQueue *q = QUEUE(s, g_array_index(g->queues, guint32, j));
            if (q->n_waiting && g_array_index(g->queues, guint32, j) != served)
                q->passed++;
        }
        if (i >= 16)
            break; /* far behind in the order: not yet their turn */
    }
}

static void give(Scheduler *s, guint32 qi, guint32 worker, gboolean running, SchedDecision *d)
{
    TaskQueue *q = QUEUE(s, qi);
    guint32 t = q->head;
    if (running && q->reserved == worker) {
        WORKER(s, worker)->reserved_for = 0;
        q->reserved = 0;
    }
    sched_dequeue(s, t);
    sched_place(s, t, worker, running);
    count_passes(s, qi);
    *d = (SchedDecision){running ? SCHED_START : SCHED_PREFETCH, t, worker, TASK(s, t)->data};
}

/* Gives one task to the first worker in the ring that can take any. A worker goes to the end of the
 * ring with each task, so that tasks spread. */
static gboolean start_one(Scheduler *s, gint64 now_us, SchedDecision *d)
{
    GQueue *ring = &s->ring[0];
    for (guint left = ring->length; left && s->counts.waiting; left--) {
        guint32 w = GPOINTER_TO_UINT(g_queue_pop_head(ring));
        guint32 q = pick_queue(s, w, FALSE, now_us);
        if (q) {
            g_queue_push_tail(ring, GUINT_TO_POINTER(w));
            give(s, q, w, TRUE, d);
            return TRUE;
        }
        WORKER(s, w)->in_ring[0] = FALSE;
    }
    return FALSE;
}

/* Room is nowhere: a few more for each. */
static gboolean prefetch_one(Scheduler *s, gint64 now_us, SchedDecision *d)
{
    GQueue *ring = &s->ring[1];
    for (guint left = ring->length; left && s->counts.waiting; left--) {
        guint32 w = GPOINTER_TO_UINT(g_queue_pop_head(ring));
        Worker *wk = WORKER(s, w);
        guint32 q = 0;
        if (wk->n_prefetched < wk->prefetch && !wk->reserved_for)
            q = pick_queue(s, w, TRUE, now_us);
        if (q && !wk->reserved_for) { /* it may have become so meanwhile */
            g_queue_push_tail(ring, GUINT_TO_POINTER(w));
            give(s, q, w, FALSE, d);
            return TRUE;
        }
        wk->in_ring[1] = FALSE;
    }
    return FALSE;
}

/* A worker other than `holder` with room for the task, that no other recalled one is meant for. */
static guint32 idle_worker(Scheduler *s, guint32 holder, const Task *task)
{
    for (GList *l = s->ring[0].head; l; l = l->next) {
        guint32 w = GPOINTER_TO_UINT(l->data);
        Worker *wk = WORKER(s, w);
        if (w == holder || !resources_fit_now(&wk->r, sched_task_request(s, task)))
            continue;
        if (wk->expecting && TASK(s, wk->expecting)->recalled)
            continue;
        return w;
    }
    return 0;
}

#define MAX_TRIED 8

/* Nothing waits, a worker has room, and another holds what it has not begun. Tasks with the same
 * request are tried once: what one fits nowhere the others don't. */
static gboolean recall_one(Scheduler *s, SchedDecision *d)
{
    guint32 tried[MAX_TRIED];
    guint n_tried = 0;
    if (s->recall_done || !s->counts.prefetched)
        return FALSE;
    for (guint32 w = 1; w < s->workers->len && n_tried < MAX_TRIED; w++) {
        for (guint32 t = WORKER(s, w)->tail[L_PREFETCHED]; t && n_tried < MAX_TRIED;
                t = TASK(s, t)->prev) {
            Task *task = TASK(s, t);
            guint32 class = QUEUE(s, task->queue)->class;
            guint i = 0;
            while (i < n_tried && tried[i] != class)
                i++;
            if (i < n_tried || task->recalled)
                continue;
            guint32 other = idle_worker(s, w, task);
            if (!other) {
                tried[n_tried++] = class;
                continue;
            }
            task->recalled = 1;
            WORKER(s, other)->expecting = t;
            *d = (SchedDecision){SCHED_RECALL, t, w, task->data};
            return TRUE;
        }
    }
    s->recall_done = TRUE;
    return FALSE;
}

gboolean sched_next(Scheduler *s, gint64 now_us, SchedDecision *d)
{
    if (s->counts.waiting && start_one(s, now_us, d))
        return TRUE;
    if (s->counts.waiting)
        return prefetch_one(s, now_us, d);
    return recall_one(s, d);
}

/* ---- for people ---- */

SchedFit sched_fit(Scheduler *s, const Request *request)
{
    SchedFit fit = SCHED_NO_WORKERS;
    for (guint32 i = 1; i < s->workers->len; i++) {
        Worker *w = WORKER(s, i);
        if (!w->used || w->draining)
            continue;
        if (fit == SCHED_NO_WORKERS)
            fit = SCHED_NOWHERE;
        if (resources_fit_now(&w->r, request))
            return SCHED_FITS;
        if (resources_fit_ever(&w->r, request))
            fit = SCHED_WAITS;
    }
    return fit;
}

char *sched_fit_why(Scheduler *s, const Request *request)
{
    for (guint32 i = 1; i < s->workers->len; i++) {
        Worker *w = WORKER(s, i);
        if (w->used && !w->draining && !resources_fit_ever(&w->r, request))
            return resources_why_not(&w->r, request);
    }
    return g_strdup("no worker is connected");
}
