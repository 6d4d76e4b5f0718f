# SPDX-License-Identifier: Apache-2.0
"""What Python operations run under: guild.op_main, guild.pass, and the name `guild` itself."""

import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

PACKAGE = os.path.join(os.path.dirname(__file__), "..", "..", "engine", "python")
PACKAGE = os.path.abspath(PACKAGE)
sys.path.insert(0, os.path.join(PACKAGE, "guild"))
sys.dont_write_bytecode = True

import _yaml  # noqa: E402
import op_main  # noqa: E402


class Project(unittest.TestCase):
    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.dir = os.path.realpath(tmp.name)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(textwrap.dedent(text))

    def run_module(self, *args, module="guild.op_main", path=None, stdin=None, **env):
        full_env = {k: v for k, v in os.environ.items() if not k.startswith(("FLAGS", "LOG", "PDB"))}
        full_env.update(
            PYTHONPATH=":".join([self.dir, PACKAGE, *(path or [])]),
            PYTHONDONTWRITEBYTECODE="1",
            **env,
        )
        p = subprocess.run(
            [sys.executable, "-um", module, *args],
            env=full_env,
            input=stdin,
            stdin=None if stdin else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.dir,
        )
        return p.returncode, p.stdout, p.stderr

    def output(self, *args, **kw):
        status, out, err = self.run_module(*args, **kw)
        self.assertEqual((status, err), (0, ""))
        return out.strip()


class Arguments(Project):
    def setUp(self):
        super().setUp()
        self.write("prog.py", "import sys; print(sys.argv[1:])")

    def test_flags_come_behind_base_arguments(self):
        out = self.output("prog", "a", "--", "b", "--", "--lr", "1")
        self.assertEqual(out, "['a', '--', 'b', '--lr', '1']")

    def test_without_separator_all_are_flags(self):
        self.assertEqual(self.output("prog", "--lr", "1"), "['--lr', '1']")

    def test_no_flags_reach_a_module_that_wants_none(self):
        out = self.output("prog", "a", "--", "--lr", "1", FLAGS_DEST="none")
        self.assertEqual(out, "['a']")

    def test_argv0_is_the_file(self):
        self.write("argv0.py", "import sys; print(sys.argv[0] == __file__, __file__)")
        self.assertEqual(self.output("argv0"), "True %s/argv0.py" % self.dir)


class Globals(Project):
    def test_first_assignments_are_replaced(self):
        self.write("prog.py", "x = 1\ny = a = 'y'\nz = 3\nz = z + 1\nprint(x, y, z)")
        out = self.output("prog", "--x", "2", "--z", "10", FLAGS_DEST="globals")
        self.assertEqual(out, "2 y 11")

    def test_values_are_yaml(self):
        self.write("prog.py", "a = b = 0\nprint(repr(v))")
        for text, val in (
            ("1", "1"), ("'1'", "'1'"), ("1e-3", "0.001"), ("yes", "True"), ("a b", "'a b'"),
            ("[1, a, {b: 2}]", "[1, 'a', {'b': 2}]"), ("null", "None"), ("", "None"),
            ("-1", "-1"), ("-1.5", "-1.5"), ("~/x", "'~/x'"), ("a: b: c", "'a: b: c'"),
        ):  # fmt: skip
            self.assertEqual(self.output("prog", "--v", text, FLAGS_DEST="globals"), val, text)

    def test_switches_and_repeated_names(self):
        self.write("prog.py", "on = False\nl = []\nprint(on, l)")
        out = self.output("prog", "--on", "--l", "1", "2", "--l", "3", FLAGS_DEST="globals")
        self.assertEqual(out, "True [1, 2, 3]")

    def test_dict(self):
        self.write("prog.py", "conf = {'a': 1, 'b': {'c': 2}}\nprint(conf)")
        for dest in ("global:conf", "dict:conf"):
            out = self.output("prog", "--a", "5", "--b.c", "6", FLAGS_DEST=dest)
            self.assertEqual(out, "{'a': 5, 'b': {'c': 6}}")

    def test_namespace(self):
        self.write("prog.py", "conf = None\nprint(conf.a, conf.b.c)")
        out = self.output("prog", "--a", "5", "--b.c", "6", FLAGS_DEST="namespace:conf")
        self.assertEqual(out, "5 6")


class Modules(Project):
    def test_module_is_main(self):
        self.write(
            "prog.py",
            """
            import pickle, sys
            class C: pass
            assert type(pickle.loads(pickle.dumps(C()))) is C
            print(__name__, sys.modules["__main__"].__dict__ is globals())
            """,
        )
        self.assertEqual(self.output("prog"), "__main__ True")

    def test_current_folder_is_not_on_the_path(self):
        self.write("prog.py", "import sys; print('' in sys.path)")
        self.assertEqual(self.output("prog"), "False")

    def test_folder_of_a_spec_comes_first(self):
        self.write("sub/prog.py", "import helper; print(helper.__file__)")
        self.write("sub/helper.py", "")
        self.assertEqual(self.output("sub/prog"), "%s/sub/helper.py" % self.dir)

    def test_packages(self):
        self.write("pkg/__init__.py", "")
        self.write("pkg/part.py", "val = 3")
        self.write("pkg/prog.py", "from . import part; print(part.val, __package__)")
        self.write("pkg/__main__.py", "from . import part; print('main', part.val)")
        self.assertEqual(self.output("pkg.prog"), "3 pkg")
        self.assertEqual(self.output("pkg"), "main 3")

    def test_missing_modules_are_named(self):
        self.write("pkg/__init__.py", "")
        status, _, err = self.run_module("nope")
        self.assertEqual((status, err), (1, "guild: No module named nope\n"))
        status, _, err = self.run_module("pkg")
        self.assertEqual(status, 1)
        self.assertIn("'pkg' is a package and cannot be directly executed", err)


class Errors(Project):
    def test_traceback_starts_in_the_project(self):
        self.write("prog.py", "def f():\n    raise ValueError('no')\nf()\n")
        status, _, err = self.run_module("prog")
        lines = err.splitlines()
        self.assertEqual(status, 1)
        self.assertEqual(lines[0], "Traceback (most recent call last):")
        self.assertEqual(lines[1], '  File "%s/prog.py", line 3, in <module>' % self.dir)
        self.assertNotIn("op_main", err)

    def test_causes_are_shown_without_our_frames(self):
        self.write("prog.py", "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError() from e\n")
        _, _, err = self.run_module("prog")
        self.assertIn("KeyError: 'a'", err)
        self.assertNotIn("op_main", err)

    def test_exit_status_is_kept(self):
        self.write("prog.py", "raise SystemExit(7)")
        self.assertEqual(self.run_module("prog")[0], 7)

    def test_syntax_errors_name_the_line(self):
        self.write("prog.py", "x = 1\ny = (\n")
        status, _, err = self.run_module("prog")
        self.assertEqual(status, 1)
        self.assertIn('File "%s/prog.py", line 2' % self.dir, err)
        self.assertNotIn("op_main", err)

    def test_break_on_error_enters_the_debugger(self):
        self.write("prog.py", "x = 41\nraise ValueError()\n")
        status, out, err = self.run_module("prog", BREAK_ON_ERROR="1", stdin="p x + 1\nq\n")
        self.assertIn("post mortem", err)
        self.assertIn("42", out)
        self.assertEqual(status, 1)

    def test_breaks_stop_in_the_project(self):
        self.write("prog.py", "import os\n\nx = 20\ny = x + 1\nprint('end')\n")
        _, out, _ = self.run_module("prog", PDB_BREAKS="4", stdin="p x * 2\ncontinue\n")
        self.assertIn("40", out)
        self.assertIn("end", out)


class Logging(Project):
    def test_level_and_name_are_shown(self):
        self.write("prog.py", "import logging\nlogging.getLogger('a').info('b')\nlogging.debug('c')")
        _, _, err = self.run_module("prog", LOG_LEVEL="20")
        self.assertEqual(err, "INFO: [a] b\n")

    def test_warnings_are_silent(self):
        self.write("prog.py", "import warnings; warnings.warn('w')")
        self.assertEqual(self.run_module("prog")[2], "")

    def test_nothing_is_imported_that_a_run_does_not_need(self):
        self.write("prog.py", "import sys; print(sorted(sys.modules))")
        loaded = self.output("prog", "--x", "1", FLAGS_DEST="globals")
        for name in ("'re'", "'ast'", "'logging'", "'pdb'", "'yaml'", "'json'"):
            self.assertNotIn(name, loaded)


class OtherPackage(Project):
    """Another package `guild`, as Guild AI's own."""

    def setUp(self):
        super().setUp()
        self.other = os.path.join(self.dir, "site")
        self.write("site/guild/__init__.py", "name = 'other'")
        self.write("site/guild/ipy.py", "val = 1")

    def test_projects_get_it_under_our_main(self):
        self.write("prog.py", "import guild; from guild import ipy; print(guild.name, ipy.val)")
        self.assertEqual(self.output("prog", path=[self.other]), "other 1")

    def test_it_is_found_behind_ours(self):
        self.write("prog.py", "import guild; print(guild.name)")
        env = dict(os.environ, PYTHONPATH="%s:%s" % (PACKAGE, self.other))
        self.write("pkg/__init__.py", "import guild")
        self.write("pkg/mod.py", "import guild; print(guild.name)")
        for args in (["-m", "guild.op_main", "prog"], ["prog.py"], ["-m", "pkg.mod"]):
            out = subprocess.run(
                [sys.executable, *args],
                env=dict(env, PYTHONPATH="%s:%s" % (self.dir, env["PYTHONPATH"])),
                cwd=self.dir, capture_output=True, text=True,
            )  # fmt: skip
            self.assertEqual((out.stdout, out.stderr), ("other\n", ""))

    def test_ours_is_there_where_no_other_is(self):
        self.write("prog.py", "import guild; print(guild.__file__)")
        self.assertEqual(self.output("prog"), os.path.join(PACKAGE, "guild", "__init__.py"))

    def test_optimizers_get_ours(self):
        self.write("run/.guild/proto/x", "")
        self.write("prog.py", "from guild import batch_util; print(batch_util.__file__)")
        out = self.output("prog", path=[self.other], RUN_DIR=os.path.join(self.dir, "run"))
        self.assertEqual(out, os.path.join(PACKAGE, "guild", "batch_util.py"))


class Pass(Project):
    def test_arguments_are_quoted(self):
        out = self.output("a b", "'x'", "c", module="guild.pass")
        self.assertEqual(out, "'a b' \"'x'\" c")

    def test_nothing_for_nothing(self):
        self.assertEqual(self.output(module="guild.pass"), "")


class FlagText(unittest.TestCase):
    def test_short_cuts_agree_with_the_reader(self):
        for text in "0 1 -1 007 1.5 -1.5 1. .5 yes Off null ~ a é 1_0 0x1f 1:30 12a + - 1e5".split():
            self.assertEqual(repr(op_main.decode(text)), repr(_yaml.load(text)), text)

    def test_what_is_no_yaml_is_text(self):
        for text in ("*a", "@x", "[1", "{a", "'a", '"a', "[a]b", "a: [", "- a"):
            self.assertEqual(_yaml.load(text), text)


if __name__ == "__main__":
    unittest.main()
