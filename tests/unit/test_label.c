/* SPDX-License-Identifier: Apache-2.0 */
/* Labels: the default form and templates. Expected texts were printed by the reference. */
#include "engine/base/yaml.h"
#include "engine/op/label.h"

static void check(const char *tmpl, const char *flags_yaml, const char *expected)
{
    g_autoptr(Value) flags = yaml_parse(flags_yaml, -1, NULL, NULL);
    g_autofree char *label = run_label(tmpl, flags);
    g_assert_cmpstr(label, ==, expected);
}

static void default_label_lists_flags_by_name(void)
{
    check(NULL, "{}", "");
    check(NULL, "{b: 2, a: 1}", "a=1 b=2");
    check(NULL, "{a: null, b: x}", "b=x");
    check(NULL, "{a: yes, b: no}", "a=yes b=no");
    check(NULL, "{a: hello there}", "a='hello there'");
    check(NULL, "{a: ''}", "a=''");
    check(NULL, "{a: '1'}", "a='1'");
    check(NULL, "{a: [1, 2]}", "a=[1, 2]");
}

static void default_label_cuts_long_floats(void)
{
    check(NULL, "{a: 0.123456789}", "a=0.12345");
    check(NULL, "{a: 1.0}", "a=1.0");
    check(NULL, "{a: 1.0e-05}", "a=1.0e-05");
}

static void template_renders_references(void)
{
    check("x", "{a: 1}", "x");
    check("${a}-${b}", "{a: 1, b: two}", "1-two");
    check("${a}", "{}", "");
    check("t ${default_label}", "{a: 1}", "t a=1");
    check("${unclosed", "{a: 1}", "${unclosed");
    check("${}", "{a: 1}", "${}");
}

static void template_applies_filters(void)
{
    check("${a|default:none}", "{}", "none");
    check("${a|default:none}", "{a: 1}", "1");
    check("${a|%.2f}", "{a: 0.12345}", "0.12");
    check("${a|%03d}", "{a: 7}", "007");
    check("${a|%.2f}", "{a: text}", "text");
    check("${a|basename}", "{a: /x/y/z.txt}", "z.txt");
    check("${a|unquote}", "{a: \"'q'\"}", "q");
}

/* A template comes from a project file: a conversion that reads another argument must not pass. */
static void template_never_hands_odd_formats_to_printf(void)
{
    check("${a|%n}", "{a: 1}", "1");
    check("${a|%*d}", "{a: 1}", "1");
    check("${a|%99999d}", "{a: 1}", "1");
    check("${a|%s%s}", "{a: 1}", "1%s");
}

/* A short template may name a long value often. */
static void label_has_an_end(void)
{
    g_autofree char *value = g_strnfill(100 * 1000, 'x');
    g_autoptr(Value) flags = value_new_map();
    value_map_set_string(flags, "a", value);
    g_autoptr(GString) template = g_string_new(NULL);
    for (int i = 0; i < 10000; i++)
        g_string_append(template, "${a|unquote}");
    g_autofree char *label = run_label(template->str, flags);
    g_assert_cmpuint(strlen(label), >, 100 * 1000);
    g_assert_cmpuint(strlen(label), <=, 1024 * 1024);
}

static void trial_description_keeps_full_values(void)
{
    g_autoptr(Value) flags = yaml_parse("{b: 0.123456789, a: x y, n: null}", -1, NULL, NULL);
    g_autofree char *desc = run_flags_desc(flags);
    g_assert_cmpstr(desc, ==, "a='x y', b=0.123456789");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/label/default-lists-flags-by-name", default_label_lists_flags_by_name);
    g_test_add_func("/label/default-cuts-long-floats", default_label_cuts_long_floats);
    g_test_add_func("/label/template-renders-references", template_renders_references);
    g_test_add_func("/label/template-applies-filters", template_applies_filters);
    g_test_add_func("/label/template-never-hands-odd-formats-to-printf",
            template_never_hands_odd_formats_to_printf);
    g_test_add_func("/label/has-an-end", label_has_an_end);
    g_test_add_func(
            "/label/trial-description-keeps-full-values", trial_description_keeps_full_values);
    return g_test_run();
}
