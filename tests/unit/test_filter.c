/* SPDX-License-Identifier: Apache-2.0 */
/* Filter expressions. Results and messages of the table are the reference's own: its parser was run on
 * each expression over the same run. */
#include "engine/run/filter.h"

#include <string.h>

#include "engine/base/yaml.h"

static const char *const run_yaml =
        "attr: {label: best run, operation: train, status: completed, tags: [a, b], n: 5}\n"
        "flag: {lr: 0.1, epochs: 10, name: Resnet, label: flag-label, empty: '', on: true,\n"
        "  'none': null, batch-size: 100, layers: [1, 2, 3]}\n"
        "scalar: {loss: 0.25, acc: 0.9}\n";

static const struct {
    const char *expr;
    gboolean holds;
    const char *error;
} cases[] = {
        { "lr = 0.1", TRUE, NULL },
        { "lr=0.1", TRUE, NULL },
        { "lr != 0.1", FALSE, NULL },
        { "lr <> 0.2", TRUE, NULL },
        { "lr < 1e-1", FALSE, NULL },
        { "lr < 1.0e+1", TRUE, NULL },
        { "lr <= 0.1 and epochs >= 10", TRUE, NULL },
        { "lr = 0.1 or nope = 1 and nope = 2", TRUE, NULL },
        { "not lr = 0.1 and epochs = 11", FALSE, NULL },
        { "not lr = 0.1 or epochs = 10", TRUE, NULL },
        { "not (lr = 0.1 or epochs = 10)", FALSE, NULL },
        { "lr > .05", TRUE, NULL },
        { "lr > -1", TRUE, NULL },
        { "epochs in [10,20]", TRUE, NULL },
        { "epochs not in [10, 20]", FALSE, NULL },
        { "epochs in [11,12.5,'x']", FALSE, NULL },
        { "operation = train and (acc > 0.9 or loss < 0.3)", TRUE, NULL },
        { "operation in [test,deploy]", FALSE, NULL },
        { "operation not in [test,deploy]", TRUE, NULL },
        { "label contains BEST", TRUE, NULL },
        { "label contains 'best run'", TRUE, NULL },
        { "label not contains \"best\"", FALSE, NULL },
        { "flag:label contains flag", TRUE, NULL },
        { "attr:label = 'best run'", TRUE, NULL },
        { "scalar:loss < 1", TRUE, NULL },
        { "scalar:lr < 1", FALSE, NULL },
        { "nope is undefined", TRUE, NULL },
        { "nope is not undefined", FALSE, NULL },
        { "none is undefined", TRUE, NULL },
        { "empty is undefined", FALSE, NULL },
        { "empty contains x", FALSE, NULL },
        { "empty not contains x", TRUE, NULL },
        { "lr is 0.1", TRUE, NULL },
        { "lr is not 0.1", FALSE, NULL },
        { "on = true", TRUE, NULL },
        { "on = TRUE", TRUE, NULL },
        { "on = false", FALSE, NULL },
        { "on = 1", TRUE, NULL },
        { "name < Z", TRUE, NULL },
        { "name > 5", FALSE, NULL },
        { "name = Resnet", TRUE, NULL },
        { "name = resnet", FALSE, NULL },
        { "epochs > '5'", FALSE, NULL },
        { "tags contains a", TRUE, NULL },
        { "tags contains [a,b]", TRUE, NULL },
        { "tags contains [a,c]", FALSE, NULL },
        { "tags = [a,b]", TRUE, NULL },
        { "layers = [1,2,3]", TRUE, NULL },
        { "layers contains 2", TRUE, NULL },
        { "layers < [1,2,4]", TRUE, NULL },
        { "nope < 5", FALSE, NULL },
        { "nope = undefined", TRUE, NULL },
        { "true", TRUE, NULL },
        { "false", FALSE, NULL },
        { "undefined", FALSE, NULL },
        { "foo", TRUE, NULL },
        { "0", FALSE, NULL },
        { "1", TRUE, NULL },
        { "''", FALSE, NULL },
        { "[1]", TRUE, NULL },
        { "batch-size = 100", TRUE, NULL },
        { ".guild#loss = 0.25", FALSE, "syntax error in filter at position 0: unexpected character '.'" },
        { "scalar:.guild#loss = 0.25", TRUE, NULL },
        { "(lr = 0.1)", TRUE, NULL },
        { "((lr = 0.1) and (epochs = 10))", TRUE, NULL },
        { "true and false or true", TRUE, NULL },
        { "false and true or true", FALSE, NULL },
        { "false or true and false", FALSE, NULL },
        { "lr = -1", FALSE, NULL },
        { "n = 5 AND lr = 0.1", TRUE, NULL },
        { "n = 5 And Not lr = 0.2", TRUE, NULL },
        { "name contains 'NET'", TRUE, NULL },
        { "epochs contains 1", TRUE, NULL },
        { "lr in 0.1", FALSE, "syntax error in filter at position 6: unexpected token 0.1" },
        { "lr =", FALSE, "syntax error in filter - unexpected end of expresion" },
        { "= 1", FALSE, "syntax error in filter at position 0: unexpected token '='" },
        { "lr > > 1", FALSE, "syntax error in filter at position 5: unexpected token '>'" },
        { "lr = 0.1 and", FALSE, "syntax error in filter - unexpected end of expresion" },
        { "(lr = 0.1", FALSE, "syntax error in filter - unexpected end of expresion" },
        { "lr = 0.1)", FALSE, "syntax error in filter at position 8: unexpected token ')'" },
        { "lr ! 1", FALSE, "syntax error in filter at position 3: unexpected character '!'" },
        { "lr = $x", FALSE, "syntax error in filter at position 5: unexpected character '$'" },
        { "lr in [1,", FALSE, "syntax error in filter - unexpected end of expresion" },
        { "lr in []", FALSE, "syntax error in filter at position 7: unexpected token ']'" },
        { "not", FALSE, "syntax error in filter - unexpected end of expresion" },
        { "lr not 1", FALSE, "syntax error in filter at position 7: unexpected token 1" },
        { "lr is not", FALSE, "syntax error in filter - unexpected end of expresion" },
        { "lr contains", FALSE, "syntax error in filter - unexpected end of expresion" },
        { "lr = 1 2", FALSE, "syntax error in filter at position 7: unexpected token 2" },
        { "a b", FALSE, "syntax error in filter at position 2: unexpected token 'b'" },
        { "lr = 'x", FALSE, "syntax error in filter at position 5: unexpected character '''" },
        { "[1] = 2", FALSE, "syntax error in filter at position 4: unexpected token '='" },
        { "1 = 1", FALSE, "syntax error in filter at position 2: unexpected token '='" },
        { "lr = [1,[2,3]]", FALSE, NULL },
        { "layers = [1,2,3,]", FALSE, "syntax error in filter at position 16: unexpected token ']'" },
        { "lr in [0.1] and not lr in [1]", TRUE, NULL },
        { "lr = 1_0", FALSE, "syntax error in filter at position 6: unexpected character '_'" },
        { "label = best", FALSE, NULL },
        { "\"x\" = 1", FALSE, "syntax error in filter at position 4: unexpected token '='" },
        { "lr = 0.1\nand $", FALSE, "syntax error in filter on line 2, position 13: unexpected character '$'" },
        { "", FALSE, "syntax error in filter - unexpected end of expresion" },
        { "lr = 1\n\nfoo bar", FALSE, "syntax error in filter on line 3, position 8: unexpected token 'foo'" },
};

static Value *lookup(gpointer run, const char *kind, const char *name)
{
    return value_ref(value_map_get(value_map_get(run, kind), name));
}

static Value *get_attr(gpointer run, const char *name)
{
    return lookup(run, "attr", name);
}

static Value *get_flag(gpointer run, const char *name)
{
    return lookup(run, "flag", name);
}

static Value *get_scalar(gpointer run, const char *key)
{
    const char *hash = strchr(key, '#');
    return lookup(run, "scalar", hash ? hash + 1 : key);
}

static void expressions_hold_as_in_the_reference(void)
{
    static const FilterSource source = { get_attr, get_flag, get_scalar };
    g_autoptr(GError) yaml_error = NULL;
    g_autoptr(Value) run = yaml_parse(run_yaml, -1, NULL, &yaml_error);
    g_assert_no_error(yaml_error);
    /* PyYAML reads the key on as a boolean; the reference's run has it as text. */
    value_map_set(value_map_get(run, "flag"), "on", value_new_bool(TRUE));
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Filter) f = filter_parse(cases[i].expr, &error);
        g_test_message("%s", cases[i].expr);
        g_assert_cmpstr(error ? error->message : NULL, ==, cases[i].error);
        if (f)
            g_assert_cmpint(filter_test(f, &source, run), ==, cases[i].holds);
    }
}

static void deep_nesting_is_refused(void)
{
    g_autofree char *open = g_strnfill(100000, '(');
    g_autofree char *nots = g_strnfill(100000, ' ');
    g_autoptr(GError) error = NULL;
    g_assert_null(filter_parse(open, &error));
    g_assert_nonnull(error);
    for (gsize i = 0; i + 4 < 100000; i += 4)
        memcpy(nots + i, "not ", 4);
    g_clear_error(&error);
    g_assert_null(filter_parse(nots, &error));
    g_assert_nonnull(error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/filter/reference", expressions_hold_as_in_the_reference);
    g_test_add_func("/filter/depth", deep_nesting_is_refused);
    return g_test_run();
}
