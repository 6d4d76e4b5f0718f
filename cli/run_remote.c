/* SPDX-License-Identifier: Apache-2.0 */
/* `guild run --remote`: the run directory is made here, as for a staged run, with everything that
 * it needs of this machine in it, and sent to the coordinator; then it is watched to its end. */
#include <stdio.h>
#include <string.h>

#include "cli/child.h"
#include "cli/progress.h"
#include "cli/remote_client.h"
#include "cli/run.h"
#include "cli/steps_project.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/deps/resolve.h"
#include "engine/wire/resources.h"

typedef struct {
    Progress *progress;
    gboolean quiet;
} Shown;

static void on_output(int stream, const void *bytes, gsize len, gpointer data)
{
    FILE *f = stream == 0 ? stdout : stderr;
    if (((Shown *)data)->quiet)
        return;
    fwrite(bytes, 1, len, f);
    fflush(f);
}

static void on_log(int level, const char *text, gpointer data)
{
    const char *name = level >= LOG_ERROR ? "ERROR" : level >= LOG_WARNING ? "WARNING" : "INFO";
    progress_line(((Shown *)data)->progress, "%s: [guild] %s", name, text);
}

static void on_progress(gint64 done, gint64 running, gint64 failed, gint64 left, gpointer data)
{
    progress_update(((Shown *)data)->progress,
            left < 0 ? G_MAXUINT64 : (guint64)(done + running + left), (guint)done, (guint)running,
            (guint)failed);
}

/* Dependencies that can be had only here go into the run before it leaves; operations are resolved
 * where their runs are. */
static gboolean bring_dependencies(RunState *s, Run *run, GError **error)
{
    DepsContext ctx = {.store = s->store,
            .filter = DEPS_NOT_OPERATIONS,
            .for_batch = TRUE,
            .continue_on_error = run_flag(s->args, "force_deps")};
    if (deps_resolve(s->user_op->deps, run, &ctx, error))
        return TRUE;
    g_prefix_error(error, "run failed because a dependency was not met: ");
    return FALSE;
}

static Run *make_batch(RunState *s, const char *dir, GError **error)
{
    g_autoptr(Run) run = run_init_batch(s, dir, error);
    g_autoptr(Run) proto = run ? run_batch_proto(run) : NULL;
    if (!proto || !bring_dependencies(s, proto, error) ||
            !steps_bring_project(proto, cli_home(), error) || !run_set_marker(run, "STAGED", error))
        return NULL;
    run_clear_marker(proto, "PENDING");
    return g_steal_pointer(&run);
}

/* What steps need. */
static gboolean bring_project(RunState *s, Run *run, GError **error)
{
    if (!run_has_attr(run, "steps"))
        return TRUE;
    g_autofree char *dir = steps_project_dir(run);
    if (run_flag(s->args, "force_sourcecode") && !fs_remove_tree(dir, error))
        return FALSE;
    s->linked_project = !fs_is_dir(dir);
    return steps_bring_project(run, cli_home(), error);
}

static Run *make_single(RunState *s, const char *dir, GError **error)
{
    g_free(s->user_op->run_dir);
    s->user_op->run_dir = g_strdup(dir);
    g_autoptr(Run) run = op_stage(s->user_op, run_flag(s->args, "force_deps"), error);
    if (!run || !bring_project(s, run, error))
        return NULL;
    /* What it printed before it was started again would be shown again. */
    static const char *const old[] = {"output", "output.index"};
    for (gsize i = 0; i < G_N_ELEMENTS(old); i++) {
        g_autofree char *path = run_guild_path(run, old[i]);
        fs_remove(path, NULL);
    }
    return g_steal_pointer(&run);
}

/* In `folder`, or the run that is to be started where it is. */
static Run *make_run(RunState *s, const char *folder, GError **error)
{
    const char *given = run_string(s->args, "run_id");
    g_autofree char *id = given ? g_strdup(given) : run_new_id();
    g_autofree char *dir =
            s->restart_run ? g_strdup(run_dir(s->restart_run)) : g_build_filename(folder, id, NULL);
    return s->batch_op ? make_batch(s, dir, error) : make_single(s, dir, error);
}

Value *run_resource_request(RunState *s, GError **error)
{
    const char *text = cli_string(s->args->cli, "request");
    g_autoptr(Value) given = text ? request_parse_text(text, error) : NULL;
    if (text && !given)
        return NULL;
    const Value *own = s->user_op->opdef ? s->user_op->opdef->request : NULL;
    Value *merged = request_merge(own, given);
    Request check;
    if (request_from_value(merged, &check, error))
        return merged;
    value_unref(merged);
    return NULL;
}

static gboolean submit(RunState *s, RemoteClient *c, Run *run, GError **error)
{
    const CliArgs *cli = s->args->cli;
    g_autoptr(Value) request = run_resource_request(s, error);
    if (!request)
        return FALSE;
    RemoteSubmit o = {.priority = (int)cli_int(cli, "priority", 0),
            .retries = (int)cli_int(cli, "retries", -1),
            .retry_failed = (int)cli_int(cli, "retry_failed", 0),
            .request = request,
            .sync = s->user_op->opdef ? s->user_op->opdef->sync : NULL,
            .replace = s->restart_run != NULL,
            .start = !run_flag(s->args, "stage"),
            .output = cli_int(cli, "jobs", 1) == 1,
            .stage_trials = run_flag(s->args, "stage_trials")};
    return remote_submit(c, run, &o, error);
}

static int watch(RunState *s, RemoteClient *c, Run *run, GError **error)
{
    static const RemoteWatcher watcher = {on_output, on_log, on_progress};
    Shown shown = {.progress = progress_new(s->batch_op != NULL && run_flag(s->args, "quiet")),
            .quiet = run_flag(s->args, "quiet")};
    int status = remote_watch(c, run_id(run), 0, &watcher, &shown, error);
    progress_free(shown.progress);
    return status;
}

/* A run of our own home that was started there comes back to its place, and the runs that it made
 * come with it. */
static gboolean bring_back(RunState *s, RemoteClient *c, Run *run, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(run_dir(run));
    g_autofree char *lock = run_guild_path(run, "LOCK.remote");
    fs_remove(lock, NULL);
    run_clear_marker(run, "STAGED");
    run_clear_marker(run, "PENDING");
    g_autoptr(Value) args = value_new_map();
    Value *wanted = value_new_list();
    value_list_append(wanted, value_new_string(run_id(run)));
    value_map_set(args, "runs", wanted);
    g_autoptr(Value) ids = remote_call(c, "runs", args, error);
    for (gsize i = 0; ids && i < value_list_size(ids); i++) {
        g_autofree char *id = value_str(value_list_at(ids, i));
        if (!remote_pull(c, id, parent, FALSE, error))
            return FALSE;
    }
    return ids != NULL;
}

/* A run of our home is started there, so its results belong here. */
static gboolean is_ours(const RunState *s)
{
    return s->restart_run && !s->fetched_dir;
}

static int submit_and_watch(RunState *s, RemoteClient *c, Run *run)
{
    GError *error = NULL;
    g_autofree char *desc = run_op_desc(s->batch_op ? s->batch_op : s->user_op);
    gboolean ok = submit(s, c, run, &error);
    if (s->linked_project) { /* it has been sent; here its files are where they were */
        g_autofree char *project = steps_project_dir(run);
        fs_remove_tree(project, NULL);
    }
    if (!ok)
        return cli_gerror(error);
    if (run_flag(s->args, "stage")) {
        printf("%s staged on %s as %s\n"
               "To start the operation, use 'guild run -r %s --start %s'\n",
                desc, remote_name(c), run_id(run), remote_name(c), run_id(run));
        return 0;
    }
    if (is_ours(s)) {
        if (run_has_attr(run, "steps"))
            run_unlink_neighbours(run); /* those that are made now come back with it */
        g_autofree char *lock = run_guild_path(run, "LOCK.remote");
        fs_write_own(lock, remote_name(c), -1, NULL);
    }
    if (run_flag(s->args, "no_wait")) {
        printf("%s is running on %s\nTo watch use 'guild watch %s -r %s'\n", run_id(run),
                remote_name(c), run_id(run), remote_name(c));
        return 0;
    }
    int status = watch(s, c, run, &error);
    if (error)
        return cli_gerror(error);
    if (status == -2) { /* SIGINT: ours, not the run's */
        printf("\nDetached from remote run %s (still running)\n"
               "To re-attach use 'guild watch %s -r %s'\n",
                run_id(run), run_id(run), remote_name(c));
        return 130;
    }
    if (is_ours(s) && !bring_back(s, c, run, &error))
        return cli_gerror(error);
    return child_exit_code(status);
}

Run *run_fetch_remote(RunState *s, const char *spec, GError **error)
{
    g_autoptr(RemoteClient) c = remote_open(run_string(s->args, "remote"), error);
    s->fetched_dir = c ? fs_mkdtemp("guild-fetch-", error) : NULL;
    if (!s->fetched_dir || !remote_pull(c, spec, s->fetched_dir, FALSE, error))
        return NULL;
    g_auto(GStrv) ids = fs_list(s->fetched_dir, error);
    if (!ids[0])
        return NULL;
    g_autofree char *dir = g_build_filename(s->fetched_dir, ids[0], NULL);
    return run_new(dir, NULL);
}

/* A run that is on its way there is not made anew here first. */
static gboolean may_restart(RunState *s, RemoteClient *c, GError **error)
{
    if (!s->restart_run)
        return TRUE;
    const char *id = run_id(s->restart_run);
    g_autoptr(Value) args = value_new_map();
    value_map_set_string(args, "run", id);
    g_autoptr(Value) there = remote_call(c, "waits", args, error);
    if (!there)
        return FALSE;
    const char *status = value_map_string(there, "status", "");
    gboolean running = !strcmp(status, "running");
    if (!running && !value_map_bool(there, "queued", FALSE))
        return TRUE;
    g_set_error(error, REMOTE_ERROR, REMOTE_ERROR_REFUSED,
            "cannot restart run %s because it's %s on %s\n"
            "To stop it use 'guild stop %s -r %s'",
            id, running ? "running" : "waiting for its turn", remote_name(c), id, remote_name(c));
    return FALSE;
}

int run_remotely(RunState *s)
{
    GError *error = NULL;
    if (run_string(s->args, "run_dir"))
        return cli_error("--remote and --run-dir cannot both be used");
    /* First the coordinator: nothing is made for one that is not there. */
    g_autoptr(RemoteClient) c = remote_open(run_string(s->args, "remote"), &error);
    if (!c)
        return cli_gerror(error);
    if (!may_restart(s, c, &error))
        return cli_gerror(error);
    g_autofree char *folder = fs_mkdtemp("guild-submit-", &error);
    g_autoptr(Run) run = folder ? make_run(s, folder, &error) : NULL;
    int status = run ? submit_and_watch(s, c, run) : run_print_error(error, NULL, NULL);
    if (folder)
        fs_remove_tree(folder, NULL);
    return status;
}
