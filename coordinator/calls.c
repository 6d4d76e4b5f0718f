/* SPDX-License-Identifier: Apache-2.0 */
/* Questions and orders of clients, a table of methods. What commands print about runs is printed by
 * the very command, run here (command.c); these are the ones that only a coordinator can answer. */
#include <signal.h>
#include <string.h>

#include "coordinator/internal.h"
#include "coordinator/beside.h"
#include "coordinator/command.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/project/userconfig.h"

static void reply(Peer *p, guint64 id, Value *result /* taken */, const char *error)
{
    MsgReply m = {.id = id, .result = result, .error = (char *)error};
    peer_send(p, MSG_REPLY, &m);
    value_unref(result);
}

typedef struct {
    Coordinator *c;
    GBytes *peer;
    guint64 id;
    char *run;
    DurableAnswer answer;
    GSource *look; /* until it is answered */
} Order;

#define LOOK_MS 500

static void order_answer(Order *o, const char *error)
{
    Peer *p = o->c->peers ? g_hash_table_lookup(o->c->peers, o->peer) : NULL;
    if (p)
        o->answer(p, o->id, o->run, error);
    g_source_destroy(o->look);
    g_clear_pointer(&o->look, g_source_unref);
}

static void order_durable(const GError *error, gpointer data)
{
    Order *o = data;
    if (o->look)
        order_answer(o, error ? error->message : NULL);
    g_bytes_unref(o->peer);
    g_free(o->run);
    g_free(o);
}

/* A disk without room may stay so for long: who asked doesn't wait for it. */
static gboolean order_look(gpointer order)
{
    Order *o = order;
    const char *problem = queue_problem(o->c->queue);
    if (!problem)
        return G_SOURCE_CONTINUE;
    g_autofree char *why = g_strdup_printf("it is accepted, but would be forgotten by a restart of "
                                           "the coordinator until its disk can be written: %s",
            problem);
    order_answer(o, why);
    return G_SOURCE_REMOVE;
}

/* Who is told that it was done finds it done after a crash. */
void answer_when_durable(Peer *p, guint64 id, const char *run, DurableAnswer answer)
{
    Order *o = g_new0(Order, 1);
    *o = (Order){
            p->c, g_bytes_ref(p->id), id, g_strdup(run), answer, g_timeout_source_new(LOOK_MS)};
    g_source_set_callback(o->look, order_look, o, NULL);
    g_source_attach(o->look, p->c->context);
    queue_after(p->c->queue, order_durable, o);
}

static void answer_order(Peer *p, guint64 id, const char *run, const char *error)
{
    reply(p, id, error ? NULL : value_new_bool(TRUE), error);
}

static void reply_when_durable(Peer *p, guint64 id)
{
    answer_when_durable(p, id, NULL, answer_order);
}

static Value *member_value(Member *m)
{
    Value *v = value_new_map();
    value_map_set_string(v, "name", m->name);
    value_map_set_string(v, "session", m->session);
    value_map_set(v, "resources", value_ref(m->resources));
    if (m->labels)
        value_map_set(v, "labels", value_new_strv((const char *const *)m->labels));
    value_map_set_string(v, "state", !m->peer ? "lost" : m->draining ? "draining" : "connected");
    value_map_set(v, "in_place", value_new_bool(m->in_place));
    value_map_set_int(v, "since", m->since_us);
    value_map_set_int(v, "silent_us", clock_monotonic_us() - m->renewed_us);
    value_map_set_int(v, "finished", (gint64)m->n_finished);
    value_map_set_int(v, "ends", m->ends_us);
    Value *runs = value_new_list();
    GHashTableIter it;
    gpointer t;
    g_hash_table_iter_init(&it, m->tasks);
    while (g_hash_table_iter_next(&it, &t, NULL)) {
        Value *run = value_new_map();
        value_map_set_string(run, "run", ((Task *)t)->run_id);
        value_map_set(run, "running", value_new_bool(((Task *)t)->stage == TS_RUNNING));
        if (((Task *)t)->devices)
            value_map_set(run, "devices", value_ref(((Task *)t)->devices));
        value_list_append(runs, run);
    }
    value_map_set(v, "runs", runs);
    return v;
}

static void call_workers(Peer *p, guint64 id, const Value *args)
{
    Value *list = value_new_list();
    GHashTableIter it;
    gpointer m;
    g_hash_table_iter_init(&it, p->c->members);
    while (g_hash_table_iter_next(&it, NULL, &m))
        value_list_append(list, member_value(m));
    reply(p, id, list, NULL);
}

char *job_waits_for(Job *j)
{
    if (!sched_group_waiting(j->c->sched, j->group))
        return NULL;
    g_autofree char *needs = request_describe(&j->needs);
    switch (sched_fit(j->c->sched, &j->needs)) {
    case SCHED_NO_WORKERS:
        return g_strdup("a worker (none is connected)");
    case SCHED_NOWHERE: {
        g_autofree char *why = sched_fit_why(j->c->sched, &j->needs);
        return g_strdup_printf("%s: no worker has that (%s)", needs, why);
    }
    case SCHED_WAITS:
        return g_strdup_printf("%s: workers that have it are busy", needs);
    case SCHED_FITS:
        return g_strdup_printf("%s: its turn", needs);
    }
    return NULL;
}

static Value *job_value(Job *j)
{
    Value *v = value_new_map();
    JobProgress n = job_progress(j);
    value_map_set_string(v, "run", job_run_id(j));
    value_map_set(v, "batch", value_new_bool(j->batch));
    value_map_set_string(v, "user", j->user);
    value_map_set_int(v, "priority", j->priority);
    value_map_set_int(v, "submitted", j->submitted_us);
    value_map_set_int(v, "done", (gint64)n.done);
    value_map_set_int(v, "running", (gint64)n.running);
    value_map_set_int(v, "failed", (gint64)n.failed);
    value_map_set_int(v, "left", n.waiting == G_MAXUINT64 ? -1 : (gint64)n.waiting);
    value_map_set(v, "stopping", value_new_bool(j->stopping));
    g_autofree char *why = job_waits_for(j);
    value_map_set_string(v, "waits_for", why);
    return v;
}

static gint by_submission(gconstpointer a, gconstpointer b)
{
    const Job *x = a, *y = b;
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return x->submitted_us < y->submitted_us ? -1 : x->submitted_us > y->submitted_us;
}

static void call_queue(Peer *p, guint64 id, const Value *args)
{
    Value *list = value_new_list();
    g_autoptr(GList) jobs = g_list_sort(g_hash_table_get_values(p->c->jobs), by_submission);
    for (GList *l = jobs; l; l = l->next)
        value_list_append(list, job_value(l->data));
    reply(p, id, list, NULL);
}

Task *task_for_run(Coordinator *c, const char *id)
{
    GHashTableIter it;
    gpointer t;
    g_hash_table_iter_init(&it, c->tasks);
    while (g_hash_table_iter_next(&it, NULL, &t))
        if (!strcmp(((Task *)t)->run_id, id))
            return t;
    return NULL;
}

/* What a user of this home started elsewhere bears the name of a remote. */
static gboolean is_elsewhere(Coordinator *c, Run *run)
{
    g_autofree char *where = run_remote(run);
    g_autoptr(Value) remote = where ? userconfig_remote(c->home, where, NULL) : NULL;
    return run_has_marker(run, "pulled") || remote;
}

gboolean run_is_forgotten(Coordinator *c, Run *run)
{
    return run_has_marker(run, "LOCK.remote") && !job_for_run(c, run_id(run)) &&
           !task_for_run(c, run_id(run)) && !is_elsewhere(c, run);
}

static Job *find_job(Peer *p, const char *prefix, Task **task, char **error)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(Run) run = run_store_find(p->c->store, prefix ? prefix : "", &err);
    *task = NULL;
    if (!run) {
        *error = g_strdup(err->message);
        return NULL;
    }
    Job *j = job_for_run(p->c, run_id(run));
    if (j)
        return j;
    if ((*task = task_for_run(p->c, run_id(run))))
        return (*task)->job;
    *error = g_strdup_printf("run %s is not in the queue", run_id(run));
    return NULL;
}

static void call_waits(Peer *p, guint64 id, const Value *args)
{
    Task *t;
    g_autofree char *error = NULL;
    Job *j = find_job(p, value_map_string(args, "run", NULL), &t, &error);
    GHashTableIter it;
    gpointer only;
    if (j && !t && !j->batch) {
        g_hash_table_iter_init(&it, j->tasks);
        t = g_hash_table_iter_next(&it, &only, NULL) ? only : NULL;
    }
    g_autofree char *why = NULL;
    if (t && t->stage == TS_GIVEN && t->member)
        why = g_strdup_printf("room on %s", t->member->name);
    else if (j && (!t || t->stage == TS_QUEUED))
        why = job_waits_for(j);
    g_autoptr(Run) run = run_store_find(p->c->store, value_map_string(args, "run", ""), NULL);
    Value *v = value_new_map();
    value_map_set_string(v, "waits_for", why);
    value_map_set(v, "queued", value_new_bool(j != NULL));
    value_map_set_string(v, "status", run ? run_status_name(run_status(run)) : NULL);
    reply(p, id, v, NULL);
}

/* A mark that a queue left which is not there any more: nobody else would ever take it away, and
 * who starts the run again is told to stop it first. FALSE: it is no such run, or *error. */
static gboolean stop_forgotten(Coordinator *c, const char *prefix, GError **error)
{
    g_autoptr(Run) run = prefix && *prefix ? run_store_find(c->store, prefix, NULL) : NULL;
    if (!run || !run_is_forgotten(c, run))
        return FALSE;
    g_autofree char *mark = run_guild_path(run, "LOCK.remote");
    run_clear_marker(run, "PENDING");
    run_clear_marker(run, "STAGED");
    if (!run_write_attr_int(run, "stopped", clock_timestamp_us(), error) ||
            !run_write_attr_int(run, "exit_status", -SIGTERM, error) || !fs_remove(mark, error))
        return FALSE;
    log_info("run %s was stopped; the queue did not have it", run_id(run));
    return TRUE;
}

static void call_stop(Peer *p, guint64 id, const Value *args)
{
    Task *t;
    g_autofree char *error = NULL;
    const char *prefix = value_map_string(args, "run", NULL);
    Job *j = find_job(p, prefix, &t, &error);
    if (!j) {
        g_autoptr(GError) err = NULL;
        gboolean stopped = stop_forgotten(p->c, prefix, &err);
        reply(p, id, NULL, stopped ? NULL : err ? err->message : error);
        return;
    }
    if (t)
        task_stop(t, STOP_GRACE_US);
    else
        coordinator_stop_job(p->c, j, STOP_GRACE_US, TRUE);
    reply_when_durable(p, id);
}

static void call_priority(Peer *p, guint64 id, const Value *args)
{
    Task *t;
    g_autofree char *error = NULL;
    Job *j = find_job(p, value_map_string(args, "run", NULL), &t, &error);
    if (!j) {
        reply(p, id, NULL, error);
        return;
    }
    j->priority = (int)value_map_int(args, "priority", 0);
    sched_group_set_priority(p->c->sched, j->group, j->priority);
    job_store(j);
    reply_when_durable(p, id);
}

static void call_drain(Peer *p, guint64 id, const Value *args)
{
    const char *name = value_map_string(args, "worker", "");
    guint n = 0;
    g_autoptr(GList) members = g_hash_table_get_values(p->c->members);
    for (GList *l = members; l; l = l->next) {
        Member *m = l->data;
        if (!strcmp(m->name, name) || (strlen(name) >= 4 && g_str_has_prefix(m->session, name))) {
            member_drain(m);
            n++;
        }
    }
    if (n)
        reply(p, id, value_new_int(n), NULL);
    else
        reply(p, id, NULL, "no worker has that name");
}

/* The files of a run, for `pull`: the list follows as FILES under the call's id. They are offered
 * until the client asks for another run's: however many it asks for, one list is kept. */
static void show_files(Peer *p, guint64 id, Run *run, GPtrArray *files)
{
    if (p->shown)
        transfer_withdraw(p->xfer, p->shown);
    p->shown = transfer_offer(p->xfer, run_dir(run), files);
    Value *v = value_new_map();
    value_map_set_string(v, "run", run_id(run));
    value_map_set_string(v, "status", run_status_name(run_status(run)));
    reply(p, id, v, NULL);
    MsgFiles head = {.id = id};
    transfer_send_files(peer_transfer_send, p, &head, files);
}

/* Of a large run they take long to read. */
typedef struct {
    Coordinator *c;
    GBytes *peer;
    guint64 id;
    Run *run;
    GPtrArray *files;
    GError *error;
} Listing;

static void listing_free(gpointer listing)
{
    Listing *l = listing;
    g_bytes_unref(l->peer);
    run_unref(l->run);
    g_clear_pointer(&l->files, g_ptr_array_unref);
    g_clear_error(&l->error);
    g_free(l);
}

static void list_files(gpointer listing)
{
    Listing *l = listing;
    l->files =
            filelist_scan(run_dir(l->run), FILELIST_INLINE, NULL, NULL, l->c->digests, &l->error);
}

static void on_listed(gpointer listing)
{
    Listing *l = listing;
    Peer *p = l->c->closing ? NULL : g_hash_table_lookup(l->c->peers, l->peer);
    if (p && l->files)
        show_files(p, l->id, l->run, l->files);
    else if (p)
        reply(p, l->id, NULL, l->error->message);
}

static void call_files(Peer *p, guint64 id, const Value *args)
{
    Coordinator *c = p->c;
    g_autoptr(GError) error = NULL;
    g_autoptr(Run) run = run_store_find(c->store, value_map_string(args, "run", ""), &error);
    g_autoptr(GPtrArray) files = run ? filelist_scan(run_dir(run), FILELIST_INLINE | FILELIST_BRIEF,
                                               NULL, NULL, c->digests, &error)
                                     : NULL;
    if (files) {
        show_files(p, id, run, files);
    } else if (run && g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN)) {
        Listing *l = g_new0(Listing, 1);
        *l = (Listing){c, g_bytes_ref(p->id), id, run_ref(run), NULL, NULL};
        beside_start(c, list_files, on_listed, listing_free, l);
    } else {
        reply(p, id, NULL, error->message);
    }
}

/* Ids of the runs that the arguments of `pull` mean; none: all. There may be very many. */
typedef struct {
    Coordinator *c;
    GBytes *peer;
    guint64 id;
    Value *wanted; /* list */
    Value *found;  /* list */
    GError *error;
} Finding;

static void finding_free(gpointer finding)
{
    Finding *f = finding;
    g_bytes_unref(f->peer);
    value_unref(f->wanted);
    value_unref(f->found);
    g_clear_error(&f->error);
    g_free(f);
}

static Value *list_all(RunStore *store)
{
    Value *list = value_new_list();
    g_autoptr(GPtrArray) runs = run_store_list(store, RUN_STORE_RUNS);
    for (guint i = 0; i < runs->len; i++)
        value_list_append(list, value_new_string(run_id(runs->pdata[i])));
    return list;
}

static Value *list_wanted(RunStore *store, const Value *wanted, GError **error)
{
    g_autoptr(Value) list = value_new_list();
    for (gsize i = 0; i < value_list_size(wanted); i++) {
        g_autofree char *prefix = value_str(value_list_at(wanted, i));
        g_autoptr(Run) run = run_store_find(store, prefix, error);
        if (!run)
            return NULL;
        value_list_append(list, value_new_string(run_id(run)));
    }
    return g_steal_pointer(&list);
}

/* A batch brings its trials, steps bring their runs, and those theirs. */
static void add_neighbours(RunStore *store, Value *list)
{
    g_autoptr(GHashTable) listed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (gsize i = 0; i < value_list_size(list); i++)
        g_hash_table_add(listed, value_str(value_list_at(list, i)));
    for (gsize i = 0; i < value_list_size(list); i++) {
        g_autofree char *dir = g_build_filename(
                run_store_runs_dir(store), value_get_string(value_list_at(list, i)), NULL);
        g_autoptr(Run) run = run_new(dir, NULL);
        gboolean makes_runs = run_has_marker(run, "proto") || run_has_attr(run, "steps");
        g_auto(GStrv) names = makes_runs ? run_neighbours(run) : NULL;
        for (char **name = names; name && *name; name++) {
            g_autofree char *made = g_build_filename(run_store_runs_dir(store), *name, NULL);
            if (strlen(*name) == 32 && text_is_hex(*name) && fs_is_dir(made) &&
                    g_hash_table_add(listed, g_strdup(*name)))
                value_list_append(list, value_new_string(*name));
        }
    }
}

static void find_runs(gpointer finding)
{
    Finding *f = finding;
    f->found = value_list_size(f->wanted) ? list_wanted(f->c->store, f->wanted, &f->error)
                                          : list_all(f->c->store);
    if (f->found)
        add_neighbours(f->c->store, f->found);
}

static void on_found(gpointer finding)
{
    Finding *f = finding;
    Peer *p = f->c->closing ? NULL : g_hash_table_lookup(f->c->peers, f->peer);
    if (p)
        reply(p, f->id, g_steal_pointer(&f->found), f->error ? f->error->message : NULL);
}

static void call_runs(Peer *p, guint64 id, const Value *args)
{
    const Value *wanted = value_map_get(args, "runs");
    Finding *f = g_new0(Finding, 1);
    *f = (Finding){p->c, g_bytes_ref(p->id), id,
            value_is_list(wanted) ? value_copy(wanted) : value_new_list(), NULL, NULL};
    beside_start(p->c, find_runs, on_found, finding_free, f);
}

/* Without arguments a question, with them an order. */
static void call_alloc(Peer *p, guint64 id, const Value *args)
{
    g_autoptr(GError) error = NULL;
    if (value_is_map(args) && value_map_size(args) && !alloc_set(p->c->alloc, args, &error))
        reply(p, id, NULL, error->message);
    else
        reply(p, id, alloc_status(p->c->alloc), NULL);
}

static const struct {
    const char *name;
    guint roles;
    void (*fn)(Peer *, guint64, const Value *);
} methods[] = {
        {"workers", ROLE_CLIENT | ROLE_READER, call_workers},
        {"queue", ROLE_CLIENT | ROLE_READER, call_queue},
        {"files", ROLE_CLIENT | ROLE_READER, call_files},
        {"runs", ROLE_CLIENT | ROLE_READER, call_runs},
        {"waits", ROLE_CLIENT | ROLE_READER, call_waits},
        {"stop", ROLE_CLIENT, call_stop},
        {"priority", ROLE_CLIENT, call_priority},
        {"drain", ROLE_CLIENT, call_drain},
        {"alloc", ROLE_CLIENT, call_alloc},
        {"command", ROLE_CLIENT | ROLE_READER, command_call},
};

void call_handle(Peer *p, const MsgCall *m)
{
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++) {
        if (g_strcmp0(m->method, methods[i].name))
            continue;
        if (p->role & methods[i].roles) {
            methods[i].fn(p, m->id, m->args);
        } else {
            g_autofree char *why =
                    g_strdup_printf("the role '%s' may not do that", key_role_name(p->role));
            reply(p, m->id, NULL, why);
        }
        return;
    }
    reply(p, m->id, NULL, "the coordinator knows no such request");
}
