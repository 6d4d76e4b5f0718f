/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a project are source code, and their copy. */
#include "engine/base/fs.h"
#include "engine/op/sourcecode.h"
#include "engine/run/manifest.h"
#include "tests/unit/op_fixture.h"

#include <string.h>
#include <unistd.h>

static char *project; /* a new folder for each test */

static void put(const char *rel, const char *content)
{
    g_autofree char *path = g_build_filename(project, rel, NULL);
    g_autofree char *dir = g_path_get_dirname(path);
    g_assert_true(fs_mkdirs(dir, NULL));
    g_assert_true(fs_write(path, content, -1, NULL));
}

static gboolean add_file(const char *root, const char *rel, gpointer data, GError **error)
{
    GString *s = data;
    g_string_append_printf(s, "%s%s", s->len ? " " : "", rel);
    return TRUE;
}

/* What is selected for `op: OP_YAML`, in order. */
static void check(const char *op_yaml, const char *expected)
{
    g_autofree char *yaml = g_strdup_printf("op: %s", op_yaml);
    g_auto(OpFixture) f = op_fixture(yaml, project);
    g_autoptr(SourceSelect) select = sourcecode_select_for_opdef(f.op);
    g_autoptr(GString) got = g_string_new(NULL);
    const SourceHandler handler = {.copy = add_file, .data = got};
    g_autoptr(GError) error = NULL;
    g_assert_true(sourcecode_walk(select, NULL, NULL, &handler, &error));
    g_assert_cmpstr(got->str, ==, expected);
}

static void default_rules_take_text(void)
{
    put("a.py", "x");
    put("b.bin", "\x01\x02");
    put("sub/c.txt", "x");
    put(".hidden/d.txt", "x");
    put("skip/.guild-nocopy", "");
    put("skip/e.txt", "x");
    check("{exec: x}", "a.py sub/c.txt");
}

static void python_leaves_out_environments(void)
{
    put("a.py", "x");
    put("env/bin/activate", "x");
    put("env/lib.py", "x");
    put("__pycache__/a.txt", "x");
    put("build/b.txt", "x");
    check("{main: a}", "a.py");
    check("{exec: x}", "a.py __pycache__/a.txt build/b.txt env/lib.py env/bin/activate");
}

static void rules_of_the_project_come_last(void)
{
    put("a.py", "x");
    put("data/x.csv", "x");
    put("data/y.txt", "x");
    check("{exec: x, sourcecode: [{exclude: '*.csv'}]}", "a.py data/y.txt");
    check("{exec: x, sourcecode: [{exclude: data}]}", "a.py");
    check("{exec: x, sourcecode: {root: data}}", "x.csv y.txt");
    check("{exec: x, sourcecode: no}", "");
    check("{steps: [x]}", "");
}

static void files_come_before_folders(void)
{
    put("z.txt", "x");
    put("a/b.txt", "x");
    check("{exec: x}", "z.txt a/b.txt");
}

static void count_is_limited(void)
{
    g_setenv("MAX_DEFAULT_SOURCECODE_COUNT", "2", TRUE);
    put("1", "x");
    put("2", "x");
    put("3", "x");
    check("{exec: x}", "1 2");
    g_unsetenv("MAX_DEFAULT_SOURCECODE_COUNT");
}

static void links_that_loop_end(void)
{
    put("a.txt", "x");
    g_autofree char *link = g_build_filename(project, "loop", NULL);
    g_assert_cmpint(symlink(".", link), ==, 0);
    check("{exec: x}", "a.txt");
}

static void copy_notes_files_in_the_manifest(void)
{
    put("a.py", "hello");
    put("sub/b.txt", "x");
    g_autofree char *dir = fs_mkdtemp("test-run-", NULL);
    g_autoptr(Run) run = run_new(dir, NULL);
    g_assert_true(run_init_skel(run, NULL));
    g_auto(OpFixture) f = op_fixture("op: {exec: x}", project);
    g_autoptr(SourceSelect) select = sourcecode_select_for_opdef(f.op);
    g_autoptr(GError) error = NULL;
    g_assert_true(sourcecode_copy(select, run, dir, NULL, &error));
    g_assert_true(sourcecode_write_digest(run, &error));
    g_autoptr(GPtrArray) entries = run_manifest_read(run);
    g_assert_cmpuint(entries->len, ==, 2);
    char **entry = g_ptr_array_index(entries, 0);
    g_assert_cmpstr(entry[0], ==, "s");
    g_assert_cmpstr(entry[1], ==, "a.py");
    g_assert_cmpstr(entry[2], ==, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
    g_assert_cmpstr(entry[3], ==, "a.py");
    g_autofree char *digest = run_attr_text(run, "sourcecode_digest");
    /* md5 of "a.py\0hello\0sub/b.txt\0x\0" */
    g_assert_cmpstr(digest, ==, "2626adf3672e4776fef8b8e61829ef0f");
    fs_remove_tree(dir, NULL);
}

static void rules_print_as_the_reference_prints_them(void)
{
    g_auto(OpFixture) f = op_fixture("op: {main: x, sourcecode: [{include: {dir: d}}]}", project);
    g_autoptr(SourceSelect) select = sourcecode_select_for_opdef(f.op);
    static const char *const expected[] = {"exclude dir .*",
            "exclude dir * containing .guild-nocopy",
            "include text * size < 1048577, max match 100", "exclude dir __pycache__",
            "exclude dir * containing bin/activate", "exclude dir * containing Scripts/activate",
            "exclude dir build", "exclude dir dist", "exclude dir *.egg-info", "include dir d"};
    g_assert_cmpuint(select->rules->len, ==, G_N_ELEMENTS(expected));
    for (gsize i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_autofree char *text = sourcecode_rule_str(g_ptr_array_index(select->rules, i));
        g_assert_cmpstr(text, ==, expected[i]);
    }
}

static void in_project(gconstpointer test)
{
    project = fs_mkdtemp("test-src-", NULL);
    ((void (*)(void))test)();
    fs_remove_tree(project, NULL);
    g_clear_pointer(&project, g_free);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    static const struct {
        const char *name;
        void (*test)(void);
    } tests[] = {{"default-rules-take-text", default_rules_take_text},
            {"python-leaves-out-environments", python_leaves_out_environments},
            {"rules-of-the-project-come-last", rules_of_the_project_come_last},
            {"files-come-before-folders", files_come_before_folders},
            {"count-is-limited", count_is_limited}, {"links-that-loop-end", links_that_loop_end},
            {"copy-notes-files-in-the-manifest", copy_notes_files_in_the_manifest},
            {"rules-print-as-the-reference-prints-them", rules_print_as_the_reference_prints_them}};
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/sourcecode/", tests[i].name, NULL);
        g_test_add_data_func(path, tests[i].test, in_project);
    }
    return g_test_run();
}
