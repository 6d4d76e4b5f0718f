/* SPDX-License-Identifier: Apache-2.0 */
/* See beside.h. */
#include "coordinator/beside.h"

#include "engine/base/apart.h"

struct Beside {
    Coordinator *c;
    Apart *apart;
    void (*work)(gpointer);
    void (*done)(gpointer);
    GDestroyNotify free;
    gpointer data;
};

static void beside_free(gpointer beside)
{
    Beside *b = beside;
    apart_cancel(b->apart);
    b->free(b->data);
    g_free(b);
}

static void work(gpointer beside)
{
    Beside *b = beside;
    b->work(b->data);
}

static void on_done(gpointer beside)
{
    Beside *b = beside;
    b->apart = NULL;
    b->done(b->data);
    g_hash_table_remove(b->c->beside, b);
}

Beside *beside_start(Coordinator *c, void (*fn)(gpointer), void (*done)(gpointer),
        GDestroyNotify free, gpointer data)
{
    Beside *b = g_new0(Beside, 1);
    *b = (Beside){c, NULL, fn, done, free, data};
    if (!c->beside)
        c->beside = g_hash_table_new_full(NULL, NULL, beside_free, NULL);
    g_hash_table_add(c->beside, b);
    b->apart = apart_start(c->context, work, on_done, b);
    return b;
}

void beside_hurry(Beside *b)
{
    apart_hurry(b->apart);
}

void beside_end(Coordinator *c)
{
    g_clear_pointer(&c->beside, g_hash_table_unref);
}
