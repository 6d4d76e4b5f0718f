/* SPDX-License-Identifier: Apache-2.0 */
/* The books of the scheduler: see scheduler.h. What is decided from them is decide.c's. */
#include <string.h>

#include "coordinator/scheduler_books.h"

Scheduler *sched_new(void)
{
    Scheduler *s = g_new0(Scheduler, 1);
    s->tasks = g_array_new(FALSE, TRUE, sizeof(Task));
    s->queues = g_array_new(FALSE, TRUE, sizeof(TaskQueue));
    s->groups = g_array_new(FALSE, TRUE, sizeof(Group));
    s->workers = g_array_new(FALSE, TRUE, sizeof(Worker));
    s->classes = g_ptr_array_new_with_free_func(g_free);
    s->users = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    s->given = g_array_new(FALSE, TRUE, sizeof(guint32));
    s->order = g_array_new(FALSE, FALSE, sizeof(guint32));
    /* handle 0 is none */
    g_array_set_size(s->tasks, 1);
    g_array_set_size(s->queues, 1);
    g_array_set_size(s->groups, 1);
    g_array_set_size(s->workers, 1);
    g_array_set_size(s->given, 1);
    return s;
}

void sched_free(Scheduler *s)
{
    if (!s)
        return;
    for (guint i = 1; i < s->groups->len; i++) {
        g_free(GROUP(s, i)->user);
        if (GROUP(s, i)->queues)
            g_array_unref(GROUP(s, i)->queues);
    }
    g_array_unref(s->tasks);
    g_array_unref(s->queues);
    g_array_unref(s->groups);
    g_array_unref(s->workers);
    g_ptr_array_unref(s->classes);
    g_hash_table_unref(s->users);
    g_array_unref(s->given);
    g_array_unref(s->order);
    g_queue_clear(&s->ring[0]);
    g_queue_clear(&s->ring[1]);
    g_free(s);
}

gsize sched_task_bytes(void)
{
    return sizeof(Task);
}
SchedCounts sched_counts(Scheduler *s)
{
    return s->counts;
}
guint64 sched_task_data(Scheduler *s, SchedTask t)
{
    return TASK(s, t)->data;
}
SchedWorker sched_task_worker(Scheduler *s, SchedTask t)
{
    return TASK(s, t)->worker;
}
guint sched_group_waiting(Scheduler *s, SchedGroup g)
{
    return GROUP(s, g)->n_waiting;
}

guint sched_worker_load(Scheduler *s, SchedWorker w)
{
    return WORKER(s, w)->n_running + WORKER(s, w)->n_prefetched;
}

/* ---- the ring of workers worth a look ---- */

static void ring_add(Scheduler *s, guint32 w)
{
    Worker *wk = WORKER(s, w);
    for (int i = 0; i < 2; i++) {
        if (wk->in_ring[i] || !wk->used || wk->draining || wk->paused)
            continue;
        wk->in_ring[i] = TRUE;
        g_queue_push_tail(&s->ring[i], GUINT_TO_POINTER(w));
    }
}

/* Something waits that nobody looked at yet. */
static void ring_add_all(Scheduler *s)
{
    for (guint32 w = 1; w < s->workers->len; w++)
        ring_add(s, w);
}

/* ---- groups ---- */

static gint compare_groups(Scheduler *s, guint32 a, guint32 b)
{
    const Group *x = GROUP(s, a), *y = GROUP(s, b);
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Groups with waiting tasks, kept sorted; there are few. */
static void order_insert(Scheduler *s, guint32 g)
{
    guint i = 0;
    while (i < s->order->len && compare_groups(s, g_array_index(s->order, guint32, i), g) < 0)
        i++;
    g_array_insert_val(s->order, i, g);
}

static void order_remove(Scheduler *s, guint32 g)
{
    for (guint i = 0; i < s->order->len; i++)
        if (g_array_index(s->order, guint32, i) == g) {
            g_array_remove_index(s->order, i);
            return;
        }
}

static guint32 find_free(GArray *a, gsize used_offset, gsize size)
{
    for (guint32 i = 1; i < a->len; i++)
        if (!*(gboolean *)(a->data + i * size + used_offset))
            return i;
    guint32 i = a->len;
    g_array_set_size(a, i + 1);
    return i;
}

SchedGroup sched_group_add(Scheduler *s, const char *user, int priority, gboolean no_prefetch)
{
    guint32 index = GPOINTER_TO_UINT(g_hash_table_lookup(s->users, user));
    if (!index) {
        index = s->given->len;
        g_array_set_size(s->given, index + 1);
        g_hash_table_insert(s->users, g_strdup(user), GUINT_TO_POINTER(index));
    }
    guint32 g = find_free(s->groups, G_STRUCT_OFFSET(Group, used), sizeof(Group));
    *GROUP(s, g) = (Group){.user = g_strdup(user),
            .user_index = index,
            .priority = priority,
            .no_prefetch = no_prefetch,
            .used = TRUE,
            .order = ++s->next_order,
            .queues = g_array_new(FALSE, FALSE, sizeof(guint32))};
    return g;
}

void sched_group_remove(Scheduler *s, SchedGroup g)
{
    Group *gr = GROUP(s, g);
    g_assert(gr->n_tasks == 0);
    for (guint i = 0; i < gr->queues->len; i++) {
        TaskQueue *q = QUEUE(s, g_array_index(gr->queues, guint32, i));
        if (q->reserved)
            WORKER(s, q->reserved)->reserved_for = 0;
        CLASS(s, q->class)->users--;
        *q = (TaskQueue){0};
    }
    g_free(gr->user);
    g_array_unref(gr->queues);
    *gr = (Group){0};
}

void sched_group_set_priority(Scheduler *s, SchedGroup g, int priority)
{
    Group *gr = GROUP(s, g);
    gr->priority = priority;
    if (gr->n_waiting) {
        order_remove(s, g);
        order_insert(s, g);
    }
}

/* ---- queues ---- */

static guint32 class_for(Scheduler *s, const Request *request)
{
    guint32 spare = s->classes->len;
    for (guint32 i = 0; i < s->classes->len; i++) {
        Class *c = CLASS(s, i);
        if (c->users && request_equal(&c->request, request))
            return i;
        if (!c->users && spare == s->classes->len)
            spare = i;
    }
    if (spare == s->classes->len)
        g_ptr_array_add(s->classes, g_new0(Class, 1));
    CLASS(s, spare)->request = *request;
    return spare;
}

static guint32 queue_for(Scheduler *s, guint32 g, const Request *request)
{
    Group *gr = GROUP(s, g);
    for (guint i = 0; i < gr->queues->len; i++) {
        guint32 q = g_array_index(gr->queues, guint32, i);
        if (request_equal(&CLASS(s, QUEUE(s, q)->class)->request, request))
            return q;
    }
    guint32 q = 0;
    for (guint32 i = 1; i < s->queues->len && !q; i++)
        if (!QUEUE(s, i)->group)
            q = i;
    if (!q) {
        q = s->queues->len;
        g_array_set_size(s->queues, q + 1);
    }
    guint32 c = class_for(s, request);
    CLASS(s, c)->users++;
    *QUEUE(s, q) = (TaskQueue){.group = g, .class = c};
    g_array_append_val(gr->queues, q);
    return q;
}

static void enqueue(Scheduler *s, guint32 t, gboolean front)
{
    Task *task = TASK(s, t);
    TaskQueue *q = QUEUE(s, task->queue);
    Group *g = GROUP(s, q->group);
    task->status = T_WAITING;
    task->worker = 0;
    task->recalled = 0;
    task->prev = front ? 0 : q->tail;
    task->next = front ? q->head : 0;
    if (task->prev)
        TASK(s, task->prev)->next = t;
    else
        q->head = t;
    if (task->next)
        TASK(s, task->next)->prev = t;
    else
        q->tail = t;
    s->counts.waiting++;
    if (q->n_waiting++ == 0)
        ring_add_all(s);
    if (g->n_waiting++ == 0)
        order_insert(s, q->group);
}

void sched_dequeue(Scheduler *s, guint32 t)
{
    Task *task = TASK(s, t);
    TaskQueue *q = QUEUE(s, task->queue);
    Group *g = GROUP(s, q->group);
    if (task->prev)
        TASK(s, task->prev)->next = task->next;
    else
        q->head = task->next;
    if (task->next)
        TASK(s, task->next)->prev = task->prev;
    else
        q->tail = task->prev;
    s->counts.waiting--;
    q->n_waiting--;
    if (--g->n_waiting == 0)
        order_remove(s, q->group);
    if (q->reserved && q->n_waiting == 0) {
        guint32 w = q->reserved;
        WORKER(s, w)->reserved_for = 0;
        q->reserved = 0;
        ring_add(s, w);
    }
}

/* ---- what a worker was given ---- */

const Request *sched_task_request(Scheduler *s, const Task *t)
{
    return &CLASS(s, QUEUE(s, t->queue)->class)->request;
}

static Taken task_taken(Scheduler *s, const Task *t)
{
    Amount gpus = sched_task_request(s, t)->gpus;
    return (Taken){t->gpu_mask, gpus < AMOUNT_ONE ? gpus : AMOUNT_ONE};
}

static guint32 *user_given(Scheduler *s, const Task *t)
{
    return &g_array_index(s->given, guint32, GROUP(s, QUEUE(s, t->queue)->group)->user_index);
}

static void list_add(Scheduler *s, Worker *w, int list, guint32 t)
{
    Task *task = TASK(s, t);
    task->next = 0;
    task->prev = w->tail[list];
    if (w->tail[list])
        TASK(s, w->tail[list])->next = t;
    else
        w->head[list] = t;
    w->tail[list] = t;
}

static void list_remove(Scheduler *s, Worker *w, int list, guint32 t)
{
    Task *task = TASK(s, t);
    if (task->prev)
        TASK(s, task->prev)->next = task->next;
    else
        w->head[list] = task->next;
    if (task->next)
        TASK(s, task->next)->prev = task->prev;
    else
        w->tail[list] = task->prev;
}

/* Counts the task as running on its worker. An adopted one may be more than fits: then amounts go
 * below zero, and nothing new fits until it has ended. */
static void charge(Scheduler *s, guint32 t)
{
    Task *task = TASK(s, t);
    Worker *w = WORKER(s, task->worker);
    const Request *r = sched_task_request(s, task);
    Taken taken = {0};
    if (resources_fit_now(&w->r, r)) {
        resources_take(&w->r, r, &taken);
    } else {
        Request rest = *r;
        rest.gpus = 0;
        resources_take(&w->r, &rest, &taken);
        taken.gpu_mask = 0;
    }
    task->gpu_mask = taken.gpu_mask;
    task->status = T_RUNNING;
    list_add(s, w, L_RUNNING, t);
    w->n_running++;
    s->counts.running++;
}

void sched_place(Scheduler *s, guint32 t, guint32 worker, gboolean running)
{
    Task *task = TASK(s, t);
    Worker *w = WORKER(s, worker);
    task->worker = worker;
    ++*user_given(s, task);
    if (w->expecting == t)
        w->expecting = 0;
    if (running) {
        charge(s, t);
    } else {
        task->status = T_PREFETCHED;
        list_add(s, w, L_PREFETCHED, t);
        w->n_prefetched++;
        s->counts.prefetched++;
    }
}

/* A prefetched task begins. */
static void begin_prefetched(Scheduler *s, guint32 t)
{
    Worker *w = WORKER(s, TASK(s, t)->worker);
    list_remove(s, w, L_PREFETCHED, t);
    w->n_prefetched--;
    s->counts.prefetched--;
    charge(s, t);
}

/* The oldest prefetched tasks that fit now are what the worker begins by itself. */
static void promote(Scheduler *s, guint32 worker)
{
    Worker *w = WORKER(s, worker);
    for (guint32 t = w->head[L_PREFETCHED], next; t; t = next) {
        next = TASK(s, t)->next;
        if (resources_fit_now(&w->r, sched_task_request(s, TASK(s, t))))
            begin_prefetched(s, t);
    }
}

/* Takes a task from its worker. */
static void unplace(Scheduler *s, guint32 t)
{
    Task *task = TASK(s, t);
    guint32 worker = task->worker;
    Worker *w = WORKER(s, worker);
    list_remove(s, w, task->status == T_RUNNING ? L_RUNNING : L_PREFETCHED, t);
    if (task->status == T_RUNNING) {
        Taken taken = task_taken(s, task);
        resources_give(&w->r, sched_task_request(s, task), &taken);
        w->n_running--;
        s->counts.running--;
    } else {
        w->n_prefetched--;
        s->counts.prefetched--;
    }
    task->worker = 0;
    --*user_given(s, task);
    if (!w->draining)
        promote(s, worker);
    ring_add(s, worker);
    s->recall_done = FALSE;
}

/* ---- tasks ---- */

SchedTask sched_task_add(Scheduler *s, SchedGroup g, const Request *request, guint64 data)
{
    guint32 t = s->free_task;
    if (t) {
        s->free_task = TASK(s, t)->next;
    } else {
        t = s->tasks->len;
        g_array_set_size(s->tasks, t + 1);
    }
    guint32 q = queue_for(s, g, request);
    *TASK(s, t) = (Task){.data = data, .queue = q, .seq = ++s->next_seq};
    QUEUE(s, q)->n_tasks++;
    GROUP(s, g)->n_tasks++;
    enqueue(s, t, FALSE);
    return t;
}

void sched_task_remove(Scheduler *s, SchedTask t)
{
    Task *task = TASK(s, t);
    if (task->status == T_WAITING)
        sched_dequeue(s, t);
    else
        unplace(s, t);
    QUEUE(s, task->queue)->n_tasks--;
    GROUP(s, QUEUE(s, task->queue)->group)->n_tasks--;
    *task = (Task){.next = s->free_task};
    s->free_task = t;
}

void sched_task_requeue(Scheduler *s, SchedTask t)
{
    if (TASK(s, t)->status == T_WAITING)
        return;
    unplace(s, t);
    enqueue(s, t, TRUE);
}

void sched_task_running(Scheduler *s, SchedTask t)
{
    Task *task = TASK(s, t);
    task->recalled = 0;
    if (task->status == T_PREFETCHED)
        begin_prefetched(s, t);
}

void sched_task_adopt(Scheduler *s, SchedTask t, SchedWorker w, gboolean running)
{
    g_assert(TASK(s, t)->status == T_WAITING);
    sched_dequeue(s, t);
    sched_place(s, t, w, running);
}

/* ---- workers ---- */

SchedWorker sched_worker_add(Scheduler *s, const Resources *r, guint prefetch, gint64 ends_us)
{
    guint32 w = find_free(s->workers, G_STRUCT_OFFSET(Worker, used), sizeof(Worker));
    *WORKER(s, w) = (Worker){.r = *r, .used = TRUE, .prefetch = prefetch, .ends_us = ends_us};
    s->counts.workers++;
    s->recall_done = FALSE;
    ring_add(s, w);
    return w;
}

static void take_no_more(Scheduler *s, guint32 w)
{
    Worker *wk = WORKER(s, w);
    if (wk->reserved_for) {
        QUEUE(s, wk->reserved_for)->reserved = 0;
        wk->reserved_for = 0;
    }
    for (int i = 0; i < 2; i++) {
        g_queue_remove(&s->ring[i], GUINT_TO_POINTER(w));
        wk->in_ring[i] = FALSE;
    }
}

void sched_worker_drain(Scheduler *s, SchedWorker w)
{
    WORKER(s, w)->draining = TRUE;
    take_no_more(s, w);
}

void sched_worker_pause(Scheduler *s, SchedWorker w, gboolean paused)
{
    WORKER(s, w)->paused = paused;
    if (paused)
        take_no_more(s, w);
    else
        ring_add(s, w);
}

void sched_worker_remove(
        Scheduler *s, SchedWorker w, void (*fn)(SchedTask, guint64, gpointer), gpointer user)
{
    sched_worker_drain(s, w); /* nothing is promoted to or placed on it any more */
    /* From the back: the oldest ends up first in its queue. */
    for (int list = L_PREFETCHED; list >= L_RUNNING; list--)
        while (WORKER(s, w)->tail[list]) {
            guint32 t = WORKER(s, w)->tail[list];
            if (fn)
                fn(t, TASK(s, t)->data, user);
            sched_task_requeue(s, t);
        }
    *WORKER(s, w) = (Worker){0};
    s->counts.workers--;
}
