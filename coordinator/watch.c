/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that listen to a run: a batch's log lines, progress and trials' output, or one run's
 * output. What is sent is what the run's output file has, from the offset that the client has seen;
 * news goes out as it comes only to those who have all that was before. A client that does not keep
 * up is sent no more than OUTPUT_WINDOW ahead of what it says (by PING) to have received; the file
 * keeps the rest for it. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coordinator/internal.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

/* Output on its way to one client, in bytes. */
#define OUTPUT_WINDOW (4 * 1024 * 1024)
/* Each is looked at again and again. Of all connections of a key. */
#define MAX_KEY_WATCHES 4096

typedef struct {
    Peer *peer;
    Run *run;
    gboolean output, events;
    guint64 offset; /* of the run's output file: what was sent */
    Value *end;     /* to be told when all output is out */
    gboolean over;  /* it was */
} Watch;

void watch_free(gpointer data)
{
    Watch *w = data;
    w->peer->c->n_watches--;
    w->peer->use->n_watches--;
    run_unref(w->run);
    value_unref(w->end);
    g_free(w);
}

static void send_event(Peer *p, const char *run, const char *what, Value *data)
{
    MsgEvent m = {(char *)run, (char *)what, data};
    peer_send(p, MSG_EVENT, &m);
}

static gboolean has_room(const Peer *p)
{
    return p->out_sent - p->out_acked < OUTPUT_WINDOW;
}

static gboolean send_piece(Watch *w, int stream, GBytes *bytes)
{
    MsgOutput m = {
            .run = (char *)run_id(w->run), .stream = stream, .offset = w->offset, .data = bytes};
    if (!peer_send(w->peer, MSG_OUTPUT, &m))
        return FALSE;
    w->offset += g_bytes_get_size(bytes);
    w->peer->out_sent += g_bytes_get_size(bytes);
    return TRUE;
}

static int open_output(const Watch *w, guint64 *size)
{
    g_autofree char *path = run_guild_path(w->run, "output");
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    *size = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (guint64)st.st_size : 0;
    return fd;
}

/* Sends of the file what there is room for, and the end when nothing is left. */
static void pump(Watch *w)
{
    guint64 size = 0;
    int fd = w->output && !w->over ? open_output(w, &size) : -1;
    while (fd >= 0 && w->offset < size && has_room(w->peer)) {
        gsize n = (gsize)MIN(size - w->offset, (guint64)WIRE_CHUNK);
        g_autofree char *buf = g_malloc(n);
        ssize_t got = pread(fd, buf, n, (off_t)w->offset);
        g_autoptr(GBytes) bytes = got > 0 ? g_bytes_new(buf, (gsize)got) : NULL;
        if (!bytes || !send_piece(w, RUN_STDOUT, bytes))
            break;
    }
    if (fd >= 0)
        close(fd);
    if (!w->end || w->over || w->offset < size)
        return;
    w->over = TRUE;
    send_event(w->peer, run_id(w->run), "end", w->end);
}

static void tell_end(Watch *w, int exit_status)
{
    if (w->end)
        return;
    w->end = value_new_map();
    value_map_set_int(w->end, "exit_status", exit_status);
    value_map_set_string(w->end, "status", run_status_name(run_status(w->run)));
    g_autofree char *error = exit_status ? run_attr_text(w->run, "error") : NULL;
    if (error)
        value_map_set_string(w->end, "error", error);
    pump(w);
}

static void warn(Peer *p, const char *run, const char *text)
{
    g_autoptr(Value) v = value_new_map();
    value_map_set_int(v, "level", LOG_WARNING);
    value_map_set_string(v, "text", text);
    send_event(p, run, "log", v);
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
    warn(p, run_id(j->run), text);
}

/* Its end may never come: whoever waits for it learns that, and what to do. */
static void tell_forgotten(Peer *p, Run *run)
{
    g_autofree char *where = run_remote(run);
    g_autofree char *text = g_strdup_printf("%s is marked as running on %s, but is not in this "
                                            "coordinator's queue: if nothing runs it, stop it",
            run_id(run), where ? where : "another machine");
    warn(p, run_id(run), text);
}

/* Nobody here will ever say that it ended: it is over, or somebody else's, who may not say so. */
static gboolean is_not_ours(Watch *w)
{
    Coordinator *c = w->peer->c;
    return !job_for_run(c, run_id(w->run)) && !task_for_run(c, run_id(w->run));
}

static void look_at_others_run(Watch *w)
{
    if (w->output)
        pump(w);
    if (!w->over && run_status(w->run) != RUN_RUNNING && is_not_ours(w))
        tell_end(w, (int)run_attr_int(w->run, "exit_status", 1));
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
    gboolean known = g_hash_table_contains(p->watches, run_id(run));
    if (!known && p->use->n_watches >= MAX_KEY_WATCHES) {
        MsgRefused no = {(char *)"too many runs are watched with this key", TRUE};
        peer_send(p, MSG_REFUSED, &no);
        return;
    }
    Watch *w = g_new0(Watch, 1);
    w->peer = p;
    p->c->n_watches++;
    p->use->n_watches++;
    w->run = run_ref(run);
    w->output = m->output;
    w->events = m->events;
    w->offset = m->offset;
    g_hash_table_replace(p->watches, (gpointer)run_id(w->run), w);
    Job *j = job_for_run(p->c, run_id(run));
    if (j)
        tell_wait(p, j);
    else if (run_is_forgotten(p->c, run))
        tell_forgotten(p, run);
    look_at_others_run(w);
}

/* fn(watch) for each of this run (NULL: of all), of whoever. */
static void each_watch(
        Coordinator *c, const char *run, void (*fn)(Watch *, gpointer), gpointer data)
{
    GHashTableIter peers, watches;
    gpointer peer, w;
    if (!c->peers || !c->n_watches)
        return;
    g_hash_table_iter_init(&peers, c->peers);
    while (g_hash_table_iter_next(&peers, NULL, &peer)) {
        if (run && (w = g_hash_table_lookup(((Peer *)peer)->watches, run)))
            fn(w, data);
        g_hash_table_iter_init(&watches, ((Peer *)peer)->watches);
        while (!run && g_hash_table_iter_next(&watches, NULL, &w))
            fn(w, data);
    }
}

static void look(Watch *w, gpointer data)
{
    look_at_others_run(w);
}

void watch_tick(Coordinator *c)
{
    each_watch(c, NULL, look, NULL);
}

void watch_received(Peer *p, guint64 bytes)
{
    GHashTableIter it;
    gpointer w;
    if (bytes > p->out_sent || bytes <= p->out_acked)
        return;
    p->out_acked = bytes;
    g_hash_table_iter_init(&it, p->watches);
    while (g_hash_table_iter_next(&it, NULL, &w))
        pump(w);
}

static void start_over(Watch *w, gpointer data)
{
    w->offset = 0;
}

void watch_restarted(Coordinator *c, const char *run)
{
    each_watch(c, run, start_over, NULL);
}

static void end_watch(Watch *w, gpointer exit_status)
{
    if (w->events)
        tell_end(w, GPOINTER_TO_INT(exit_status));
}

void watch_end(Coordinator *c, const char *run, int exit_status)
{
    each_watch(c, run, end_watch, GINT_TO_POINTER(exit_status));
}

typedef struct {
    const char *run, *what;
    Value *data;
    gsize in_file; /* bytes of the run's output that say the same */
} Event;

static void tell_event(Watch *w, gpointer event)
{
    Event *e = event;
    if (!w->events || w->over)
        return;
    guint64 size = 0;
    int fd = w->output && e->in_file ? open_output(w, &size) : -1;
    if (fd >= 0) {
        close(fd);
        if (w->offset + e->in_file != size) {
            pump(w); /* it comes with the file */
            return;
        }
        w->offset = size;
        value_map_set_int(e->data, "offset", (gint64)size);
    }
    send_event(w->peer, e->run, e->what, e->data);
}

void watch_event(Coordinator *c, const char *run, const char *what, gsize in_file, Value *data)
{
    Event e = {run, what, data, in_file};
    each_watch(c, run, tell_event, &e);
    value_unref(data);
}

typedef struct {
    int stream;
    GBytes *bytes;
} Piece;

static void tell_output(Watch *w, gpointer piece)
{
    const Piece *news = piece;
    guint64 size = 0;
    int fd = w->output && !w->over ? open_output(w, &size) : -1;
    if (fd < 0)
        return;
    close(fd);
    if (w->offset + g_bytes_get_size(news->bytes) == size && has_room(w->peer))
        send_piece(w, news->stream, news->bytes);
    else
        pump(w);
}

static void send_output(Coordinator *c, const char *run, int stream, const void *data, gsize len)
{
    if (!c->n_watches)
        return;
    g_autoptr(GBytes) bytes = g_bytes_new(data, len);
    Piece news = {stream, bytes};
    each_watch(c, run, tell_output, &news);
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
    send_output(j->c, run_id(j->run), stream, data, len);
}

/* Trials may print at the same time: their batch shows whole lines. */
static void lines_to_batch(Task *t, int stream, const char *data, gsize len)
{
    const char *end = memrchr(data, '\n', len);
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
    send_output(c, t->run_id, stream, data, len);
}

void watch_batch_output(Coordinator *c, Task *t, int stream, const void *data, gsize len)
{
    if (!t->job->batch || !t->job->want_output)
        return;
    if (c->local)
        to_batch(t, stream, data, len);
    else
        lines_to_batch(t, stream, data, len);
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
