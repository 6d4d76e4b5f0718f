/* SPDX-License-Identifier: Apache-2.0 */
/* Run directories: attributes, opref, status, manifest, lock, store. */
#include <fcntl.h>
#include "tests/unit/run_fixture.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/yaml.h"
#include "engine/run/describe.h"
#include "engine/run/lock.h"
#include "engine/run/manifest.h"
#include "engine/run/output.h"

#define TEST(path, fn) g_test_add(path, RunFixture, NULL, run_fixture_init, fn, run_fixture_clear)

static void attributes_are_yaml_and_a_newline(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "r1", "train", 1, 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) flags = yaml_parse("{b: 1.5, a: 'yes', c: [1, null]}", -1, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(run_write_attr(run, "flags", flags, &error));
    g_autofree char *text = run_fixture_text(run, "attrs/flags");
    g_assert_cmpstr(text, ==, "a: 'yes'\nb: 1.5\nc:\n- 1\n- null\n");
    g_autoptr(Value) back = run_get_attr(run, "flags", &error);
    g_assert_true(value_equal(back, flags));
    g_assert_true(run_write_attr_string(run, "label", "", &error));
    g_autofree char *label = run_fixture_text(run, "attrs/label");
    g_assert_cmpstr(label, ==, "''\n");
}

static void a_broken_attribute_is_an_error_that_names_it(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "r1", "train", 1, 0);
    g_autoptr(GError) error = NULL;
    g_assert_true(run_write_attr_raw(run, "flags", "{a: [", &error));
    g_assert_null(run_get_attr(run, "flags", &error));
    g_assert_error(error, RUN_ERROR_DOMAIN, RUN_ERR_ATTR);
    g_assert_nonnull(strstr(error->message, "'flags' of run r1"));
    g_assert_null(run_try_attr(run, "flags"));
    g_clear_error(&error);
    g_assert_null(run_get_attr(run, "absent", &error));
    g_assert_no_error(error);
    g_assert_cmpint(run_attr_int(run, "flags", 7), ==, 7);
}

static void oprefs_are_shell_words(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "r1", "train", 1, 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(OpRef) ref = opref_new("guildfile", "/a b/guild.yml", "v1", "", "my op");
    g_assert_true(run_write_opref(run, ref, &error));
    g_autofree char *text = run_fixture_text(run, "opref");
    g_assert_cmpstr(text, ==, "guildfile:'/a b/guild.yml' v1 '' 'my op'");
    g_autoptr(Run) again = run_new(run_dir(run), NULL);
    g_autoptr(OpRef) back = run_opref(again, &error);
    g_assert_no_error(error);
    g_assert_true(opref_equal(back, ref));
    g_assert_null(opref_parse("one two", &error));
    g_assert_error(error, OPREF_ERROR, OPREF_ERROR_INVALID);
}

static void patterns_of_users_match_oprefs(RunFixture *f, gconstpointer data)
{
    static const struct {
        const char *pattern;
        gboolean regex, matches;
    } cases[] = {{"train", FALSE, TRUE}, {"m:train", FALSE, TRUE}, {"x:train", FALSE, FALSE},
            {"p/m:train", FALSE, TRUE}, {"tr.*", TRUE, TRUE}, {"tr", TRUE, FALSE},
            {"tr.*", FALSE, FALSE}, {"+", TRUE, FALSE}};
    g_autoptr(OpRef) ref = opref_new("guildfile", "p", "", "m", "train");
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(OpRef) pattern = opref_for_string(cases[i].pattern, NULL);
        g_test_message("%s", cases[i].pattern);
        g_assert_cmpint(opref_matches(ref, pattern, cases[i].regex), ==, cases[i].matches);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(opref_for_string("a:b:c", &error));
    g_assert_error(error, OPREF_ERROR, OPREF_ERROR_INVALID);
}

static void status_is_read_in_the_order_of_the_reference(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "r1", "train", 1, 0);
    g_assert_cmpint(run_status(run), ==, RUN_COMPLETED);
    run_write_attr_int(run, "exit_status", -15, NULL);
    g_assert_cmpint(run_status(run), ==, RUN_TERMINATED);
    run_write_attr_int(run, "exit_status", 2, NULL);
    g_assert_cmpint(run_status(run), ==, RUN_ERROR);
    run_del_attr(run, "exit_status");
    g_assert_cmpint(run_status(run), ==, RUN_ERROR);
    run_write_lock(run, getpid(), NULL);
    g_assert_cmpint(run_status(run), ==, RUN_RUNNING);
    g_assert_cmpint(run_pid(run), ==, getpid());
    run_write_lock(run, 999999999, NULL); /* beyond any pid: a process that died */
    g_assert_cmpint(run_status(run), ==, RUN_ERROR);
    g_assert_false(run_has_process(run));
    run_write_lock(run, getpid(), NULL);
    g_assert_true(run_has_process(run));
    run_set_marker(run, "STAGED", NULL);
    g_assert_cmpint(run_status(run), ==, RUN_STAGED);
    run_set_marker(run, "PENDING", NULL);
    g_assert_cmpint(run_status(run), ==, RUN_PENDING);
    run_set_marker(run, "LOCK.remote", NULL);
    g_assert_cmpint(run_status(run), ==, RUN_RUNNING);
}

static void a_lock_that_is_no_pid_is_no_process(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "r1", "train", 1, 0);
    static const char *const texts[] = {"", "x", "-1", "0", "1x", "99999999999999999999"};
    g_autofree char *path = run_guild_path(run, "LOCK");
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_assert_true(fs_write(path, texts[i], -1, NULL));
        g_assert_cmpint(run_pid(run), ==, 0);
    }
}

static void manifests_round_trip_and_skip_what_is_broken(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "r1", "train", 1, 0);
    g_autoptr(GError) error = NULL;
    RunManifest *m = run_manifest_open(run, &error);
    run_manifest_add_sourcecode(m, "a b.py", "00ff", "src/a b.py");
    run_manifest_add_file(m, 'd', "data", NULL, "file:data", NULL);
    g_assert_true(run_manifest_close(m, &error));
    g_autofree char *text = run_fixture_text(run, "manifest");
    g_assert_cmpstr(text, ==, "s 'a b.py' 00ff 'src/a b.py'\nd data - file:data\n");
    g_autofree char *broken = g_strconcat(text, "s 'open\n\nx\n", NULL);
    g_autofree char *path = run_guild_path(run, "manifest");
    g_assert_true(fs_write(path, broken, -1, &error));
    g_autoptr(GPtrArray) entries = run_manifest_read(run);
    g_assert_cmpuint(entries->len, ==, 2);
    g_assert_cmpstr(((char **)entries->pdata[0])[1], ==, "a b.py");
}

static void locks_exclude_and_time_out(RunFixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    HomeLock *first = home_lock_acquire(f->home, RUN_LOCK_STATUS, 0, &error);
    g_assert_nonnull(first);
    g_assert_null(home_lock_acquire(f->home, RUN_LOCK_STATUS, 20, &error));
    g_assert_no_error(error);
    home_lock_release(first);
    g_autoptr(HomeLock) second = home_lock_acquire(f->home, RUN_LOCK_STATUS, 0, &error);
    g_assert_nonnull(second);
}

static void runs_are_found_by_prefix(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) a = run_fixture_run(f, "aa1", "x", 1, 0);
    g_autoptr(Run) b = run_fixture_run(f, "aa2", "x", 3, 0);
    g_autoptr(Run) c = run_fixture_run(f, "b", "x", 2, 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) runs = run_store_list(f->store, RUN_STORE_RUNS);
    g_assert_cmpuint(runs->len, ==, 3);
    g_assert_cmpstr(run_id(runs->pdata[0]), ==, "aa2");
    g_assert_cmpstr(run_id(runs->pdata[2]), ==, "aa1");
    g_autoptr(Run) found = run_store_find(f->store, "b", &error);
    g_assert_cmpstr(run_id(found), ==, "b");
    g_assert_null(run_store_find(f->store, "aa", &error));
    g_assert_error(error, RUN_ERROR_DOMAIN, RUN_ERR_AMBIGUOUS);
    g_clear_error(&error);
    g_assert_null(run_store_find(f->store, "zz", &error));
    g_assert_error(error, RUN_ERROR_DOMAIN, RUN_ERR_NOT_FOUND);
}

static void folders_that_are_no_runs_are_passed_over(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "r1", "x", 1, 0);
    g_autofree char *empty = g_build_filename(run_store_runs_dir(f->store), "empty", NULL);
    g_autofree char *file = g_build_filename(run_store_runs_dir(f->store), "file", NULL);
    g_assert_true(fs_mkdirs(empty, NULL));
    g_assert_true(fs_write(file, "x", -1, NULL));
    g_autoptr(GPtrArray) runs = run_store_scan(f->store, RUN_STORE_RUNS);
    g_assert_cmpuint(runs->len, ==, 1);
}

static void deleted_runs_come_back_and_doubles_are_kept(RunFixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    for (int i = 0; i < 2; i++) {
        g_autoptr(Run) run = run_fixture_run(f, "r1", "x", 1, 0);
        g_assert_true(run_store_delete(f->store, run, &error));
        g_assert_no_error(error);
    }
    g_autoptr(GPtrArray) trash = run_store_scan(f->store, RUN_STORE_TRASH);
    g_assert_cmpuint(trash->len, ==, 2);
    for (guint i = 0; i < trash->len; i++)
        if (strcmp(run_id(trash->pdata[i]), "r1") == 0)
            g_assert_true(run_store_restore(f->store, trash->pdata[i], &error));
    g_autoptr(Run) back = run_store_find(f->store, "r1", &error);
    g_assert_no_error(error);
    g_assert_true(run_store_is_restored(f->store, back));
    g_assert_true(run_store_purge(f->store, back, &error));
    g_assert_false(fs_exists(run_dir(back)));
}

static void purge_refuses_what_is_not_in_the_store(RunFixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *outside = fs_mkdtemp("guild-test-", &error);
    g_autoptr(Run) run = run_new(outside, NULL);
    g_assert_false(run_store_purge(f->store, run, &error));
    g_assert_nonnull(error);
    g_assert_true(fs_is_dir(outside));
    fs_remove_tree(outside, NULL);
}

static void op_dirs_are_shortened_as_in_the_reference(void)
{
    static const struct {
        const char *dir, *cwd, *expected;
    } cases[] = {
            {"/w/p/sub", "/w/p", "sub"},
            {"/w/q", "/w/p", "../q"},
            {"/w", "/w/p", "../"},
            {"/x/y", "/w/p", "/x/y"},
            {"/aaaaaaaaaa/bbbbbbbbbb/cccccccccc/dddddddddd", "/w/p",
                    "/aaaaaaaaaa/\xe2\x80\xa6/dddddddddd"},
            {"/w/p/aaaaaaaaaa/bbbbbbbbbb/cccccccccc/dddddddddd", "/w/p",
                    "aaaaaaaaaa/\xe2\x80\xa6/dddddddddd"},
    };
    g_setenv("HOME", "/home/nobody", TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = run_shorten_op_dir(cases[i].dir, cases[i].cwd);
        g_assert_cmpstr(text, ==, cases[i].expected);
    }
}

/* A trial may put anything there: a link would lead guild elsewhere, on a pipe it would wait for ever. */
static void test_what_guild_writes_is_a_file_of_the_run(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "11111111111111111111111111111111", "op", 1, 0);
    g_autofree char *victim = g_build_filename(f->home, "victim", NULL);
    g_autofree char *linked = run_guild_path(run, "attrs/linked"), *pipe = run_guild_path(run, "attrs/pipe");
    g_autofree char *output = run_guild_path(run, "output"), *index = run_guild_path(run, "output.index");
    g_autoptr(GError) error = NULL;
    g_assert_true(fs_write(victim, "whole", -1, &error));
    g_assert_true(fs_symlink(victim, linked, &error));
    g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
    fs_remove(output, NULL);
    fs_remove(index, NULL);
    g_assert_true(fs_symlink(victim, output, &error));
    g_assert_cmpint(mkfifo(index, 0600), ==, 0);
    g_assert_true(run_write_attr_int(run, "linked", 1, &error));
    g_assert_true(run_write_attr_int(run, "pipe", 2, &error));
    RunOutput *out = run_output_open(run, NULL, NULL, &error);
    g_assert_no_error(error);
    run_output_write(out, RUN_STDOUT, "line\n", 5, NULL);
    run_output_close(out);
    g_assert_cmpint(run_attr_int(run, "linked", 0), ==, 1);
    g_assert_cmpint(run_attr_int(run, "pipe", 0), ==, 2);
    g_autofree char *text = run_fixture_text(run, "output"), *others = fs_read(victim, 0, NULL, NULL);
    g_assert_cmpstr(text, ==, "line\n");
    g_assert_cmpstr(others, ==, "whole");
}

/* What is on the disk stays there when it is written again at the start of a run. */
static void test_an_attribute_that_is_as_it_was_is_not_written(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "11111111111111111111111111111111", "op", 1, 0);
    g_autofree char *path = run_guild_path(run, "attrs/n");
    const struct timespec long_ago[] = {{.tv_sec = 5}, {.tv_sec = 5}};
    struct stat st;
    g_assert_true(run_write_attr_int(run, "n", 1, NULL));
    g_assert_cmpint(utimensat(AT_FDCWD, path, long_ago, 0), ==, 0);
    g_assert_true(run_write_attr_int(run, "n", 1, NULL));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mtim.tv_sec, ==, 5);
    g_assert_true(run_write_attr_int(run, "n", 2, NULL));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mtim.tv_sec, !=, 5);
    g_assert_cmpint(run_attr_int(run, "n", 0), ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("/run/same-attr-stays", test_an_attribute_that_is_as_it_was_is_not_written);
    TEST("/run/own-files", test_what_guild_writes_is_a_file_of_the_run);
    TEST("/run/attrs", attributes_are_yaml_and_a_newline);
    TEST("/run/attrs-broken", a_broken_attribute_is_an_error_that_names_it);
    TEST("/run/opref", oprefs_are_shell_words);
    TEST("/run/opref-match", patterns_of_users_match_oprefs);
    TEST("/run/status", status_is_read_in_the_order_of_the_reference);
    TEST("/run/lock-text", a_lock_that_is_no_pid_is_no_process);
    TEST("/run/manifest", manifests_round_trip_and_skip_what_is_broken);
    TEST("/run/home-lock", locks_exclude_and_time_out);
    TEST("/store/find", runs_are_found_by_prefix);
    TEST("/store/no-runs", folders_that_are_no_runs_are_passed_over);
    TEST("/store/delete", deleted_runs_come_back_and_doubles_are_kept);
    TEST("/store/purge", purge_refuses_what_is_not_in_the_store);
    g_test_add_func("/describe/op-dir", op_dirs_are_shortened_as_in_the_reference);
    return g_test_run();
}
