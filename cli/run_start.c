/* SPDX-License-Identifier: Apache-2.0 */
/* Running and staging what was asked for; see run.h. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/child.h"
#include "cli/local_cluster.h"
#include "cli/run.h"
#include "cli/runs_format.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/deps/resolve.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/batch/optimizer.h"
#include "engine/exec/exec.h"
#include "engine/run/describe.h"
#include "engine/run/lock.h"
#include "engine/wire/resources.h"
#include "worker/alone.h"

#define LOCK_TIMEOUT_MS 30000

/* --needed: nothing is done if a run of the same operation with the same flags did not fail. */

static gboolean is_usable(Run *run)
{
    RunStatus status = run_status(run);
    return status == RUN_COMPLETED || status == RUN_TERMINATED;
}

static gboolean same_flags(Run *run, const Op *op)
{
    g_autoptr(Value) flags = run_try_attr(run, "flags");
    return value_equal(flags, op->flag_vals);
}

static gboolean same_op(Run *run, const Op *op)
{
    const OpRef *ref = run ? run_peek_opref(run) : NULL;
    return ref && opref_equal(ref, op->opref) && same_flags(run, op);
}

static gboolean matches_state(Run *run, RunState *s)
{
    if (!s->batch_op)
        return same_op(run, s->user_op);
    if (!same_op(run, s->batch_op))
        return FALSE;
    g_autoptr(Run) proto = run_batch_proto(run);
    return same_op(proto, s->user_op);
}

static gboolean restart_is_needless(RunState *s)
{
    if (!is_usable(s->restart_run))
        return FALSE;
    if (!s->batch_op)
        return same_flags(s->restart_run, s->user_op);
    g_autoptr(Run) proto = run_batch_proto(s->restart_run);
    return same_flags(s->restart_run, s->batch_op) && proto && same_flags(proto, s->user_op);
}

static gboolean is_needless(RunState *s)
{
    static const char *const columns[] = {
            "short_index", "operation", "started", "status_with_remote", "label", NULL};
    if (s->restart_run) {
        gboolean needless = restart_is_needless(s);
        if (needless)
            puts("Skipping run because flags have not changed (--needed specified)");
        return needless;
    }
    g_autoptr(GPtrArray) runs = run_store_list(s->store, RUN_STORE_RUNS);
    g_autoptr(GPtrArray) matching = run_array_new();
    for (guint i = 0; i < runs->len; i++) {
        Run *run = g_ptr_array_index(runs, i);
        if (matches_state(run, s) && is_usable(run))
            g_ptr_array_add(matching, run_ref(run));
    }
    if (!matching->len)
        return FALSE;
    puts("Skipping because the following runs match this operation (--needed specified):");
    g_autoptr(OutTable) table = runs_table(matching, columns, FALSE);
    out_table_print(table, stdout, 2, OUT_PLAIN);
    return TRUE;
}

/* Making the run. */

Run *run_init_batch(RunState *s, const char *dir, GError **error)
{
    g_autoptr(Run) run = op_init_run(s->batch_op, dir, error);
    if (!run)
        return NULL;
    g_free(s->batch_op->run_dir);
    s->batch_op->run_dir = g_strdup(run_dir(run));
    g_autofree char *proto_dir = run_guild_path(run, "proto");
    g_autoptr(Run) proto = op_init_run(s->user_op, proto_dir, error);
    if (proto)
        return g_steal_pointer(&run);
    if (!s->restart_run)
        fs_remove_tree(run_dir(run), NULL);
    return NULL;
}

static Run *init_run(RunState *s, GError **error)
{
    return s->batch_op ? run_init_batch(s, NULL, error) : op_init_run(s->user_op, NULL, error);
}

static gboolean is_busy(Run *run)
{
    return run_status(run) == RUN_RUNNING || (run_pid(run) != getpid() && run_has_process(run));
}

/* Restarting takes the run under the home's lock, so that of several processes that want to start
 * it one does: our pid is in its LOCK from then on. */
static Run *claim_run(RunState *s, int *status, GError **error)
{
    g_autoptr(HomeLock) lock =
            home_lock_acquire(cli_home(), RUN_LOCK_STATUS, LOCK_TIMEOUT_MS, error);
    if (error && *error)
        return NULL;
    if (is_busy(s->restart_run)) {
        *status = cli_error("cannot restart run %s because it's running\n"
                            "Use 'guild stop %s' to stop it first and try again.",
                run_id(s->restart_run), run_id(s->restart_run));
        return NULL;
    }
    deps_forget_done(s->restart_run);
    Run *run = init_run(s, error);
    if (run)
        run_write_lock(run, getpid(), NULL);
    return run;
}

/* Staging. */

static void print_staged(const Op *op, Run *run)
{
    g_autofree char *desc = run_format_operation(run);
    g_autofree char *runs = g_build_filename(op->home, "runs", NULL);
    g_autofree char *parent = g_path_get_dirname(run_dir(run));
    g_autofree char *a = fs_realpath(runs);
    g_autofree char *b = fs_realpath(parent);
    if (strcmp(a, b) == 0) {
        printf("%s staged as %s\nTo start the operation, use 'guild run --start %s'\n", desc,
                run_id(run), run_id(run));
        return;
    }
    g_autofree char *cmd = text_shell_join((const char *const *)op->cmd_args);
    printf("%s staged in '%s'\nTo start the operation, use "
           "\"(cd '%s' && source .guild/ENV && %s)\"\n",
            desc, run_dir(run), run_dir(run), cmd);
}

static int stage(RunState *s)
{
    Op *op = s->batch_op ? s->batch_op : s->user_op;
    GError *error = NULL;
    if (s->batch_op) {
        g_autoptr(Run) made = run_init_batch(s, NULL, &error);
        if (!made)
            return run_print_error(error, NULL, NULL);
    }
    g_autoptr(Run) run = op_stage(op, run_flag(s->args, "force_deps"), &error);
    if (!run)
        return run_print_error(error, NULL, NULL);
    if (!run_flag(s->args, "quiet"))
        print_staged(op, run);
    return 0;
}

/* Starting. */

static gboolean is_background(RunState *s)
{
    return run_flag(s->args, "background") || run_string(s->args, "pidfile");
}

/* A run in the background is kept, as the reference keeps it: who started it comes back for it. */
static int finish(RunState *s, Op *op, Run *run, int exit_status)
{
    fflush(stdout);
    if (exit_status != 0)
        return child_exit_code(exit_status);
    if (is_background(s) || !op_deletes_run(op, run))
        return 0;
    g_autofree char *desc = run_format_operation(run);
    void (*log)(const char *, ...) = s->batch_op ? log_debug : log_info;
    log("Deleting interim run %s ('%s' is configured for deletion on success)", run_id(run), desc);
    GError *error = NULL;
    return run_store_delete(s->store, run, &error) ? 0 : cli_gerror(error);
}

/* The trials of a built-in batch operation run in this process. */
static gboolean runs_in_process(RunState *s)
{
    return s->batch_op && strcmp(s->batch_op->opref->pkg_type, "builtin") == 0 &&
           optimizer_class_find(s->batch_op->opref->op_name);
}

static gboolean run_batch(RunState *s, Run *run, int *exit_status, GError **error)
{
    const CliArgs *cli = s->args->cli;
    g_auto(GStrv) env = op_proc_env(s->batch_op, run);
    g_autoptr(Value) safe_env = op_safe_env(s->batch_op, (const char *const *)env);
    g_autoptr(Value) stage_trials = run_try_attr(run, "stage_trials");
    g_autoptr(Value) request = run_resource_request(s, error);
    if (!request && error && *error)
        return FALSE;
    const LocalBatchOptions options = {
            .home = cli_home(),
            .jobs = cli_int(cli, "jobs", 1),
            .quiet = run_flag(s->args, "quiet"),
            .retries = cli_int(cli, "retries", -1),
            .retry_failed = cli_int(cli, "retry_failed", 0),
            .request = request,
            .stage_trials = value_truthy(stage_trials),
    };
    if (!run_write_attr(run, "env", safe_env, error))
        return FALSE;
    *exit_status = local_batch_run(run, &options, error);
    return *exit_status >= 0 || !error || !*error;
}

static gboolean run_process(
        RunState *s, Op *op, Run *run, Alone *alone, int *exit_status, GError **error)
{
    ExecSpec *spec = exec_spec_for_op(op, run, run_flag(s->args, "quiet"),
            cli_float(s->args->cli, "stop_after", 0), alone ? alone_env(alone) : NULL);
    g_autoptr(GError) err = NULL;
    if (alone ? alone_run(alone, spec, exit_status, &err)
              : exec_run_foreground(spec, exit_status, &err))
        return TRUE;
    if (g_error_matches(err, EXEC_ERROR, EXEC_ERROR_SPAWN)) {
        g_autofree char *desc = run_op_desc(op);
        g_set_error(
                error, EXEC_ERROR, EXEC_ERROR_SPAWN, "error running %s: %s", desc, err->message);
    } else {
        g_propagate_error(error, g_steal_pointer(&err));
    }
    return FALSE;
}

/* --background, --pidfile: the rest happens in a process of its own. */
static gboolean go_to_background(RunState *s, Op *op, Run *run, gboolean *is_parent, GError **error)
{
    const char *given = run_string(s->args, "pidfile");
    *is_parent = FALSE;
    if (!is_background(s))
        return TRUE;
    g_autofree char *pidfile = given ? fs_abspath(given, NULL) : NULL;
    if (!given) {
        int fd = g_file_open_tmp("guild-pid-XXXXXX", &pidfile, error);
        if (fd < 0)
            return FALSE;
        close(fd);
    }
    g_autofree char *desc = run_op_desc(op);
    if (!run_flag(s->args, "quiet"))
        log_info("%s started in background as %s (pidfile %s)", desc, run_id(run),
                given ? given : pidfile);
    fflush(NULL);
    gboolean in_child;
    if (!exec_daemonize(pidfile, cli_cwd(), &in_child, error))
        return FALSE;
    *is_parent = !in_child;
    if (in_child) {
        /* A run that was started is never seen without a lock; its own process takes it over. */
        run_write_lock(run, getpid(), NULL);
        exec_daemon_ready();
    }
    return TRUE;
}

static int execute(RunState *s, Op *op, Run *run, Alone *alone)
{
    GError *error = NULL;
    gboolean is_parent;
    int exit_status = 0;
    if (!op_prepare_start(op, run, run_flag(s->args, "force_deps"), &error) ||
            !go_to_background(s, op, run, &is_parent, &error)) {
        run_delete_lock(run);
        return run_print_error(error, NULL, NULL);
    }
    if (is_parent)
        return 0;
    gboolean ok = runs_in_process(s) ? run_batch(s, run, &exit_status, &error)
                                     : run_process(s, op, run, alone, &exit_status, &error);
    if (ok)
        return finish(s, op, run, exit_status);
    if (runs_in_process(s) && !s->restart_run) {
        /* A batch that could not begin made nothing: it is not left as a run. */
        fs_remove_tree(run_dir(run), NULL);
    } else if (runs_in_process(s)) {
        run_write_attr_int(run, "exit_status", 1, NULL);
        run_write_attr_int(run, "stopped", clock_timestamp_us(), NULL);
    }
    run_delete_lock(run);
    return run_print_error(error, NULL, NULL);
}

/* An optimizer that is a process stays here and sends its trials (guild.batch_util does). */
static gboolean is_for_remote(const RunState *s)
{
    return run_string(s->args, "remote") && !run_has_own_optimizer(s);
}

/* What the run asks of this machine, also when its definition is gone; an empty map if nothing. */
static Value *process_request(RunState *s, GError **error)
{
    g_autoptr(Value) asked = run_resource_request(s, error);
    if (!asked || !s->restart_run)
        return g_steal_pointer(&asked);
    g_autoptr(Value) kept = run_try_attr(s->restart_run, "request");
    return request_merge(kept, asked);
}

/* The limits of a single run; NULL if it asks for nothing, or with an error for what is not here.
 * Those who make runs ask for nothing themselves. */
static Alone *new_alone(RunState *s, GError **error)
{
    if (s->batch_op)
        return NULL;
    g_autoptr(GError) err = NULL;
    g_autoptr(Value) request = process_request(s, &err);
    Alone *alone = request && value_map_size(request) ? alone_new(request, &err) : NULL;
    if (err) {
        g_autofree char *desc = run_op_desc(s->user_op);
        g_set_error(error, err->domain, err->code, "cannot run %s: %s", desc, err->message);
    }
    return alone;
}

int run_start(RunState *s)
{
    int status = 0;
    GError *error = NULL;
    if (is_for_remote(s))
        return run_remotely(s);
    if (s->restart_run && is_busy(s->restart_run))
        return cli_error("cannot restart run %s because it's running\n"
                         "Use 'guild stop %s' to stop it first and try again.",
                run_id(s->restart_run), run_id(s->restart_run));
    if (run_flag(s->args, "needed") && is_needless(s))
        return 0;
    if (run_flag(s->args, "stage"))
        return stage(s);
    g_autoptr(Alone) alone = new_alone(s, &error);
    if (error)
        return run_print_error(error, NULL, NULL);
    g_autoptr(Run) run = s->restart_run ? claim_run(s, &status, &error) : init_run(s, &error);
    if (status)
        return status;
    if (!run)
        return run_print_error(error, NULL, NULL);
    return execute(s, s->batch_op ? s->batch_op : s->user_op, run, alone);
}
