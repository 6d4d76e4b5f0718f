/* SPDX-License-Identifier: Apache-2.0 */
/* Values, and the text helpers and JSON that go with them. */
#include "engine/base/value.h"

#include <math.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/text.h"
#include "engine/base/yaml.h"

static void test_map_order(void)
{
    g_autoptr(Value) map = value_new_map();
    value_map_set_int(map, "z", 1);
    value_map_set_int(map, "a", 2);
    value_map_set_int(map, "z", 3); /* keeps its place */
    g_assert_cmpstr(value_map_key_at(map, 0), ==, "z");
    g_assert_cmpint(value_map_int(map, "z", 0), ==, 3);
    g_assert_true(value_map_remove(map, "z"));
    g_assert_false(value_map_remove(map, "z"));
    g_assert_cmpuint(value_map_size(map), ==, 1);
    g_assert_null(value_map_get(map, "z"));
}

/* Large maps have an index, which must survive removal, sorting and growth. */
static void test_large_map(void)
{
    g_autoptr(Value) map = value_new_map();
    for (int i = 0; i < 2000; i++) {
        g_autofree char *key = g_strdup_printf("k%d", (i * 7919) % 2000);
        value_map_set_int(map, key, (i * 7919) % 2000);
    }
    g_assert_cmpuint(value_map_size(map), ==, 2000);
    for (int i = 0; i < 2000; i += 2) {
        g_autofree char *key = g_strdup_printf("k%d", i);
        g_assert_true(value_map_remove(map, key));
    }
    value_map_sort(map);
    for (int i = 0; i < 2000; i++) {
        g_autofree char *key = g_strdup_printf("k%d", i);
        g_assert_cmpint(value_map_int(map, key, -1), ==, i % 2 ? i : -1);
    }
    for (gsize i = 1; i < value_map_size(map); i++)
        g_assert_cmpint(strcmp(value_map_key_at(map, i - 1), value_map_key_at(map, i)), <, 0);
}

static void test_list(void)
{
    g_autoptr(Value) list = value_new_list();
    for (int i = 0; i < 10; i++)
        value_list_insert(list, 0, value_new_int(i));
    value_list_extend(list, list);
    g_assert_cmpuint(value_list_size(list), ==, 20);
    g_assert_cmpint(value_get_int(value_list_at(list, 0)), ==, 9);
    g_assert_cmpint(value_get_int(value_list_at(list, 19)), ==, 0);
    value_list_set(list, 0, NULL);
    g_assert_true(value_is_null(value_list_at(list, 0)));
}

static gboolean equal_texts(const char *a, const char *b)
{
    g_autoptr(Value) va = yaml_parse(a, -1, NULL, NULL), vb = yaml_parse(b, -1, NULL, NULL);
    g_assert_true(va && vb);
    gboolean equal = value_equal(va, vb);
    g_assert_true(equal == value_equal(vb, va));
    return equal;
}

static void test_equal(void)
{
    g_assert_true(equal_texts("1", "1.0"));
    g_assert_true(equal_texts("true", "1"));
    g_assert_true(equal_texts("[1, {a: b, c: d}]", "[1.0, {c: d, a: b}]"));
    g_assert_false(equal_texts("'1'", "1"));
    g_assert_false(equal_texts("null", "no"));
    g_assert_false(equal_texts("[1, 2]", "[2, 1]"));
    g_assert_false(equal_texts("{a: 1}", "{b: 1}"));
    g_assert_false(equal_texts(".nan", ".nan"));
    g_assert_true(equal_texts("99999999999999999999", "99999999999999999999"));
    g_assert_false(equal_texts("99999999999999999999", "9999999999999999999999"));
}

static void test_compare(void)
{
    static const char *const ascending[] = {"null", "-99999999999999999999", "-1", "no", "0.5", "1",
            "2.5", "99999999999999999999", ".inf", ".nan", "''", "'10'", "'9'", "[]", "[1]",
            "[1, 2]", "[2]", "{}", "{a: 1}"};
    for (gsize i = 0; i < G_N_ELEMENTS(ascending); i++)
        for (gsize k = 0; k < G_N_ELEMENTS(ascending); k++) {
            g_autoptr(Value) a = yaml_parse(ascending[i], -1, NULL, NULL);
            g_autoptr(Value) b = yaml_parse(ascending[k], -1, NULL, NULL);
            int c = value_compare(a, b), want = (i > k) - (i < k);
            if ((c > 0) - (c < 0) != want)
                g_test_message("%s <> %s", ascending[i], ascending[k]);
            g_assert_cmpint((c > 0) - (c < 0), ==, want);
        }
}

static void test_copy_is_apart(void)
{
    g_autoptr(Value) v = yaml_parse("{a: [1, {b: 2}]}", -1, NULL, NULL);
    g_autoptr(Value) copy = value_copy(v);
    value_map_set_int(value_list_at(value_map_get(copy, "a"), 1), "b", 3);
    g_autofree char *before = value_repr(v), *after = value_repr(copy);
    g_assert_cmpstr(before, ==, "{'a': [1, {'b': 2}]}");
    g_assert_cmpstr(after, ==, "{'a': [1, {'b': 3}]}");
}

static void check_repr(const char *s, const char *expected)
{
    g_autoptr(Value) v = value_new_string(s);
    g_autofree char *repr = value_repr(v);
    g_assert_cmpstr(repr, ==, expected);
}

static void test_repr(void)
{
    check_repr("", "''");
    check_repr("it's", "\"it's\"");
    check_repr("it's \"x\"", "'it\\'s \"x\"'");
    check_repr("a\tb\n\\", "'a\\tb\\n\\\\'");
    check_repr("\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80\xc2\xa0\x7f",
            "'\xc3\xa9\\u2028\xf0\x9f\x98\x80\\xa0\\x7f'");
    check_repr("a\xff", "'a\\udcff'");
}

static void test_truthy(void)
{
    static const char *const no[] = {"null", "no", "0", "0.0", "-0.0", "''", "[]", "{}"};
    static const char *const yes[] = {
            "yes", "1", ".nan", "' '", "[0]", "{a: }", "99999999999999999999"};
    for (gsize i = 0; i < G_N_ELEMENTS(no); i++) {
        g_autoptr(Value) v = yaml_parse(no[i], -1, NULL, NULL);
        g_assert_false(value_truthy(v));
    }
    for (gsize i = 0; i < G_N_ELEMENTS(yes); i++) {
        g_autoptr(Value) v = yaml_parse(yes[i], -1, NULL, NULL);
        g_assert_true(value_truthy(v));
    }
    g_assert_false(value_truthy(NULL));
}

static void test_json(void)
{
    static const char text[] = "{\"b\": [1, 2.5, null, true], \"a\": \"\\u00e9\\ud83d\\ude00\\n\"}";
    g_autoptr(Value) v = json_parse(text, -1, NULL, NULL);
    g_autofree char *line = json_dump(v, 0, FALSE), *sorted = json_dump(v, 0, TRUE);
    g_autofree char *pretty = json_dump(v, 2, TRUE);
    g_assert_cmpstr(line, ==, text);
    g_assert_cmpstr(
            sorted, ==, "{\"a\": \"\\u00e9\\ud83d\\ude00\\n\", \"b\": [1, 2.5, null, true]}");
    g_assert_cmpstr(pretty, ==,
            "{\n  \"a\": \"\\u00e9\\ud83d\\ude00\\n\",\n  \"b\": [\n    1,\n    2.5,\n    null,\n  "
            "  true\n  ]\n}");
    g_autoptr(Value) nan = value_new_float((double)NAN);
    g_autofree char *nan_text = json_dump(nan, 0, FALSE);
    g_assert_cmpstr(nan_text, ==, "NaN");
    GError *error = NULL;
    g_assert_null(json_parse("{\"a\": 1,\n}", -1, "x.json", &error));
    g_assert_true(error && g_str_has_prefix(error->message, "x.json:2: "));
    g_clear_error(&error);
}

static void check_split(const char *text, const char *expected)
{
    g_auto(GStrv) words = text_shell_split(text, NULL);
    g_autofree char *joined = words ? g_strjoinv("|", words) : NULL;
    g_assert_cmpstr(joined, ==, expected);
}

static void check_quote(const char *text, const char *expected)
{
    g_autofree char *quoted = text_shell_quote(text);
    g_assert_cmpstr(quoted, ==, expected);
}

static void test_shell(void)
{
    check_quote("'plain text'", "\"'plain text'\"");
    check_quote("'$HOME'", "''\"'\"'$HOME'\"'\"''");
    check_quote("'a'b'", "''\"'\"'a'\"'\"'b'\"'\"''");
    check_split("a  'b c' \"d\\\"e\" f\\ g ''", "a|b c|d\"e|f g|");
    check_split("\"a\\b\" '\\'", "a\\b|\\");
    check_split("  ", "");
    check_split("a#b #c", "a#b|#c");
    check_split("'a", NULL);
    check_split("a\\", NULL);
    check_quote("", "''");
    check_quote("a-b_c.d/e:f,g@h%i+j=k", "a-b_c.d/e:f,g@h%i+j=k");
    check_quote("a b", "'a b'");
    check_quote("it's", "'it'\"'\"'s'");
    check_quote("'a'", "\"'a'\"");
    check_quote("\xc3\xa9", "'\xc3\xa9'");
}

static void check_refs(const char *text, const char *expected, int code)
{
    g_autoptr(Value) params = yaml_parse(
            "{a: 1, b: 'x ${a}', c: '${c}', d: '${e}', e: '${d}', l: [1], n: }", -1, NULL, NULL);
    GError *error = NULL;
    g_autoptr(Value) v = text_resolve_refs(text, params, NULL, &error);
    g_autofree char *repr = v ? value_repr(v) : NULL;
    g_assert_cmpstr(repr, ==, expected);
    if (!expected)
        g_assert_error(error, TEXT_ERROR, code);
    g_clear_error(&error);
}

/* A few characters can stand for gigabytes, a long chain for more calls than there is stack. */
static void test_refs_are_bounded(void)
{
    g_autoptr(Value) doubling = value_new_map(), chain = value_new_map();
    for (int i = 0; i < 60; i++) {
        g_autofree char *name = g_strdup_printf("a%d", i);
        g_autofree char *text = g_strdup_printf("${a%d}${a%d}", i + 1, i + 1);
        value_map_set_string(doubling, name, text);
    }
    value_map_set_string(doubling, "a60", "x");
    for (int i = 0; i < 20000; i++) {
        g_autofree char *name = g_strdup_printf("c%d", i), *text = g_strdup_printf("${c%d}", i + 1);
        value_map_set_string(chain, name, text);
    }
    g_autoptr(GError) first = NULL, second = NULL;
    g_assert_null(text_resolve_refs("${a0}", doubling, NULL, &first));
    g_assert_error(first, TEXT_ERROR, TEXT_ERROR_LIMIT);
    g_assert_null(text_resolve_refs("${c0}", chain, NULL, &second));
    g_assert_error(second, TEXT_ERROR, TEXT_ERROR_LIMIT);
}

static void test_refs(void)
{
    check_refs("plain", "'plain'", 0);
    check_refs("${a}", "1", 0);
    check_refs("${l}", "[1]", 0);
    check_refs("${n}", "None", 0);
    check_refs("<${a}${b}>", "'<1x 1>'", 0);
    check_refs("${b}", "'x 1'", 0);
    check_refs("v=${l} ${n}", "'v=- 1 null'", 0);
    check_refs("\\${a} ${a}", "'${a} 1'", 0);
    check_refs("${} $a ${", "'${} $a ${'", 0);
    check_refs("${zz}", NULL, TEXT_ERROR_UNDEFINED);
    check_refs("${c}", NULL, TEXT_ERROR_CYCLE);
    check_refs("${d}", NULL, TEXT_ERROR_CYCLE);
}

static void test_fnmatch(void)
{
    g_assert_true(text_fnmatch("*.py", "a/b.py"));
    g_assert_true(text_fnmatch("a?c", "abc"));
    g_assert_true(text_fnmatch("[!a-c]x", "dx"));
    g_assert_false(text_fnmatch("[!a-c]x", "bx"));
    g_assert_true(text_fnmatch("[]]", "]"));
    g_assert_true(text_fnmatch("[x", "[x"));
    g_assert_true(text_fnmatch("?", "\xc3\xa9"));
    g_assert_false(text_fnmatch("*.py", "a.pyc"));
    g_assert_true(text_fnmatch("*a*b*c*", "xxaxxbxxcxx"));
    g_autofree char *many = g_strnfill(5000, 'a');
    g_assert_false(text_fnmatch("*a*a*a*a*a*a*a*b", many)); /* not exponential */
}

static void test_text_misc(void)
{
    g_autofree char *name = text_env_var_name("learning-rate.\xc3\xa9 2");
    g_assert_cmpstr(name, ==, "LEARNING_RATE___2");
    g_assert_cmpint(text_natural_compare("run9", "run10"), <, 0);
    g_assert_cmpint(text_natural_compare("a2b10", "a2b9"), >, 0);
    g_assert_cmpint(text_natural_compare("1", "a"), <, 0);
    g_assert_cmpint(text_natural_compare("a", "a"), ==, 0);
    g_assert_cmpint(text_natural_compare("a", "a1"), <, 0);
    g_assert_true(text_is_hex("0aF"));
    g_assert_false(text_is_hex(""));
    g_assert_false(text_is_hex("0g"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/value/map-order", test_map_order);
    g_test_add_func("/value/large-map", test_large_map);
    g_test_add_func("/value/list", test_list);
    g_test_add_func("/value/equal", test_equal);
    g_test_add_func("/value/compare", test_compare);
    g_test_add_func("/value/copy", test_copy_is_apart);
    g_test_add_func("/value/repr", test_repr);
    g_test_add_func("/value/truthy", test_truthy);
    g_test_add_func("/json/dump-and-parse", test_json);
    g_test_add_func("/text/shell", test_shell);
    g_test_add_func("/text/refs", test_refs);
    g_test_add_func("/text/refs-bounded", test_refs_are_bounded);
    g_test_add_func("/text/fnmatch", test_fnmatch);
    g_test_add_func("/text/misc", test_text_misc);
    return g_test_run();
}
