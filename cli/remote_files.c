/* SPDX-License-Identifier: Apache-2.0 */
/* Runs that cross: sent to a coordinator, and brought home. Content goes by digest, both ways, and
 * only what the other side lacks. */
#include <string.h>

#include "cli/remote_client_internal.h"
#include "engine/base/fs.h"

/* In runs that a coordinator sent. */
#define PULLED ".guild/pulled"
/* Of a run that changes meanwhile. */
#define PULL_TRIES 5

/* ---- there ---- */

/* A link to a run that `run` made. Those of a batch that was brought here alone lead nowhere, and
 * go back as they are. */
static gboolean leads_to_a_run(Run *run, const char *rel)
{
    g_autofree char *name = run_neighbour(run, rel);
    g_autofree char *path = name ? g_build_filename(run_dir(run), rel, NULL) : NULL;
    return path && (run_has_attr(run, "steps") || fs_is_dir(path));
}

/* ENV is the environment of this machine, and may hold secrets. Links to the runs that the steps
 * of `run` (or NULL), or the batch that it is, made when it was started before stay here: they will
 * make others. */
static gboolean goes_out(const char *rel, gboolean is_dir, gpointer run)
{
    gboolean made = run && !is_dir && leads_to_a_run(run, rel);
    return !made && strcmp(rel, ".guild/LOCK") != 0 && strcmp(rel, ".guild/ENV") != 0 &&
           strcmp(rel, PULLED) != 0;
}

/* What a run made here links to goes along. Links of one that came from there are somebody else's,
 * and may lead to whatever this user can read: of those only links to runs are followed. */
static GPtrArray *files_to_send(Run *run, Run *maker, GError **error)
{
    g_autofree char *pulled = g_build_filename(run_dir(run), PULLED, NULL);
    g_autofree char *runs = g_path_get_dirname(run_dir(run));
    if (fs_lexists(pulled))
        return filelist_scan_within(
                run_dir(run), runs, FILELIST_INLINE, goes_out, maker, NULL, error);
    return filelist_scan(
            run_dir(run), FILELIST_FOLLOW_OUTSIDE | FILELIST_INLINE, goes_out, maker, NULL, error);
}

typedef struct {
    MsgSubmit m;
    GPtrArray *files;
} Handed;

static void hand_over(RemoteClient *c, gboolean again, gpointer handed)
{
    Handed *h = handed;
    h->m.id = c->waiting_id;
    if (again)
        value_map_set(h->m.options, "again", value_new_bool(TRUE));
    MsgFiles head = {.id = c->waiting_id};
    remote_send(c, MSG_SUBMIT, &h->m);
    transfer_send_files(remote_transfer_send, c, &head, h->files);
}

gboolean remote_submit(RemoteClient *c, Run *run, const RemoteSubmit *o, GError **error)
{
    if (c->read_only) {
        g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_REFUSED,
                "the key of remote '%s' may only read", c->name);
        return FALSE;
    }
    gboolean makes_runs = run_has_attr(run, "steps") || run_has_marker(run, "proto");
    Run *maker = o->start && makes_runs ? run : NULL;
    g_autoptr(GPtrArray) files = files_to_send(run, maker, error);
    if (!files)
        return FALSE;
    g_autofree char *name = run_new_id();
    g_autoptr(Value) options = value_new_map();
    value_map_set_string(options, "submission", name);
    value_map_set(options, "output", value_new_bool(o->output));
    value_map_set(options, "stage_trials", value_new_bool(o->stage_trials));
    value_map_set(options, "replace", value_new_bool(o->replace));
    value_map_set(options, "copy", value_new_bool(o->copy));
    if (!value_is_null(o->sync))
        value_map_set(options, "sync", value_ref(o->sync));
    Handed h = {.files = files,
            .m = {.run = (char *)run_id(run),
                    .priority = o->priority,
                    .retries = o->retries,
                    .retry_failed = o->retry_failed,
                    .user = (char *)g_get_user_name(),
                    .request = o->request,
                    .options = options,
                    .start = o->start}};
    TransferOffer offer = transfer_offer(c->xfer, run_dir(run), files);
    gboolean ok = remote_ask(c, hand_over, FALSE, &h, error);
    transfer_withdraw(c->xfer, offer);
    return ok;
}

/* ---- and back ---- */

typedef struct {
    gboolean done;
    GError *error;
} Fetched;

static void on_fetched(GPtrArray *files, const GError *error, gpointer data)
{
    Fetched *f = data;
    f->done = TRUE;
    f->error = error ? g_error_copy(error) : NULL;
}

/* What is known of a run, without its bulk. */
static gboolean is_knowledge(const char *path)
{
    return (g_str_has_prefix(path, ".guild/") || !strcmp(path, ".guild")) &&
           !g_str_has_prefix(path, ".guild/sourcecode") &&
           !g_str_has_prefix(path, ".guild/output") &&
           !g_str_has_prefix(path, ".guild/proto/.guild/sourcecode") &&
           !g_str_has_prefix(path, ".guild/attempts");
}

/* Leaves what need not travel out of the list: what is here already. */
static void leave_known(GPtrArray *files, const char *dir, gboolean only_guild)
{
    g_autoptr(GPtrArray) here =
            fs_is_dir(dir) ? filelist_scan(dir, FILELIST_PLAIN, NULL, NULL, NULL, NULL) : NULL;
    for (guint i = files->len; i-- > 0;) {
        FileEntry *e = files->pdata[i];
        FileEntry *ours = here ? filelist_find(here, e->path) : NULL;
        if ((only_guild && !is_knowledge(e->path)) ||
                (ours && e->kind == FILE_REGULAR && file_entry_same(ours, e)))
            g_ptr_array_remove_index(files, i);
    }
}

static void leave_out(GPtrArray *files, const char *path)
{
    for (guint i = files->len; i-- > 0;)
        if (!strcmp(((FileEntry *)files->pdata[i])->path, path))
            g_ptr_array_remove_index(files, i);
}

static void ask_for_list(RemoteClient *c, gboolean again, gpointer run)
{
    g_autoptr(Value) args = value_new_map();
    value_map_set_string(args, "run", run);
    MsgCall m = {c->waiting_id, (char *)"files", args};
    c->wants_list = TRUE;
    remote_send(c, MSG_CALL, &m);
}

/* Content of a run that was listed: what a new connection asks for must have been listed on it. */
static gboolean fetch(RemoteClient *c, const char *run, GPtrArray *files, GError **error)
{
    Fetched f = {0};
    GError *problem = NULL;
    gboolean goes_on = TRUE;
    guint listed_on = c->connection;
    TransferWant want = transfer_want(c->xfer, files, on_fetched, &f);
    c->fetching = TRUE;
    while (goes_on && !f.done && !c->refused && !problem) {
        guint64 before = transfer_bytes_in(c->xfer);
        gboolean welcomed = c->welcomed;
        remote_turn_until(c, &f.done, ANSWER_MS);
        goes_on = before != transfer_bytes_in(c->xfer) || welcomed != c->welcomed ||
                  listed_on != c->connection;
        if (c->welcomed && listed_on != c->connection) {
            if (remote_ask(c, ask_for_list, FALSE, (gpointer)run, &problem))
                transfer_resume(c->xfer);
            listed_on = c->connection;
        }
    }
    c->fetching = FALSE;
    if (!f.done) {
        transfer_cancel(c->xfer, want);
        if (!problem)
            return remote_not_answered(c, error);
        g_propagate_error(error, problem);
        return FALSE;
    }
    g_clear_error(&problem);
    if (f.error)
        g_propagate_error(error, f.error);
    return !f.error;
}

/* What says who executes a run means that machine's workers, not ours: here a run that is not over
 * there yet is marked with the remote's name, for `guild sync`. */
static void note_state(const RemoteClient *c, const char *dir, const char *status)
{
    static const char *const waiting[] = {"pending", "staged", NULL};
    g_autoptr(Run) run = run_new(dir, NULL);
    g_autofree char *remote = run_guild_path(run, "LOCK.remote");
    if (g_strv_contains(waiting, status))
        return; /* as it was here */
    run_clear_marker(run, "PENDING");
    run_clear_marker(run, "STAGED");
    if (!strcmp(status, "running"))
        fs_write_own(remote, c->name, -1, NULL);
    else
        fs_remove(remote, NULL);
}

/* A file that changed after it was listed is not there any more, or another. */
static gboolean has_changed(const GError *problem)
{
    return g_error_matches(problem, WIRE_ERROR, WIRE_ERROR_UNKNOWN) ||
           g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_FAILED);
}

typedef struct {
    const char *wanted; /* as the user named it */
    const char *runs_dir;
    gboolean only_guild;
    /* found */
    char *id, *dir, *status;
    GPtrArray *files;
} Pull;

static void pull_clear(Pull *p)
{
    g_clear_pointer(&p->id, g_free);
    g_clear_pointer(&p->dir, g_free);
    g_clear_pointer(&p->status, g_free);
    g_clear_pointer(&p->files, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pull, pull_clear)

/* What the run has now and we have not, in our store. */
static gboolean fetch_listed(RemoteClient *c, Pull *p, GError **error)
{
    pull_clear(p);
    if (!remote_ask(c, ask_for_list, FALSE, (gpointer)p->wanted, error))
        return FALSE;
    p->id = g_strdup(value_map_string(c->result, "run", ""));
    p->status = g_strdup(value_map_string(c->result, "status", ""));
    if (!fs_is_plain_rel(p->id) || strchr(p->id, '/')) {
        g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_REFUSED, "remote '%s' gave an unsafe run id",
                c->name);
        return FALSE;
    }
    p->dir = g_build_filename(p->runs_dir, p->id, NULL);
    p->files = g_steal_pointer(&c->files);
    leave_known(p->files, p->dir, p->only_guild);
    leave_out(p->files, ".guild/LOCK");
    leave_out(p->files, ".guild/LOCK.remote");
    leave_out(p->files, PULLED);
    /* Without it no directory is a run: one that could not be brought whole is not shown. */
    filelist_put_last(p->files, ".guild/opref");
    return fetch(c, p->id, p->files, error);
}

gboolean remote_pull(
        RemoteClient *c, const char *run, const char *runs_dir, gboolean only_guild, GError **error)
{
    g_auto(Pull) p = {.wanted = run, .runs_dir = runs_dir, .only_guild = only_guild};
    g_autoptr(GError) problem = NULL;
    gboolean ok = fetch_listed(c, &p, &problem);
    for (guint i = 1; !ok && i < PULL_TRIES && has_changed(problem); i++) {
        g_clear_error(&problem);
        ok = fetch_listed(c, &p, &problem);
    }
    if (!ok && has_changed(problem))
        g_prefix_error(&problem, "its files change while they are fetched, try again later: ");
    if (!ok) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    g_autoptr(Run) here = run_new(p.dir, p.id);
    ok = fs_mkdirs(p.dir, error) && run_set_marker(here, "pulled", error) &&
         filelist_build_taking(p.dir, p.files, blobs_open_fd, blobs_take, c->blobs, NULL, error);
    transfer_release(c->xfer, p.files);
    if (ok)
        note_state(c, p.dir, p.status);
    return ok;
}
