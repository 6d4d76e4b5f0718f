/* SPDX-License-Identifier: Apache-2.0 */
/* See build.h. */
#include "worker/build.h"

#include "engine/base/apart.h"

struct Build {
    WTask *t;
    BuildDone done;
    Apart *apart;
    GError *error;
};

static void build_free(Build *b)
{
    g_clear_error(&b->error);
    g_free(b);
}

static void work(gpointer build)
{
    Build *b = build;
    place_build(b->t, &b->error);
}

static void on_built(gpointer build)
{
    Build *b = build;
    b->t->build = NULL;
    b->done(b->t, b->error);
    build_free(b);
}

void build_start(WTask *t, BuildDone done)
{
    Build *b = g_new0(Build, 1);
    *b = (Build){.t = t, .done = done};
    if (filelist_is_short(t->files)) {
        work(b);
        on_built(b);
        return;
    }
    t->build = b;
    b->apart = apart_start(t->w->context, work, on_built, b);
}

void build_cancel(WTask *t)
{
    Build *b = g_steal_pointer(&t->build);
    if (!b)
        return;
    g_atomic_int_set(&t->build_off, 1);
    apart_cancel(b->apart);
    transfer_unpin(t->w->blobs, t->files);
    build_free(b);
}
