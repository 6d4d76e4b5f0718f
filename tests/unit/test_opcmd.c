/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of operations: templates, arguments by destination, environment, data round trip. */
#include "engine/base/text.h"
#include "engine/op/opcmd.h"
#include "tests/unit/op_fixture.h"

/* The command line of operation `op_yaml` (the inside of `op:`) with these flags; or the error. */
static char *command(const char *op_yaml, const char *flags_yaml, Value **env_out)
{
    g_autofree char *yaml = g_strdup_printf("op: %s", op_yaml);
    g_auto(OpFixture) f = op_fixture(yaml, "/proj");
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) flags = yaml_parse(flags_yaml, -1, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(OpCmd) cmd = op_cmd_for_opdef(f.op, NULL, NULL, &error);
    if (!cmd)
        return g_strdup(error->message);
    g_autoptr(Value) data = op_cmd_as_data(cmd);
    g_autoptr(OpCmd) again = op_cmd_for_data(data, &error);
    g_assert_no_error(error);
    g_autoptr(Value) params = value_copy(flags);
    value_map_set_string(params, "python_exe", "PY");
    g_auto(GStrv) args = NULL;
    g_autoptr(Value) env = NULL;
    if (!op_cmd_generate(again, flags, params, FALSE, &args, &env, &error))
        return g_strdup(error->message);
    if (env_out)
        *env_out = value_ref(env);
    return g_strjoinv(" ", args);
}

static void check(const char *op_yaml, const char *flags_yaml, const char *expected)
{
    g_autofree char *got = command(op_yaml, flags_yaml, NULL);
    g_assert_cmpstr(got, ==, expected);
}

static void exec_resolves_references(void)
{
    check("{exec: 'run ${a} -x${b}', flags: {a: 1, b: 2}}", "{a: 1, b: yes}", "run 1 -x1");
    check("{exec: 'run ${a}', flags: {a: 1}}", "{a: null}", "run ");
    check("{exec: 'run ${project_dir}/x'}", "{}", "run /proj/x");
    check("{exec: 'run ${nope}'}", "{}",
            "invalid setting for operation: command contains invalid reference 'nope'");
}

static void main_runs_the_module(void)
{
    check("{main: m --x 1, flags: {a: 1}}", "{a: 2}", "PY -um guild.op_main m --x 1 -- --a 2");
}

static void flag_arguments_follow_the_definition(void)
{
    const char *const flags = "a: 1, b: {arg-name: bee}, c: {arg-skip: yes}, d: {arg-switch: yes}";
    g_autofree char *op = g_strdup_printf("{exec: 'x ${flag_args}', flags: {%s}}", flags);
    check(op, "{a: 1.5, b: t, c: 3, d: yes}", "x --a 1.5 --bee t --d");
    check(op, "{a: null, b: [1, 2], c: 3, d: no}", "x --bee 1 2");
    check(op, "{a: yes, b: no, other: 3}", "x --a 1 --bee ");
}

static void split_arguments_become_several(void)
{
    check("{exec: 'x ${flag_args}', flags: {a: {arg-split: yes}}}", "{a: 1 2 'three four'}",
            "x --a 1 2 three four");
    check("{exec: 'x ${flag_args}', flags: {a: {arg-split: ','}}}", "{a: '1,2'}", "x --a 1 2");
    check("{exec: 'x ${flag_args}', flags-dest: globals, flags: {a: {arg-split: ','}}}",
            "{a: '1,2'}", "x --a [1, 2]");
}

static void globals_get_yaml(void)
{
    const char *op = "{exec: 'x ${flag_args}', flags-dest: globals, flags: {a: 1}}";
    check(op, "{a: yes}", "x --a true");
    check(op, "{a: [1, b]}", "x --a [1, b]");
    check(op, "{a: '1'}", "x --a '1'");
}

static void only_the_command_itself_shadows_flags(void)
{
    check("{exec: 'x --b 1 ${flag_args}', flags: {a: 1, b: 2}}", "{a: --c, b: 3, c: 4}",
            "x --b 1 --a --c");
    check("{exec: 'x ${flag_args}', flags: {a: 1, c: 2}}", "{a: --c, c: 3}", "x --a --c --c 3");
}

static void encodings_replace_values(void)
{
    check("{exec: 'x ${flag_args}', flags: {a: {arg-encoding: {true: enabled, false: disabled}}}}",
            "{a: no}", "x --a disabled");
}

static void environment_has_encoded_values(void)
{
    Value *env = NULL;
    g_autofree char *cmd = command("{exec: x, flags: {a: {arg-encoding: {1: one}}, "
                                   "b: {arg-encoding: {1: one}, env-encoding: {1: uno}}}}",
            "{a: 1, b: 1}", &env);
    g_assert_cmpstr(cmd, ==, "x");
    g_assert_cmpstr(value_map_string(env, "FLAG_A", NULL), ==, "one");
    g_assert_cmpstr(value_map_string(env, "FLAG_B", NULL), ==, "uno");
    value_unref(env);
}

static void environment_has_flags_and_more(void)
{
    Value *env = NULL;
    g_autofree char *cmd = command("{exec: x, env: {GREET: 'hi ${name}'}, "
                                   "flags: {name: you, lr-x: {env-name: LR}, 'a b': 1}}",
            "{name: me, lr-x: 0.1, a b: [1, 2]}", &env);
    g_assert_cmpstr(cmd, ==, "x");
    g_assert_cmpstr(value_map_string(env, "GREET", NULL), ==, "hi me");
    g_assert_cmpstr(value_map_string(env, "LR", NULL), ==, "0.1");
    g_assert_cmpstr(value_map_string(env, "FLAG_NAME", NULL), ==, "me");
    g_assert_cmpstr(value_map_string(env, "FLAG_A_B", NULL), ==, "1 2");
    g_assert_cmpstr(value_map_string(env, "PROJECT_DIR", NULL), ==, "/proj");
    value_unref(env);
}

static void odd_data_is_refused(void)
{
    static const char *const odd[] = {"1", "{cmd-args: 3}", "{cmd-args: [a], cmd-env: [x]}",
            "{cmd-args: [a], cmd-flags: {a: 1}}"};
    for (gsize i = 0; i < G_N_ELEMENTS(odd); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) data = yaml_parse(odd[i], -1, NULL, NULL);
        g_autoptr(OpCmd) cmd = op_cmd_for_data(data, &error);
        g_assert_null(cmd);
        g_assert_error(error, OPCMD_ERROR, OPCMD_ERROR_DATA);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/opcmd/exec-resolves-references", exec_resolves_references);
    g_test_add_func("/opcmd/main-runs-the-module", main_runs_the_module);
    g_test_add_func(
            "/opcmd/flag-arguments-follow-the-definition", flag_arguments_follow_the_definition);
    g_test_add_func("/opcmd/split-arguments-become-several", split_arguments_become_several);
    g_test_add_func("/opcmd/globals-get-yaml", globals_get_yaml);
    g_test_add_func("/opcmd/only-the-command-itself-shadows-flags",
            only_the_command_itself_shadows_flags);
    g_test_add_func("/opcmd/encodings-replace-values", encodings_replace_values);
    g_test_add_func("/opcmd/environment-has-encoded-values", environment_has_encoded_values);
    g_test_add_func("/opcmd/environment-has-flags-and-more", environment_has_flags_and_more);
    g_test_add_func("/opcmd/odd-data-is-refused", odd_data_is_refused);
    return g_test_run();
}
