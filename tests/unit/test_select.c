/* SPDX-License-Identifier: Apache-2.0 */
/* Which runs a command means. */
#include "tests/unit/run_fixture.h"

#include <string.h>

#include "engine/base/yaml.h"
#include "engine/run/select.h"

#define TEST(path, fn) g_test_add(path, RunFixture, NULL, init, fn, run_fixture_clear)

/* Newest first: d (error, unlabeled), c, b, a. */
static void init(RunFixture *f, gconstpointer data)
{
    run_fixture_init(f, data);
    static const char *const ids[] = {"a1", "a2", "c3", "d4"};
    for (gint64 i = 0; i < 4; i++) {
        g_autoptr(Run) run = run_fixture_run(f, ids[i], i % 2 ? "train" : "prepare",
                (1526303655 + i * 86400) * 1000000, i == 3 ? 1 : 0);
        g_autofree char *flags = g_strdup_printf("x: %d", (int)i);
        g_assert_true(run_write_attr_raw(run, "flags", flags, NULL));
        if (i < 3)
            g_assert_true(run_write_attr_string(run, "label", i == 1 ? "best one" : "other", NULL));
        if (i == 2) {
            g_assert_true(run_write_attr_raw(run, "tags", "- red\n- 5", NULL));
            g_assert_true(run_write_attr_raw(run, "marked", "true", NULL));
            g_assert_true(
                    run_write_attr_raw(run, "comments", "- {body: Looks Good, user: me}", NULL));
        }
    }
}

static char *ids_of(GPtrArray *runs)
{
    GString *ids = g_string_new(NULL);
    for (guint i = 0; i < runs->len; i++)
        g_string_append_printf(ids, "%s%s", i ? " " : "", run_id(runs->pdata[i]));
    return g_string_free(ids, FALSE);
}

static void assert_query(RunFixture *f, const RunQuery *q, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) runs = run_query_list(f->store, q, &error);
    g_assert_no_error(error);
    g_autofree char *ids = ids_of(runs);
    g_assert_cmpstr(ids, ==, expected);
}

static void arguments_are_indexes_ranges_ids_and_prefixes(RunFixture *f, gconstpointer data)
{
    static const struct {
        const char *args, *expected;
    } cases[] = {
            {"1", "d4"},
            {"2:3", "c3 a2"},
            {":2", "d4 c3"},
            {"3:", "a2 a1"},
            {":", "d4 c3 a2 a1"},
            {"4 1", "a1 d4"},
            {"1 1", "d4"},
            {"a1", "a1"},
            {"c", "c3"},
            {"", "d4 c3 a2 a1"},
            {"3:2", ""},
            {"a", "'a' matches multiple runs:\n  a2\n  a1"},
            {"9", "could not find a run matching '9'"},
            {"0", "could not find a run matching '0'"},
            {"-1", "could not find a run matching '-1'"},
            {"zz", "could not find a run matching 'zz'"},
            {"1:9", "could not find a run matching '1:9'"},
    };
    g_autoptr(GPtrArray) runs = run_store_list(f->store, RUN_STORE_RUNS);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) args = g_strsplit(cases[i].args, " ", -1);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) selected = run_select(runs, (const char *const *)args, &error);
        g_autofree char *ids = selected ? ids_of(selected) : NULL;
        g_test_message("%s", cases[i].args);
        g_assert_cmpstr(selected ? ids : error->message, ==, cases[i].expected);
    }
}

static void each_filter_keeps_what_it_names(RunFixture *f, gconstpointer data)
{
    static const char *const train[] = {"train", NULL}, *const glob[] = {"pre*", NULL},
                             *const re[] = {"^tr", NULL}, *const best[] = {"best", NULL},
                             *const none[] = {"-", NULL}, *const red[] = {"red", NULL},
                             *const good[] = {"looks good", NULL};
    RunQuery q;
#define CASE(expected, ...)                                                                        \
    run_query_init(&q);                                                                            \
    __VA_ARGS__;                                                                                   \
    assert_query(f, &q, expected)
    CASE("d4 c3 a2 a1", (void)0);
    CASE("d4 a2", q.ops = train);
    CASE("c3 a1", q.ops = glob);
    CASE("d4 a2", q.ops = re);
    CASE("a2", q.labels = best);
    CASE("d4", q.labels = none);
    CASE("d4", q.unlabeled = TRUE);
    CASE("c3", q.tags = red);
    CASE("c3", q.comments = good);
    CASE("c3", q.marked = TRUE);
    CASE("d4 a2 a1", q.unmarked = TRUE);
    CASE("d4", q.status[RUN_ERROR] = TRUE);
    CASE("c3 a2 a1", q.status[RUN_ERROR] = FALSE);
    CASE("d4 c3 a2 a1", q.status[RUN_ERROR] = TRUE; q.status[RUN_COMPLETED] = TRUE);
    CASE("", q.status[RUN_RUNNING] = TRUE);
    CASE("d4 c3", q.filter = "x > 1");
    CASE("a2", q.filter = "status = completed and op = train");
    CASE("d4", q.filter = "label is undefined");
    CASE("", q.digest = "abc");
#undef CASE
}

static void broken_filters_are_errors(RunFixture *f, gconstpointer data)
{
    RunQuery q;
    run_query_init(&q);
    q.filter = "x >";
    g_autoptr(GError) error = NULL;
    g_assert_null(run_query_list(f->store, &q, &error));
    g_assert_error(error, RUN_ERROR_DOMAIN, RUN_ERR_FILTER);
    g_clear_error(&error);
    run_query_init(&q);
    q.started = "whenever";
    g_assert_null(run_query_list(f->store, &q, &error));
    g_assert_cmpstr(error->message, ==, "invalid RANGE: unexpected 'whenever' at position 0");
}

static void operations_match_by_part(void)
{
    static const struct {
        const char *ref, *operation;
        gboolean matches;
    } cases[] = {
            {"train", "train", TRUE},
            {"train", "m:train", TRUE},
            {"m:train", "train", FALSE},
            {"m*:t*", "model:train", TRUE},
            {"pkg/m:train", "pkg/m:train", TRUE},
            {"p/m:train", "pkg/m:train", FALSE},
            {"tra", "train", FALSE},
            {"^tra", "train", TRUE},
            {"in$", "train", TRUE},
            {"[$", "train", FALSE},
            {"run.py", "run.py+random", FALSE},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s %s", cases[i].ref, cases[i].operation);
        g_assert_cmpint(
                run_match_operation(cases[i].ref, cases[i].operation), ==, cases[i].matches);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("/select/arguments", arguments_are_indexes_ranges_ids_and_prefixes);
    TEST("/select/filters", each_filter_keeps_what_it_names);
    TEST("/select/errors", broken_filters_are_errors);
    g_test_add_func("/select/operation", operations_match_by_part);
    return g_test_run();
}
