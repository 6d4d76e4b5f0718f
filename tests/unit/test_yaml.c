/* SPDX-License-Identifier: Apache-2.0 */
/* YAML against the answers of PyYAML that data/gen_yaml.py wrote down, and the limits that only we
 * have. */
#include "engine/base/json.h"
#include "engine/base/yaml.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*RowFn)(const Value *row);

/* Calls fn for each line of a file in tests/unit/data, which has at least `min` of them. */
static void for_each_row(const char *name, guint min, RowFn fn)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "data", name, NULL), *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint n = 0;
    for (char **line = lines; *line; line++) {
        if (!**line)
            continue;
        GError *error = NULL;
        g_autoptr(Value) row = json_parse(*line, -1, name, &error);
        g_assert_no_error(error);
        fn(row);
        n++;
    }
    g_assert_cmpuint(n, >=, min);
}

static void check_dump(const Value *row)
{
    const Value *v = value_map_get(row, "v");
    g_autofree char *block = yaml_dump(v), *flow = yaml_dump_flow(v), *attr = yaml_dump_attr(v);
    g_assert_cmpstr(block, ==, value_map_string(row, "block", NULL));
    g_assert_cmpstr(flow, ==, value_map_string(row, "flow", NULL));
    g_assert_cmpstr(attr, ==, value_map_string(row, "attr", NULL));
}

static void test_dump(void)
{
    for_each_row("yaml_dump.jsonl", 500, check_dump);
}

static void check_parse(const Value *row)
{
    const char *text = value_map_string(row, "text", NULL);
    GError *error = NULL;
    g_autoptr(Value) v = yaml_parse(text, -1, "t.yml", &error);
    if (value_map_bool(row, "error", FALSE)) {
        if (v)
            g_test_message("read without error: %s", text);
        g_assert_null(v);
        g_assert_true(error && g_str_has_prefix(error->message, "t.yml:"));
        g_clear_error(&error);
        return;
    }
    if (error)
        g_test_message("%s: %s", text, error->message);
    g_assert_no_error(error);
    g_autofree char *repr = value_repr(v);
    g_assert_cmpstr(repr, ==, value_map_string(row, "repr", NULL));
}

static void test_parse(void)
{
    for_each_row("yaml_parse.jsonl", 500, check_parse);
}

/* What is dumped reads back as the same, in both styles. */
static void check_round_trip(const Value *row)
{
    const Value *v = value_map_get(row, "v");
    g_autofree char *block = yaml_dump(v), *flow = yaml_dump_flow(v);
    g_autoptr(Value) from_block = yaml_parse(block, -1, NULL, NULL);
    g_autoptr(Value) from_flow = yaml_parse(flow, -1, NULL, NULL);
    g_assert_true(from_block && value_equal(v, from_block));
    g_assert_true(from_flow && value_equal(v, from_flow));
}

static void test_round_trip(void)
{
    for_each_row("yaml_dump.jsonl", 500, check_round_trip);
}

static void check_float(const Value *row)
{
    double d = g_ascii_strtod(value_map_string(row, "hex", ""), NULL);
    g_autofree char *repr = value_float_repr(d);
    g_assert_cmpstr(repr, ==, value_map_string(row, "repr", NULL));
    g_autoptr(Value) v = value_new_float(d);
    g_autofree char *text = yaml_dump(v);
    g_assert_cmpstr(text, ==, value_map_string(row, "yaml", NULL));
    g_autoptr(Value) again = yaml_parse(text, -1, NULL, NULL);
    g_assert_true(value_kind(again) == VALUE_FLOAT);
    double back = value_get_float(again);
    g_assert_true(back == d || (isnan(back) && isnan(d)));
}

static void test_floats(void)
{
    for_each_row("floats.jsonl", 300, check_float);
}

static void check_error(const char *text, int code, const char *message)
{
    GError *error = NULL;
    g_autoptr(Value) v = yaml_parse(text, -1, "guild.yml", &error);
    g_assert_null(v);
    g_assert_error(error, YAML_ERROR, code);
    if (!strstr(error->message, message))
        g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, message));
    g_clear_error(&error);
}

static void test_errors(void)
{
    check_error("a: 1\nb: c: d\n", YAML_ERROR_SYNTAX, "guild.yml:2: ");
    check_error("a:\n  - 1\n  - *b\n", YAML_ERROR_SYNTAX, "guild.yml:3: found undefined alias 'b'");
    check_error("\n\na: !foo 1\n", YAML_ERROR_SYNTAX, "guild.yml:3: could not determine");
    check_error("a: 1\n---\nb: 2\n", YAML_ERROR_SYNTAX, "guild.yml:2: expected a single document");
    check_error("a: \"x\\0y\"\n", YAML_ERROR_SYNTAX, "guild.yml:1: a string has a NUL");
    check_error("&a [*a]", YAML_ERROR_SYNTAX, "undefined alias");
    check_error("\xc0\x80", YAML_ERROR_SYNTAX, "guild.yml:1:");
    check_error("a: \xc3(", YAML_ERROR_SYNTAX, "guild.yml:1:");
}

static void test_depth(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < 100000; i++)
        g_string_append_c(text, '[');
    check_error(text->str, YAML_ERROR_LIMIT, "nested too deeply");
    g_string_truncate(text, 0);
    for (int i = 0; i < 1000; i++)
        g_string_append_printf(text, "%*sa:\n", i, "");
    check_error(text->str, YAML_ERROR_LIMIT, "nested too deeply");
}

static void test_alias_bomb(void)
{
    g_autoptr(GString) text = g_string_new("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 12; i++)
        g_string_append_printf(text,
                "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1,
                i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    check_error(text->str, YAML_ERROR_LIMIT, "too large");
}

static void test_lines(void)
{
    g_autoptr(Value) v = yaml_parse("# c\na: 1\nb:\n  - x\n  - y: z\n", -1, NULL, NULL);
    g_assert_cmpuint(value_line(v), ==, 2);
    const Value *b = value_map_get(v, "b");
    g_assert_cmpuint(value_line(b), ==, 4);
    g_assert_cmpuint(value_line(value_list_at(b, 1)), ==, 5);
    g_assert_cmpuint(value_line(value_map_get(v, "a")), ==, 2);
}

/* An alias is a copy: changing one place leaves the other. */
static void test_alias_copies(void)
{
    g_autoptr(Value) v = yaml_parse("a: &x {k: 1}\nb: *x\n", -1, NULL, NULL);
    value_map_set_int(value_map_get(v, "b"), "k", 2);
    g_assert_cmpint(value_map_int(value_map_get(v, "a"), "k", 0), ==, 1);
}

static void test_timestamp_stays(void)
{
    g_autoptr(Value) v = yaml_parse("[2020-01-02, '2020-01-02', 2020-1-2 3:04:05]", -1, NULL, NULL);
    g_autofree char *text = yaml_dump(v), *flow = yaml_dump_flow(v);
    g_assert_cmpstr(text, ==, "- 2020-01-02\n- '2020-01-02'\n- 2020-01-02 03:04:05");
    g_assert_cmpstr(flow, ==, "[2020-01-02, '2020-01-02', !!timestamp '2020-01-02 03:04:05']");
}

static void test_file(void)
{
    GError *error = NULL;
    g_autoptr(Value) v = yaml_parse_file("/nonexistent/guild.yml", &error);
    g_assert_null(v);
    g_assert_error(error, YAML_ERROR, YAML_ERROR_IO);
    g_assert_nonnull(strstr(error->message, "/nonexistent/guild.yml"));
    g_clear_error(&error);
}

static void keys_stay_what_they_are(void)
{
    g_autoptr(GError) error = NULL;
    const char *text = "{10: a, 2: b, true: c, null: d, 1.5: e, '7': f, x: g}";
    g_autoptr(Value) read = yaml_parse(text, -1, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(Value) copied = value_copy(read);
    g_autoptr(Value) updated = value_new_map();
    value_map_update(updated, copied);
    g_assert_cmpstr(value_map_string(updated, "10", NULL), ==, "a");
    g_assert_cmpstr(value_map_string(updated, "True", NULL), ==, "c");
    value_map_set_string(updated, "2", "new");
    g_autofree char *dumped = yaml_dump(updated);
    g_auto(GStrv) lines = g_strsplit(dumped, "\n", -1);
    const char *const expected[] = {
            "1.5: e", "2: new", "10: a", "'7': f", "null: d", "true: c", "x: g"};
    for (gsize i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_true(g_strv_contains((const char *const *)lines, expected[i]));
    g_assert_cmpuint(g_strv_length(lines), ==, G_N_ELEMENTS(expected));
    g_assert_true(strstr(dumped, "\n10: a") > strstr(dumped, "\n2: new"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/yaml/dump", test_dump);
    g_test_add_func("/yaml/parse", test_parse);
    g_test_add_func("/yaml/round-trip", test_round_trip);
    g_test_add_func("/yaml/floats", test_floats);
    g_test_add_func("/yaml/errors", test_errors);
    g_test_add_func("/yaml/depth", test_depth);
    g_test_add_func("/yaml/alias-bomb", test_alias_bomb);
    g_test_add_func("/yaml/lines", test_lines);
    g_test_add_func("/yaml/alias-copies", test_alias_copies);
    g_test_add_func("/yaml/timestamp", test_timestamp_stays);
    g_test_add_func("/yaml/file", test_file);
    g_test_add_func("/yaml/keys-stay-what-they-are", keys_stay_what_they_are);
    return g_test_run();
}
