/* SPDX-License-Identifier: Apache-2.0 */
/* The index of runs: a cache that is never believed when the files say otherwise. */
#include "tests/unit/run_fixture.h"

#include <string.h>

#include "engine/run/describe.h"
#include "engine/run/index.h"
#include "engine/run/select.h"

#define N_RUNS 200 /* enough for the database to be used */

#define TEST(path, fn) g_test_add(path, RunFixture, NULL, init, fn, run_fixture_clear)

static void init(RunFixture *f, gconstpointer data)
{
    run_fixture_init(f, data);
    for (int i = 0; i < N_RUNS; i++) {
        g_autofree char *id = g_strdup_printf("%04d", i);
        g_autofree char *label = g_strdup_printf("run %d", i);
        g_autoptr(Run) run = run_fixture_run(f, id, "train", 1000000 + i, 0);
        g_assert_true(run_write_attr_string(run, "label", label, NULL));
    }
}

static char *db_path(RunFixture *f)
{
    return g_build_filename(f->home, "cache", "runs", "guild-index.db", NULL);
}

static guint count(RunFixture *f, const char *filter)
{
    RunQuery q;
    run_query_init(&q);
    q.filter = filter;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) runs = run_query_list(f->store, &q, &error);
    g_assert_no_error(error);
    return runs->len;
}

/* Entries of files that just changed are not kept; a test waits until all are old enough. */
static void warm_up(RunFixture *f)
{
    g_usleep(60000);
    g_assert_cmpuint(count(f, "label contains run"), ==, N_RUNS);
    g_autofree char *path = db_path(f);
    g_assert_true(fs_is_file(path));
}

static Run *run_at(RunFixture *f, int i)
{
    g_autofree char *id = g_strdup_printf("%04d", i);
    return run_store_new_run(f->store, id);
}

static void a_value_rewritten_in_place_is_seen(RunFixture *f, gconstpointer data)
{
    warm_up(f);
    g_autoptr(Run) run = run_at(f, 7);
    g_assert_true(run_write_attr_string(run, "label", "new 7", NULL)); /* as long as before */
    g_assert_cmpuint(count(f, "label contains run"), ==, N_RUNS - 1);
    g_assert_cmpuint(count(f, "label = 'new 7'"), ==, 1);
    g_assert_true(run_write_attr_int(run, "exit_status", 1, NULL));
    g_assert_cmpuint(count(f, "status = error"), ==, 1);
}

static void values_and_markers_that_come_and_go_are_seen(RunFixture *f, gconstpointer data)
{
    warm_up(f);
    g_autoptr(Run) run = run_at(f, 8);
    g_assert_true(run_write_attr_raw(run, "flags", "x: 1", NULL));
    g_assert_cmpuint(count(f, "x = 1"), ==, 1);
    run_del_attr(run, "label");
    g_assert_cmpuint(count(f, "label is undefined"), ==, 1);
    g_assert_true(run_set_marker(run, "PENDING", NULL));
    g_assert_cmpuint(count(f, "status = pending"), ==, 1);
    run_clear_marker(run, "PENDING");
    g_assert_cmpuint(count(f, "status = pending"), ==, 0);
    g_assert_true(run_write_attr_raw(run, "odd", "5", NULL)); /* one that the index does not hold */
    g_assert_cmpuint(count(f, "odd = 5"), ==, 1);
}

static void runs_that_come_and_go_are_seen(RunFixture *f, gconstpointer data)
{
    warm_up(f);
    g_autoptr(Run) run = run_at(f, 9);
    g_assert_true(run_store_delete(f->store, run, NULL));
    g_assert_cmpuint(count(f, "label contains run"), ==, N_RUNS - 1);
    g_autoptr(Run) more = run_fixture_run(f, "new", "train", 5, 0);
    g_assert_cmpuint(count(f, "op = train"), ==, N_RUNS);
}

static void a_broken_or_missing_cache_is_made_again(RunFixture *f, gconstpointer data)
{
    warm_up(f);
    g_autofree char *path = db_path(f);
    g_assert_true(fs_write(path, "this is no database, whatever its name says", -1, NULL));
    g_assert_cmpuint(count(f, "label contains run"), ==, N_RUNS);
    g_assert_cmpuint(count(f, "label contains run"), ==, N_RUNS);
    gsize len;
    g_autofree char *text = fs_read(path, 0, &len, NULL);
    g_assert_cmpmem(text, 15, "SQLite format 3", 15);
    /* Pages in the middle overwritten. */
    memset(text + 4096, 0x5a, MIN(len - 4096, 16384));
    g_assert_true(fs_write(path, text, (gssize)len, NULL));
    g_assert_cmpuint(count(f, "label contains run"), ==, N_RUNS);
    g_assert_true(fs_remove(path, NULL));
    g_assert_cmpuint(count(f, "label contains run"), ==, N_RUNS);
    g_assert_true(fs_is_file(path));
}

static void a_home_without_a_writable_cache_is_listed(RunFixture *f, gconstpointer data)
{
    g_autofree char *cache = g_build_filename(f->home, "cache", NULL);
    g_assert_true(fs_write(cache, "", -1, NULL)); /* a file where the folder would be */
    g_assert_cmpuint(count(f, "label contains run"), ==, N_RUNS);
}

static void unreadable_runs_stop_nobody(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) a = run_at(f, 1), b = run_at(f, 2), c = run_at(f, 3);
    g_assert_true(run_write_attr_raw(a, "flags", "{broken", NULL));
    g_assert_true(run_write_attr_raw(a, "exit_status", "", NULL));
    g_autofree char *opref = run_guild_path(b, "opref");
    g_assert_true(fs_write(opref, "nonsense", -1, NULL));
    g_autofree char *attrs = run_guild_path(c, "attrs");
    g_assert_true(fs_remove_tree(attrs, NULL));
    for (int i = 0; i < 2; i++) {
        /* `a` and `c` have no exit status that can be read, so they count as failed. */
        g_assert_cmpuint(count(f, "status = completed"), ==, N_RUNS - 2);
        g_assert_cmpuint(count(f, NULL), ==, N_RUNS);
        g_usleep(60000);
    }
}

static void snapshots_say_what_the_files_say(RunFixture *f, gconstpointer data)
{
    warm_up(f);
    g_autoptr(RunIndex) index = run_index_open(f->store);
    g_autoptr(GPtrArray) runs = run_store_scan(f->store, RUN_STORE_RUNS);
    run_index_load(index, runs);
    for (guint i = 0; i < runs->len; i++) {
        Run *run = runs->pdata[i];
        g_autoptr(Run) plain = run_new(run_dir(run), run_id(run));
        g_assert_cmpint(run_timestamp_us(run), ==, run_timestamp_us(plain));
        g_assert_cmpint(run_status(run), ==, run_status(plain));
        g_autofree char *a = run_attr_text(run, "label"), *b = run_attr_text(plain, "label");
        g_assert_cmpstr(a, ==, b);
        g_autofree char *x = run_format_operation(run), *y = run_format_operation(plain);
        g_assert_cmpstr(x, ==, y);
        g_autoptr(Value) id = run_try_attr(run, "id");
        g_assert_nonnull(id);
        g_assert_null(run_try_attr(run, "nothing"));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("/index/in-place", a_value_rewritten_in_place_is_seen);
    TEST("/index/come-and-go", values_and_markers_that_come_and_go_are_seen);
    TEST("/index/runs", runs_that_come_and_go_are_seen);
    TEST("/index/broken", a_broken_or_missing_cache_is_made_again);
    TEST("/index/unwritable", a_home_without_a_writable_cache_is_listed);
    TEST("/index/unreadable-runs", unreadable_runs_stop_nobody);
    TEST("/index/snapshot", snapshots_say_what_the_files_say);
    return g_test_run();
}
