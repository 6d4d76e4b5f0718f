/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that listen to a run: a batch's log lines, progress and trials' output, or one run's
 * output. Output that was printed before they came is read from the run's file. */
#include <string.h>

#include "coordinator/internal.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

typedef struct {
    Coordinator *c;
    char *run;
    gboolean output, events;
} Watch;

void watch_free(gpointer data)
{
    Watch *w = data;
    w->c->n_watches--;
    g_free(w->run);
    g_free(w);
}

static void send_event(Peer *p, const char *run, const char *what, Value *data)
{
    MsgEvent m = {(char *)run, (char *)what, data};
    peer_send(p, MSG_EVENT, &m);
}

/* What a run has printed from `offset` on. */
static void send_past(Peer *p, Run *run, guint64 offset)
{
    g_autofree char *path = run_guild_path(run, "output");
    gsize len = 0;
    g_autofree char *text = fs_read(path, 0, &len, NULL);
    while (text && offset < len) {
        gsize n = MIN(len - offset, WIRE_CHUNK);
        g_autoptr(GBytes) bytes = g_bytes_new(text + offset, n);
        MsgOutput m = {.run = (char *)run_id(run), .offset = offset, .data = bytes};
        if (!peer_send(p, MSG_OUTPUT, &m))
            return;
        offset += n;
    }
}

static void tell_end(Peer *p, Run *run)
{
    g_autoptr(Value) v = value_new_map();
    value_map_set_int(v, "exit_status", run_attr_int(run, "exit_status", 1));
    value_map_set_string(v, "status", run_status_name(run_status(run)));
    send_event(p, run_id(run), "end", v);
}

/* What fits nowhere is said at once, not left waiting in silence. */
static void tell_wait(Peer *p, Job *j)
{
    SchedFit fit = sched_fit(p->c->sched, &j->needs);
    if (fit != SCHED_NOWHERE && fit != SCHED_NO_WORKERS)
        return;
    g_autofree char *why = job_waits_for(j);
    if (!why)
        return;
    g_autofree char *text = g_strdup_printf("%s waits for %s", run_id(j->run), why);
    g_autoptr(Value) v = value_new_map();
    value_map_set_int(v, "level", LOG_WARNING);
    value_map_set_string(v, "text", text);
    send_event(p, run_id(j->run), "log", v);
}

void watch_begin(Peer *p, const MsgWatch *m)
{
    if (!m->run || !*m->run)
        return;
    g_autoptr(Run) run = run_store_find(p->c->store, m->run, NULL);
    if (!run) {
        g_autoptr(Value) v = value_new_map();
        send_event(p, m->run, "gone", v);
        return;
    }
    Watch *w = g_new0(Watch, 1);
    w->c = p->c;
    w->c->n_watches++;
    w->run = g_strdup(run_id(run));
    w->output = m->output;
    w->events = m->events;
    g_hash_table_replace(p->watches, w->run, w);
    Job *j = job_for_run(p->c, run_id(run));
    if (j)
        tell_wait(p, j);
    if (m->output)
        send_past(p, run, m->offset);
    if (run_status(run) != RUN_RUNNING && !job_for_run(p->c, run_id(run)))
        tell_end(p, run);
}

void watch_event(Coordinator *c, const char *run, const char *what, Value *data)
{
    GHashTableIter it;
    gpointer peer;
    if (c->peers) {
        g_hash_table_iter_init(&it, c->peers);
        while (g_hash_table_iter_next(&it, NULL, &peer)) {
            Watch *w = g_hash_table_lookup(((Peer *)peer)->watches, run);
            if (w && w->events)
                send_event(peer, run, what, data);
        }
    }
    value_unref(data);
}

static void send_output(Coordinator *c, const char *watched, Task *t, int stream, GBytes *bytes)
{
    GHashTableIter it;
    gpointer peer;
    g_hash_table_iter_init(&it, c->peers);
    while (g_hash_table_iter_next(&it, NULL, &peer)) {
        Watch *w = g_hash_table_lookup(((Peer *)peer)->watches, watched);
        MsgOutput m = {.run = (char *)watched, .stream = stream, .data = bytes};
        if (w && w->output)
            peer_send(peer, MSG_OUTPUT, &m);
    }
}

/* To the batch's own output and its watchers. */
static void to_batch(Task *t, int stream, const void *data, gsize len)
{
    Job *j = t->job;
    if (j->output)
        run_output_write(j->output, (RunStream)stream, data, len, NULL);
    if (j->listener.output) {
        g_autoptr(Run) run = task_run(t);
        j->listener.output(j, run, stream, data, len, j->data);
    }
    if (j->c->n_watches) {
        g_autoptr(GBytes) bytes = g_bytes_new(data, len);
        send_output(j->c, run_id(j->run), t, stream, bytes);
    }
}

/* Trials may print at the same time: their batch shows whole lines. */
static void lines_to_batch(Task *t, int stream, const char *data, gsize len)
{
    const char *end = g_strrstr_len(data, (gssize)len, "\n");
    if (!t->line[stream])
        t->line[stream] = g_string_new(NULL);
    GString *line = t->line[stream];
    gsize whole = end ? (gsize)(end + 1 - data) : 0;
    if (whole || line->len + len > WIRE_CHUNK / 2) {
        g_string_append_len(line, data, (gssize)(whole ? whole : len));
        to_batch(t, stream, line->str, line->len);
        g_string_truncate(line, 0);
        if (!whole)
            return;
    }
    g_string_append_len(line, data + whole, (gssize)(len - whole));
}

void watch_output(Coordinator *c, Task *t, int stream, const void *data, gsize len)
{
    if (c->n_watches) {
        g_autoptr(GBytes) bytes = g_bytes_new(data, len);
        send_output(c, t->run_id, t, stream, bytes);
    }
    if (t->job->batch && t->job->want_output) {
        if (c->local)
            to_batch(t, stream, data, len);
        else
            lines_to_batch(t, stream, data, len);
    }
}

void watch_output_end(Task *t)
{
    for (int i = 0; i < 2; i++) {
        if (!t->line[i])
            continue;
        if (t->line[i]->len && t->stage == TS_ENDED)
            to_batch(t, i, t->line[i]->str, t->line[i]->len);
        g_string_free(g_steal_pointer(&t->line[i]), TRUE);
    }
}
