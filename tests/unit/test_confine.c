/* SPDX-License-Identifier: Apache-2.0 */
/* What killed workers left of control groups is removed, and nothing else. Folders play the groups:
 * rmdir() takes neither while somebody is in it. Then what a trial gets: cores of its own, and
 * memory. How limits work under cgroup v2 is seen by tests/vm/cgroup-v2. */
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "worker/confine.h"

static void make(const char *folder, int pid, const char *rel)
{
    g_autofree char *path = g_strdup_printf("%s/guild-%d/%s", folder, pid, rel);
    g_assert_true(fs_mkdirs(path, NULL));
}

static gboolean has(const char *folder, int pid, const char *rel)
{
    g_autofree char *path = g_strdup_printf("%s/guild-%d/%s", folder, pid, rel);
    return fs_is_dir(path);
}

static int dead_process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    return (int)pid;
}

static void test_groups_of_the_dead_are_removed(void)
{
    g_autofree char *folder = g_dir_make_tmp("guild-confine-XXXXXX", NULL);
    int dead = dead_process(), alive = (int)getppid();
    make(folder, dead, "self");
    make(folder, dead, "trial-1");
    make(folder, alive, "trial-1");
    make(folder, (int)getpid(), "trial-1");
    g_autofree char *other = g_build_filename(folder, "guild-x", NULL);
    g_assert_true(fs_mkdirs(other, NULL));
    confine_remove_stale(folder);
    g_assert_false(has(folder, dead, ""));
    g_assert_true(has(folder, alive, "trial-1"));
    g_assert_true(has(folder, (int)getpid(), "trial-1"));
    g_assert_true(fs_is_dir(other));
    fs_remove_tree(folder, NULL);
}

static void test_groups_in_use_stay(void)
{
    g_autofree char *folder = g_dir_make_tmp("guild-confine-XXXXXX", NULL);
    int dead = dead_process();
    make(folder, dead, "trial-1/somebody");
    make(folder, dead, "trial-2");
    make(folder, dead, "of-others");
    confine_remove_stale(folder);
    g_assert_true(has(folder, dead, "trial-1/somebody"));
    g_assert_false(has(folder, dead, "trial-2"));
    g_assert_true(has(folder, dead, "of-others"));
    confine_remove_stale("/nowhere");
    fs_remove_tree(folder, NULL);
}

/* ---- what a trial gets ---- */

typedef struct {
    char *dir;
    Run *run;
    ConfineHost *host;
    Request request;
} Host;

static void host_init(Host *h)
{
    h->dir = fs_mkdtemp("guild-test-", NULL);
    h->run = run_new(h->dir, NULL);
    g_assert_true(run_init_skel(h->run, NULL));
    h->host = confine_host_new(FALSE);
    request_init(&h->request);
}

static void host_clear(Host *h)
{
    confine_host_free(h->host);
    run_unref(h->run);
    fs_remove_tree(h->dir, NULL);
    g_free(h->dir);
}

typedef struct {
    ExecSpec *spec;
    Confine *confine;
} Trial;

static Trial trial_new(Host *h, const char *name)
{
    Trial t = {.spec = exec_spec_new(h->run)};
    t.confine = confine_new(h->host, name, &h->request, TRUE, t.spec);
    return t;
}

static void trial_free(Trial *t)
{
    confine_free(t->confine);
    exec_spec_free(t->spec);
}

static void test_trials_get_cores_of_their_own(void)
{
    Host h;
    cpu_set_t all, seen, both;
    host_init(&h);
    CPU_ZERO(&seen);
    g_assert_cmpint(sched_getaffinity(0, sizeof all, &all), ==, 0);
    guint n = (guint)CPU_COUNT(&all);
    g_autofree Trial *trials = g_new0(Trial, n);
    for (guint i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);
        trials[i] = trial_new(&h, name);
        const cpu_set_t *cores = trials[i].spec->cores;
        g_assert_nonnull(cores);
        g_assert_cmpint(CPU_COUNT(cores), ==, 1);
        CPU_AND(&both, cores, &seen);
        g_assert_cmpint(CPU_COUNT(&both), ==, 0);
        CPU_OR(&seen, &seen, cores);
    }
    Trial more = trial_new(&h, "more");
    g_assert_null(more.spec->cores); /* none is left: it runs where it may */
    trial_free(&more);
    cpu_set_t first = *(cpu_set_t *)trials[0].spec->cores;
    trial_free(&trials[0]);
    trials[0] = trial_new(&h, "again");
    g_assert_nonnull(trials[0].spec->cores);
    g_assert_true(CPU_EQUAL(&first, (cpu_set_t *)trials[0].spec->cores));
    for (guint i = 0; i < n; i++)
        trial_free(&trials[i]);
    host_clear(&h);
}

static void test_a_group_is_limited_to_what_was_asked(void)
{
    Host h;
    host_init(&h);
    h.request.mem_bytes = 64 << 20;
    Trial t = trial_new(&h, "limited");
    if (t.spec->cgroup_procs) {
        gboolean v1 = !strcmp(confine_host_means(h.host), "cgroup v1");
        g_autofree char *group = g_path_get_dirname(t.spec->cgroup_procs);
        g_autofree char *path =
                g_build_filename(group, v1 ? "memory.limit_in_bytes" : "memory.max", NULL);
        g_autofree char *text = fs_read(path, 100, NULL, NULL);
        g_assert_cmpstr(g_strstrip(text), ==, "67108864");
    } else {
        g_test_skip("no group can be made here");
    }
    trial_free(&t);
    host_clear(&h);
}

static gboolean on_too_late(gpointer data)
{
    (void)data;
    g_assert_not_reached();
}

static void on_exceeded(gpointer exec)
{
    exec_stop(*(Exec **)exec, 0);
}

static void on_exited(Exec *exec, int status, gboolean stopped, gpointer over)
{
    (void)exec;
    (void)status;
    (void)stopped;
    *(gboolean *)over = TRUE;
}

/* As where no group can be made, or it was entered a moment late. */
static void test_the_memory_of_children_counts(void)
{
    static const char *const argv[] = {"sh", "-c",
            "(head -c 200000000 /dev/zero; sleep 60) | tail -c 100000000 >/dev/null", NULL};
    static const ExecCallbacks callbacks = {.exited = on_exited};
    g_autoptr(GError) error = NULL;
    gboolean over = FALSE;
    Host h;
    host_init(&h);
    h.request.mem_bytes = 50 << 20;
    Trial t = trial_new(&h, "watched");
    g_clear_pointer(&t.spec->cgroup_procs, g_free);
    t.spec->argv = g_strdupv((char **)argv);
    t.spec->env = g_environ_setenv(g_get_environ(), "RUN_DIR", h.dir, TRUE);
    t.spec->quiet = TRUE;
    Exec *exec = exec_start(g_steal_pointer(&t.spec), NULL, &callbacks, &over, &error);
    g_assert_no_error(error);
    confine_watch(t.confine, NULL, exec, on_exceeded, &exec);
    guint limit = g_timeout_add_seconds(30, on_too_late, NULL);
    while (!over)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(limit);
    g_assert_true(confine_exceeded(t.confine));
    g_assert_cmpint(confine_mem_peak_bytes(t.confine), >, 50 << 20);
    exec_free(exec);
    confine_free(t.confine);
    host_clear(&h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/confine/groups-of-the-dead-are-removed", test_groups_of_the_dead_are_removed);
    g_test_add_func("/confine/groups-in-use-stay", test_groups_in_use_stay);
    g_test_add_func("/confine/cores", test_trials_get_cores_of_their_own);
    g_test_add_func("/confine/limit", test_a_group_is_limited_to_what_was_asked);
    g_test_add_func("/confine/children", test_the_memory_of_children_counts);
    return g_test_run();
}
