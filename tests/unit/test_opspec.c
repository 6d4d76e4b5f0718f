/* SPDX-License-Identifier: Apache-2.0 */
/* From what a user types to an operation; the home and the configuration that are found on the way.
 */
#include "engine/project/opspec.h"

#include <glib/gstdio.h>
#include <string.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/project/home.h"
#include "engine/project/userconfig.h"

typedef struct {
    char *dir;
} Project;

static void write_file(const Project *p, const char *name, const char *text, int mode)
{
    g_autofree char *path = g_build_filename(p->dir, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    g_assert_true(fs_mkdirs(parent, NULL));
    g_assert_true(fs_write(path, text, -1, NULL));
    g_assert_cmpint(g_chmod(path, mode), ==, 0);
}

static void setup(Project *p, gconstpointer data)
{
    g_autofree char *tmp = fs_mkdtemp("guild-test-", NULL);
    p->dir = fs_realpath(tmp);
    g_autofree char *home = g_build_filename(p->dir, "home", NULL);
    g_setenv("GUILD_HOME", home, TRUE);
    g_free(home_find(NULL));
}

static void teardown(Project *p, gconstpointer data)
{
    fs_remove_tree(p->dir, NULL);
    g_free(p->dir);
}

static OpDef *find(const Project *p, const char *opspec)
{
    g_autoptr(GError) err = NULL;
    OpDef *op = opdef_for_opspec(opspec, p->dir, &err);
    g_assert_no_error(err);
    return op;
}

static void assert_fails(const Project *p, const char *opspec, int code, const char *part)
{
    g_autoptr(GError) err = NULL;
    g_assert_null(opdef_for_opspec(opspec, p->dir, &err));
    g_assert_error(err, OPSPEC_ERROR, code);
    g_assert_nonnull(strstr(err->message, part));
}

static void test_parse(void)
{
    static const struct {
        const char *spec, *model, *op;
        gboolean ok;
    } cases[] = {
            {"", NULL, NULL, TRUE},
            {"a", NULL, "a", TRUE},
            {"m:a", "m", "a", TRUE},
            {":a", "", "a", TRUE},
            {"p/m:a", "p/m", "a", TRUE},
            {"p/a", "p/", "a", TRUE},
            {"a:b:c", NULL, NULL, FALSE},
            {"a/b/c", NULL, NULL, FALSE},
            {"m:", NULL, NULL, FALSE},
            {"/x", NULL, NULL, FALSE},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *model = NULL, *op = NULL;
        g_assert_cmpint(opspec_parse(cases[i].spec, &model, &op), ==, cases[i].ok);
        if (cases[i].ok) {
            g_assert_cmpstr(model, ==, cases[i].model);
            g_assert_cmpstr(op, ==, cases[i].op);
        }
    }
}

static void test_models_by_part_of_their_name(Project *p, gconstpointer data)
{
    write_file(p, "guild.yml",
            "- model: cnn\n  operations: {train: {exec: a}}\n"
            "- model: cnn-2\n  operations: {train: {exec: b}, test: {exec: c}}\n",
            0644);
    g_autoptr(OpDef) exact = find(p, "cnn:train");
    g_assert_cmpstr(exact->exec, ==, "a");
    g_autoptr(OpDef) part = find(p, "2:test");
    g_assert_cmpstr(part->fullname, ==, "cnn-2:test");
    assert_fails(p, "nn:train", OPSPEC_ERROR_MULTIPLE_MODELS, "\n  cnn\n  cnn-2");
    assert_fails(p, "x:train", OPSPEC_ERROR_NO_MODEL, "cannot find operation x:train");
    assert_fails(p, "train", OPSPEC_ERROR_NO_MODEL, "You may need to include a model");
    assert_fails(p, "cnn:x", OPSPEC_ERROR_NO_OPERATION, "not defined for model 'cnn'");
    assert_fails(p, NULL, OPSPEC_ERROR_NO_DEFAULT, "cannot find a default operation");
}

static void test_opref_of_a_guildfile(Project *p, gconstpointer data)
{
    write_file(p, "guild.yml", "op: {exec: a}\n", 0644);
    g_autoptr(OpDef) op = find(p, "");
    g_autofree char *path = g_build_filename(p->dir, "guild.yml", NULL);
    g_assert_cmpstr(op->opref->pkg_type, ==, "guildfile");
    g_assert_cmpstr(op->opref->pkg_name, ==, path);
    g_assert_cmpstr(op->opref->pkg_version, ==, "bf25368b239ad332eb6fcc7ba1ab0294");
    g_autoptr(GError) err = NULL;
    g_autoptr(OpDef) again = opdef_for_opref(op->opref, &err);
    g_assert_no_error(err);
    g_assert_cmpstr(again->name, ==, "op");
}

static void test_builtins(Project *p, gconstpointer data)
{
    static const struct {
        const char *spec, *model, *op;
    } cases[] = {{"+", "", "+"}, {"random", "skopt", "random"}, {"skopt:gp", "skopt", "gp"},
            {"queue", "", "queue"}};
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(OpDef) op = find(p, cases[i].spec);
        g_assert_cmpstr(op->opref->pkg_type, ==, "builtin");
        g_assert_cmpstr(op->opref->model_name, ==, cases[i].model);
        g_assert_cmpstr(op->opref->op_name, ==, cases[i].op);
        g_assert_cmpint(opdef_is_default_batch(op), ==, i == 0);
    }
    assert_fails(p, "que", OPSPEC_ERROR_NO_MODEL, "cannot find operation que");
}

static void test_scripts(Project *p, gconstpointer data)
{
    write_file(p, "sub/run me.sh", "#!/bin/sh\n", 0755);
    write_file(p, "plain.txt", "x", 0644);
    g_autoptr(OpDef) op = find(p, "sub/run me.sh");
    g_autofree char *exec = g_strdup_printf("'%s/sub/run me.sh'", p->dir);
    g_assert_cmpstr(op->exec, ==, exec);
    g_assert_cmpstr(op->opref->pkg_name, ==, p->dir);
    g_assert_cmpstr(op->opref->op_name, ==, "sub/run me.sh");
    assert_fails(p, "plain.txt", OPSPEC_ERROR_NOT_EXECUTABLE, "must be an executable file");
    assert_fails(p, "sub", OPSPEC_ERROR_NOT_EXECUTABLE, "must be an executable file");
}

static void test_broken_guildfile_does_not_stop_scripts(Project *p, gconstpointer data)
{
    write_file(p, "guild.yml", "op: [\n", 0644);
    write_file(p, "s.sh", "#!/bin/sh\n", 0755);
    assert_fails(p, "op", OPSPEC_ERROR_GUILDFILE, "guild.yml:");
    g_autoptr(OpDef) op = find(p, "s.sh");
    g_assert_nonnull(op);
}

static void test_home_is_found_upward(Project *p, gconstpointer data)
{
    g_autofree char *deep = g_build_filename(p->dir, "a", "b", NULL);
    g_autofree char *home = g_build_filename(p->dir, ".guild", NULL);
    g_assert_true(fs_mkdirs(deep, NULL));
    g_assert_true(fs_mkdirs(home, NULL));
    g_unsetenv("GUILD_HOME");
    g_unsetenv("VIRTUAL_ENV");
    g_unsetenv("CONDA_PREFIX");
    g_autofree char *found = home_find_from(NULL, deep);
    g_assert_cmpstr(found, ==, home);
    g_assert_cmpstr(home_current(), ==, home);
    g_autofree char *given = home_find_from("x", deep);
    g_assert_true(g_str_has_suffix(given, "/a/b/x"));
}

static void test_config_extends(Project *p, gconstpointer data)
{
    write_file(p, "guild-config.yml",
            "config: {base: {port: 1}}\n"
            "remotes:\n"
            "  lab: {type: coordinator, host: h, extends: base}\n"
            "  bad: 3\n",
            0644);
    g_autoptr(GError) err = NULL;
    g_autoptr(Value) lab = userconfig_remote(p->dir, "lab", &err);
    g_assert_no_error(err);
    g_assert_cmpint(value_map_int(lab, "port", 0), ==, 1);
    g_assert_cmpstr(value_map_string(lab, "name", NULL), ==, "lab");
    g_assert_null(userconfig_remote(p->dir, "nope", &err));
    g_assert_error(err, USERCONFIG_ERROR, USERCONFIG_ERROR_NO_REMOTE);
    g_clear_error(&err);
    g_assert_null(userconfig_remote(p->dir, "bad", &err));
    g_assert_nonnull(strstr(err->message, "guild-config.yml:4"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    log_set_level(LOG_ERROR);
    g_unsetenv("GUILD_CONFIG");
    g_test_add_func("/opspec/parse", test_parse);
#define ADD(name, fn) g_test_add("/opspec/" name, Project, NULL, setup, fn, teardown)
    ADD("models-by-part", test_models_by_part_of_their_name);
    ADD("guildfile-opref", test_opref_of_a_guildfile);
    ADD("builtins", test_builtins);
    ADD("scripts", test_scripts);
    ADD("broken-guildfile", test_broken_guildfile_does_not_stop_scripts);
    ADD("home", test_home_is_found_upward);
    ADD("config-extends", test_config_extends);
#undef ADD
    return g_test_run();
}
