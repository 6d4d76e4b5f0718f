/* SPDX-License-Identifier: Apache-2.0 */
/* The worker as a whole: what it offers, when a task may begin, and how it ends. */
#include "worker/worker.h"

#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "worker/echo.h"
#include "worker/internal.h"

#define DEFAULT_CONNECT_US (8 * G_USEC_PER_SEC)
#define DEFAULT_AGAIN_US (G_USEC_PER_SEC / 4)
#define DEFAULT_GIVE_UP_US (3600 * (gint64)G_USEC_PER_SEC)

/* ---- ending ---- */

void worker_over(Worker *w, int status, const char *error)
{
    if (w->over)
        return;
    w->over = TRUE;
    for (guint i = 0; i < w->tasks->len; i++) {
        WTask *t = w->tasks->pdata[i];
        if (t->exec)
            exec_stop(t->exec, 0);
    }
    if (w->listener.ended)
        w->listener.ended(w, status, error, w->data);
}

static void say_bye(Worker *w, const char *reason)
{
    MsgBye m = {(char *)reason};
    link_send(w->link, MSG_BYE, &m);
}

static void maybe_over(Worker *w)
{
    if ((w->draining || w->stopping) && !w->over && w->tasks->len == 0) {
        say_bye(w, w->draining ? "drained" : "stopped");
        worker_over(w, 0, NULL);
    }
}

void worker_drain(Worker *w)
{
    w->draining = TRUE;
    for (guint i = w->tasks->len; i-- > 0;) {
        WTask *t = w->tasks->pdata[i];
        if (wtask_unstarted(t))
            wtask_give_back(t, "the worker is draining");
    }
    worker_look(w);
}

/* Everything goes back at once; what runs is ended, and nobody wants to hear how. */
void worker_stop(Worker *w, gint64 grace_us)
{
    if (!w->stopping && !w->in_place)
        say_bye(w, "stopped");
    w->stopping = TRUE;
    for (guint i = w->tasks->len; i-- > 0;) {
        WTask *t = w->tasks->pdata[i];
        t->dropped = !w->in_place;
        t->hand_back = w->in_place; /* another may begin it only when it has ended here */
        if (t->stage == W_RUNNING || t->stage == W_PREPARE) {
            wtask_end_process(t, grace_us);
        } else if (w->in_place && wtask_unstarted(t)) {
            wtask_give_back(t, "its worker left");
        } else {
            wtask_drop(t);
        }
    }
    worker_look(w);
}

/* ---- beginning ---- */

/* Tasks in the order in which they came, each as soon as it fits. */
static gboolean look(gpointer data)
{
    Worker *w = data;
    g_clear_pointer(&w->begin, g_source_unref);
    for (guint i = 0; i < w->tasks->len; i++) {
        WTask *t = w->tasks->pdata[i];
        if (t->stage == W_READY && !w->over && resources_fit_now(&w->res, &t->request))
            wtask_begin(t);
    }
    if (w->tasks->len)
        w->idle_since_us = 0;
    else if (!w->idle_since_us)
        w->idle_since_us = clock_monotonic_us();
    maybe_over(w);
    return G_SOURCE_REMOVE;
}

void worker_look(Worker *w)
{
    if (w->begin || w->over)
        return;
    w->begin = g_idle_source_new();
    g_source_set_priority(w->begin, G_PRIORITY_DEFAULT);
    g_source_set_callback(w->begin, look, w, NULL);
    g_source_attach(w->begin, w->context);
}

/* In place we can't be fenced: what could not be renewed in time is ended, and given back when it
 * has ended. A result waits to be told: it changes nothing any more. */
static void enforce_lease(Worker *w)
{
    if (!w->in_place || w->inproc || link_unrenewed_us(w->link) < link_lease_us(w->link) / 10 * 9)
        return;
    for (guint i = w->tasks->len; i-- > 0;) {
        WTask *t = w->tasks->pdata[i];
        if (t->dropped || t->hand_back || t->stage == W_REPORT)
            continue;
        log_warning("run %s: its lease could not be renewed; it is ended", t->run_id);
        if (wtask_unstarted(t)) {
            wtask_give_back(t, "its lease could not be renewed");
            continue;
        }
        t->hand_back = TRUE;
        wtask_end_process(t, 0);
    }
}

static gboolean on_tick(gpointer data)
{
    Worker *w = data;
    gint64 now = clock_monotonic_us();
    if (w->over)
        return G_SOURCE_CONTINUE;
    enforce_lease(w);
    link_tick(w->link, now);
    for (guint i = 0; i < w->tasks->len && !w->over; i++) {
        WTask *t = w->tasks->pdata[i];
        echo_catch_up(t);
        if (t->stage == W_REPORT && link_up(w->link) && now >= t->report_at_us)
            wtask_report(t);
    }
    if (w->idle_exit_us && w->idle_since_us && now - w->idle_since_us >= w->idle_exit_us &&
            !w->draining)
        worker_drain(w);
    return G_SOURCE_CONTINUE;
}

/* ---- the object ---- */

static gboolean take_options(Worker *w, const WorkerOptions *o, GError **error)
{
    w->home = g_strdup(o->home);
    w->url = g_strdup(o->url);
    w->name = o->name ? g_strdup(o->name) : machine_name();
    w->inproc = o->key == NULL;
    w->session = run_new_id();
    w->have = machine_resources(o->slots, o->have);
    w->confine = confine_host_new(!w->inproc);
    w->labels = g_strdupv((char **)o->labels);
    w->give_up_us = o->give_up_us ? o->give_up_us : DEFAULT_GIVE_UP_US;
    w->again_us = o->again_us ? o->again_us : DEFAULT_AGAIN_US;
    w->connect_us = o->connect_us ? o->connect_us : DEFAULT_CONNECT_US;
    w->ends_us = o->ends_us;
    w->idle_exit_us = o->idle_exit_us;
    const Value *gpus = value_map_get(w->have, "gpus");
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    for (gsize i = 0; i < value_list_size(gpus); i++) {
        g_autofree char *name = value_str(value_list_at(gpus, i));
        g_strv_builder_add(b, name);
    }
    w->gpus = g_strv_builder_end(b);
    if (!w->inproc && !(w->blobs = blobs_open(w->home, o->cache_bytes, error)))
        return FALSE;
    return resources_from_value(w->have, (const char *const *)w->labels, &w->res, error);
}

Worker *worker_new(const WorkerOptions *o, GMainContext *context, const WorkerListener *listener,
        gpointer data, GError **error)
{
    exec_raise_file_limit();
    Worker *w = g_new0(Worker, 1);
    w->context = context;
    w->tasks = g_ptr_array_new_with_free_func(wtask_free);
    if (listener)
        w->listener = *listener;
    w->data = data;
    w->zmq = o->zmq;
    if (!w->zmq) {
        w->zmq = zcontext_new();
        w->own_zmq = TRUE;
    }
    if (!take_options(w, o, error) || !link_new(w, o->key, error)) {
        worker_free(w);
        return NULL;
    }
    w->idle_since_us = clock_monotonic_us();
    if (!w->inproc) {
        w->tick = g_timeout_source_new(100);
        g_source_set_callback(w->tick, on_tick, w, NULL);
        g_source_attach(w->tick, context);
    }
    return w;
}

static void drop_source(GSource **source)
{
    if (!*source)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

void worker_free(Worker *w)
{
    if (!w)
        return;
    drop_source(&w->begin);
    drop_source(&w->tick);
    w->over = TRUE;
    g_ptr_array_unref(w->tasks);
    confine_host_free(w->confine);
    link_free(w->link);
    place_free(w->place);
    blobs_close(w->blobs);
    if (w->own_zmq)
        zmq_ctx_term(w->zmq);
    value_unref(w->have);
    g_strfreev(w->labels);
    g_strfreev(w->gpus);
    g_free(w->home);
    g_free(w->url);
    g_free(w->name);
    g_free(w->room_text);
    g_free(w->session);
    g_free(w);
}
