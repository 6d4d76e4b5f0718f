/* SPDX-License-Identifier: Apache-2.0 */
/* Loading guild.yml: what each spelling means, and what is said about what means nothing. */
#include <string.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/yaml.h"
#include "engine/project/guildfile.h"
#include "engine/project/plugins.h"

static Guildfile *load(const char *yaml, GError **error)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(Value) data = yaml_parse(yaml, -1, "guild.yml", &err);
    g_assert_no_error(err);
    return guildfile_for_data(data, "/p/guild.yml", "/p", error);
}

static Guildfile *load_ok(const char *yaml)
{
    g_autoptr(GError) err = NULL;
    Guildfile *g = load(yaml, &err);
    g_assert_no_error(err);
    return g;
}

static void assert_error(const char *yaml, const char *expected)
{
    g_autoptr(GError) err = NULL;
    Guildfile *g = load(yaml, &err);
    g_assert_null(g);
    g_assert_error(err, GUILDFILE_ERROR, GUILDFILE_ERROR_INVALID);
    g_assert_cmpstr(err->message, ==, expected);
}

static OpDef *op_of(Guildfile *g, const char *model, const char *op)
{
    ModelDef *m = guildfile_model(g, model);
    g_assert_nonnull(m);
    OpDef *found = modeldef_operation(m, op);
    g_assert_nonnull(found);
    return found;
}

static void test_operations_without_model(void)
{
    g_autoptr(Guildfile) g = load_ok("b: train\na: {exec: 'echo hi', default: yes}\n");
    g_assert_cmpuint(g->models->len, ==, 1);
    g_assert_cmpstr(op_of(g, "", "b")->main, ==, "train");
    g_assert_cmpstr(op_of(g, "", "a")->exec, ==, "echo hi");
    g_assert_cmpstr(guildfile_default_operation(g)->name, ==, "a");
    g_assert_cmpstr(
            ((OpDef *)((ModelDef *)g->models->pdata[0])->operations->pdata[0])->name, ==, "a");
}

static void test_only_public_operation_is_default(void)
{
    g_autoptr(Guildfile) g = load_ok("_a: x\nb: y\n");
    g_assert_cmpstr(guildfile_default_operation(g)->name, ==, "b");
    g_autoptr(Guildfile) two = load_ok("a: x\nb: y\n");
    g_assert_null(guildfile_default_operation(two));
}

static void test_default_model(void)
{
    g_autoptr(Guildfile) g = load_ok("- model: m\n- model: n\n  default: yes\n");
    g_assert_cmpstr(guildfile_default_model(g)->name, ==, "n");
}

static void test_flags(void)
{
    g_autoptr(Guildfile) g = load_ok("op:\n"
                                     "  exec: x\n"
                                     "  flags:\n"
                                     "    z: 1\n"
                                     "    l: [1, 2]\n"
                                     "    n: null\n"
                                     "    f:\n"
                                     "      default: a\n"
                                     "      description: D\n"
                                     "      arg-name: ff\n"
                                     "      arg-switch: no\n"
                                     "      env-name: F\n"
                                     "      min: 0\n"
                                     "      null-label: none at all\n"
                                     "      choices:\n"
                                     "        - a\n"
                                     "        - value: b\n"
                                     "          alias: bee\n"
                                     "          flags: {z: 2}\n");
    OpDef *op = op_of(g, "", "op");
    g_assert_cmpuint(op->flags->len, ==, 4);
    g_assert_cmpstr(((FlagDef *)op->flags->pdata[0])->name, ==, "f");
    g_assert_cmpint(value_get_int(opdef_flag(op, "z")->dflt), ==, 1);
    g_assert_cmpuint(value_list_size(opdef_flag(op, "l")->dflt), ==, 2);
    g_assert_null(opdef_flag(op, "n")->dflt);
    const FlagDef *f = opdef_flag(op, "f");
    g_assert_cmpstr(f->description, ==, "D");
    g_assert_cmpstr(f->arg_name, ==, "ff");
    g_assert_false(value_get_bool(f->arg_switch));
    g_assert_cmpstr(f->env_name, ==, "F");
    g_assert_cmpint(value_get_int(f->min), ==, 0);
    g_assert_cmpstr(f->null_label, ==, "none at all");
    g_assert_cmpuint(f->choices->len, ==, 2);
    const FlagChoice *b = f->choices->pdata[1];
    g_assert_cmpstr(b->alias, ==, "bee");
    g_assert_cmpint(value_map_int(b->flags, "z", 0), ==, 2);
}

static void test_extends_fills_what_is_missing(void)
{
    g_autoptr(Guildfile) g = load_ok("- config: base\n"
                                     "  params: {lr: 0.1, name: '{{other}}', other: q}\n"
                                     "  operations:\n"
                                     "    train:\n"
                                     "      main: '{{mod}} --name {{name}}'\n"
                                     "      flags: {lr: '{{lr}}', b: 1}\n"
                                     "- model: m\n"
                                     "  extends: base\n"
                                     "  params: {mod: trainer, lr: 0.5}\n"
                                     "  operations:\n"
                                     "    train:\n"
                                     "      flags: {b: 2}\n");
    OpDef *op = op_of(g, "m", "train");
    g_assert_cmpstr(op->fullname, ==, "m:train");
    g_assert_cmpstr(op->main, ==, "trainer --name q");
    g_assert_cmpfloat(value_get_float(opdef_flag(op, "lr")->dflt), ==, 0.5);
    g_assert_cmpint(value_get_int(opdef_flag(op, "b")->dflt), ==, 2);
}

static void test_include_of_flags(void)
{
    g_autoptr(Guildfile) g = load_ok("- config: shared\n"
                                     "  flags: {a: 1, b: 2}\n"
                                     "- operations:\n"
                                     "    x: {exec: e, flags: {c: 3, d: 4}}\n"
                                     "    y:\n"
                                     "      exec: e\n"
                                     "      flags: {$include: [shared, ':x#c'], b: {type: int}}\n");
    OpDef *op = op_of(g, "", "y");
    g_assert_cmpuint(op->flags->len, ==, 3);
    g_assert_cmpint(value_get_int(opdef_flag(op, "b")->dflt), ==, 2);
    g_assert_cmpstr(opdef_flag(op, "b")->type, ==, "int");
    g_assert_nonnull(opdef_flag(op, "c"));
}

static void test_operation_defaults(void)
{
    g_autoptr(Guildfile) g = load_ok("- operation-defaults: {label: L, output-scalars: no}\n"
                                     "  operations:\n"
                                     "    x: {exec: e}\n"
                                     "    y: {exec: e, label: M}\n");
    g_assert_cmpstr(op_of(g, "", "x")->label, ==, "L");
    g_assert_cmpuint(value_list_size(op_of(g, "", "x")->output_scalars), ==, 0);
    g_assert_cmpstr(op_of(g, "", "y")->label, ==, "M");
}

static void test_sourcecode(void)
{
    g_autoptr(Guildfile) g =
            load_ok("one: {exec: e, sourcecode: a.py}\n"
                    "list: {exec: e, sourcecode: [a.py, b.py]}\n"
                    "rules: {exec: e, sourcecode: [{exclude: {dir: x}}, '*.txt']}\n"
                    "no: {exec: e, sourcecode: no}\n"
                    "map: {exec: e, sourcecode: {root: src, dest: ., digest: no}}\n");
    const FileSelectDef *one = op_of(g, "", "one")->sourcecode;
    g_assert_cmpuint(one->specs->len, ==, 2);
    g_assert_false(((FileSelectSpec *)one->specs->pdata[0])->include);
    g_assert_cmpstr(((FileSelectSpec *)one->specs->pdata[1])->patterns[0], ==, "a.py");
    g_assert_cmpuint(op_of(g, "", "list")->sourcecode->specs->len, ==, 3);
    const FileSelectDef *rules = op_of(g, "", "rules")->sourcecode;
    g_assert_cmpuint(rules->specs->len, ==, 2);
    g_assert_cmpstr(((FileSelectSpec *)rules->specs->pdata[0])->patterns_type, ==, "dir");
    const FileSelectDef *map = op_of(g, "", "map")->sourcecode;
    g_assert_cmpstr(map->root, ==, "src");
    g_assert_cmpstr(map->dest, ==, ".");
    g_assert_false(value_get_bool(map->digest));
}

static void test_yes_and_no_as_names(void)
{
    g_autoptr(Guildfile) g = load_ok("op: {exec: e, sourcecode: no, plugins: no}\n");
    OpDef *op = op_of(g, "", "op");
    g_assert_true(op->sourcecode->disabled);
    g_assert_nonnull(op->plugins);
    g_assert_null(op->plugins[0]);
    g_auto(GStrv) names = plugins_for_opdef(op);
    g_assert_null(names[0]);
}

static void test_requires(void)
{
    g_autoptr(Guildfile) g = load_ok("- model: m\n"
                                     "  operations:\n"
                                     "    op:\n"
                                     "      exec: e\n"
                                     "      requires:\n"
                                     "        - data\n"
                                     "        - file: a.txt\n"
                                     "          rename: 'a b'\n"
                                     "        - operation: prep\n"
                                     "          select: [x, y]\n"
                                     "          target-path: in\n"
                                     "  resources:\n"
                                     "    data:\n"
                                     "      - url: http://h/x/y.zip?q\n"
                                     "        unpack: no\n");
    OpDef *op = op_of(g, "m", "op");
    g_assert_cmpuint(op->dependencies->len, ==, 3);
    const OpDependencyDef *file = op->dependencies->pdata[1];
    const ResSource *a = file->inline_resource->sources->pdata[0];
    g_assert_cmpstr(a->uri, ==, "file:a.txt");
    g_assert_cmpstr(((ResRename *)a->rename->pdata[0])->repl, ==, "b");
    const OpDependencyDef *prep = op->dependencies->pdata[2];
    const ResSource *o = prep->inline_resource->sources->pdata[0];
    g_assert_true(ressource_is_operation(o));
    g_assert_cmpuint(o->select->len, ==, 2);
    g_assert_cmpstr(o->target_path, ==, "in");
    const ResSource *url = modeldef_resource(op->modeldef, "data")->sources->pdata[0];
    g_assert_cmpstr(url->scheme, ==, "http");
    g_assert_cmpstr(url->path, ==, "/x/y.zip");
    g_assert_false(url->unpack);
}

static void test_optimizers(void)
{
    g_autoptr(Guildfile) g = load_ok("a: {exec: e, optimizer: random}\n"
                                     "b:\n"
                                     "  exec: e\n"
                                     "  optimizers:\n"
                                     "    z: {algorithm: gp, kappa: 2, default: yes}\n"
                                     "    random: {}\n"
                                     "c: {exec: e, optimizers: [forest, gp]}\n");
    g_assert_cmpstr(opdef_default_optimizer(op_of(g, "", "a"))->opspec, ==, "random");
    OptimizerDef *z = opdef_default_optimizer(op_of(g, "", "b"));
    g_assert_cmpstr(z->name, ==, "z");
    g_assert_cmpstr(z->opspec, ==, "gp");
    g_assert_cmpuint(value_map_size(z->flags), ==, 1);
    g_assert_null(opdef_default_optimizer(op_of(g, "", "c")));
    g_assert_nonnull(opdef_optimizer(op_of(g, "", "c"), "forest"));
}

static void test_steps_include_flag_values(void)
{
    g_autoptr(Guildfile) g = load_ok("- config: f\n"
                                     "  flags: {a: 1, b: {default: 2}}\n"
                                     "- operations:\n"
                                     "    s:\n"
                                     "      steps: [x, {run: y, flags: {$include: f, c: 3}}]\n");
    OpDef *op = op_of(g, "", "s");
    const Value *flags = value_map_get(value_list_at(op->steps, 1), "flags");
    g_assert_cmpint(value_map_int(flags, "a", 0), ==, 1);
    g_assert_cmpint(value_map_int(flags, "b", 0), ==, 2);
    g_assert_cmpint(value_map_int(flags, "c", 0), ==, 3);
}

static void test_errors_name_the_line(void)
{
    assert_error("op:\n  exec: e\n  flags: 3\n",
            "error in /p/guild.yml:3: invalid flags value 3: expected a mapping");
    assert_error("- 1\n", "error in /p/guild.yml:1: invalid guildfile item 1: expected a mapping");
    assert_error("op:\n  exec: e\n  steps: 1\n",
            "error in /p/guild.yml:3: invalid steps data 1: expected a list");
    assert_error("- model: m\n- model: m\n", "error in /p/guild.yml:2: duplicate model 'm'");
    assert_error("- model: m\n  extends: [n]\n",
            "error in /p/guild.yml:2: undefined model or config 'n'");
    assert_error("op:\n  exec: e\n  requires:\n    - foo: bar\n",
            "error in /p/guild.yml:4: invalid source {'foo': 'bar'} in resource ':<inline>': "
            "missing "
            "required attribute (one of config, file, module, url, operation)");
    assert_error("op: {exec: e, flags-import: 3}\n",
            "error in /p/guild.yml:1: invalid flags-import value 3: expected yes/all, no, or a "
            "list "
            "of flag names");
    assert_error("- {}\n",
            "error in /p/guild.yml:1: missing required type (one of: config, include, "
            "model, package) in {}");
}

static void test_a_wrong_command_concerns_its_operation_only(void)
{
    Guildfile *g = load_ok("op: {exec: [a]}\nop2: {env: [a], exec: x}\nop3: {exec: x}\n");
    g_assert_cmpstr(op_of(g, "", "op")->invalid, ==,
            "error in /p/guild.yml:1: invalid exec value ['a']: expected a string");
    g_assert_cmpstr(op_of(g, "", "op2")->invalid, ==,
            "error in /p/guild.yml:2: invalid env value ['a']: expected a mapping");
    g_assert_null(op_of(g, "", "op3")->invalid);
    guildfile_unref(g);
}

static void test_cycles_end(void)
{
    assert_error("- {config: a, extends: b}\n- {config: b, extends: a}\n- {model: m, extends: a}\n",
            "error in /p/guild.yml:2: cycle in 'extends' (a -> b -> a)");
    g_autoptr(Guildfile) g = load_ok("- model: m\n"
                                     "  params: {a: '{{b}}', b: '{{a}}'}\n"
                                     "  operations: {op: {exec: '{{a}}'}}\n");
    g_assert_nonnull(op_of(g, "m", "op")->exec);
}

static char *project_with(const char *const (*files)[2])
{
    char *dir = fs_mkdtemp("guild-test-", NULL);
    for (; (*files)[0]; files++) {
        g_autofree char *path = g_build_filename(dir, (*files)[0], NULL);
        g_assert_true(fs_write(path, (*files)[1], -1, NULL));
    }
    return dir;
}

static void test_included_files(void)
{
    static const char *const files[][2] = {
            {"guild.yml", "- include: [more.yml]\n- model: a\n  extends: c\n"},
            {"more.yml", "- config: c\n  operations: {op: {exec: e}}\n- model: b\n"},
            {NULL},
    };
    g_autofree char *dir = project_with(files);
    g_autoptr(GError) err = NULL;
    g_autoptr(Guildfile) g = guildfile_load_plain(dir, &err);
    g_assert_no_error(err);
    g_assert_nonnull(guildfile_model(g, "b"));
    g_assert_nonnull(op_of(g, "a", "op")->opref);
    fs_remove_tree(dir, NULL);
}

static void test_file_that_includes_itself(void)
{
    static const char *const files[][2] = {{"guild.yml", "- include: guild.yml\n"}, {NULL}};
    g_autofree char *dir = project_with(files);
    g_autoptr(GError) err = NULL;
    g_assert_null(guildfile_load_plain(dir, &err));
    g_assert_nonnull(strstr(err->message, "cycle in 'includes'"));
    fs_remove_tree(dir, NULL);
}

static void test_folder_without_guildfile(void)
{
    g_autofree char *dir = fs_mkdtemp("guild-test-", NULL);
    g_autoptr(GError) err = NULL;
    g_assert_null(guildfile_load(dir, &err));
    g_assert_error(err, GUILDFILE_ERROR, GUILDFILE_ERROR_NO_MODELS);
    fs_remove_tree(dir, NULL);
}

static void test_plugins_as_the_reference_lists_them(void)
{
    g_autoptr(Guildfile) g =
            load_ok("py: {main: t}\nsh: {exec: ls}\nsome: {exec: ls, plugins: [disk]}\n"
                    "all: {exec: ls, plugins: all}\n");
    g_auto(GStrv) py = plugins_for_opdef(op_of(g, "", "py"));
    g_auto(GStrv) some = plugins_for_opdef(op_of(g, "", "some"));
    g_auto(GStrv) all = plugins_for_opdef(op_of(g, "", "all"));
    g_assert_true(g_strv_contains((const char *const *)py, "python_script"));
    g_assert_true(g_strv_contains((const char *const *)py, "cpu"));
    g_assert_false(plugins_op_is_python(op_of(g, "", "sh")));
    g_assert_cmpstr(some[0], ==, "disk");
    g_assert_null(some[1]);
    g_assert_true(g_strv_contains((const char *const *)all, "gpu"));
    g_assert_false(g_strv_contains((const char *const *)all, "python_script"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    log_set_level(LOG_ERROR);
    g_test_add_func("/guildfile/operations-without-model", test_operations_without_model);
    g_test_add_func("/guildfile/only-public-is-default", test_only_public_operation_is_default);
    g_test_add_func("/guildfile/default-model", test_default_model);
    g_test_add_func("/guildfile/flags", test_flags);
    g_test_add_func("/guildfile/extends", test_extends_fills_what_is_missing);
    g_test_add_func("/guildfile/include-of-flags", test_include_of_flags);
    g_test_add_func("/guildfile/operation-defaults", test_operation_defaults);
    g_test_add_func("/guildfile/sourcecode", test_sourcecode);
    g_test_add_func("/guildfile/switched-off", test_yes_and_no_as_names);
    g_test_add_func("/guildfile/requires", test_requires);
    g_test_add_func("/guildfile/optimizers", test_optimizers);
    g_test_add_func("/guildfile/steps-include-values", test_steps_include_flag_values);
    g_test_add_func("/guildfile/errors-name-the-line", test_errors_name_the_line);
    g_test_add_func("/guildfile/cycles-end", test_cycles_end);
    g_test_add_func("/guildfile/included-files", test_included_files);
    g_test_add_func("/guildfile/includes-itself", test_file_that_includes_itself);
    g_test_add_func("/guildfile/no-guildfile", test_folder_without_guildfile);
    g_test_add_func("/guildfile/plugins", test_plugins_as_the_reference_lists_them);
    g_test_add_func("/guildfile/a-wrong-command-concerns-its-operation-only",
            test_a_wrong_command_concerns_its_operation_only);
    return g_test_run();
}
