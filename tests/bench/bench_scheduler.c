/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler alone: a million tasks of mixed requests over a thousand imagined workers of mixed
 * size, until all have run.
 *
 *     bench_scheduler [TASKS [WORKERS]]
 *
 * Each decision starts a task or hands it out ahead; then a random worker's oldest task ends, which
 * makes room for the next. Prints one line: nanoseconds a decision, decisions, bytes a task as the
 * scheduler counts them, resident bytes a task while all wait. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "coordinator/scheduler.h"

typedef struct {
    GQueue held; /* SchedTask, oldest first */
    SchedWorker handle;
} ImaginedWorker;

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static gsize resident_bytes(void)
{
    g_autofree char *text = NULL;
    unsigned long pages = 0, resident = 0;

    if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL) ||
            sscanf(text, "%lu %lu", &pages, &resident) != 2)
        exit(1);
    return resident * (gsize)sysconf(_SC_PAGESIZE);
}

static Value *map_of(const char *const *names, const gint64 *amounts, gsize n)
{
    Value *map = value_new_map();

    for (gsize i = 0; i < n; i++)
        if (amounts[i])
            value_map_set_int(map, names[i], amounts[i]);
    return map;
}

static const char *const resource_names[] = {"cpus", "mem", "gpus", "license"};
enum { N_RESOURCES = G_N_ELEMENTS(resource_names) };

static void add_workers(Scheduler *s, ImaginedWorker *workers, guint n, GHashTable *by_handle)
{
    static const gint64 kinds[][N_RESOURCES] = {
            {4, 16, 0, 0}, {16, 64, 0, 1}, {32, 128, 4, 0}, {64, 256, 8, 2}};

    for (guint i = 0; i < n; i++) {
        Resources r;
        g_autoptr(Value) map = map_of(resource_names, kinds[i % G_N_ELEMENTS(kinds)], N_RESOURCES);

        if (!resources_from_value(map, NULL, &r, NULL))
            exit(1);
        g_queue_init(&workers[i].held);
        workers[i].handle = sched_worker_add(s, &r, 2, 0);
        g_hash_table_insert(by_handle, GUINT_TO_POINTER(workers[i].handle), &workers[i]);
    }
}

static void add_tasks(Scheduler *s, guint n)
{
    static const gint64 kinds[][N_RESOURCES] = {
            {1, 0, 0, 0}, {1, 0, 0, 0}, {2, 4, 0, 0}, {4, 8, 1, 0}, {1, 1, 0, 1}, {16, 32, 0, 0}};
    Request requests[G_N_ELEMENTS(kinds)];
    SchedGroup groups[8];

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(Value) map = map_of(resource_names, kinds[i], N_RESOURCES);
        if (!request_from_value(map, &requests[i], NULL))
            exit(1);
    }
    for (guint i = 0; i < G_N_ELEMENTS(groups); i++) {
        g_autofree char *user = g_strdup_printf("user%u", i % 4);
        groups[i] = sched_group_add(s, user, (int)(i % 2), FALSE);
    }
    for (guint i = 0; i < n; i++)
        sched_task_add(
                s, groups[i % G_N_ELEMENTS(groups)], &requests[i % G_N_ELEMENTS(requests)], i);
}

static void apply(const SchedDecision *d, Scheduler *s, GHashTable *by_handle)
{
    ImaginedWorker *w = g_hash_table_lookup(by_handle, GUINT_TO_POINTER(d->worker));

    if (d->action == SCHED_RECALL) {
        if (!g_queue_remove(&w->held, GUINT_TO_POINTER(d->task)))
            exit(1);
        sched_task_requeue(s, d->task);
    } else {
        g_queue_push_tail(&w->held, GUINT_TO_POINTER(d->task));
    }
}

/* A random worker that has something ends its oldest task, and runs the next that it was handed
 * ahead, if any. */
static gboolean end_one(Scheduler *s, ImaginedWorker *workers, guint n)
{
    guint first = (guint)g_random_int_range(0, (gint32)n);

    for (guint i = 0; i < n; i++) {
        ImaginedWorker *w = &workers[(first + i) % n];
        if (g_queue_is_empty(&w->held))
            continue;
        sched_task_remove(s, GPOINTER_TO_UINT(g_queue_pop_head(&w->held)));
        if (!g_queue_is_empty(&w->held))
            sched_task_running(s, GPOINTER_TO_UINT(g_queue_peek_head(&w->held)));
        return TRUE;
    }
    return FALSE;
}

int main(int argc, char **argv)
{
    guint n_tasks = argc > 1 ? (guint)atoi(argv[1]) : 1000000;
    guint n_workers = argc > 2 ? (guint)atoi(argv[2]) : 1000;
    g_autoptr(Scheduler) s = sched_new();
    g_autoptr(GHashTable) by_handle = g_hash_table_new(NULL, NULL);
    ImaginedWorker *workers = g_new0(ImaginedWorker, n_workers);
    guint64 decisions = 0;
    SchedDecision d;

    g_random_set_seed(1);
    add_workers(s, workers, n_workers, by_handle);
    gsize before = resident_bytes();
    add_tasks(s, n_tasks);
    gsize per_task = (resident_bytes() - before) / n_tasks;

    double began = now_s();
    do {
        while (sched_next(s, 0, &d)) {
            apply(&d, s, by_handle);
            decisions++;
        }
    } while (end_one(s, workers, n_workers));
    double took = now_s() - began;

    SchedCounts left = sched_counts(s);
    if (left.waiting || left.running || left.prefetched) {
        fprintf(stderr, "bench_scheduler: %u tasks were never run\n", left.waiting);
        return 1;
    }
    printf("%.1f %" G_GUINT64_FORMAT " %zu %zu\n", took * 1e9 / (double)decisions, decisions,
            sched_task_bytes(), per_task);
    g_free(workers);
    return 0;
}
