/* SPDX-License-Identifier: Apache-2.0 */
/* What a lost attempt left is put aside, and nothing else is touched, whatever the manifest says. */
#include <unistd.h>

#include "coordinator/tidy.h"
#include "engine/base/digest.h"
#include "engine/run/manifest.h"
#include "tests/unit/run_fixture.h"

#define ID "11111111111111111111111111111111"

static char *at(Run *run, const char *rel)
{
    return g_build_filename(run_dir(run), rel, NULL);
}

static void put(Run *run, const char *rel, const char *text)
{
    g_autofree char *path = at(run, rel), *folder = g_path_get_dirname(path);
    g_assert_true(fs_mkdirs(folder, NULL) && fs_write(path, text, -1, NULL));
}

static char *get(Run *run, const char *rel)
{
    g_autofree char *path = at(run, rel);
    return fs_read(path, 0, NULL, NULL);
}

static gboolean has(Run *run, const char *rel)
{
    g_autofree char *path = at(run, rel);
    return fs_lexists(path);
}

static void assert_text(Run *run, const char *rel, const char *text)
{
    g_autofree char *found = get(run, rel);
    g_assert_cmpstr(found, ==, text);
}

/* A line of source code; its digest is of what the file has now unless there is none. */
static void add_source(Run *run, const char *rel)
{
    g_autofree char *path = at(run, rel), *sha1 = digest_sha1_file(path, NULL);
    RunManifest *m = run_manifest_open(run, NULL);
    run_manifest_add_sourcecode(m, rel, sha1 ? sha1 : "0", rel);
    g_assert_true(run_manifest_close(m, NULL));
}

static GPtrArray *tidy(Run *run, Run *proto)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *lost = g_ptr_array_new_with_free_func(g_free);
    g_assert_true(tidy_run(run, 1, proto, lost, &error));
    g_assert_no_error(error);
    return lost;
}

static void test_only_what_was_there_stays(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, ID, "op", 1, 0);
    put(run, "code.py", "code");
    put(run, "in/data", "data");
    add_source(run, "code.py");
    add_source(run, "in/data");
    put(run, "users/own", "own");
    g_assert_true(tidy_note(run, NULL));
    put(run, "in/made", "made");
    put(run, "users/late", "late");
    put(run, "new/deep/file", "new");
    put(run, "logs/events.out.tfevents.1.host", "");
    put(run, ".guild/events.out.tfevents.2.host", "");
    g_autoptr(GPtrArray) lost = tidy(run, NULL);
    g_assert_cmpuint(lost->len, ==, 0);
    assert_text(run, "code.py", "code");
    assert_text(run, "in/data", "data");
    assert_text(run, "users/own", "own");
    g_assert_false(has(run, "in/made") || has(run, "users/late") || has(run, "new") ||
                   has(run, "logs") || has(run, ".guild/events.out.tfevents.2.host"));
    assert_text(run, ".guild/attempts/1/files/in/made", "made");
    assert_text(run, ".guild/attempts/1/files/users/late", "late");
    assert_text(run, ".guild/attempts/1/files/new/deep/file", "new");
    assert_text(run, ".guild/attempts/1/files/logs/events.out.tfevents-lost.1.host", "");
    assert_text(run, ".guild/attempts/1/files/.guild/events.out.tfevents-lost.2.host", "");
    g_assert_true(run_has_attr(run, "started"));
}

static void test_a_restart_keeps_what_is_there(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, ID, "op", 1, 0);
    put(run, "made", "first");
    tidy_keep(run);
    g_autoptr(GPtrArray) lost = tidy(run, NULL);
    assert_text(run, "made", "first");
    put(run, "made too", "second");
    g_autoptr(GPtrArray) again = tidy(run, NULL);
    assert_text(run, "made", "first");
    g_assert_false(has(run, "made too"));
}

static void test_inputs_are_copied_again_or_named(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, ID, "op", 1, 0);
    g_autoptr(Run) proto = run_fixture_run(f, "22222222222222222222222222222222", "op", 1, 0);
    static const char *const names[] = {"changed", "gone", "other", NULL};
    for (const char *const *name = names; *name; name++) {
        put(run, *name, "good");
        add_source(run, *name);
        put(proto, *name, strcmp(*name, "other") ? "good" : "not the same");
        put(run, *name, "spoilt");
    }
    g_autofree char *gone = at(run, "gone");
    unlink(gone);
    g_autoptr(GPtrArray) lost = tidy(run, proto);
    assert_text(run, "changed", "good");
    assert_text(run, "gone", "good");
    assert_text(run, "other", "spoilt");
    g_assert_cmpuint(lost->len, ==, 1);
    g_assert_cmpstr(lost->pdata[0], ==, "other");
}

/* Neither a name in the manifest nor a link in the run leads out of it. */
static void test_nothing_outside_is_touched(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, ID, "op", 1, 0);
    g_autoptr(Run) proto = run_fixture_run(f, "22222222222222222222222222222222", "op", 1, 0);
    g_autofree char *outside = g_build_filename(f->home, "outside", NULL);
    g_autofree char *link = at(run, "link");
    g_autofree char *file = g_build_filename(outside, "file", NULL);
    g_assert_true(fs_mkdirs(outside, NULL) && fs_write(file, "ours", -1, NULL));
    put(run, "link/file", "theirs");
    put(proto, "link/file", "theirs");
    add_source(run, "link/file");
    put(run, "../../outside/new", "theirs");
    add_source(run, "../../outside/new");
    g_autofree char *new = g_build_filename(outside, "new", NULL);
    unlink(new);
    g_assert_true(fs_remove_tree(link, NULL) && fs_symlink(outside, link, NULL));
    g_autoptr(GPtrArray) lost = tidy(run, proto);
    g_autofree char *text = fs_read(file, 0, NULL, NULL);
    g_assert_cmpstr(text, ==, "ours");
    g_assert_false(fs_lexists(new));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add(name, RunFixture, NULL, run_fixture_init, fn, run_fixture_clear)
    ADD("/tidy/only-what-was-there", test_only_what_was_there_stays);
    ADD("/tidy/restart-keeps", test_a_restart_keeps_what_is_there);
    ADD("/tidy/inputs", test_inputs_are_copied_again_or_named);
    ADD("/tidy/nothing-outside", test_nothing_outside_is_touched);
    return g_test_run();
}
