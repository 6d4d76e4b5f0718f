/* SPDX-License-Identifier: Apache-2.0 */
/* The index of runs: a cache that is never believed when the files say otherwise. */
#include "tests/unit/run_fixture.h"

#include <string.h>
#include <unistd.h>

#include "engine/run/describe.h"
#include "engine/run/index.h"
#include "engine/run/select.h"
#include "engine/run/tfevents.h"

#define N_RUNS 100 /* enough for a cache to be kept */

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
    return g_build_filename(f->home, "cache", "runs", "guild-index", NULL);
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

static void write_scalar(Run *run, const char *tag, int value)
{
    g_autofree char *dir = run_guild_path(run, NULL);
    TfEventWriter *writer = tfevent_writer_new(dir, "", NULL);
    g_assert_true(tfevent_writer_scalar(writer, tag, (float)value, value, NULL));
    tfevent_writer_free(writer);
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

/* Each attribute that the index keeps, written over by one of the same length: neither its folder's
 * time nor its size tells. */
static void every_kept_attribute_is_looked_at(RunFixture *f, gconstpointer data)
{
    static const struct {
        const char *name, *before, *after, *filter;
    } attrs[] = {
            {"flags", "x: 1", "x: 2", "flag:x = 2"},
            {"label", "a", "b", "attr:label = b"},
            {"marked", "1", "2", "attr:marked = 2"},
            {"tags", "[a]", "[b]", "attr:tags contains b"},
            {"opdef_attrs", "{k: 1}", "{k: 2}", "attr:k = 2"},
            {"exit_status", "0", "3", "status = error"},
            {"started", "5000000", "6000000", "started = '1970-01-01 00:00:06'"},
            {"stopped", "5000000", "7000000", "stopped = '1970-01-01 00:00:07'"},
            {"comments", "[a]", "[b]", "attr:comments contains b"},
    };
    g_setenv("TZ", "UTC", TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(attrs); i++) {
        g_autoptr(Run) run = run_at(f, (int)i);
        g_assert_true(run_write_attr_raw(run, attrs[i].name, attrs[i].before, NULL));
    }
    g_usleep(60000);
    for (gsize i = 0; i < G_N_ELEMENTS(attrs); i++)
        count(f, attrs[i].filter); /* what holds before is in the cache now */
    for (gsize i = 0; i < G_N_ELEMENTS(attrs); i++) {
        g_autoptr(Run) run = run_at(f, (int)i);
        g_test_message("%s", attrs[i].name);
        g_assert_cmpuint(count(f, attrs[i].filter), ==, 0);
        g_assert_true(run_write_attr_raw(run, attrs[i].name, attrs[i].after, NULL));
        g_assert_cmpuint(count(f, attrs[i].filter), ==, 1);
    }
}

static void the_time_of_start_decides_the_order(RunFixture *f, gconstpointer data)
{
    warm_up(f);
    g_autoptr(Run) run = run_at(f, 3);
    RunQuery q;
    run_query_init(&q);
    g_assert_true(run_write_attr_int(run, "started", 2000000, NULL));
    g_autoptr(GPtrArray) started = run_query_list(f->store, &q, NULL);
    g_assert_cmpstr(run_id(started->pdata[0]), ==, "0003");
    run_del_attr(run, "started"); /* one that never started has its place by when it was made */
    g_assert_true(run_write_attr_int(run, "initialized", 1, NULL));
    g_autoptr(GPtrArray) made = run_query_list(f->store, &q, NULL);
    g_assert_cmpstr(run_id(made->pdata[N_RUNS - 1]), ==, "0003");
}

static void scalars_that_grow_are_seen(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_at(f, 5);
    g_autofree char *dir = run_guild_path(run, NULL);
    for (int i = 0; i < N_RUNS; i++) {
        g_autoptr(Run) each = run_at(f, i);
        write_scalar(each, "loss", i);
    }
    TfEventWriter *writer = tfevent_writer_new(dir, "", NULL); /* a second file, empty as yet */
    warm_up(f);
    for (int i = 0; i < 2; i++) /* from disk, from the cache */
        g_assert_cmpuint(count(f, "loss >= 50 and loss < 60"), ==, 10);
    g_assert_true(tfevent_writer_scalar(writer, "loss", 55, 6, NULL));
    tfevent_writer_free(writer);
    g_assert_cmpuint(count(f, "loss >= 50 and loss < 60"), ==, 11);
    g_assert_cmpuint(count(f, "scalar:.guild#loss = 55"), ==, 2);
    g_assert_cmpuint(count(f, "scalar:elsewhere#loss = 55"), ==, 0);
    write_scalar(run, "acc", 1);
    g_assert_cmpuint(count(f, "acc = 1"), ==, 1);
    g_assert_cmpuint(count(f, "loss = 55"), ==, 2);
}

static void a_run_that_ends_between_two_looks_did_not_fail(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_at(f, 4);
    run_del_attr(run, "exit_status");
    g_assert_true(run_write_lock(run, getpid(), NULL));
    g_usleep(60000);
    g_autoptr(RunIndex) index = run_index_open(f->store);
    g_autoptr(GPtrArray) runs = run_store_scan(f->store, RUN_STORE_RUNS);
    run_index_load(index, runs);
    Run *seen = NULL;
    for (guint i = 0; i < runs->len; i++)
        if (strcmp(run_id(runs->pdata[i]), "0004") == 0)
            seen = runs->pdata[i];
    g_assert_cmpint(run_status(seen), ==, RUN_RUNNING);
    g_assert_true(run_write_attr_int(run, "exit_status", 0, NULL));
    run_delete_lock(run);
    g_assert_cmpint(run_status(seen), ==, RUN_COMPLETED);
}

/* With so many runs they share the work. */
static void several_threads_see_the_same(RunFixture *f, gconstpointer data)
{
    for (int i = N_RUNS; i < 1100; i++) {
        g_autofree char *id = g_strdup_printf("%04d", i);
        g_autoptr(Run) run = run_fixture_run(f, id, "train", 1000000 + i, i % 2);
        g_assert_true(run_write_attr_raw(run, "flags", i % 3 ? "x: 1" : "x: [1, 2]", NULL));
    }
    warm_up(f);
    for (int i = 0; i < 2; i++) {
        g_assert_cmpuint(count(f, "x in [1, 5] and status = error"), ==, 334);
        g_assert_cmpuint(count(f, "x contains 2 or loss > 1"), ==, 333);
    }
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
    gsize len, len_now;
    g_autofree char *good = fs_read(path, 0, &len, NULL);
    g_assert_true(fs_write(path, "this is no index, whatever its name says", -1, NULL));
    g_assert_cmpuint(count(f, "label contains run"), ==, N_RUNS);
    g_autofree char *again = fs_read(path, 0, &len_now, NULL);
    g_assert_cmpmem(again, len_now, good, len);
    g_assert_true(fs_write(path, good, (gssize)len / 2, NULL)); /* the disk was full */
    g_assert_cmpuint(count(f, "label contains run"), ==, N_RUNS);
    /* Bytes in the middle overwritten, as when a page was lost. */
    memset(again + len / 4, 0x5a, len / 4);
    g_assert_true(fs_write(path, again, (gssize)len, NULL));
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
    /* These are thousands of folders, and what disks are there for is not tested here. */
    if (fs_is_dir("/dev/shm"))
        g_setenv("TMPDIR", "/dev/shm", FALSE);
    g_test_init(&argc, &argv, NULL);
    TEST("/index/in-place", a_value_rewritten_in_place_is_seen);
    TEST("/index/come-and-go", values_and_markers_that_come_and_go_are_seen);
    TEST("/index/every-attribute", every_kept_attribute_is_looked_at);
    TEST("/index/order", the_time_of_start_decides_the_order);
    TEST("/index/scalars", scalars_that_grow_are_seen);
    TEST("/index/ends-meanwhile", a_run_that_ends_between_two_looks_did_not_fail);
    TEST("/index/threads", several_threads_see_the_same);
    TEST("/index/runs", runs_that_come_and_go_are_seen);
    TEST("/index/broken", a_broken_or_missing_cache_is_made_again);
    TEST("/index/unwritable", a_home_without_a_writable_cache_is_listed);
    TEST("/index/unreadable-runs", unreadable_runs_stop_nobody);
    TEST("/index/snapshot", snapshots_say_what_the_files_say);
    return g_test_run();
}
