/* SPDX-License-Identifier: Apache-2.0 */
/* See thinker.h. */
#include "engine/batch/thinker.h"

struct Thinker {
    GSource *source; /* made ready by the thread */
    gboolean busy;
    GThread *thread;
    void (*work)(gpointer arg);
    gpointer arg;
    void (*done)(gpointer data);
    gpointer data;
};

typedef struct {
    GSource source;
    Thinker *thinker;
} DoneSource;

static gboolean on_done(GSource *source, GSourceFunc callback, gpointer data)
{
    Thinker *t = ((DoneSource *)source)->thinker;
    g_source_set_ready_time(source, -1);
    g_clear_pointer(&t->thread, g_thread_join);
    t->busy = FALSE;
    t->done(t->data);
    return G_SOURCE_CONTINUE;
}

Thinker *thinker_new(GMainContext *context, void (*done)(gpointer data), gpointer data)
{
    static GSourceFuncs funcs = {.dispatch = on_done};
    Thinker *t = g_new0(Thinker, 1);
    t->done = done;
    t->data = data;
    t->source = g_source_new(&funcs, sizeof(DoneSource));
    ((DoneSource *)t->source)->thinker = t;
    g_source_set_ready_time(t->source, -1);
    g_source_attach(t->source, context);
    return t;
}

void thinker_free(Thinker *t)
{
    if (!t)
        return;
    g_clear_pointer(&t->thread, g_thread_join);
    g_source_destroy(t->source);
    g_source_unref(t->source);
    g_free(t);
}

static gpointer run(gpointer data)
{
    Thinker *t = data;
    t->work(t->arg);
    g_source_set_ready_time(t->source, 0);
    return NULL;
}

void thinker_start(Thinker *t, void (*work)(gpointer arg), gpointer arg)
{
    g_assert(!t->busy);
    t->busy = TRUE;
    t->work = work;
    t->arg = arg;
    t->thread = g_thread_try_new("optimizer", run, t, NULL);
    if (!t->thread)
        run(t); /* no thread to be had: the loop waits */
}

gboolean thinker_busy(const Thinker *t)
{
    return t->busy;
}
