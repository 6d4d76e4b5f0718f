/* SPDX-License-Identifier: Apache-2.0 */
/* What killed workers left of control groups is removed, and nothing else. Folders play the groups:
 * rmdir() takes neither while somebody is in it. How limits work is seen by tests/vm/cgroup-v2. */
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/confine/groups-of-the-dead-are-removed", test_groups_of_the_dead_are_removed);
    g_test_add_func("/confine/groups-in-use-stay", test_groups_in_use_stay);
    return g_test_run();
}
