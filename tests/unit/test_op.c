/* SPDX-License-Identifier: Apache-2.0 */
/* Operations become runs: what is written, what a restart keeps, what is left after an error. */
#include "engine/base/fs.h"
#include "engine/op/op.h"
#include "tests/unit/op_fixture.h"

#include <string.h>

static char *home; /* a new folder for each test, the project beside it */
static char *project;

static const char *const definition =
        "op: {exec: 'run ${a}', flags: {a: 1, b: {env-name: BEE, default: x}}, "
        "env: {MY_KEY: k, OTHER: o}, env-secrets: [MY_KEY], tags: [t0], "
        "run-attrs: {hello: 1, label: no}}";

static OpFixture fixture(const char *yaml)
{
    OpFixture f = op_fixture(yaml, project);
    if (!f.op->opref)
        f.op->opref = opref_new("guildfile", project, "", "", "op");
    return f;
}

static Run *stage(const OpRequest *req)
{
    g_auto(OpFixture) f = fixture(definition);
    g_autoptr(GError) error = NULL;
    g_autoptr(Op) op = op_for_opdef(f.op, req, &error);
    g_assert_no_error(error);
    Run *run = op_stage(op, FALSE, &error);
    g_assert_no_error(error);
    return run;
}

static void check_attr(Run *run, const char *name, const char *expected)
{
    g_autoptr(Value) v = run_get_attr(run, name, NULL);
    g_autofree char *text = v ? yaml_dump_flow(v) : NULL;
    g_assert_cmpstr(text, ==, expected);
}

static void staging_writes_all_that_a_start_needs(void)
{
    const OpRequest req = {.home = home, .flags = (const char *const[]){"a=2", NULL}};
    g_autoptr(Run) run = stage(&req);
    g_assert_cmpint(run_status(run), ==, RUN_STAGED);
    check_attr(run, "cmd", "[run, '2']");
    check_attr(run, "flags", "{a: 2, b: x}");
    check_attr(run, "user_flags", "{a: 2}");
    check_attr(run, "label", "a=2 b=x");
    check_attr(run, "tags", "[t0]");
    check_attr(run, "opdef_attrs", "{hello: 1}");
    g_assert_false(run_has_attr(run, "env"));
    g_assert_false(run_has_marker(run, "PENDING"));
    g_autofree char *env = run_guild_path(run, "ENV");
    g_autofree char *text = fs_read(env, 0, NULL, NULL);
    g_assert_nonnull(strstr(text, "export BEE=x\n"));
}

static void a_run_starts_without_its_project(void)
{
    const OpRequest req = {.home = home, .flags = (const char *const[]){"a=3", NULL}};
    g_autoptr(Run) staged = stage(&req);
    fs_remove_tree(project, NULL);
    const OpRequest none = {.home = home};
    g_autoptr(GError) error = NULL;
    g_autoptr(Op) op = op_for_run(staged, NULL, &none, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(op->cmd_args[1], ==, "3");
    g_assert_cmpstr(value_map_string(op->cmd_env, "BEE", NULL), ==, "x");
    g_autoptr(Run) run = op_init_run(op, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(run_dir(run), ==, run_dir(staged));
    g_assert_true(op_prepare_start(op, run, FALSE, &error));
    g_assert_false(run_has_marker(run, "STAGED"));
    check_attr(run, "flags", "{a: 3, b: x}");
}

static void restart_keeps_params_but_those_given_anew(void)
{
    g_autoptr(Value) kept = yaml_parse("{label: old, gpus: '0', stage: true}", -1, NULL, NULL);
    g_autoptr(Value) given =
            yaml_parse("{label: new, gpus: null, stage: false, x: 1}", -1, NULL, NULL);
    const OpRequest first = {.home = home};
    g_autoptr(Run) staged = stage(&first);
    const OpRequest req = {.home = home, .run_params = given, .kept_params = kept};
    g_autoptr(GError) error = NULL;
    g_autoptr(Op) op = op_for_run(staged, NULL, &req, &error);
    g_assert_no_error(error);
    g_autofree char *text = yaml_dump_flow(value_map_get(op->run_attrs, "run_params"));
    g_assert_cmpstr(text, ==, "{gpus: '0', label: new, stage: true, x: 1}");
}

static void secrets_are_not_shown(void)
{
    const OpRequest req = {.home = home};
    g_auto(OpFixture) f = fixture(definition);
    g_autoptr(Op) op = op_for_opdef(f.op, &req, NULL);
    const char *const env[] = {"MY_KEY=k", "A_Token=t", "DB_PASSWORD=p", "OTHER=o", NULL};
    g_autoptr(Value) safe = op_safe_env(op, env);
    g_assert_cmpuint(value_map_size(safe), ==, 1);
    g_assert_true(value_map_has(safe, "OTHER"));
}

static void an_error_leaves_no_run(void)
{
    const OpRequest req = {.home = home};
    g_auto(OpFixture) f = fixture("op: {exec: x, sourcecode: {dest: ../../out}}");
    g_autofree char *file = g_build_filename(project, "a.txt", NULL);
    fs_write(file, "x", -1, NULL);
    g_autoptr(Op) op = op_for_opdef(f.op, &req, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(Run) run = op_init_run(op, NULL, &error);
    g_assert_null(run);
    g_assert_error(error, OP_ERROR, OP_ERROR_OPDEF);
    g_autofree char *runs = g_build_filename(home, "runs", NULL);
    g_auto(GStrv) left = fs_list(runs, NULL);
    g_assert_null(left[0]);
}

static void a_run_without_configuration_is_refused(void)
{
    const char *const contents[] = {
            NULL, "", "3", "{op-cmd: {}}", "{op-cmd: 3}", "{op-cmd: [", "{op-cmd: {cmd-args: 7}}"};
    const OpRequest req = {.home = home};
    for (gsize i = 0; i < G_N_ELEMENTS(contents); i++) {
        g_autoptr(Run) run = run_new(home, "r");
        g_assert_true(run_init_skel(run, NULL));
        if (contents[i])
            run_write_attr_raw(run, "op", contents[i], NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(Op) op = op_for_run(run, NULL, &req, &error);
        g_assert_null(op);
        g_assert_error(error, OP_ERROR, OP_ERROR_CONFIG);
    }
}

static void optimizers_get_search_spaces(void)
{
    const OpRequest req = {.home = home, .flags = (const char *const[]){"user=0.3", NULL}};
    g_auto(OpFixture) f = fixture("op: {exec: x, flags: {lr: {default: 0.1, min: 0.01, max: 1, "
                                  "distribution: loguniform}, ch: {choices: [a, b]}, n: 3, "
                                  "user: {min: 0, max: 1}}}");
    g_auto(OpFixture) b = fixture("op: {exec: y}");
    b.op->flag_encoder = g_strdup("guild.plugins.skopt:encode_flag_for_optimizer");
    const OpRequest none = {.home = home};
    g_autoptr(Op) user = op_for_opdef(f.op, &req, NULL);
    g_autoptr(Op) batch = op_for_opdef(b.op, &none, NULL);
    op_encode_flags_for_batch(user, batch);
    value_map_sort(user->flag_vals);
    g_autofree char *text = yaml_dump_flow(user->flag_vals);
    g_assert_cmpstr(text, ==, "{ch: [a, b], lr: 'loguniform[0.01:1:0.1]', n: 3, user: 0.3}");
}

static void in_home(gconstpointer test)
{
    g_autofree char *root = fs_mkdtemp("test-op-", NULL);
    home = g_build_filename(root, "home", NULL);
    project = g_build_filename(root, "project", NULL);
    fs_mkdirs(home, NULL);
    fs_mkdirs(project, NULL);
    ((void (*)(void))test)();
    fs_remove_tree(root, NULL);
    g_clear_pointer(&home, g_free);
    g_clear_pointer(&project, g_free);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    static const struct {
        const char *name;
        void (*test)(void);
    } tests[] = {{"staging-writes-all-that-a-start-needs", staging_writes_all_that_a_start_needs},
            {"a-run-starts-without-its-project", a_run_starts_without_its_project},
            {"restart-keeps-params-but-those-given-anew",
                    restart_keeps_params_but_those_given_anew},
            {"secrets-are-not-shown", secrets_are_not_shown},
            {"an-error-leaves-no-run", an_error_leaves_no_run},
            {"a-run-without-configuration-is-refused", a_run_without_configuration_is_refused},
            {"optimizers-get-search-spaces", optimizers_get_search_spaces}};
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/op/", tests[i].name, NULL);
        g_test_add_data_func(path, tests[i].test, in_home);
    }
    return g_test_run();
}
