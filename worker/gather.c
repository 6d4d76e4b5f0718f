/* SPDX-License-Identifier: Apache-2.0 */
/* See gather.h. */
#include "worker/gather.h"

struct Gather {
    WTask *t;
    GatherDone done;
    GThread *thread;
    GSource *ended; /* attached by the thread, as its last deed */
    GPtrArray *changes;
    GError *error;
};

static void gather_free(Gather *g)
{
    g_thread_join(g->thread);
    g_source_destroy(g->ended);
    g_source_unref(g->ended);
    g_clear_pointer(&g->changes, g_ptr_array_unref);
    g_clear_error(&g->error);
    g_free(g);
}

static gboolean on_ended(gpointer gather)
{
    Gather *g = gather;
    GPtrArray *changes = g_steal_pointer(&g->changes);
    g_autoptr(GError) error = g_steal_pointer(&g->error);
    WTask *t = g->t;
    GatherDone done = g->done;
    t->gather = NULL;
    gather_free(g);
    done(t, changes, error);
    return G_SOURCE_REMOVE;
}

static gpointer look_through(gpointer gather)
{
    Gather *g = gather;
    g->changes = place_changes(g->t, &g->error);
    g_source_attach(g->ended, g->t->w->context);
    return NULL;
}

void gather_start(WTask *t, GatherDone done)
{
    Gather *g = g_new0(Gather, 1);
    g->t = t;
    g->done = done;
    g->ended = g_idle_source_new();
    g_source_set_priority(g->ended, G_PRIORITY_DEFAULT);
    g_source_set_callback(g->ended, on_ended, g, NULL);
    t->gather = g;
    g->thread = g_thread_new("gather", look_through, g);
}

void gather_cancel(WTask *t)
{
    Gather *g = g_steal_pointer(&t->gather);
    g_atomic_int_set(&t->gather_off, 1);
    if (g)
        gather_free(g);
}
