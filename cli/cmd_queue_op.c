/* SPDX-License-Identifier: Apache-2.0 */
/* `guild _queue`: what a run of the built-in operation `queue` executes, by way of the Python
 * module guild.plugins.queue_main. Looks for staged runs and starts them one at a time, first
 * staged first. Any number of queues may run: a run is taken (marker PENDING) under the home's lock
 * on run status, the same that the reference's queues use, so none is started twice. */
#include "cli/child.h"
#include "cli/commands.h"
#include "cli/opmode.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/run/lock.h"
#include "engine/run/store.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_POLL_S = 10, LOCK_TIMEOUT_MS = 30 * 1000 };

typedef struct Queue {
    Run *self;
    RunStore *store;
    const char *gpus;
    gboolean wait_for_running;
    gboolean run_once;
    gint64 poll_s;
    GHashTable *waiting;      /* ids of staged runs that were said to wait */
    GHashTable *gpu_mismatch; /* ids of staged runs that were said to be for other devices */
    gboolean logged_waiting;
    gboolean stopping;
    guint started;
} Queue;

/* Lines have the time, as the reference's queue writes them. */
static void queue_log(LogLevel level, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void queue_log(LogLevel level, const char *fmt, ...)
{
    g_autofree char *now = clock_format_local(g_get_real_time());
    va_list args;
    va_start(args, fmt);
    g_autofree char *msg = g_strdup_vprintf(fmt, args);
    va_end(args);
    if (level >= LOG_ERROR)
        log_error("%s %s", now, msg);
    else if (level >= LOG_WARNING)
        log_warning("%s %s", now, msg);
    else
        log_info("%s %s", now, msg);
}

/* ---- what can be started ---- */

static gboolean is_queue(Run *run)
{
    const OpRef *ref = run_peek_opref(run);
    g_autofree char *opspec = ref ? opref_to_opspec(ref, NULL) : NULL;
    return opspec && !strcmp(opspec, "queue");
}

static char *join_ids(const GPtrArray *runs)
{
    GString *ids = g_string_new(NULL);
    for (guint i = 0; i < runs->len; i++)
        g_string_append_printf(ids, "%s%s", i ? ", " : "", run_id(runs->pdata[i]));
    return g_string_free(ids, FALSE);
}

static gboolean has_id(const GPtrArray *runs, const char *id)
{
    for (guint i = 0; i < runs->len; i++)
        if (!strcmp(run_id(runs->pdata[i]), id))
            return TRUE;
    return FALSE;
}

/* Forgets ids that are not among `runs`. Gives TRUE if that left none of some. */
static gboolean keep_only(GHashTable *ids, const GPtrArray *runs)
{
    guint before = g_hash_table_size(ids);
    GHashTableIter it;
    gpointer id;
    g_hash_table_iter_init(&it, ids);
    while (g_hash_table_iter_next(&it, &id, NULL))
        if (!has_id(runs, id))
            g_hash_table_iter_remove(&it);
    return before && !g_hash_table_size(ids);
}

static gboolean gpus_differ(Queue *q, Run *run)
{
    g_autoptr(Value) params = run_try_attr(run, "run_params");
    Value *gpus = value_map_get(params, "gpus");
    if (!q->gpus || !value_truthy(gpus))
        return FALSE;
    g_autofree char *text = value_str(gpus);
    if (!strcmp(text, q->gpus))
        return FALSE;
    if (g_hash_table_add(
                q->gpu_mismatch, g_strdup(run_id(run)))) /* spelled as the reference does */
        queue_log(LOG_INFO, "Ignorning staged run %s (GPU spec mismatch: run is %s, queue is %s)",
                run_id(run), text, q->gpus);
    return TRUE;
}

static gboolean must_wait(Queue *q, Run *run, const GPtrArray *blocking)
{
    if (!blocking->len)
        return FALSE;
    if (g_hash_table_add(q->waiting, g_strdup(run_id(run)))) {
        g_autofree char *ids = join_ids(blocking);
        queue_log(
                LOG_INFO, "Found staged run %s (waiting for runs to finish: %s)", run_id(run), ids);
        q->logged_waiting = TRUE;
    }
    return TRUE;
}

static void sort_runs(Queue *q, GPtrArray *staged, GPtrArray *blocking)
{
    g_autoptr(GPtrArray) all = run_store_list(q->store, RUN_STORE_RUNS);
    for (guint i = all->len; i-- > 0;) { /* oldest first */
        Run *run = all->pdata[i];
        if (run_has_marker(run, "STAGED") && run_status(run) == RUN_STAGED)
            g_ptr_array_add(staged, run_ref(run));
        else if (q->wait_for_running && strcmp(run_id(run), run_id(q->self)) &&
                 run_status(run) == RUN_RUNNING && !is_queue(run))
            g_ptr_array_add(blocking, run_ref(run));
    }
}

/* The next run, marked as pending so that no other queue takes it. Needs the lock. */
static Run *take_next(Queue *q)
{
    g_autoptr(GPtrArray) staged = run_array_new();
    g_autoptr(GPtrArray) blocking = run_array_new();
    sort_runs(q, staged, blocking);
    if (!blocking->len && g_hash_table_size(q->waiting)) {
        g_hash_table_remove_all(q->waiting);
        q->logged_waiting = FALSE;
    }
    keep_only(q->waiting, staged);
    keep_only(q->gpu_mismatch, staged);
    Run *next = NULL;
    for (guint i = 0; i < staged->len; i++) { /* all of them: why one is left is said now */
        Run *run = staged->pdata[i];
        if (gpus_differ(q, run) || must_wait(q, run, blocking) || next)
            continue;
        g_autoptr(GError) error = NULL;
        if (run_set_marker(run, "PENDING", &error))
            next = run_ref(run);
        else
            queue_log(LOG_ERROR, "cannot take run %s: %s", run_id(run), error->message);
    }
    return next;
}

static Run *next_run(Queue *q)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(HomeLock) lock =
            home_lock_acquire(run_store_home(q->store), RUN_LOCK_STATUS, LOCK_TIMEOUT_MS, &error);
    if (lock)
        return take_next(q);
    if (error)
        queue_log(LOG_ERROR, "%s", error->message);
    else
        queue_log(LOG_WARNING,
                "could not acquire lock for reading staged runs\n"
                "If this error persists, try stopping all queues and deleting %s/%s",
                run_store_locks_dir(q->store), RUN_LOCK_STATUS);
    return NULL;
}

/* ---- starting ---- */

static char **run_env(Run *run)
{
    g_autofree char *packages = run_guild_path(run, "job-packages");
    char **env = g_environ_setenv(g_get_environ(), "NO_RESTARTING_MSG", "1", TRUE);
    env = g_environ_setenv(env, "NO_IMPORT_FLAGS_PROGRESS", "1", TRUE);
    env = g_environ_unsetenv(env, "RUN_DIR");
    env = g_environ_unsetenv(env, "RUN_ID");
    return g_environ_setenv(env, "PYTHONPATH", packages, TRUE);
}

static void start_run(Queue *q, Run *run)
{
    queue_log(LOG_INFO, "Starting staged run %s", run_id(run));
    const char *argv[] = {
            child_guild_exe(), "run", "-y", "--restart", run_id(run), NULL, NULL, NULL};
    if (q->gpus) {
        argv[5] = "--gpus";
        argv[6] = q->gpus;
    }
    g_auto(GStrv) env = run_env(run);
    g_autoptr(GError) error = NULL;
    int sig = 0;
    int status = child_run(argv, env, NULL, &sig, &error);
    if (sig)
        q->stopping = TRUE;
    if (error)
        queue_log(LOG_ERROR, "error starting run %s: %s", run_id(run), error->message);
    else if (status != 0)
        queue_log(LOG_ERROR, "run %s failed with exit code %d", run_id(run), status);
    else
        q->started++;
}

static void start_all_staged(Queue *q)
{
    Run *run;
    while (!q->stopping && (run = next_run(q))) {
        start_run(q, run);
        q->logged_waiting = FALSE;
        run_unref(run);
    }
    if (!q->logged_waiting && !q->run_once && !q->stopping)
        queue_log(LOG_INFO, "Waiting for staged runs");
    q->logged_waiting = TRUE;
}

/* Sleeps; TRUE if a signal says to stop. The signals are blocked but for here and for children. */
static gboolean wait_for_stop(gint64 seconds, const sigset_t *signals)
{
    struct timespec timeout = {
            .tv_sec = (time_t)seconds, .tv_nsec = seconds ? 0 : 100 * 1000 * 1000};
    int sig;
    do
        sig = sigtimedwait(signals, NULL, &timeout);
    while (sig < 0 && errno == EINTR);
    return sig > 0;
}

static void run_queue(Queue *q)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (q->run_once) {
        gint64 start = g_get_monotonic_time();
        queue_log(LOG_INFO, "Processing staged runs");
        start_all_staged(q);
        queue_log(LOG_INFO, "queue processed %u run(s) in %f seconds", q->started,
                (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC);
        return;
    }
    do
        start_all_staged(q);
    while (!q->stopping && !wait_for_stop(q->poll_s, &signals));
}

static int queue_main(CliArgs *args)
{
    opmode_init_log();
    if (!g_getenv("LOG_LEVEL"))
        log_set_level(LOG_INFO);
    GError *error = NULL;
    g_autoptr(Run) self = opmode_current_run(&error);
    if (!self)
        return cli_gerror(error);
    g_autoptr(RunStore) store = run_store_open(cli_home(), &error);
    /* A folder `proto` makes it look like a batch, which comparisons leave out. */
    g_autofree char *proto = run_guild_path(self, "proto");
    if (!store || !fs_mkdirs(proto, &error))
        return cli_gerror(error);
    const char *gpus = cli_string(args, "gpus");
    Queue q = {
            .self = self,
            .store = store,
            .gpus = gpus && *gpus ? gpus : NULL,
            .wait_for_running = cli_flag(args, "wait_for_running"),
            .run_once = cli_flag(args, "run_once"),
            .poll_s = MAX(cli_int(args, "poll_interval", DEFAULT_POLL_S), 0),
            .waiting = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
            .gpu_mismatch = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
    };
    queue_log(LOG_INFO, "Starting queue");
    run_queue(&q);
    queue_log(LOG_INFO, "Stopping queue");
    g_hash_table_unref(q.waiting);
    g_hash_table_unref(q.gpu_mismatch);
    return 0;
}

static const CliOption queue_options[] = {
        {.key = "poll_interval",
                .names = "--poll-interval",
                .kind = OPT_INT,
                .metavar = "SECONDS",
                .help = "Time between looks for staged runs."},
        {.key = "run_once",
                .names = "--run-once",
                .kind = OPT_FLAG,
                .help = "Start what is staged and stop."},
        {.key = "wait_for_running",
                .names = "--wait-for-running",
                .kind = OPT_FLAG,
                .help = "Start nothing while other runs are running."},
        {.key = "gpus",
                .names = "--gpus",
                .kind = OPT_STRING,
                .metavar = "DEVICES",
                .help = "Devices for the runs; runs staged for others are left alone."},
        CLI_OPTIONS_END,
};
static const CliOption *const queue_tables[] = {queue_options, NULL};

const CliCommand cmd_queue_op = {
        .name = "_queue",
        .args = "",
        .summary = "Start staged runs.",
        .help = "Starts staged runs until it is stopped. The process of a run of the operation "
                "`queue`.",
        .options = queue_tables,
        .run = queue_main,
        .hidden = TRUE,
};
