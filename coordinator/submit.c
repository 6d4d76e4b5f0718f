/* SPDX-License-Identifier: Apache-2.0 */
/* Run directories that clients send: list first, then the content that we lack, then the directory
 * is built aside and moved into the home whole, and a job is made of it. Everything that will be
 * needed of the client is here then; nothing is asked of it later. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/beside.h"
#include "coordinator/internal.h"
#include "coordinator/tidy.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

#define MAX_SUBMITTED_FILES 1000000
/* Of one client at a time: one that is not made up waits for the answer to the last. */
#define MAX_SUBMISSIONS 16
/* Of one list in memory. */
#define MAX_LIST_BYTES (512 * 1024 * 1024)

typedef struct {
    guint64 id; /* key in the peer's table */
    Peer *peer;
    MsgSubmit *m;
    GPtrArray *files;
    gsize list_bytes; /* what they take */
    TransferWant want;
    gboolean complete;
    gboolean building; /* no more in the peer's table; `peer` may be gone */
    GBytes *peer_id;
    Coordinator *c;
    char *aside; /* where it is built */
    GError *error;
} Submission;

void submission_free(gpointer data)
{
    Submission *s = data;
    if (s->want)
        transfer_cancel(s->peer->xfer, s->want);
    if (s->building)
        g_hash_table_remove(s->c->submitting, s->m->run);
    g_clear_pointer(&s->files, g_ptr_array_unref);
    g_clear_error(&s->error);
    g_bytes_unref(s->peer_id);
    g_free(s->aside);
    wire_free(MSG_SUBMIT, s->m);
    g_free(s);
}

static void answer(Peer *p, guint64 id, const char *run, const char *error)
{
    MsgSubmitted m = {.id = id, .run = (char *)run, .error = (char *)error};
    peer_send(p, MSG_SUBMITTED, &m);
}

static void answer_news(Peer *p, guint64 id, const char *run, const char *error)
{
    log_info("%s submitted %s", p->key_name, run);
    answer(p, id, run, error);
}

gboolean run_id_ok(const char *id)
{
    if (!id || !*id || *id == '.' || strlen(id) > 64)
        return FALSE;
    for (; *id; id++)
        if (!g_ascii_isalnum(*id) && !strchr("-_.", *id))
            return FALSE;
    return TRUE;
}

/* ---- what is said twice ---- */

/* A client gives each submission a name, and says it again under that name if its connection ended
 * (or we did) before it was answered: it is done once. */
static gboolean is_named_as(const Value *options, const MsgSubmit *m)
{
    const char *name = value_map_string(m->options, "submission", NULL);
    return name && !g_strcmp0(name, value_map_string(options, "submission", NULL));
}

/* TRUE: it is answered, or will be. */
static gboolean is_said_again(Peer *p, const MsgSubmit *m)
{
    Coordinator *c = p->c;
    if (!value_map_bool(m->options, "again", FALSE))
        return FALSE;
    Submission *s = c->submitting ? g_hash_table_lookup(c->submitting, m->run) : NULL;
    if (s && is_named_as(s->m->options, m)) {
        g_bytes_unref(s->peer_id);
        s->peer_id = g_bytes_ref(p->id);
        s->m->id = m->id;
        return TRUE;
    }
    Job *j = job_for_run(c, m->run);
    g_autoptr(Value) options = j ? value_ref(j->options) : queue_last_options(c->queue, m->run);
    if (!is_named_as(options, m))
        return FALSE;
    answer_when_durable(p, m->id, m->run, answer);
    return TRUE;
}

/* ---- the list, and what of it we lack ---- */

void submit_begin(Peer *p, MsgSubmit *m)
{
    if (!run_id_ok(m->run)) {
        answer(p, m->id, m->run, "the run's id can't be used on another machine");
        return;
    }
    if (is_said_again(p, m))
        return;
    if (g_hash_table_size(p->submissions) >= MAX_SUBMISSIONS) {
        answer(p, m->id, m->run, "too many runs are being submitted at once");
        return;
    }
    Submission *s = g_new0(Submission, 1);
    s->id = m->id;
    s->peer = p;
    s->peer_id = g_bytes_ref(p->id);
    s->c = p->c;
    s->m = g_memdup2(m, sizeof *m);
    memset(m, 0, sizeof *m); /* taken over */
    s->files = g_ptr_array_new_with_free_func(file_entry_free);
    g_hash_table_replace(p->submissions, &s->id, s);
}

/* FALSE: a run of that name is there, and may not be replaced. */
static gboolean may_place(Submission *s, const char *dir, GError **error)
{
    Coordinator *c = s->c;
    if (!fs_lexists(dir))
        return TRUE;
    g_autoptr(Run) run = run_new(dir, s->m->run);
    RunStatus status = run_status(run);
    gboolean replace = status != RUN_RUNNING && value_map_bool(s->m->options, "replace", FALSE);
    gboolean queued = job_for_run(c, s->m->run) || task_for_run(c, s->m->run);
    if (!queued && (status == RUN_STAGED || status == RUN_PENDING || replace))
        return TRUE;
    g_set_error(error, COORDINATOR_ERROR, COORDINATOR_ERROR_RUN, "run %s is there already (%s)",
            s->m->run, run_status_name(status));
    return FALSE;
}

static gboolean has_ended(const char *dir, const char *id)
{
    g_autoptr(Run) run = run_new(dir, id);
    return run_has_attr(run, "exit_status") && !run_has_marker(run, "PENDING") &&
           !run_has_marker(run, "STAGED");
}

/* A copy that was fetched before the run ended would take its results away. */
static gboolean is_no_older_copy(Submission *s, const char *dir, GError **error)
{
    if (!value_map_bool(s->m->options, "copy", FALSE) || !has_ended(dir, s->m->run) ||
            has_ended(s->aside, s->m->run))
        return TRUE;
    g_set_error(error, COORDINATOR_ERROR, COORDINATOR_ERROR_RUN,
            "run %s has ended, and the copy of it has not: pull it, or delete it there first",
            s->m->run);
    return FALSE;
}

/* Perhaps on a thread. */
static void build_aside(gpointer submission)
{
    Submission *s = submission;
    g_autoptr(Run) run = run_new(s->aside, s->m->run);
    if (fs_remove_tree(s->aside, &s->error) && fs_mkdirs(s->aside, &s->error) &&
            filelist_build_taking(s->aside, s->files, blobs_open_fd, blobs_take, s->c->blobs,
                    s->c->digests, &s->error) &&
            s->m->start && !run_has_marker(run, "proto"))
        tidy_note(run, &s->error);
}

static void remove_it(gpointer dir)
{
    fs_remove_tree(dir, NULL);
}

static void on_removed(gpointer dir)
{
}

/* It may be large. Takes `dir`. */
static void remove_beside(Coordinator *c, char *dir)
{
    beside_start(c, remove_it, on_removed, g_free, dir);
}

/* A new path beside which nothing is. */
static char *incoming(Coordinator *c)
{
    g_autofree char *id = run_new_id();
    return g_build_filename(c->home, "coordinator", "incoming", id, NULL);
}

static gboolean move(const char *from, const char *to, GError **error)
{
    if (rename(from, to) == 0)
        return TRUE;
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot write %s: %s", to,
            g_strerror(errno));
    return FALSE;
}

/* The directory, whole, from aside to its place. */
static Run *put_in_place(Submission *s, GError **error)
{
    Coordinator *c = s->c;
    g_autofree char *dir = g_build_filename(run_store_runs_dir(c->store), s->m->run, NULL);
    if (s->error) {
        g_propagate_error(error, g_steal_pointer(&s->error));
        return NULL;
    }
    if (!may_place(s, dir, error) || !is_no_older_copy(s, dir, error) ||
            !run_store_ensure(c->store, error))
        return NULL;
    if (fs_lexists(dir)) {
        g_autofree char *old = incoming(c);
        if (!move(dir, old, error))
            return NULL;
        remove_beside(c, g_steal_pointer(&old));
    }
    return move(s->aside, dir, error) ? run_new(dir, s->m->run) : NULL;
}

/* Who shares with whom is a matter of keys: what a client calls itself is its own invention, and
 * `root` on many machines. The home's own key is there for whoever may read the home. */
static char *user_of(const Peer *p, const MsgSubmit *m)
{
    gboolean by_name = p->role == ROLE_OWNER && m->user && *m->user;
    return g_strdup(by_name ? m->user : p->key_name);
}

static void queue_it(Submission *s, Peer *p)
{
    Coordinator *c = s->c;
    MsgSubmit *m = s->m;
    g_autoptr(GError) error = NULL;
    g_autoptr(Run) run = put_in_place(s, &error);
    g_autofree char *user = user_of(p, m);
    JobOptions o = {.user = user,
            .priority = m->priority,
            .retries = m->retries,
            .retry_failed = m->retry_failed,
            .request = m->request,
            .options = m->options,
            .want_output = value_map_bool(m->options, "output", FALSE),
            .stage_only = value_map_bool(m->options, "stage_trials", FALSE)};
    Job *j = NULL;
    if (run && m->start)
        j = coordinator_add(c, run, &o, NULL, NULL, &error);
    if (!run || (m->start && !j)) {
        answer(p, m->id, m->run, error->message);
        g_autofree char *old = run ? incoming(c) : NULL;
        if (run && move(run_dir(run), old, NULL))
            remove_beside(c, g_steal_pointer(&old));
        return;
    }
    answer_when_durable(p, m->id, m->run, answer_news);
}

/* A client that has gone was told nothing, and takes it that nothing was submitted. */
static void on_built(gpointer submission)
{
    Submission *s = submission;
    Peer *p = s->c->closing ? NULL : g_hash_table_lookup(s->c->peers, s->peer_id);
    transfer_unpin(s->c->blobs, s->files);
    if (p && keyring_allows(s->c->keys, p->key))
        queue_it(s, p);
    else
        log_info("submission of %s was given up: its client left", s->m->run);
    if (fs_lexists(s->aside))
        remove_beside(s->c, g_strdup(s->aside));
}

static void build(Submission *s)
{
    Coordinator *c = s->c;
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_build_filename(run_store_runs_dir(c->store), s->m->run, NULL);
    if (!c->submitting)
        c->submitting = g_hash_table_new(g_str_hash, g_str_equal);
    if (g_hash_table_contains(c->submitting, s->m->run))
        g_set_error(&error, COORDINATOR_ERROR, COORDINATOR_ERROR_RUN,
                "run %s is being submitted already", s->m->run);
    if (error || !may_place(s, dir, &error)) {
        answer(s->peer, s->m->id, s->m->run, error->message);
        transfer_unpin(c->blobs, s->files);
        submission_free(s);
        return;
    }
    g_hash_table_insert(c->submitting, s->m->run, s);
    s->building = TRUE;
    s->aside = incoming(c);
    if (filelist_is_short(s->files)) {
        build_aside(s);
        on_built(s);
        submission_free(s);
    } else {
        beside_start(c, build_aside, on_built, submission_free, s);
    }
}

static void on_content(GPtrArray *files, const GError *error, gpointer data)
{
    Submission *s = data;
    s->want = 0;
    if (s->peer->closing)
        return;
    if (error) {
        answer(s->peer, s->m->id, s->m->run, error->message);
        g_hash_table_remove(s->peer->submissions, &s->id);
        return;
    }
    g_hash_table_steal(s->peer->submissions, &s->id);
    build(s);
}

/* Who runs it is said here: a process's number from another machine is somebody else's here, whom
 * `guild stop` would end. */
static void drop_locks(GPtrArray *files)
{
    for (guint i = files->len; i-- > 0;) {
        const FileEntry *e = files->pdata[i];
        if (!strcmp(e->path, ".guild/LOCK") || !strcmp(e->path, ".guild/LOCK.remote"))
            g_ptr_array_remove_index(files, i);
    }
}

void submit_files(Peer *p, MsgFiles *m)
{
    Submission *s = g_hash_table_lookup(p->submissions, &m->id);
    if (!s || s->complete || !m->files)
        return;
    drop_locks(m->files);
    s->list_bytes += filelist_bytes(m->files);
    if (s->files->len + m->files->len > MAX_SUBMITTED_FILES || s->list_bytes > MAX_LIST_BYTES) {
        answer(p, m->id, s->m->run, "too many files");
        g_hash_table_remove(p->submissions, &m->id);
        return;
    }
    g_ptr_array_set_free_func(m->files, NULL);
    g_ptr_array_extend_and_steal(s->files, g_steal_pointer(&m->files));
    if (!m->last)
        return;
    s->complete = TRUE;
    g_autoptr(GPtrArray) files = g_ptr_array_ref(s->files);
    TransferWant want = transfer_want(p->xfer, files, on_content, s);
    if (want)
        s->want = want;
}
