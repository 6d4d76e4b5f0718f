/* SPDX-License-Identifier: Apache-2.0 */
/* See apart.h. */
#include "engine/base/apart.h"

/* The disk is one: more threads than this only make it jump. */
#define MAX_THREADS 4

typedef enum { APART_WAITS, APART_WORKS, APART_OVER, APART_CANCELLED } ApartState;

struct Apart {
    void (*work)(gpointer);
    void (*done)(gpointer);
    gpointer data;
    GMainContext *context;
    GSource *told; /* attached when the work is over */
    ApartState state;
    gint refs;     /* the loop's and the thread's */
    gint unwanted; /* atomic */
};

static _Thread_local Apart *current;

/* For all: it is held for moments. */
static GMutex lock;
static GCond over;

static void apart_unref(Apart *a)
{
    if (!g_atomic_int_dec_and_test(&a->refs))
        return;
    g_source_destroy(a->told);
    g_source_unref(a->told);
    g_main_context_unref(a->context);
    g_free(a);
}

static gboolean tell(gpointer apart)
{
    Apart *a = apart;
    void (*done)(gpointer) = a->done;
    gpointer data = a->data;
    apart_unref(a);
    done(data);
    return G_SOURCE_REMOVE;
}

static gboolean may_begin(Apart *a)
{
    g_mutex_lock(&lock);
    gboolean begins = a->state == APART_WAITS;
    if (begins)
        a->state = APART_WORKS;
    g_mutex_unlock(&lock);
    return begins;
}

static void run(gpointer apart, gpointer unused)
{
    Apart *a = apart;
    if (may_begin(a)) {
        current = a;
        a->work(a->data);
        current = NULL;
        g_mutex_lock(&lock);
        if (a->state == APART_WORKS)
            g_source_attach(a->told, a->context);
        a->state = APART_OVER;
        g_cond_broadcast(&over);
        g_mutex_unlock(&lock);
    }
    apart_unref(a);
}

static GThreadPool *threads(gboolean brief)
{
    static gsize once;
    static GThreadPool *pools[2];
    if (g_once_init_enter(&once)) {
        for (int i = 0; i < 2; i++)
            pools[i] = g_thread_pool_new(run, NULL, MAX_THREADS, FALSE, NULL);
        g_once_init_leave(&once, 1);
    }
    return pools[brief];
}

static Apart *start(GMainContext *context, void (*work)(gpointer), void (*done)(gpointer),
        gpointer data, gboolean brief)
{
    Apart *a = g_new0(Apart, 1);
    *a = (Apart){work, done, data, g_main_context_ref(context ? context : g_main_context_default()),
            g_idle_source_new(), APART_WAITS, 2, 0};
    g_source_set_priority(a->told, G_PRIORITY_DEFAULT);
    g_source_set_callback(a->told, tell, a, NULL);
    g_thread_pool_push(threads(brief), a, NULL);
    return a;
}

Apart *apart_start(
        GMainContext *context, void (*work)(gpointer), void (*done)(gpointer), gpointer data)
{
    return start(context, work, done, data, FALSE);
}

Apart *apart_start_short(
        GMainContext *context, void (*work)(gpointer), void (*done)(gpointer), gpointer data)
{
    return start(context, work, done, data, TRUE);
}

void apart_cancel(Apart *a)
{
    if (!a)
        return;
    apart_hurry(a);
    g_mutex_lock(&lock);
    gboolean begun = a->state == APART_WORKS;
    if (a->state != APART_OVER)
        a->state = APART_CANCELLED;
    while (begun && a->state != APART_OVER)
        g_cond_wait(&over, &lock);
    g_mutex_unlock(&lock);
    g_source_destroy(a->told); /* it may be about to tell */
    apart_unref(a);
}

void apart_hurry(Apart *a)
{
    g_atomic_int_set(&a->unwanted, 1);
}

gboolean apart_is_unwanted(void)
{
    return current && g_atomic_int_get(&current->unwanted);
}
