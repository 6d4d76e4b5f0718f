/* SPDX-License-Identifier: Apache-2.0 */
/* What workers report of their tasks. Every report carries the lease under which the task was
 * given; one under any other lease is refused, so that of several attempts exactly one counts.
 * A result is acknowledged only when it is in the run directory and in the queue's file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coordinator/beside.h"
#include "coordinator/internal.h"
#include "coordinator/unfold.h"
#include "engine/base/clock.h"
#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

/* Entries in one result's list; more is refused. */
#define MAX_RESULT_FILES 1000000
/* What such a list may take in memory. */
#define MAX_LIST_BYTES (512 * 1024 * 1024)
/* Of a trial's output that its batch is told at its end. */
#define REST_BYTES (16 * 1024 * 1024)
/* Between two tries to take a result. */
#define MAX_LATER_SECONDS 15

Task *task_of_lease(Peer *p, guint64 id, guint64 lease)
{
    Task *t = g_hash_table_lookup(p->c->tasks, &id);
    return t && t->lease == lease && t->member == p->member && t->stage != TS_QUEUED ? t : NULL;
}

void result_abandon(Task *t)
{
    if (t->placing)
        return; /* all of it is here: nothing of its worker is needed any more */
    if (t->output)
        run_output_close(g_steal_pointer(&t->output));
    t->output_size = 0;
    t->waits = 0;
    if (t->later) {
        g_source_destroy(t->later);
        g_clear_pointer(&t->later, g_source_unref);
    }
    g_clear_pointer(&t->output_sum, sha256_free);
    g_clear_pointer(&t->files, g_ptr_array_unref);
    if (t->done)
        wire_free(MSG_DONE, g_steal_pointer(&t->done));
    if (t->offer && t->member && t->member->peer)
        transfer_withdraw(t->member->peer->xfer, t->offer);
    t->offer = 0;
    if (t->want && t->member && t->member->peer)
        transfer_cancel(t->member->peer->xfer, t->want);
    t->want = 0;
}

static void acknowledge(Peer *p, guint64 task, guint64 lease, gboolean accepted)
{
    MsgAck ack = {task, lease, accepted};
    peer_send(p, MSG_ACK, &ack);
}

/* What may not be written by a worker, whatever it sends. */
static gboolean may_write(const char *path)
{
    static const char *const ours[] = {".guild/LOCK", ".guild/LOCK.remote", ".guild/PENDING",
            ".guild/STAGED", ".guild/attempts", ".guild/proto", ".guild/attrs/id",
            ".guild/attrs/attempts", NULL};
    return !g_strv_contains(ours, path) && !g_str_has_prefix(path, ".guild/attempts/") &&
           !g_str_has_prefix(path, ".guild/proto/");
}

static void drop_ours(GPtrArray *files)
{
    for (guint i = files->len; i-- > 0;)
        if (!may_write(((FileEntry *)files->pdata[i])->path))
            g_ptr_array_remove_index(files, i);
}

/* ---- while it runs ---- */

/* Of what a run has when it begins, what is small and says nothing of its end: that comes with its
 * result, after all else (a report that is sent again may be of a run that has ended). */
static gboolean is_of_the_start(const FileEntry *e)
{
    return e->data && may_write(e->path) && strcmp(e->path, ".guild/attrs/exit_status") &&
           strcmp(e->path, ".guild/attrs/stopped");
}

void result_started(Peer *p, const MsgStarted *m)
{
    Task *t = task_of_lease(p, m->task, m->lease);
    if (!t || t->stage != TS_GIVEN)
        return;
    t->stage = TS_RUNNING;
    t->started_us = m->started_us;
    value_unref(t->devices);
    t->devices = value_ref(m->devices);
    if (t->handle)
        sched_task_running(p->c->sched, t->handle);
    if (m->files && !p->member->in_place) {
        g_autoptr(Run) run = task_run(t);
        g_autoptr(GError) error = NULL;
        for (guint i = m->files->len; i-- > 0;)
            if (!is_of_the_start(m->files->pdata[i]))
                g_ptr_array_remove_index(m->files, i);
        if (!filelist_build(run_dir(run), m->files, NULL, NULL, &error))
            log_warning("run %s: %s", t->run_id, error->message);
    }
    job_task_started(t);
    if (t->job->stopping && t->job->stop_grace_us >= 0)
        task_stop(t, t->job->stop_grace_us); /* our wish crossed its start */
}

/* Our copy of what it prints is for those who watch; the result brings the file itself. */
static void keep_output(Task *t, int stream, const char *data, gsize n)
{
    g_autoptr(Run) run = task_run(t);
    if (!t->output)
        t->output = run_output_open(run, NULL, NULL, NULL);
    if (t->output)
        run_output_write(t->output, (RunStream)stream, data, n, NULL);
    if (!t->output_sum)
        t->output_sum = sha256_new();
    sha256_update(t->output_sum, data, n);
    t->output_size += n;
}

/* Its file is written by itself. What is sent again was told already, unless we were started since:
 * then nobody knows, and telling it twice is better than not at all. */
static void output_in_place(Peer *p, Task *t, guint64 offset, int stream, const char *data, gsize n)
{
    if (t->output_told == OUTPUT_TOLD_UNKNOWN)
        t->output_told = offset;
    if (offset > t->output_told || offset + n <= t->output_told)
        return;
    gsize known = t->output_told - offset;
    t->output_told = offset + n;
    watch_output(p->c, t, stream, data + known, n - known);
    watch_batch_output(p->c, t, stream, data + known, n - known);
}

/* Its batch is told first, and then it is kept: killed between the two, we tell it again, and lose
 * nothing. Watchers of the run itself are sent what is kept. */
void result_output(Peer *p, const MsgOutput *m)
{
    Task *t = task_of_lease(p, m->task, m->lease);
    gsize n = 0;
    const char *data = m->data ? g_bytes_get_data(m->data, &n) : NULL;
    if (!t || !n || m->stream < 0 || m->stream > 1)
        return;
    if (p->member->in_place) {
        output_in_place(p, t, m->offset, m->stream, data, n);
        return;
    }
    if (m->offset > t->output_size)
        return; /* a gap: something was lost on the way */
    gsize seen = t->output_size - m->offset;
    if (seen >= n)
        return;
    data += seen;
    n -= seen;
    gsize known = t->output_told > t->output_size ? t->output_told - t->output_size : 0;
    if (known < n)
        watch_batch_output(p->c, t, m->stream, data + known, n - known);
    keep_output(t, m->stream, data, n);
    if (known < n)
        watch_output(p->c, t, m->stream, data + known, n - known);
    t->output_told = MAX(t->output_told, t->output_size);
}

/* It ended while its worker was behind with its output: its batch gets the rest from the file, or
 * is told that it does not. */
static void tell_rest(Task *t, Run *run)
{
    g_autofree char *path = run_guild_path(run, "output");
    struct stat st;
    if (t->job->c->local || !t->job->batch || !t->job->want_output ||
            t->output_told == OUTPUT_TOLD_UNKNOWN)
        return;
    int fd = fs_open_regular(path);
    guint64 size = fd >= 0 && fstat(fd, &st) == 0 ? (guint64)st.st_size : 0;
    g_autofree char *buf = size > t->output_told ? g_malloc(WIRE_CHUNK) : NULL;
    guint64 end = MIN(size, t->output_told + REST_BYTES);
    while (t->output_told < end) {
        gsize n = (gsize)MIN(end - t->output_told, (guint64)WIRE_CHUNK);
        ssize_t got = pread(fd, buf, n, (off_t)t->output_told);
        if (got <= 0)
            break;
        watch_batch_output(t->job->c, t, RUN_STDOUT, buf, (gsize)got);
        t->output_told += (guint64)got;
    }
    if (fd >= 0)
        close(fd);
    if (t->output_told < size)
        job_say(t->job, LOG_WARNING,
                "Trial %s printed %" G_GUINT64_FORMAT " bytes more, which are left out here",
                t->run_id, size - t->output_told);
}

/* ---- the end ---- */

typedef struct {
    Coordinator *c;
    GBytes *peer;
    guint64 task, lease;
} Acked;

static void on_durable(const GError *error, gpointer data)
{
    Acked *a = data;
    Peer *p = a->c->peers ? g_hash_table_lookup(a->c->peers, a->peer) : NULL;
    if (p && !error)
        acknowledge(p, a->task, a->lease, TRUE);
    g_bytes_unref(a->peer);
    g_free(a);
}

static void acknowledge_when_durable(Peer *p, guint64 task, guint64 lease)
{
    Acked *a = g_new0(Acked, 1);
    *a = (Acked){p->c, g_bytes_ref(p->id), task, lease};
    queue_after(p->c->queue, on_durable, a);
}

/* The run directory says how it ended; what the worker could not say itself is added. */
static void write_end(Task *t, Run *run, const MsgDone *m)
{
    g_autofree char *remote = run_guild_path(run, "LOCK.remote");
    if (m->cause != DONE_EXITED && m->cause != DONE_STOPPED && m->error)
        run_write_attr_string(run, "error", m->error, NULL);
    run_clear_marker(run, "PENDING");
    run_clear_marker(run, "STAGED");
    run_delete_lock(run);
    if (!run_has_attr(run, "exit_status") && m->cause != DONE_FAILED) {
        run_write_attr_int(run, "stopped", m->stopped_us, NULL);
        run_write_attr_int(run, "exit_status", m->exit_status, NULL);
    }
    fs_remove(remote, NULL);
}

static void say_end(Task *t, const MsgDone *m)
{
    Job *j = t->job;
    if (!j->batch || m->exit_status == 0)
        return;
    if (m->cause == DONE_STOPPED) {
        job_say(j, LOG_INFO, "Trial %s was terminated", t->run_id);
        return;
    }
    const char *why = m->error && *m->error ? m->error : NULL;
    if (why)
        job_say(j, LOG_ERROR, "Trial %s exited with an error: (%d) %s", t->run_id, m->exit_status,
                why);
    else
        job_say(j, LOG_ERROR, "Trial %s exited with an error (%d) - see log for details", t->run_id,
                m->exit_status);
}

static void say_left(const Task *t, const MsgDone *m)
{
    if (!m->left || !*m->left)
        return;
    job_say(t->job, LOG_WARNING, "%s %s: %s", t->job->batch ? "Trial" : "Run", t->run_id, m->left);
    log_warning("run %s: %s", t->run_id, m->left);
}

static gboolean try_again(Task *t, const MsgDone *m)
{
    return m->cause == DONE_EXITED && m->exit_status != 0 && !t->stop_asked &&
           t->failures < t->job->retry_failed && !t->job->stopping;
}

/* Everything is in the run directory: record it, and tell. */
static void record(Task *t, Run *run, const MsgDone *m)
{
    Coordinator *c = t->job->c;
    c->n_finished++;
    tell_rest(t, run);
    say_left(t, m);
    say_end(t, m);
    if (try_again(t, m)) {
        t->failures++;
        task_again(t);
    } else {
        c->n_failed += m->exit_status != 0;
        task_end(t, m->exit_status, m->error);
    }
}

/* `p` NULL: its worker is not there, and hears when it is back. */
static void finish(Peer *p, Task *t, const MsgDone *m)
{
    Coordinator *c = t->job->c;
    g_autoptr(Run) run = task_run(t);
    guint64 id = t->id, lease = t->lease;
    if (m->cause == DONE_SKIPPED) {
        c->n_finished++;
        attempt_skipped(t, run, m->error ? m->error : "it was started elsewhere");
    } else {
        if (!p || !p->member->in_place || m->cause != DONE_EXITED)
            write_end(t, run, m);
        record(t, run, m);
    }
    if (p)
        acknowledge_when_durable(p, id, lease);
}

gboolean result_recover(Task *t)
{
    g_autoptr(Run) run = task_run(t);
    if (t->unsure || !attempt_has_ended(run))
        return FALSE;
    MsgDone m = {.task = t->id,
            .lease = t->lease,
            .exit_status = (int)run_attr_int(run, "exit_status", 0),
            .cause = t->stop_asked ? DONE_STOPPED : DONE_EXITED};
    write_end(t, run, &m);
    record(t, run, &m);
    return TRUE;
}

/* ---- a result put in its place ---- */

typedef struct Placing {
    Coordinator *c;
    Task *t; /* NULL: it was freed */
    char *dir;
    GPtrArray *files;
    GError *error;
} Placing;

static void placing_free(gpointer placing)
{
    Placing *p = placing;
    if (p->t)
        p->t->placing = NULL;
    g_clear_error(&p->error);
    g_ptr_array_unref(p->files);
    g_free(p->dir);
    g_free(p);
}

void result_orphan(Task *t)
{
    if (t->placing)
        t->placing->t = NULL;
    t->placing = NULL;
}

/* Runs that the run made came below it, and go where runs are; one that is there already is left
 * alone. */
static void place_children(const char *dir, const char *runs_dir)
{
    g_autofree char *base = g_build_filename(dir, ".guild", "children", NULL);
    g_auto(GStrv) ids = fs_is_dir(base) ? fs_list(base, NULL) : NULL;
    for (char **id = ids; id && *id; id++) {
        g_autofree char *from = g_build_filename(base, *id, NULL);
        g_autofree char *to = g_build_filename(runs_dir, *id, NULL);
        if (!run_id_ok(*id) || fs_is_link(from) || !fs_is_dir(from))
            continue; /* no run: a link there would lead out of where runs are */
        g_autoptr(Run) child = run_new(from, *id);
        g_autofree char *remote = run_guild_path(child, "LOCK.remote");
        run_delete_lock(child); /* a process of another machine */
        fs_remove(remote, NULL);
        if (!fs_lexists(to) && rename(from, to) < 0)
            log_warning("cannot keep %s, which %s made: %s", *id, dir, g_strerror(errno));
    }
    fs_remove_tree(base, NULL);
}

/* Perhaps on a thread. */
static void place_files(gpointer placing)
{
    Placing *p = placing;
    if (unfold_links(p->dir, run_store_runs_dir(p->c->store), p->files, &p->error) &&
            filelist_build_taking(p->dir, p->files, blobs_open_fd, blobs_take, p->c->blobs,
                    p->c->digests, &p->error))
        place_children(p->dir, run_store_runs_dir(p->c->store));
}

static void fetch(Task *t);

static gboolean on_later(gpointer task)
{
    Task *t = task;
    g_clear_pointer(&t->later, g_source_unref);
    fetch(t);
    return G_SOURCE_REMOVE;
}

/* The worker repeats an unacknowledged report with growing pauses, and when it is back. */
static void forget_report(Task *t)
{
    g_clear_pointer(&t->files, g_ptr_array_unref);
    wire_free(MSG_DONE, g_steal_pointer(&t->done));
}

/* Ours to mend (a full disk): its worker keeps it, whole, until it is acknowledged. */
static void take_later(Task *t, const GError *error)
{
    if (!t->waits)
        log_error("run %s: its result waits: %s (it is tried again)", t->run_id, error->message);
    if (!t->member->peer) {
        forget_report(t);
        return;
    }
    t->later = g_timeout_source_new_seconds(MIN(1u << MIN(t->waits, 5), MAX_LATER_SECONDS));
    t->waits++;
    g_source_set_callback(t->later, on_later, t, NULL);
    g_source_attach(t->later, t->job->c->context);
}

static void not_placed(Task *t, const GError *error)
{
    if (t->member)
        take_later(t, error);
    else
        task_lost(t, "its worker was lost before its result could be written");
}

static void on_placed(gpointer placing)
{
    Placing *p = placing;
    Task *t = p->t;
    transfer_unpin(p->c->blobs, p->files);
    if (!t || p->c->closing)
        return;
    result_orphan(t);
    if (p->error) {
        not_placed(t, p->error);
        return;
    }
    g_autoptr(Run) run = task_run(t);
    MsgDone *done = g_steal_pointer(&t->done);
    finish(t->member ? t->member->peer : NULL, t, done);
    wire_free(MSG_DONE, done);
}

/* What says that the run has ended is written last, so it is there when all else is. */
static void place(Task *t, GPtrArray *files)
{
    g_autoptr(Run) run = task_run(t);
    Placing *p = g_new0(Placing, 1);
    *p = (Placing){t->job->c, t, g_strdup(run_dir(run)), g_ptr_array_ref(files), NULL};
    t->placing = p;
    if (!p->c->local && !filelist_is_short(files)) {
        beside_start(p->c, place_files, on_placed, placing_free, p);
        return;
    }
    place_files(p);
    on_placed(p);
    placing_free(p);
}

static void on_fetched(GPtrArray *files, const GError *error, gpointer data)
{
    Task *t = data;
    Peer *p = t->member ? t->member->peer : NULL;
    t->want = 0;
    if (error) {
        if (!p || p->closing)
            return; /* it sends everything again when it is back */
        if (coordinator_is_full(t->job->c, error)) {
            take_later(t, error);
            return;
        }
        g_autofree char *why =
                g_strdup_printf("its files could not be fetched: %s", error->message);
        acknowledge(p, t->id, t->lease, FALSE);
        task_lost(t, why);
        return;
    }
    if (t->output)
        run_output_close(g_steal_pointer(&t->output));
    place(t, files);
}

static void fetch(Task *t)
{
    g_autoptr(GPtrArray) files = g_ptr_array_ref(t->files);
    /* With nothing to fetch it is over, and the task perhaps gone, when this returns. */
    TransferWant want = transfer_want(t->member->peer->xfer, files, on_fetched, t);
    if (want)
        t->want = want;
}

/* A file that we have already (its output, as we saw it come) need not travel. */
static void drop_known(Task *t, Run *run, GPtrArray *files)
{
    FileEntry *e = NULL;
    for (guint i = 0; i < files->len && !e; i++)
        if (!strcmp(((FileEntry *)files->pdata[i])->path, ".guild/output"))
            e = files->pdata[i];
    if (!e || !e->digest || e->size != t->output_size || !t->output_sum)
        return;
    g_autofree char *path = run_guild_path(run, "output");
    g_autofree char *ours = sha256_finish(g_steal_pointer(&t->output_sum));
    struct stat st;
    if (!strcmp(ours, e->digest) && stat(path, &st) == 0 && (guint64)st.st_size == e->size)
        g_ptr_array_remove(files, e);
}

void result_files(Peer *p, MsgFiles *m)
{
    Task *t = task_of_lease(p, m->task, m->lease);
    if (!t || t->done || !m->files || p->member->in_place)
        return;
    if (!t->files)
        t->files = g_ptr_array_new_with_free_func(file_entry_free);
    t->list_bytes = (t->files->len ? t->list_bytes : 0) + filelist_bytes(m->files);
    if (t->files->len + m->files->len > MAX_RESULT_FILES || t->list_bytes > MAX_LIST_BYTES) {
        result_abandon(t);
        task_lost(t, "its list of files is too long");
        return;
    }
    g_ptr_array_set_free_func(m->files, NULL);
    g_ptr_array_extend_and_steal(t->files, g_steal_pointer(&m->files));
}

static MsgDone *copy_done(const MsgDone *m)
{
    MsgDone *d = g_new0(MsgDone, 1);
    *d = *m;
    d->error = g_strdup(m->error);
    d->left = g_strdup(m->left);
    return d;
}

void result_done(Peer *p, const MsgDone *m)
{
    Task *t = task_of_lease(p, m->task, m->lease);
    if (!t) {
        acknowledge(p, m->task, m->lease, FALSE);
        return;
    }
    if (t->done)
        return; /* told twice while its files are on their way */
    if (m->cause == DONE_LOST) {
        g_autofree char *why = g_strdup(m->error ? m->error : "the worker could not run it");
        acknowledge(p, m->task, m->lease, FALSE);
        member_missed(p->member);
        task_lost(t, why);
        return;
    }
    p->member->n_misses = 0;
    p->member->declines = FALSE;
    if (p->member->in_place) {
        finish(p, t, m);
        return;
    }
    /* Its slot is free while its files travel. */
    if (t->stage == TS_GIVEN)
        t->job->n_running++;
    t->stage = TS_RESULT;
    if (t->handle)
        sched_task_remove(p->c->sched, t->handle);
    t->handle = 0;
    dispatch_wake(p->c);
    if (t->offer)
        transfer_withdraw(p->xfer, t->offer);
    t->offer = 0;
    t->done = copy_done(m);
    if (!t->files)
        t->files = g_ptr_array_new_with_free_func(file_entry_free);
    g_autoptr(Run) run = task_run(t);
    drop_ours(t->files);
    drop_known(t, run, t->files);
    /* What says that the run has ended is written when all else is there. */
    filelist_put_last(t->files, ".guild/attrs/exit_status");
    fetch(t);
}

void result_returned(Peer *p, const MsgReturned *m)
{
    Task *t = task_of_lease(p, m->task, m->lease);
    if (t && t->stage == TS_GIVEN) {
        if (m->reason && *m->reason)
            member_declined(p->member, m->reason);
        task_returned(t);
    } else if (t) {
        task_handed_back(t, m->reason && *m->reason ? m->reason : "the worker gave it back");
    }
}
