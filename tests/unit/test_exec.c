/* SPDX-License-Identifier: Apache-2.0 */
/* Runs as processes: what is written, how they end, how they are stopped. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/exec/exec.h"
#include "engine/exec/proctree.h"
#include "engine/run/scalars.h"

typedef struct Result {
    GMainLoop *loop;
    int status;
    gboolean stopped;
    guint calls;
    GString *seen[2];
    gint64 stop_grace_us; /* >= 0: exec_stop() with the first output */
    Exec *exec;
} Result;

static void on_output(Exec *exec, RunStream stream, const char *data, gsize len, gpointer ptr)
{
    Result *r = ptr;
    g_string_append_len(r->seen[stream], data, (gssize)len);
    if (r->stop_grace_us >= 0) {
        exec_stop(exec, r->stop_grace_us);
        r->stop_grace_us = -1;
    }
}

static void on_exited(Exec *exec, int status, gboolean stopped, gpointer ptr)
{
    Result *r = ptr;
    r->status = status;
    r->stopped = stopped;
    r->calls++;
    g_main_loop_quit(r->loop);
}

static Run *new_run(void)
{
    g_autofree char *dir = fs_mkdtemp("guild-test-", NULL);
    Run *run = run_new(dir, NULL);
    g_assert_true(run_init_skel(run, NULL));
    return run;
}

static void delete_run(Run *run)
{
    g_assert_true(fs_remove_tree(run_dir(run), NULL));
    run_unref(run);
}

static ExecSpec *shell_spec(Run *run, const char *script)
{
    const char *argv[] = { "sh", "-c", script, NULL };
    ExecSpec *spec = exec_spec_new(run);
    spec->argv = g_strdupv((char **)argv);
    spec->env = g_environ_setenv(g_get_environ(), "RUN_DIR", run_dir(run), TRUE);
    spec->quiet = TRUE;
    return spec;
}

static Result execute(ExecSpec *spec, gint64 stop_grace_us)
{
    g_autoptr(GError) error = NULL;
    Result r = { .loop = g_main_loop_new(NULL, FALSE), .stop_grace_us = stop_grace_us };
    r.seen[0] = g_string_new(NULL);
    r.seen[1] = g_string_new(NULL);
    ExecCallbacks callbacks = { .output = on_output, .exited = on_exited };
    Exec *exec = exec_start(spec, NULL, &callbacks, &r, &error);
    g_assert_no_error(error);
    g_main_loop_run(r.loop);
    exec_free(exec);
    g_main_loop_unref(r.loop);
    g_assert_cmpuint(r.calls, ==, 1);
    return r;
}

static void result_clear(Result *r)
{
    g_string_free(r->seen[0], TRUE);
    g_string_free(r->seen[1], TRUE);
}

static char *read_file(Run *run, const char *name)
{
    g_autofree char *path = run_guild_path(run, name);
    return fs_read(path, 0, NULL, NULL);
}

static void test_normal(void)
{
    Run *run = new_run();
    ExecSpec *spec = shell_spec(run, "cat; pwd; echo err >&2; echo -n end; exit 3");
    spec->env_text = g_strdup("A: '1'");
    Result r = execute(spec, -1);
    g_assert_cmpint(r.status, ==, 3);
    g_assert_false(r.stopped);
    g_autofree char *out = g_strdup_printf("%s\nend", run_dir(run));
    g_assert_cmpstr(r.seen[RUN_STDOUT]->str, ==, out);
    g_assert_cmpstr(r.seen[RUN_STDERR]->str, ==, "err\n");
    g_assert_cmpint(run_attr_int(run, "exit_status", -99), ==, 3);
    g_assert_true(run_has_attr(run, "stopped"));
    g_assert_cmpint(run_status(run), ==, RUN_ERROR);
    g_autofree char *env = read_file(run, "attrs/env");
    g_assert_cmpstr(env, ==, "A: '1'\n");
    g_autofree char *lock = read_file(run, "LOCK");
    g_assert_null(lock);
    g_autofree char *kept = read_file(run, "output");
    g_assert_cmpuint(strlen(kept), ==, strlen(out) + 4);
    result_clear(&r);
    delete_run(run);
}

static void test_merged_and_none(void)
{
    Run *run = new_run();
    ExecSpec *spec = shell_spec(run, "echo a; echo b >&2; echo c");
    spec->output = EXEC_OUTPUT_MERGED;
    Result r = execute(spec, -1);
    g_assert_cmpstr(r.seen[RUN_STDOUT]->str, ==, "a\nb\nc\n");
    result_clear(&r);
    delete_run(run);

    run = new_run();
    spec = shell_spec(run, "echo a");
    spec->output = EXEC_OUTPUT_NONE;
    r = execute(spec, -1);
    g_assert_cmpint(r.status, ==, 0);
    g_autofree char *kept = read_file(run, "output");
    g_assert_null(kept);
    result_clear(&r);
    delete_run(run);
}

static void test_signal_status(void)
{
    Run *run = new_run();
    Result r = execute(shell_spec(run, "kill -9 $$"), -1);
    g_assert_cmpint(r.status, ==, -9);
    g_assert_cmpint(run_status(run), ==, RUN_TERMINATED);
    result_clear(&r);
    delete_run(run);
}

static void check_spawn_error(const char *program, const char *message)
{
    g_autoptr(GError) error = NULL;
    Run *run = new_run();
    ExecSpec *spec = shell_spec(run, "");
    g_free(spec->argv[0]);
    spec->argv[0] = g_strdup(program);
    ExecCallbacks callbacks = { .output = on_output, .exited = on_exited };
    g_assert_null(exec_start(spec, NULL, &callbacks, NULL, &error));
    g_assert_error(error, EXEC_ERROR, EXEC_ERROR_SPAWN);
    g_assert_cmpstr(error->message, ==, message);
    g_autofree char *lock = read_file(run, "LOCK");
    g_assert_null(lock);
    delete_run(run);
}

static guint alive(Run *run)
{
    ProcTree tree = { .run_dir = run_dir(run) };
    g_autoptr(GArray) procs = proctree_find(&tree);
    return procs->len;
}

/* Waits for the end of what was told to end: a kill is not yet a death. */
static void assert_all_gone(Run *run)
{
    for (gint64 end_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
            alive(run) > 0 && g_get_monotonic_time() < end_us;)
        g_usleep(10 * 1000);
    g_assert_cmpuint(alive(run), ==, 0);
}

/* The same with the start in another thread. */

static void on_failed(Exec *exec, const GError *error, gpointer ptr)
{
    Result *r = ptr;
    g_assert_error(error, EXEC_ERROR, EXEC_ERROR_SPAWN);
    r->status = -1000;
    r->calls++;
    g_main_loop_quit(r->loop);
}

static Result execute_in_thread(Run *run, const char *program, gboolean stop)
{
    g_autoptr(GError) error = NULL;
    Result r = { .loop = g_main_loop_new(NULL, FALSE), .stop_grace_us = -1 };
    r.seen[0] = g_string_new(NULL);
    r.seen[1] = g_string_new(NULL);
    ExecSpec *spec = shell_spec(run, stop ? "sleep 60" : "echo hello; exit 5");
    g_free(spec->argv[0]);
    spec->argv[0] = g_strdup(program);
    ExecCallbacks callbacks = { on_output, on_failed, on_exited };
    Exec *exec = exec_start(spec, NULL, &callbacks, &r, &error);
    g_assert_no_error(error);
    g_assert_cmpint(exec_pid(exec), ==, 0);
    if (stop)
        exec_stop(exec, 5 * G_USEC_PER_SEC);
    g_main_loop_run(r.loop);
    exec_free(exec);
    g_main_loop_unref(r.loop);
    g_assert_cmpuint(r.calls, ==, 1);
    return r;
}

static void test_thread(void)
{
    Run *run = new_run();
    Result r = execute_in_thread(run, "sh", FALSE);
    g_assert_cmpint(r.status, ==, 5);
    g_assert_cmpstr(r.seen[RUN_STDOUT]->str, ==, "hello\n");
    result_clear(&r);
    r = execute_in_thread(run, "sh", TRUE);
    g_assert_cmpint(r.status, ==, -15);
    g_assert_true(r.stopped);
    result_clear(&r);
    r = execute_in_thread(run, "no-such-program-xyz", FALSE);
    g_assert_cmpint(r.status, ==, -1000);
    result_clear(&r);
    /* Freed before the child was seen to run: it doesn't live on. */
    ExecCallbacks callbacks = { on_output, on_failed, on_exited };
    exec_free(exec_start(shell_spec(run, "sleep 60"), NULL, &callbacks, NULL, NULL));
    assert_all_gone(run);
    delete_run(run);
}

static void test_spawn_errors(void)
{
    check_spawn_error("no-such-program-xyz",
            "[Errno 2] No such file or directory: 'no-such-program-xyz'");
    check_spawn_error("./nothing", "[Errno 2] No such file or directory: './nothing'");
    check_spawn_error("/etc/passwd", "[Errno 13] Permission denied: '/etc/passwd'");
}

/* A grandchild that keeps the pipes open doesn't keep the run open, and what came is kept. */
static void test_held_pipe(void)
{
    Run *run = new_run();
    gint64 start = g_get_monotonic_time();
    Result r = execute(shell_spec(run, "sleep 60 & echo $!; echo done"), -1);
    g_assert_cmpint(r.status, ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 20 * G_USEC_PER_SEC);
    g_assert_nonnull(strstr(r.seen[RUN_STDOUT]->str, "done"));
    kill(atoi(r.seen[RUN_STDOUT]->str), SIGKILL);
    result_clear(&r);
    delete_run(run);
}

static void check_stop(const char *script, gint64 grace_us, int status)
{
    Run *run = new_run();
    gint64 start = g_get_monotonic_time();
    Result r = execute(shell_spec(run, script), grace_us);
    g_assert_cmpint(r.status, ==, status);
    g_assert_true(r.stopped);
    g_assert_cmpuint(alive(run), ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 20 * G_USEC_PER_SEC);
    result_clear(&r);
    delete_run(run);
}

static void test_stop(void)
{
    check_stop("echo x; sleep 60", 10 * G_USEC_PER_SEC, -15);
    check_stop("trap 'exit 7' TERM; echo x; while :; do sleep 0.05; done", 10 * G_USEC_PER_SEC, 7);
    check_stop("trap '' TERM; echo x; while :; do sleep 0.05; done", 300000, -9);
    check_stop("echo x; sleep 60", 0, -9);
    /* A child in a session of its own, one that ignores SIGTERM and outlives the shell, and one
     * whose parent is gone before the stop. */
    check_stop("setsid sh -c 'trap \"\" TERM; while :; do sleep 0.05; done' & "
               "(setsid sleep 60 &) ; sleep 0.3; echo x; wait",
            500000, -15);
}

/* One for each thing that alone tells whose it is: a child by its parent, an orphan by its process group, one that
 * left both by its environment. */
static void test_stop_finds_all(void)
{
    static const char *const scripts[] = {
        "env -i setsid sh -c 'echo $$; exec sleep 60' & wait",
        "(env -i sh -c 'echo $$; exec sleep 60' &); sleep 60",
        "(setsid sh -c 'sleep 0.3; echo $$; exec sleep 60' &); sleep 60",
    };
    for (guint i = 0; i < G_N_ELEMENTS(scripts); i++) {
        Run *run = new_run();
        Result r = execute(shell_spec(run, scripts[i]), 2 * G_USEC_PER_SEC);
        ProcTree tree = { .root = atoi(r.seen[RUN_STDOUT]->str) };
        g_assert_cmpint(tree.root, >, 1);
        g_autoptr(GArray) left = proctree_find(&tree);
        g_assert_cmpuint(left->len, ==, 0);
        result_clear(&r);
        delete_run(run);
    }
}

/* A child that somebody kills takes with it what it started. */
static void test_killed_by_others(void)
{
    Run *run = new_run();
    Result r = execute(shell_spec(run,
                               "sleep 60 & setsid sleep 60 & sleep 0.2; kill -TERM $$; wait"),
            -1);
    g_assert_cmpint(r.status, ==, -15);
    g_assert_false(r.stopped);
    g_assert_cmpuint(alive(run), ==, 0);
    result_clear(&r);
    delete_run(run);
}

static void test_time_limit(void)
{
    Run *run = new_run();
    ExecSpec *spec = shell_spec(run, "sleep 60");
    spec->stop_after_us = 200000;
    Result r = execute(spec, -1);
    g_assert_cmpint(r.status, ==, -15);
    g_assert_true(r.stopped);
    result_clear(&r);
    delete_run(run);
}

static void test_scalars(void)
{
    Run *run = new_run();
    ExecSpec *spec = shell_spec(run,
            "echo lr: 0.1; echo loss: 0.5; echo loss: 0.25; echo step: 9; echo loss: 2; "
            "echo model: resnet");
    char *ignore[] = { "lr", NULL };
    spec->scalars = output_rules_new(OUTPUT_RULES_SCALARS, NULL);
    spec->attrs = output_rules_new(OUTPUT_RULES_ATTRS, NULL);
    spec->ignore_scalars = g_strdupv(ignore);
    spec->ignore_attrs = g_strdupv(ignore);
    Result r = execute(spec, -1);
    g_autoptr(GPtrArray) sums = scalars_read(run_dir(run));
    g_assert_cmpuint(sums->len, ==, 1);
    const ScalarSummary *s = sums->pdata[0];
    g_assert_cmpstr(s->tag, ==, "loss");
    g_assert_cmpint(s->count, ==, 3);
    g_assert_cmpint(s->first_step, ==, 0);
    g_assert_cmpfloat(s->first_val, ==, 0.5);
    g_assert_cmpint(s->last_step, ==, 9);
    g_autoptr(Value) attrs = scalars_read_attrs(run_dir(run));
    g_assert_cmpuint(value_map_size(attrs), ==, 1);
    g_assert_cmpstr(value_map_string(attrs, "model", NULL), ==, "resnet");
    result_clear(&r);
    delete_run(run);
}

/* More output than pipes and buffers hold, of both streams. */
static void test_much_output(void)
{
    Run *run = new_run();
    Result r = execute(shell_spec(run,
                               "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2"),
            -1);
    g_assert_cmpuint(r.seen[RUN_STDOUT]->len, ==, 3000000);
    g_assert_cmpuint(r.seen[RUN_STDERR]->len, ==, 2000000);
    result_clear(&r);
    delete_run(run);
}

static void test_foreground(void)
{
    g_autoptr(GError) error = NULL;
    Run *run = new_run();
    int status = -99;
    signal(SIGINT, SIG_DFL); /* a shell that starts us in the background has it ignored */
    g_assert_true(exec_run_foreground(shell_spec(run, "exit 4"), &status, &error));
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 4);
    delete_run(run);
    /* A SIGTERM to us ends the child and is recorded. */
    run = new_run();
    g_autofree char *script = g_strdup_printf("kill -TERM %d; sleep 60", (int)getpid());
    g_assert_true(exec_run_foreground(shell_spec(run, script), &status, &error));
    g_assert_cmpint(status, ==, -15);
    g_assert_cmpint(run_status(run), ==, RUN_TERMINATED);
    delete_run(run);
    /* A SIGINT that only we get is passed on. */
    run = new_run();
    g_free(script);
    script = g_strdup_printf("kill -INT %d; exec sleep 60", (int)getpid());
    g_assert_true(exec_run_foreground(shell_spec(run, script), &status, &error));
    g_assert_cmpint(status, ==, -2);
    delete_run(run);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/exec/normal", test_normal);
    g_test_add_func("/exec/merged-and-none", test_merged_and_none);
    g_test_add_func("/exec/signal-status", test_signal_status);
    g_test_add_func("/exec/spawn-errors", test_spawn_errors);
    g_test_add_func("/exec/thread", test_thread);
    g_test_add_func("/exec/held-pipe", test_held_pipe);
    g_test_add_func("/exec/stop", test_stop);
    g_test_add_func("/exec/stop-finds-all", test_stop_finds_all);
    g_test_add_func("/exec/killed-by-others", test_killed_by_others);
    g_test_add_func("/exec/time-limit", test_time_limit);
    g_test_add_func("/exec/scalars", test_scalars);
    g_test_add_func("/exec/much-output", test_much_output);
    g_test_add_func("/exec/foreground", test_foreground);
    return g_test_run();
}
