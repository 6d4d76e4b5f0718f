/* SPDX-License-Identifier: Apache-2.0 */
/* Flag values against the answers of the reference that data/gen_flagval.py wrote down. */
#include "engine/base/flagval.h"

#include <string.h>

#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/base/yaml.h"

static void check_row(const Value *row)
{
    const char *text = value_map_string(row, "text", NULL);
    const char *type = value_map_string(row, "type", NULL);
    g_autoptr(Value) v = flagval_decode(text, type, "x", NULL);
    g_autofree char *repr = value_repr(v), *encoded = flagval_encode(v),
                    *format = flagval_format(v, 5);
    if (strcmp(repr, value_map_string(row, "repr", "")) != 0)
        g_test_message("%s as %s", text, type ? type : "auto");
    g_assert_cmpstr(repr, ==, value_map_string(row, "repr", NULL));
    g_assert_cmpstr(encoded, ==, value_map_string(row, "encoded", NULL));
    if (*text)
        g_assert_cmpstr(format, ==, value_map_string(row, "format", NULL));
    g_assert_cmpint(flagval_is_function(v), ==, value_map_bool(row, "function", FALSE));
}

static void test_reference(void)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "data", "flagval.jsonl", NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint n = 0;
    for (char **line = lines; *line; line++) {
        if (!**line)
            continue;
        g_autoptr(Value) row = json_parse(*line, -1, NULL, NULL);
        g_assert_nonnull(row);
        check_row(row);
        n++;
    }
    g_assert_cmpuint(n, >, 500);
}

static void check_function(const char *text, const char *name, const char *args)
{
    g_autofree char *found = NULL, *repr = NULL;
    g_autoptr(Value) list = NULL;
    if (flagval_decode_function(text, &found, &list))
        repr = value_repr(list);
    g_assert_cmpstr(found, ==, name);
    g_assert_cmpstr(repr, ==, args);
}

static void test_function(void)
{
    check_function("uniform[1:2.5:a]", "uniform", "[1, 2.5, 'a']");
    check_function("[1e-5:0.1]", "", "[1e-05, 0.1]");
    check_function("f[]", "f", "[]");
    check_function("[1,2]", NULL, NULL);
    check_function("f[1", NULL, NULL);
    check_function("", NULL, NULL);
}

static void test_assign(void)
{
    char *name = NULL, *value = NULL;
    g_assert_true(flagval_split_assign("a=b=c", &name, &value));
    g_assert_cmpstr(name, ==, "a");
    g_assert_cmpstr(value, ==, "b=c");
    g_free(name);
    g_free(value);
    g_assert_false(flagval_split_assign("=b", &name, &value));
    g_assert_false(flagval_split_assign("b", &name, &value));
    g_autoptr(Value) flags = yaml_parse("{b: 'x y', a: 0.123456789, c: , d: }", -1, NULL, NULL);
    g_autoptr(Value) labels = yaml_parse("{d: auto}", -1, NULL, NULL);
    g_autofree char *text = flagval_format_assigns(flags, labels, 5);
    g_assert_cmpstr(text, ==, "a=0.12345 b='x y' d=auto");
}

static void check_split(const char *text, const char *spec, const char *expected)
{
    g_autoptr(Value) split = yaml_parse(spec, -1, NULL, NULL);
    g_auto(GStrv) parts = flagval_split(text, split);
    g_autofree char *joined = g_strjoinv("|", parts);
    g_assert_cmpstr(joined, ==, expected);
}

static void test_split(void)
{
    check_split("a 'b c'  d", "yes", "a|b c|d");
    check_split("a 'b c'", "shlex", "a|b c");
    check_split("a,b,,c", "','", "a|b|c");
    check_split("", "','", "");
    g_autoptr(Value) list = yaml_parse("[1, a b, yes]", -1, NULL, NULL);
    g_autoptr(Value) comma = value_new_string(",");
    g_autofree char *words = flagval_join(list, NULL), *commas = flagval_join(list, comma);
    g_assert_cmpstr(words, ==, "1 'a b' yes");
    g_assert_cmpstr(commas, ==, "1,a b,yes");
}

/* What is nested or repeated without end is text, soon. */
static void test_bounds(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < 20000; i++)
        g_string_append(text, "a[");
    g_string_append_c(text, ']');
    static const char *const endless[] = {"range[0:1e18]", "range[0:1e18:1e-9]", "[1]*99999999999",
            "linspace[0:1:99999999999]", "range[0:1:1e-300]"};
    log_set_level(LOG_ERROR + 1);
    g_autoptr(Value) nested = flagval_decode(text->str, NULL, NULL, NULL);
    g_assert_true(value_is_string(nested));
    for (gsize i = 0; i < G_N_ELEMENTS(endless); i++) {
        g_autoptr(Value) v = flagval_decode(endless[i], NULL, NULL, NULL);
        g_assert_true(value_is_string(v));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    log_set_level(LOG_ERROR + 1);
    g_test_add_func("/flagval/reference", test_reference);
    g_test_add_func("/flagval/function", test_function);
    g_test_add_func("/flagval/assign", test_assign);
    g_test_add_func("/flagval/split", test_split);
    g_test_add_func("/flagval/bounds", test_bounds);
    return g_test_run();
}
