/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary folders: whose they are, and what becomes of those of a process that was killed. */
#include "engine/base/fs.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char *root; /* $TMPDIR of this test */

static char *below(const char *name)
{
    return g_build_filename(root, name, NULL);
}

/* Another process makes a folder with a file in it, says its path, and lives until it is killed. */
static pid_t make_elsewhere(char **path)
{
    int pipe_fds[2];
    g_assert_cmpint(pipe(pipe_fds), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        char *dir = fs_mkdtemp("scratch-", NULL);
        g_autofree char *sub = g_build_filename(dir, "a", "b", NULL);
        g_autofree char *file = g_build_filename(sub, "file", NULL);
        if (!fs_mkdirs(sub, NULL) || !fs_write(file, "x", -1, NULL) ||
                write(pipe_fds[1], dir, strlen(dir)) < 0)
            _exit(1);
        close(pipe_fds[1]);
        for (;;)
            pause();
    }
    close(pipe_fds[1]);
    char text[4096];
    ssize_t n = read(pipe_fds[0], text, sizeof text - 1);
    g_assert_cmpint(n, >, 0);
    close(pipe_fds[0]);
    *path = g_strndup(text, (gsize)n);
    return pid;
}

static void end(pid_t pid)
{
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static void what_a_killed_process_left_goes_and_what_is_held_stays(void)
{
    g_autofree char *living = NULL, *killed = NULL;
    pid_t lives = make_elsewhere(&living), dies = make_elsewhere(&killed);
    g_autofree char *ours = fs_mkdtemp("scratch-", NULL);
    g_assert_true(fs_is_dir(living) && fs_is_dir(killed) && fs_is_dir(ours));
    end(dies);
    g_autofree char *other = fs_mkdtemp("elsewhat-", NULL);
    g_assert_true(fs_is_dir(killed)); /* the prefix is another */
    g_autofree char *next = fs_mkdtemp("scratch-", NULL);
    g_assert_false(fs_exists(killed));
    g_assert_true(fs_is_dir(living) && fs_is_dir(ours) && fs_is_dir(next));
    end(lives);
    g_autofree char *last = fs_mkdtemp("scratch-", NULL);
    g_assert_false(fs_exists(living));
    g_assert_true(fs_is_dir(ours) && fs_is_dir(next) && fs_is_dir(other));
}

/* Without the suffix it is a folder of a version that held no lock. */
static void other_names_links_and_files_stay(void)
{
    g_autofree char *kept = below("kept"), *inside = g_build_filename(kept, "file", NULL);
    g_assert_true(fs_mkdirs(kept, NULL) && fs_write(inside, "x", -1, NULL));
    g_autofree char *link = below("scratch-h.held"), *file = below("scratch-i.held");
    g_assert_true(fs_symlink(kept, link, NULL) && fs_write(file, "x", -1, NULL));
    static const char *const names[] = {"scratch-", "scratch-abcdef", "scratch-h.heldi",
            "scratch-abcdefg.", "Scratch-abcdefgh"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = below(names[i]);
        g_assert_true(fs_mkdirs(path, NULL));
    }
    g_autofree char *left = below("scratch-j.held"), *out = g_build_filename(left, "out", NULL);
    g_assert_true(fs_mkdirs(left, NULL) && fs_symlink(kept, out, NULL));
    g_autofree char *dir = fs_mkdtemp("scratch-", NULL);
    g_assert_false(fs_exists(left));
    g_assert_true(fs_is_link(link) && fs_is_file(file) && fs_is_file(inside));
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = below(names[i]);
        g_assert_true(fs_is_dir(path));
    }
}

static void where_others_may_rename_nothing_is_removed(void)
{
    g_autofree char *left = below("scratch-k.held");
    g_assert_true(fs_mkdirs(left, NULL));
    g_assert_cmpint(chmod(root, 0777), ==, 0);
    g_autofree char *a = fs_mkdtemp("scratch-", NULL);
    g_assert_true(a && fs_is_dir(left));
    g_assert_cmpint(chmod(root, 01777), ==, 0);
    g_autofree char *b = fs_mkdtemp("scratch-", NULL);
    g_assert_true(b && !fs_exists(left));
    g_assert_cmpint(chmod(root, 0700), ==, 0);
}

static void of_another_user_nothing_is_removed(void)
{
    if (geteuid() != 0) {
        g_test_skip("only root can make a folder of another user");
        return;
    }
    g_autofree char *left = below("scratch-m.held");
    g_assert_true(fs_mkdirs(left, NULL));
    g_assert_cmpint(chown(left, 65534, 65534), ==, 0);
    g_autofree char *dir = fs_mkdtemp("scratch-", NULL);
    g_assert_true(dir && fs_is_dir(left));
}

/* A folder that was removed is let go of: who makes many in a life doesn't run out of descriptors. */
static void removed_folders_cost_nothing(void)
{
    guint before = 0, after = 0;
    for (int i = 0; i < 50; i++) {
        g_autofree char *dir = fs_mkdtemp("passing-", NULL);
        g_assert_true(fs_remove_tree(dir, NULL));
        g_auto(GStrv) fds = fs_list("/proc/self/fd", NULL);
        after = g_strv_length(fds);
        before = i ? before : after;
    }
    g_assert_cmpuint(after, <=, before + 1);
}

/* Makers and lookers at once: nobody is given a folder that another removes. */
static void one_that_is_just_made_is_not_taken_for_left(void)
{
    pid_t pids[4];
    for (guint k = 0; k < G_N_ELEMENTS(pids); k++) {
        pids[k] = fork();
        for (int i = 0; pids[k] == 0 && i < 300; i++) {
            g_autofree char *dir = fs_mkdtemp("busy-", NULL);
            g_autofree char *file = dir ? g_build_filename(dir, "file", NULL) : NULL;
            if (!file || !fs_write(file, "x", -1, NULL) || !fs_is_file(file) ||
                    !fs_remove_tree(dir, NULL))
                _exit(1);
        }
        if (pids[k] == 0)
            _exit(0);
    }
    for (guint k = 0; k < G_N_ELEMENTS(pids); k++) {
        int status;
        g_assert_cmpint(waitpid(pids[k], &status, 0), ==, pids[k]);
        g_assert_cmpint(status, ==, 0);
    }
}

int main(int argc, char **argv)
{
    char path[] = "/tmp/test-fs-tmp-XXXXXX";
    root = g_strdup(g_mkdtemp(path));
    g_setenv("TMPDIR", root, TRUE); /* before GLib looks at it, once */
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fs-tmp/killed", what_a_killed_process_left_goes_and_what_is_held_stays);
    g_test_add_func("/fs-tmp/names", other_names_links_and_files_stay);
    g_test_add_func("/fs-tmp/renames", where_others_may_rename_nothing_is_removed);
    g_test_add_func("/fs-tmp/users", of_another_user_nothing_is_removed);
    g_test_add_func("/fs-tmp/many", removed_folders_cost_nothing);
    g_test_add_func("/fs-tmp/at-once", one_that_is_just_made_is_not_taken_for_left);
    int status = g_test_run();
    fs_remove_tree(root, NULL);
    g_free(root);
    return status;
}
