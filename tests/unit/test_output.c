/* SPDX-License-Identifier: Apache-2.0 */
/* Output files and their index. */
#include "tests/unit/run_fixture.h"

#include <string.h>

#include "engine/run/output.h"

#define TEST(path, fn) g_test_add(path, RunFixture, NULL, run_fixture_init, fn, run_fixture_clear)

static void collect(RunStream stream, const char *line, gsize len, gpointer data)
{
    g_string_append_printf(data, "%d[%.*s]", (int)stream, (int)len, line);
}

static void put(RunOutput *out, RunStream stream, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(run_output_write(out, stream, text, strlen(text), &error));
    g_assert_no_error(error);
}

static void lines_of_two_streams_are_kept_apart(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "r1", "x", 1, 0);
    GString *lines = g_string_new(NULL);
    RunOutput *out = run_output_open(run, collect, lines, NULL);
    put(out, RUN_STDOUT, "one\ntw");
    put(out, RUN_STDERR, "err\n");
    put(out, RUN_STDOUT, "o\n\nlast");
    run_output_close(out);
    g_assert_cmpstr(lines->str, ==, "0[one\n]1[err\n]0[two\n]0[\n]0[last]");
    g_string_free(lines, TRUE);

    g_autofree char *text = run_fixture_text(run, "output");
    g_assert_cmpstr(text, ==, "one\ntwerr\no\n\nlast");
    gsize len;
    g_autofree char *path = run_guild_path(run, "output.index");
    g_autofree char *index = fs_read(path, 0, &len, NULL);
    g_assert_cmpuint(len, ==, 5 * 9);
    static const char streams[] = {0, 1, 0, 0, 0};
    for (gsize i = 0; i < 5; i++)
        g_assert_cmpint(index[i * 9 + 8], ==, streams[i]);
    g_assert_cmpint(index[0], ==, 0); /* big endian */
}

static void control_bytes_are_kept_in_output_only(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "r1", "x", 1, 0);
    GString *lines = g_string_new(NULL);
    RunOutput *out = run_output_open(run, collect, lines, NULL);
    g_assert_true(run_output_write(out, RUN_STDOUT, "a\001b\n\002", 5, NULL));
    run_output_close(out);
    g_assert_cmpstr(lines->str, ==, "0[ab\n]");
    g_string_free(lines, TRUE);
    gsize len;
    g_autofree char *path = run_guild_path(run, "output");
    g_autofree char *text = fs_read(path, 0, &len, NULL);
    g_assert_cmpmem(text, len, "a\001b\n\002", 5);
}

static void readers_pair_lines_with_records(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "r1", "x", 1, 0);
    gint64 before_ms = g_get_real_time() / 1000;
    RunOutput *out = run_output_open(run, NULL, NULL, NULL);
    put(out, RUN_STDERR, "e\n");
    put(out, RUN_STDOUT, "o");
    run_output_close(out);
    g_autofree char *path = run_guild_path(run, "output.index");
    g_autoptr(RunOutputReader) r = run_output_reader_open(run, NULL);
    RunOutputLine line;
    g_assert_true(run_output_reader_next(r, &line));
    g_assert_cmpstr(line.text, ==, "e");
    g_assert_cmpint(line.stream, ==, RUN_STDERR);
    g_assert_cmpint(line.time_ms, >=, before_ms);
    g_assert_true(run_output_reader_next(r, &line));
    g_assert_cmpstr(line.text, ==, "o");
    g_assert_cmpint(line.stream, ==, RUN_STDOUT);
    g_assert_false(run_output_reader_next(r, &line));
}

static void a_cut_index_leaves_lines_without_times(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "r1", "x", 1, 0);
    RunOutput *out = run_output_open(run, NULL, NULL, NULL);
    put(out, RUN_STDOUT, "a\nb\n");
    run_output_close(out);
    g_autofree char *path = run_guild_path(run, "output.index");
    g_assert_true(fs_write(path, "1234", 4, NULL));
    g_autoptr(RunOutputReader) r = run_output_reader_open(run, NULL);
    RunOutputLine line;
    for (int i = 0; i < 2; i++) {
        g_assert_true(run_output_reader_next(r, &line));
        g_assert_cmpint(line.time_ms, ==, 0);
    }
    g_assert_false(run_output_reader_next(r, &line));
}

static gsize size_of(Run *run, const char *sub)
{
    g_autofree char *path = run_guild_path(run, sub);
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    return (gsize)st.st_size;
}

/* Killed between its two writes, with a line that had begun. */
static void appending_goes_on_and_mends_the_index(RunFixture *f, gconstpointer data)
{
    g_autoptr(Run) run = run_fixture_run(f, "r1", "x", 1, 0);
    g_autofree char *path = run_guild_path(run, "output");
    g_autofree char *index = run_guild_path(run, "output.index");
    g_assert_true(fs_write(path, "a\nb\nbeg", -1, NULL));
    g_assert_true(fs_write(index, "", 0, NULL));
    RunOutput *out = run_output_append(run, NULL, NULL, NULL);
    g_assert_cmpuint(size_of(run, "output.index"), ==, 2 * 9);
    put(out, RUN_STDERR, "un\nc\n");
    run_output_close(out);
    g_autofree char *text = run_fixture_text(run, "output");
    g_assert_cmpstr(text, ==, "a\nb\nbegun\nc\n");
    g_assert_cmpuint(size_of(run, "output.index"), ==, 4 * 9);
    g_assert_true(fs_write(path, "a\n", -1, NULL));
    run_output_close(run_output_append(run, NULL, NULL, NULL));
    g_assert_cmpuint(size_of(run, "output.index"), ==, 1 * 9);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("/output/streams", lines_of_two_streams_are_kept_apart);
    TEST("/output/control", control_bytes_are_kept_in_output_only);
    TEST("/output/read", readers_pair_lines_with_records);
    TEST("/output/cut", a_cut_index_leaves_lines_without_times);
    TEST("/output/appending", appending_goes_on_and_mends_the_index);
    return g_test_run();
}
