/* SPDX-License-Identifier: Apache-2.0 */
/* Workers: who is there, what they hold, when they count as lost. A worker is known by its session,
 * which outlives connections: one that comes back is taken back with what it still runs; one that
 * does not come back in time loses its tasks to others, and its leases with them. */
#include <signal.h>
#include <string.h>

#include "coordinator/internal.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

/* A process that is gone closes its connection; one that lives comes back at once. So a closed
 * connection is waited for no longer than this (of a worker that runs in place on another host,
 * which can't be fenced, the whole lease). A cut link closes nothing. */
#define RECONNECT_US (5 * G_USEC_PER_SEC)
#define MAX_PAUSE_US (60 * G_USEC_PER_SEC)
#define PAUSE_TICK_MS 100
/* How long a worker that renews its leases may begin nothing. */
#define IDLING_LEASES 2

void member_free(gpointer member)
{
    Member *m = member;
    m->c->slots -= m->slots;
    g_hash_table_unref(m->tasks);
    g_free(m->session);
    g_free(m->name);
    g_free(m->software);
    value_unref(m->resources);
    g_strfreev(m->labels);
    g_free(m);
}

static gboolean sees_home(Coordinator *c, const MsgHello *h)
{
    return c->local || (h->home_token && keyring_token(c->keys) &&
                               !strcmp(h->home_token, keyring_token(c->keys)));
}

static guint prefetch_for(const Resources *r)
{
    guint slots = (guint)(r->cpus / AMOUNT_ONE);
    return MAX(slots, 2);
}

static Member *member_new(Coordinator *c, const MsgHello *h, const Resources *r)
{
    const char *ours = clock_boot_id();
    Member *m = g_new0(Member, 1);
    m->c = c;
    m->session = g_strdup(h->session);
    m->name = g_strdup(h->name ? h->name : "?");
    m->software = g_strdup(h->software);
    m->resources = value_ref(h->resources);
    m->slots = value_map_int(h->resources, "cpus", 1);
    c->slots += m->slots;
    m->labels = g_strdupv(h->labels);
    m->in_place = sees_home(c, h);
    m->same_host = *ours && !g_strcmp0(ours, h->boot_id);
    m->pid = h->pid;
    m->ends_us = h->ends_us;
    m->since_us = clock_timestamp_us();
    m->tasks = g_hash_table_new(NULL, NULL);
    m->handle = sched_worker_add(c->sched, r, prefetch_for(r), h->ends_us);
    if (c->by_handle->len <= m->handle)
        g_ptr_array_set_size(c->by_handle, (gint)m->handle + 1);
    c->by_handle->pdata[m->handle] = m;
    g_hash_table_insert(c->members, m->session, m);
    GHashTableIter it;
    gpointer job;
    g_hash_table_iter_init(&it, c->jobs);
    while (g_hash_table_iter_next(&it, NULL, &job))
        job_check_fit(job);
    return m;
}

/* Of what the worker says it holds: takes back what is still its own, names what is not. */
static GPtrArray *take_back(Member *m, GPtrArray *held)
{
    Coordinator *c = m->c;
    GPtrArray *drop = g_ptr_array_new_with_free_func(held_task_free);
    for (guint i = 0; held && i < held->len; i++) {
        HeldTask *h = held->pdata[i];
        Task *t = g_hash_table_lookup(c->tasks, &h->task);
        if (t && t->lease == h->lease && t->member == m)
            continue; /* we never gave it up */
        if (t && t->lease == h->lease && t->placing && !t->member) {
            t->member = m; /* it hears when its result is in its place */
            g_hash_table_add(m->tasks, t);
            continue;
        }
        if (t && t->lease == h->lease && t->stage == TS_QUEUED) {
            if (!t->handle)
                task_enqueue(t); /* it waited for this worker since we were started */
            gboolean begun = h->state != HELD_WAITS;
            sched_task_adopt(c->sched, t->handle, m->handle, begun);
            t->member = m;
            if (m->in_place)
                t->output_told = OUTPUT_TOLD_UNKNOWN;
            t->stage = begun ? TS_RUNNING : TS_GIVEN;
            g_hash_table_add(m->tasks, t);
            if (begun)
                job_task_started(t);
            continue;
        }
        g_ptr_array_add(drop, held_task_new(h->task, h->lease, h->run, h->state));
    }
    return drop;
}

/* What we think it has and it does not say: it never got it, or lost it with its disk. */
static void reconcile(Member *m, GPtrArray *held)
{
    g_autoptr(GHashTable) said = g_hash_table_new(g_int64_hash, g_int64_equal);
    for (guint i = 0; held && i < held->len; i++)
        g_hash_table_add(said, &((HeldTask *)held->pdata[i])->lease);
    g_autoptr(GList) tasks = g_hash_table_get_keys(m->tasks);
    for (GList *l = tasks; l; l = l->next) {
        Task *t = l->data;
        if (g_hash_table_contains(said, &t->lease)) {
            result_abandon(t); /* it sends its report again */
            continue;
        }
        if (t->stage == TS_GIVEN)
            task_unheard_of(t);
        else
            task_lost(t, "the worker no longer knows of it");
    }
}

/* What was to be stopped while it was away. */
static void stop_again(Member *m)
{
    GHashTableIter it;
    gpointer task;
    g_hash_table_iter_init(&it, m->tasks);
    while (g_hash_table_iter_next(&it, &task, NULL)) {
        Task *t = task;
        gboolean with_job = t->job->stopping && t->job->stop_grace_us >= 0;
        if ((t->stop_asked || with_job) && t->stage != TS_RESULT)
            task_stop(t, STOP_GRACE_US);
        else if (t->job->stopping && t->stage == TS_GIVEN)
            task_recall(t);
    }
}

void member_hello(Peer *p, const MsgHello *h)
{
    Coordinator *c = p->c;
    g_autoptr(GError) error = NULL;
    Resources r;
    if (!h->session || !*h->session ||
            !resources_from_value(h->resources, (const char *const *)h->labels, &r, &error)) {
        MsgRefused no = {error ? error->message : "it named no session", TRUE};
        peer_send(p, MSG_REFUSED, &no);
        return;
    }
    Member *m = g_hash_table_lookup(c->members, h->session);
    gboolean known = m != NULL;
    if (m && m->peer)
        peer_drop(m->peer);
    if (!m)
        m = member_new(c, h, &r);
    m->peer = p;
    m->lost_at_us = 0;
    m->renewed_us = m->worked_us = clock_monotonic_us();
    p->member = m;
    p->welcomed = TRUE;
    sched_worker_pause(c->sched, m->handle, FALSE);
    g_autoptr(GPtrArray) drop = take_back(m, h->held);
    if (known)
        reconcile(m, h->held);
    MsgWelcome welcome = {.version = WIRE_VERSION,
            .instance = c->instance,
            .software = "guild",
            .lease_us = c->lease_us,
            .in_place = m->in_place,
            .drop = drop,
            .seq = h->seq};
    peer_send(p, MSG_WELCOME, &welcome);
    stop_again(m);
    /* What was away said HELLO more than once meanwhile; all of them come over one connection. */
    if (!c->local && !(known && p->again))
        log_info("worker %s %s (%s%s)", m->name, known ? "is back" : "connected", m->session,
                m->in_place ? ", in place" : "");
    if (m->draining) {
        MsgDrain d = {TRUE};
        peer_send(p, MSG_DRAIN, &d);
    }
    dispatch_wake(c);
}

void member_remove(Member *m, const char *why)
{
    Coordinator *c = m->c;
    guint n = g_hash_table_size(m->tasks);
    if (!c->local && !c->closing)
        log_info("worker %s is gone (%s)%s", m->name, why, n ? ": its tasks go to others" : "");
    g_autoptr(GList) tasks = g_hash_table_get_keys(m->tasks);
    for (GList *l = tasks; l; l = l->next) {
        Task *t = l->data;
        if (t->stage == TS_GIVEN) {
            task_unheard_of(t);
        } else if (m->leaving) {
            task_handed_back(t, "its worker left");
        } else {
            g_autofree char *text = g_strdup_printf("worker %s was lost (%s)", m->name, why);
            task_lost(t, text);
        }
    }
    sched_worker_remove(c->sched, m->handle, NULL, NULL);
    c->by_handle->pdata[m->handle] = NULL;
    if (m->peer)
        m->peer->member = NULL;
    g_hash_table_remove(c->members, m->session);
    dispatch_wake(c);
}

static gboolean process_gone(const Member *m)
{
    return m->same_host && m->pid > 0 && kill(m->pid, 0) < 0;
}

void member_disconnected(Member *m, gboolean orderly)
{
    m->peer = NULL;
    if (m->c->closing)
        return;
    if (process_gone(m) || orderly) {
        member_remove(m, orderly ? "it left" : "its process ended");
        return;
    }
    gint64 now = clock_monotonic_us();
    gint64 wait = m->in_place ? m->c->lease_us : MIN(RECONNECT_US, m->c->lease_us);
    m->lost_at_us = now + wait;
    sched_worker_pause(m->c->sched, m->handle, TRUE);
    g_autoptr(GList) tasks = g_hash_table_get_keys(m->tasks);
    for (GList *l = tasks; l; l = l->next)
        result_abandon(l->data);
    log_debug("the connection of worker %s ended; waiting %.3g s for it", m->name,
            (double)wait / G_USEC_PER_SEC);
}

void member_bye(Member *m, const char *reason)
{
    Peer *p = m->peer;
    m->leaving = TRUE;
    member_remove(m, reason && *reason ? reason : "it left");
    if (p)
        peer_drop(p);
}

void member_drain(Member *m)
{
    m->draining = TRUE;
    sched_worker_drain(m->c->sched, m->handle);
    MsgDrain d = {TRUE};
    if (m->peer)
        peer_send(m->peer, MSG_DRAIN, &d);
}

static void unpause(Member *m)
{
    m->paused_until_us = 0;
    if (!m->peer)
        return; /* when it is back */
    sched_worker_pause(m->c->sched, m->handle, FALSE);
    dispatch_wake(m->c);
}

/* In a local batch nothing ticks: it has no leases to look at. */
static gboolean on_pause_over(gpointer coordinator)
{
    Coordinator *c = coordinator;
    gint64 now_us = clock_monotonic_us();
    gboolean left = FALSE;
    g_autoptr(GList) members = g_hash_table_get_values(c->members);
    for (GList *l = members; l; l = l->next) {
        Member *m = l->data;
        if (m->paused_until_us && now_us >= m->paused_until_us)
            unpause(m);
        left |= m->paused_until_us != 0;
    }
    if (left)
        return G_SOURCE_CONTINUE;
    g_clear_pointer(&c->tick, g_source_unref);
    return G_SOURCE_REMOVE;
}

static void watch_pauses(Coordinator *c)
{
    if (!c->local || c->tick)
        return;
    c->tick = g_timeout_source_new(PAUSE_TICK_MS);
    g_source_set_callback(c->tick, on_pause_over, c, NULL);
    g_source_attach(c->tick, c->context);
}

/* A worker that can't run what it is given (a full disk) would use up every task's attempts. */
void member_missed(Member *m)
{
    gint64 pause = MIN((gint64)G_USEC_PER_SEC << MIN(m->n_misses, 8), MAX_PAUSE_US);
    m->n_misses++;
    m->paused_until_us = clock_monotonic_us() + pause;
    sched_worker_pause(m->c->sched, m->handle, TRUE);
    watch_pauses(m->c);
}

/* As much as it was given at once comes back at once. */
void member_declined(Member *m, const char *why)
{
    if (m->paused_until_us)
        return;
    if (!m->declines)
        log_warning("worker %s gives back what it is given: %s", m->name, why);
    m->declines = TRUE;
    member_missed(m);
}

/* We were away (a long write, a stopped process): what workers said meanwhile is not read yet, so
 * their silence is ours. */
static void forgive_own_absence(Coordinator *c, gint64 now_us)
{
    gint64 away_us = c->ticked_us ? now_us - c->ticked_us : 0;
    c->ticked_us = now_us;
    if (away_us < MAX(c->lease_us / 4, G_USEC_PER_SEC / 2))
        return;
    if (c->ready_us)
        c->ready_us += away_us;
    GHashTableIter it;
    gpointer m;
    g_hash_table_iter_init(&it, c->members);
    while (g_hash_table_iter_next(&it, NULL, &m)) {
        ((Member *)m)->renewed_us += away_us;
        ((Member *)m)->worked_us += away_us;
        if (((Member *)m)->lost_at_us)
            ((Member *)m)->lost_at_us += away_us;
    }
}

/* It answers, has room, was given something, and does nothing about it. */
static gboolean is_idling(const Member *m, gint64 now_us)
{
    GHashTableIter it;
    gpointer t;
    if (!m->peer || now_us - m->worked_us < IDLING_LEASES * m->c->lease_us)
        return FALSE;
    g_hash_table_iter_init(&it, m->tasks);
    while (g_hash_table_iter_next(&it, &t, NULL))
        if (((Task *)t)->stage != TS_GIVEN || ((Task *)t)->reading)
            return FALSE;
    return g_hash_table_size(m->tasks) > 0;
}

static void take_away(Member *m)
{
    log_warning("worker %s begins nothing of what it was given: others get it", m->name);
    g_autoptr(GList) tasks = g_hash_table_get_keys(m->tasks);
    for (GList *l = tasks; l; l = l->next) {
        Task *t = l->data;
        MsgStop drop = {.task = t->id, .lease = t->lease, .drop = TRUE};
        peer_send(m->peer, MSG_STOP, &drop);
        task_unheard_of(t);
    }
    member_missed(m);
}

void members_tick(Coordinator *c, gint64 now_us)
{
    forgive_own_absence(c, now_us);
    g_autoptr(GList) members = g_hash_table_get_values(c->members);
    for (GList *l = members; l; l = l->next) {
        Member *m = l->data;
        if (m->paused_until_us && now_us >= m->paused_until_us)
            unpause(m);
        if (is_idling(m, now_us))
            take_away(m);
        if (m->lost_at_us ? (now_us >= m->lost_at_us || process_gone(m))
                          : now_us - m->renewed_us > c->lease_us) {
            Peer *p = m->peer;
            member_remove(m, m->lost_at_us ? "its connection ended" : "no sign of life");
            if (p)
                peer_drop(p);
        }
    }
}
