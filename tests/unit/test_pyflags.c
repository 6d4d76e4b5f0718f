/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of Python modules: what is imported, and that Python is asked once only. The interpreter is
 * a script that counts its calls. */
#include <glib/gstdio.h>
#include <string.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/project/home.h"
#include "engine/project/opspec.h"
#include "engine/project/pyflags.h"

typedef struct {
    char *dir;
    char *calls; /* a line for each start of the interpreter */
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
    p->calls = g_build_filename(p->dir, "calls", NULL);
    g_autofree char *home = g_build_filename(p->dir, "home", NULL);
    g_autofree char *python = g_build_filename(p->dir, "python", NULL);
    g_autofree char *script =
            g_strdup_printf("#!/bin/sh\necho >> '%s'\nexec python3 \"$@\"\n", p->calls);
    write_file(p, "python", script, 0755);
    g_setenv("GUILD_HOME", home, TRUE);
    g_setenv("GUILD_PYTHON_EXE", python, TRUE);
    g_free(home_find(NULL));
}

static void teardown(Project *p, gconstpointer data)
{
    fs_remove_tree(p->dir, NULL);
    g_free(p->dir);
    g_free(p->calls);
}

static gsize n_calls(const Project *p)
{
    g_autofree char *text = fs_read(p->calls, 0, NULL, NULL);
    return text ? strlen(text) : 0;
}

static PyFlagsResult *script_flags(const Project *p, const char *name)
{
    g_autofree char *path = g_build_filename(p->dir, name, NULL);
    return pyflags_for_script(path, NULL);
}

static const char *flag_type(const PyFlagsResult *r, const char *name)
{
    const Value *flag = value_map_get(r->flags, name);
    g_assert_nonnull(flag);
    return value_map_string(flag, "type", NULL);
}

static void test_assignments(Project *p, gconstpointer data)
{
    write_file(p, "t.py",
            "import sys\n"
            "lr = 1e-3\nname = 'x'\non = True\nn = None\nneg = -2\nl = [1, 'a b']\n"
            "_hidden = 1\nd = {'a': 1}\ncalled = f()\nlr = 2\n"
            "if True:\n    inner = 1\n"
            "raise SystemExit('it must not be run')\n",
            0644);
    g_autoptr(PyFlagsResult) r = script_flags(p, "t.py");
    g_assert_cmpstr(r->dest, ==, "globals");
    g_assert_cmpuint(value_map_size(r->flags), ==, 6);
    g_assert_cmpstr(flag_type(r, "lr"), ==, "number");
    g_assert_cmpfloat(
            value_get_float(value_map_get(value_map_get(r->flags, "lr"), "default")), ==, 0.001);
    g_assert_cmpstr(flag_type(r, "name"), ==, "string");
    g_assert_cmpstr(flag_type(r, "on"), ==, "boolean");
    g_assert_null(flag_type(r, "l"));
    g_assert_cmpstr(value_map_string(value_map_get(r->flags, "l"), "default", NULL), ==, "1 'a b'");
}

static void test_argparse(Project *p, gconstpointer data)
{
    write_file(p, "t.py",
            "import argparse\n"
            "p = argparse.ArgumentParser()\n"
            "p.add_argument('--lr', type=float, default=0.1, help='Rate')\n"
            "p.add_argument('--quiet', action='store_true')\n"
            "p.add_argument('--kind', choices=['a', 'b'], required=True)\n"
            "p.add_argument('--many', nargs='+', type=int)\n"
            "p.add_argument('pos', nargs='?')\n"
            "args = p.parse_args()\n"
            "open('trained', 'w')\n",
            0644);
    g_autoptr(PyFlagsResult) r = script_flags(p, "t.py");
    g_assert_cmpstr(r->dest, ==, "args");
    g_assert_cmpuint(value_map_size(r->flags), ==, 4);
    const Value *lr = value_map_get(r->flags, "lr");
    g_assert_cmpstr(value_map_string(lr, "description", NULL), ==, "Rate");
    g_assert_cmpstr(value_map_string(lr, "type", NULL), ==, "float");
    g_assert_true(value_map_bool(value_map_get(r->flags, "quiet"), "arg-switch", FALSE));
    g_assert_true(value_map_bool(value_map_get(r->flags, "kind"), "required", FALSE));
    g_assert_true(value_map_bool(value_map_get(r->flags, "many"), "arg-split", FALSE));
    g_assert_false(fs_exists("trained"));
}

static void test_python_is_asked_once(Project *p, gconstpointer data)
{
    write_file(p, "t.py", "lr = 1\n", 0644);
    pyflags_result_free(script_flags(p, "t.py"));
    g_assert_cmpuint(n_calls(p), ==, 1);
    pyflags_result_free(script_flags(p, "t.py"));
    g_assert_cmpuint(n_calls(p), ==, 1);
    write_file(p, "t.py", "lr = 10\n", 0644);
    g_autoptr(PyFlagsResult) r = script_flags(p, "t.py");
    g_assert_cmpuint(n_calls(p), ==, 2);
    g_assert_cmpint(value_map_int(value_map_get(r->flags, "lr"), "default", 0), ==, 10);
}

static void test_one_process_for_a_project(Project *p, gconstpointer data)
{
    write_file(p, "guild.yml",
            "a: {main: a, flags-import: all}\n"
            "b: {main: sub.b, flags: {x: 5, y: null}}\n"
            "c: {main: a, flags-import: [z], flags-import-skip: [y]}\n"
            "d: {main: a, flags-import: no, flags: {x: 1}}\n"
            "e: {main: a --fixed, flags-import: all, flags-dest: 'global:conf'}\n",
            0644);
    write_file(p, "a.py", "x = 1\ny = 2\nz = 3\nconf = {'k': {'m': 1}}\n", 0644);
    write_file(p, "sub/b.py", "x = 1\ny = 2\nz = 3\n", 0644);
    g_autoptr(GError) err = NULL;
    g_autoptr(Guildfile) g = guildfile_load(p->dir, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(n_calls(p), ==, 1);
    const ModelDef *m = g->models->pdata[0];
    g_assert_cmpuint(modeldef_operation(m, "a")->flags->len, ==, 3);
    g_assert_cmpstr(modeldef_operation(m, "a")->flags_dest, ==, "globals");
    const OpDef *b = modeldef_operation(m, "b");
    g_assert_cmpuint(b->flags->len, ==, 2);
    g_assert_cmpint(value_get_int(opdef_flag(b, "x")->dflt), ==, 5);
    g_assert_cmpint(value_get_int(opdef_flag(b, "y")->dflt), ==, 2);
    g_assert_cmpuint(modeldef_operation(m, "c")->flags->len, ==, 1);
    g_assert_cmpuint(modeldef_operation(m, "d")->flags->len, ==, 1);
    g_assert_null(modeldef_operation(m, "d")->flags_dest);
    const OpDef *e = modeldef_operation(m, "e");
    g_assert_cmpuint(e->flags->len, ==, 1);
    g_assert_nonnull(opdef_flag(e, "k.m"));
}

static void test_failures_are_no_errors(Project *p, gconstpointer data)
{
    write_file(p, "broken.py", "x = (\n", 0644);
    write_file(p, "raises.py", "import argparse\nraise ValueError('no')\n", 0644);
    g_setenv("NO_WARN_FLAGS_IMPORT", "1", TRUE);
    g_autoptr(PyFlagsResult) broken = script_flags(p, "broken.py");
    g_assert_cmpuint(value_map_size(broken->flags), ==, 0);
    g_autoptr(PyFlagsResult) raises = script_flags(p, "raises.py");
    g_assert_cmpuint(value_map_size(raises->flags), ==, 0);
    g_setenv("GUILD_PYTHON_EXE", "/nope/python", TRUE);
    g_autoptr(PyFlagsResult) none = script_flags(p, "broken.py");
    g_assert_cmpuint(value_map_size(none->flags), ==, 0);
}

static void test_config_file(Project *p, gconstpointer data)
{
    write_file(p, "guild.yml", "op: {exec: e, flags-dest: 'config:c/f.yml', flags-import: all}\n",
            0644);
    write_file(p, "c/f.yml", "a: 1\nb: {c: x, d: [1, yes]}\n", 0644);
    g_autoptr(OpDef) op = opdef_for_opspec("op", p->dir, NULL);
    g_assert_nonnull(op);
    g_assert_cmpuint(op->flags->len, ==, 3);
    g_assert_cmpstr(value_get_string(opdef_flag(op, "b.d")->dflt), ==, "1 true");
    const OpDependencyDef *d = op->dependencies->pdata[0];
    g_assert_cmpstr(d->inline_resource->sources->len
                            ? ((ResSource *)d->inline_resource->sources->pdata[0])->target_path
                            : NULL,
            ==, "c");
}

static void test_dependency_flags(Project *p, gconstpointer data)
{
    write_file(p, "guild.yml",
            "op:\n"
            "  exec: e\n"
            "  requires:\n"
            "    - operation: prep\n"
            "    - {file: a.txt, flag-name: input}\n"
            "    - {operation: other, flag-name: no}\n",
            0644);
    g_autoptr(OpDef) op = opdef_for_opspec("op", p->dir, NULL);
    g_assert_nonnull(op);
    g_assert_cmpuint(op->flags->len, ==, 2);
    g_assert_cmpstr(opdef_flag(op, "operation:prep")->alias, ==, "prep");
    g_assert_true(value_get_bool(opdef_flag(op, "operation:prep")->arg_skip));
    g_assert_cmpstr(value_get_string(opdef_flag(op, "input")->dflt), ==, "a.txt");
    g_assert_cmpuint(n_calls(p), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    log_set_level(LOG_ERROR);
    g_setenv("NO_IMPORT_FLAGS_PROGRESS", "1", TRUE);
    g_unsetenv("NO_IMPORT_FLAGS_CACHE");
#define ADD(name, fn) g_test_add("/pyflags/" name, Project, NULL, setup, fn, teardown)
    ADD("assignments", test_assignments);
    ADD("argparse", test_argparse);
    ADD("asked-once", test_python_is_asked_once);
    ADD("one-process", test_one_process_for_a_project);
    ADD("config-file", test_config_file);
    ADD("dependency-flags", test_dependency_flags);
    ADD("failures", test_failures_are_no_errors);
#undef ADD
    return g_test_run();
}
