/* SPDX-License-Identifier: Apache-2.0 */
/* Output rules: lines and what the reference finds in them. */
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/yaml.h"
#include "engine/exec/output_rules.h"

typedef struct Case {
    const char *config; /* YAML; NULL: the default rules */
    OutputRulesKind kind;
    const char *line;
    const char *found; /* JSON; NULL: nothing */
} Case;

#define S OUTPUT_RULES_SCALARS
#define A OUTPUT_RULES_ATTRS

static const Case cases[] = {
    { NULL, S, "loss: 0.1", "{\"loss\": 0.1}" },
    { NULL, S, "loss: 0.1\r\n", "{\"loss\": 0.1}" },
    { NULL, S, "loss:\t-1e-3  ", "{\"loss\": -0.001}" },
    { NULL, S, " loss: 0.1", NULL },
    { NULL, S, "loss:0.1", NULL },
    { NULL, S, "loss 0.1", NULL },
    { NULL, S, "1loss: 0.1", NULL },
    { NULL, S, ": 0.1", NULL },
    { NULL, S, "loss: 0.1x", NULL },
    { NULL, S, "loss: 5e", NULL },
    { NULL, S, "loss: .", NULL },
    { NULL, S, "loss: .5", "{\"loss\": 0.5}" },
    { NULL, S, "loss: 5.", "{\"loss\": 5.0}" },
    { NULL, S, "a:b: 1", "{\"a:b\": 1.0}" },
    { NULL, S, "acc: inf", "{\"acc\": Infinity}" },
    { NULL, S, "loss: 0.5 (step 10)", "{\"loss\": 0.5, \"step\": 10.0}" },
    { NULL, S, "loss: 0.5 (10)", "{\"loss\": 0.5, \"step\": 10.0}" },
    { NULL, S, "loss: 0.5 (best)", "{\"loss\": 0.5}" },
    { NULL, S, "loss: 0.5 (step x) (9)", "{\"loss\": 0.5}" },
    { NULL, S, "loss: 0.5 (9) x", NULL },
    { NULL, S, "loss:  (9)", "{\"step\": 9.0}" },
    { NULL, S, "loss: (9)", NULL },
    { NULL, S, "step: 3", "{\"step\": 3.0}" },
    { NULL, S, "Gr\xc3\xb6\xc3\x9f" "e: 3", "{\"Gr\\u00f6\\u00dfe\": 3.0}" },
    { NULL, S, "x\xff" "y: 3", "{\"xy\": 3.0}" },
    { NULL, A, "model: resnet", "{\"model\": \"resnet\"}" },
    { NULL, A, "model: res net", NULL },
    { NULL, A, "model:", NULL },
    { "loss=(\\value)", S, "x loss=4 loss=5", "{\"\": 5.0}" },
    { "{loss: 'l=(\\value)', acc: 'a=(\\value)'}", S, "l=1 a=2", "{\"acc\": 2.0, \"loss\": 1.0}" },
    { "['(\\key)=(\\value)']", S, "a=1", "{\"a\": 1.0}" },
    { "['Epoch (?P<step>[0-9]+)', ' - ([a-z_]+): (\\value)']", S, "Epoch 3 - loss: 4 - acc: 5",
            "{\"acc\": 5.0, \"loss\": 4.0, \"step\": 3.0}" },
    { "['(?P<_key>\\w+) is (?P<_val>\\S+)']", S, "temp is 1_0.5", "{\"temp\": 10.5}" },
    { "['v=(?P<v>.+)']", S, "v= 7 ", "{\"v\": 7.0}" },
    { "['v=(?P<v>.+)']", S, "v=0x10", NULL },
    { "['(?P<v>x)?y']", S, "y", NULL },
    { "['[]a](?P<v>\\d+)\\Z']", S, "]5", "{\"v\": 5.0}" },
    { "[{name: 'I am (\\S+)'}]", A, "I am Bob", "{\"name\": \"Bob\"}" },
};

static void test_cases(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Case *c = &cases[i];
        g_autoptr(Value) config = c->config ? yaml_parse(c->config, -1, NULL, NULL) : NULL;
        g_autoptr(OutputRules) rules = output_rules_new(c->kind, config);
        g_autoptr(Value) found = output_rules_match(rules, c->line, strlen(c->line));
        g_autofree char *text = found ? json_dump(found, 0, TRUE) : NULL;
        g_assert_cmpstr(text, ==, c->found);
    }
}

/* The hand-written matcher and the patterns that it stands for give the same. */
static void test_default_is_pattern(void)
{
    static const char alphabet[] = "ab:_ 1.e-+( )stepnaif\t";
    g_autoptr(OutputRules) fast = output_rules_new(S, NULL);
    const char *const *patterns = output_rules_patterns(fast);
    g_autoptr(Value) config = value_new_strv(patterns);
    g_autoptr(OutputRules) slow = output_rules_new(S, config);
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    guint hits = 0;
    for (guint i = 0; i < 100000; i++) {
        g_autoptr(GString) line = g_string_new(i % 2 ? "k: 1" : i % 4 ? "k:" : "");
        for (gint n = g_rand_int_range(rand, 0, 10); n > 0; n--) {
            if (g_rand_int_range(rand, 0, 12) == 0)
                g_string_append(line, " (step 3)");
            g_string_append_c(line,
                    alphabet[g_rand_int_range(rand, 0, (gint)sizeof alphabet - 1)]);
        }
        g_autoptr(Value) a = output_rules_match(fast, line->str, line->len);
        g_autoptr(Value) b = output_rules_match(slow, line->str, line->len);
        g_autofree char *ta = json_dump(a, 0, TRUE), *tb = json_dump(b, 0, TRUE);
        if (strcmp(ta, tb))
            g_test_message("line '%s'", line->str);
        g_assert_cmpstr(ta, ==, tb);
        hits += a != NULL;
    }
    g_assert_cmpuint(hits, >, 1000);
}

static void test_shared_and_disabled(void)
{
    g_autoptr(Value) config = yaml_parse("{loss: 'x (\\value)'}", -1, NULL, NULL);
    g_autoptr(OutputRules) a = output_rules_new(S, config);
    g_autoptr(OutputRules) b = output_rules_new(S, config);
    g_assert_true(a == b);
    g_autoptr(Value) empty = value_new_list();
    g_autoptr(Value) no = value_new_bool(FALSE);
    g_assert_true(output_rules_disabled(empty));
    g_assert_true(output_rules_disabled(no));
    g_assert_false(output_rules_disabled(NULL));
    g_assert_false(output_rules_disabled(config));
}

/* A pattern that explodes gives up instead of holding up the run. */
static void test_backtracking(void)
{
    g_autoptr(Value) config = yaml_parse("['(?P<v>(a+)+)$']", -1, NULL, NULL);
    g_autoptr(OutputRules) rules = output_rules_new(S, config);
    g_autofree char *line = g_strnfill(5000, 'a');
    line[4999] = '!';
    gint64 start = g_get_monotonic_time();
    g_autoptr(Value) found = output_rules_match(rules, line, strlen(line));
    g_assert_null(found);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
}

static void collect(const char *text, gboolean is_result, gpointer data)
{
    g_string_append_printf(data, "%s\n", text);
}

static void test_report(void)
{
    g_autoptr(Value) config = yaml_parse("['(\\key)=(\\value)', {b: 'b (\\d)'}]", -1, NULL, NULL);
    g_autoptr(OutputRules) rules = output_rules_new(S, config);
    g_autoptr(GString) out = g_string_new(NULL);
    output_rules_test(rules, "a=1 b=2\n", 8, collect, out);
    output_rules_test(rules, "b 3", 3, collect, out);
    const char *expected =
            "a=1 b=2\n"
            "  '([_a-zA-Z]\\\\S*)=((?:[-+]?[0-9]*\\\\.?(?:[0-9]+)?(?:[eE][-+]?[0-9]+)?|[nN][aA][nN]|"
            "[-+]?[iI][nN][fF]))': [('a', '1'), ('b', '2')] (a=1.0, b=2.0)\n"
            "  'b (\\\\d)': <no matches>\n"
            "b 3\n"
            "  '([_a-zA-Z]\\\\S*)=((?:[-+]?[0-9]*\\\\.?(?:[0-9]+)?(?:[eE][-+]?[0-9]+)?|[nN][aA][nN]|"
            "[-+]?[iI][nN][fF]))': <no matches>\n"
            "  'b (\\\\d)': [('3',)] (b=3.0)\n";
    g_assert_cmpstr(out->str, ==, expected);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/output-rules/cases", test_cases);
    g_test_add_func("/output-rules/default", test_default_is_pattern);
    g_test_add_func("/output-rules/shared", test_shared_and_disabled);
    g_test_add_func("/output-rules/backtracking", test_backtracking);
    g_test_add_func("/output-rules/report", test_report);
    return g_test_run();
}
