/* SPDX-License-Identifier: Apache-2.0 */
/* See gather.h. */
#include "worker/gather.h"

#include "engine/base/apart.h"

struct Gather {
    WTask *t;
    GatherDone done;
    Apart *apart;
    GPtrArray *changes;
    GError *error;
};

static void gather_free(Gather *g)
{
    g_clear_pointer(&g->changes, g_ptr_array_unref);
    g_clear_error(&g->error);
    g_free(g);
}

static void on_ended(gpointer gather)
{
    Gather *g = gather;
    GPtrArray *changes = g_steal_pointer(&g->changes);
    g_autoptr(GError) error = g_steal_pointer(&g->error);
    WTask *t = g->t;
    GatherDone done = g->done;
    t->gather = NULL;
    gather_free(g);
    done(t, changes, error);
}

static void look_through(gpointer gather)
{
    Gather *g = gather;
    g->changes = place_changes(g->t, &g->error);
}

void gather_start(WTask *t, GatherDone done)
{
    Gather *g = g_new0(Gather, 1);
    g->t = t;
    g->done = done;
    t->gather = g;
    g->apart = apart_start(t->w->context, look_through, on_ended, g);
}

void gather_cancel(WTask *t)
{
    Gather *g = g_steal_pointer(&t->gather);
    g_atomic_int_set(&t->gather_off, 1);
    if (!g)
        return;
    apart_cancel(g->apart);
    gather_free(g);
}
