/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator as a whole: what it opens, in which order, and how it ends. */
#include "coordinator/coordinator.h"

#include <string.h>
#include <unistd.h>

#include "coordinator/beside.h"
#include "coordinator/homelock.h"
#include "coordinator/internal.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

#define DEFAULT_LEASE_US (30 * G_USEC_PER_SEC)
#define DEFAULT_RETRIES 3

GQuark coordinator_error_quark(void)
{
    return g_quark_from_static_string("guild-coordinator-error");
}

const char *coordinator_endpoint(Coordinator *c)
{
    return c->endpoint;
}

static Coordinator *new_base(const char *home, GMainContext *context, GError **error)
{
    Coordinator *c = g_new0(Coordinator, 1);
    c->home = g_strdup(home);
    c->context = context;
    c->lock_fd = -1;
    c->instance = run_new_id();
    c->lease_us = DEFAULT_LEASE_US;
    c->retries = DEFAULT_RETRIES;
    c->sched = sched_new();
    c->by_handle = g_ptr_array_new();
    c->digests = digest_cache_new();
    c->members = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, member_free);
    c->tasks = g_hash_table_new(g_int64_hash, g_int64_equal);
    c->runs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    c->jobs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, job_free);
    c->store = run_store_open(home, error);
    if (!c->store || !run_store_ensure(c->store, error)) {
        coordinator_free(c);
        return NULL;
    }
    return c;
}

Coordinator *coordinator_new_local(
        const char *home, void *zmq, const char *endpoint, GMainContext *context, GError **error)
{
    Coordinator *c = new_base(home, context, error);
    if (!c)
        return NULL;
    c->local = TRUE;
    c->zmq = zmq;
    if (!server_open_local(c, endpoint, error)) {
        coordinator_free(c);
        return NULL;
    }
    return c;
}

/* ---- as a service ---- */

/* Proved by trying: quotas, reserves and read-only remounts all look different from outside. But what
 * found no room has made some when it was undone. */
gboolean coordinator_is_full(Coordinator *c, const GError *problem)
{
    if (c->local)
        return FALSE;
    if (g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOSPC))
        return TRUE;
    static const char block[4096];
    g_autofree char *path = g_build_filename(c->home, "coordinator", "probe", NULL);
    gboolean ok = fs_write(path, block, sizeof block, NULL);
    fs_remove(path, NULL);
    return !ok;
}

static gboolean write_endpoint(Coordinator *c, GError **error)
{
    g_autofree char *path = keys_endpoint_path(c->home);
    const char *port = strrchr(c->endpoint, ':');
    g_autofree char *text = g_strdup_printf("tcp://127.0.0.1%s\n", port ? port : "");
    gboolean any = strstr(c->endpoint, "0.0.0.0") || strstr(c->endpoint, "[::]") ||
                   strstr(c->endpoint, "*");
    g_autofree char *exact = g_strconcat(c->endpoint, "\n", NULL);
    return fs_write_atomic(path, any ? text : exact, -1, 0600, error);
}

/* Tasks that a worker had when we ended, and that no worker claimed: others get them. */
static void release_unclaimed(Coordinator *c)
{
    g_autoptr(GList) tasks = g_hash_table_get_values(c->tasks);
    for (GList *l = tasks; l; l = l->next) {
        Task *t = l->data;
        if (t->stage == TS_QUEUED && !t->handle && t->attempt > 0)
            task_lost(t, "its worker did not come back after the coordinator was restarted");
    }
}

static gboolean on_tick(gpointer data)
{
    Coordinator *c = data;
    gint64 now = clock_monotonic_us();
    server_drop_revoked(c);
    members_tick(c, now);
    jobs_drop_deleted(c);
    watch_tick(c);
    alloc_tick(c->alloc, now);
    if (c->ready_us && now >= c->ready_us) {
        c->ready_us = 0;
        release_unclaimed(c);
    }
    return G_SOURCE_CONTINUE;
}

static void start_ticking(Coordinator *c)
{
    gint64 ms = CLAMP(c->lease_us / 1000 / 20, 50, 1000);
    c->ticked_us = clock_monotonic_us();
    c->ready_us = c->ticked_us + c->lease_us; /* from now on workers are heard */
    c->tick = g_timeout_source_new((guint)ms);
    g_source_set_callback(c->tick, on_tick, c, NULL);
    g_source_attach(c->tick, c->context);
}

static gboolean open_service(Coordinator *c, const CoordinatorOptions *o, GError **error)
{
    c->lock_fd = home_lock(c->home, error);
    if (c->lock_fd < 0)
        return FALSE;
    c->blobs = blobs_open(c->home, o->cache_bytes, error);
    c->keys = c->blobs ? keyring_open(c->home, TRUE, error) : NULL;
    c->queue = c->keys ? queue_open(c->home, c->context, o->commit_ms ? o->commit_ms : 2, error)
                       : NULL;
    if (!c->queue)
        return FALSE;
    c->zmq = zcontext_new();
    c->own_zmq = TRUE;
    zmq_ctx_set(c->zmq, ZMQ_MAX_SOCKETS, 30000);
    c->zap = zap_new(c, error);
    if (!c->zap || !server_open(c, o->bind, error))
        return FALSE;
    if (o->metrics_port && !(c->metrics = metrics_new(c, o->metrics_bind, o->metrics_port, error)))
        return FALSE;
    c->alloc = alloc_new(c);
    /* Last: who finds it finds all of us. */
    return jobs_restore(c, error) && write_endpoint(c, error);
}

Coordinator *coordinator_new(const CoordinatorOptions *o, GMainContext *context, GError **error)
{
    Coordinator *c = new_base(o->home, context, error);
    if (!c)
        return NULL;
    if (o->lease_us)
        c->lease_us = o->lease_us;
    if (o->retries >= 0)
        c->retries = o->retries;
    if (!open_service(c, o, error)) {
        coordinator_free(c);
        return NULL;
    }
    start_ticking(c);
    return c;
}

void coordinator_shutdown(Coordinator *c, void (*done)(gpointer), gpointer data)
{
    /* What is recorded is recorded; workers keep what they run until a coordinator is back. */
    c->closing = TRUE;
    queue_flush(c->queue, NULL);
    done(data);
}

static void drop_source(GSource **source)
{
    if (!*source)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

void coordinator_free(Coordinator *c)
{
    if (!c)
        return;
    c->closing = TRUE;
    drop_source(&c->wake);
    drop_source(&c->hold);
    drop_source(&c->tick);
    metrics_free(c->metrics);
    alloc_free(c->alloc);
    if (c->queue)
        queue_flush(c->queue, NULL);
    beside_end(c);
    g_clear_pointer(&c->submitting, g_hash_table_unref);
    g_hash_table_unref(c->jobs);
    server_close(c);
    g_hash_table_unref(c->members);
    g_hash_table_unref(c->tasks);
    g_hash_table_unref(c->runs);
    g_ptr_array_unref(c->by_handle);
    zap_free(c->zap);
    queue_close(c->queue);
    keyring_free(c->keys);
    blobs_close(c->blobs);
    digest_cache_free(c->digests);
    run_store_free(c->store);
    sched_free(c->sched);
    if (c->own_zmq)
        zmq_ctx_term(c->zmq);
    if (c->lock_fd >= 0)
        close(c->lock_fd);
    g_free(c->instance);
    g_free(c->endpoint);
    g_free(c->home);
    g_free(c);
}
