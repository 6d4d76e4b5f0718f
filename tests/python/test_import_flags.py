# SPDX-License-Identifier: Apache-2.0
"""The flag import helper: whatever a module holds, the answer is strict JSON and nothing is trained."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HELPER = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "engine", "python", "guild", "import_flags.py"
)


def strict(text):
    raise AssertionError("no JSON: %s" % text)


class ImportFlags(unittest.TestCase):
    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.dir = os.path.realpath(tmp.name)

    def ask(self, source, **request):
        path = os.path.join(self.dir, "mod.py")
        with open(path, "wb") as f:
            f.write(source if isinstance(source, bytes) else source.encode())
        request = dict(
            {"do": "flags", "path": path, "sys_path": self.dir, "package": "", "base_args": [], "dest": None},
            **request,
        )
        request_path = os.path.join(self.dir, "request")
        with open(request_path, "w") as f:
            json.dump([request], f)
        p = subprocess.run(
            [sys.executable, HELPER, request_path], capture_output=True, text=True, cwd=self.dir, timeout=60
        )
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        return json.loads(p.stdout, parse_constant=strict)[0]

    def parser(self, *lines, **request):
        source = ["import argparse, os, sys", "p = argparse.ArgumentParser()", *lines, "p.parse_args()"]
        return self.ask("\n".join(source + ["open('trained', 'w')"]), **request)

    def test_values_beyond_json_become_text(self):
        flags = self.ask("a = '\\0'\nb = '\\ud800'\nc = 1e999\nd = 99999999999999999999\n")["flags"]
        self.assertEqual([flags[n]["default"] for n in "cd"], ["Infinity", "99999999999999999999"])
        self.assertNotIn("\0", flags["a"]["default"])

    def test_what_is_no_literal_is_no_flag(self):
        answer = self.ask("a = b'x'\nb = 1j\nc = (1, 2)\nd = f()\ne = {[1]: 2}\nf = ...\ng = 1\n")
        self.assertEqual(list(answer["flags"]), ["g"])

    def test_sources_that_are_not_python(self):
        for source in (b"x = (", b"x = 1\0", b"x = '\xe9'", b"x = " + b"[" * 1000, b"\xff\xfe"):
            answer = self.ask(source)
            self.assertFalse(answer["ok"])
            self.assertIn("cannot import flags from", answer["quiet_warnings"][0])

    def test_encodings(self):
        latin = self.ask(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n")
        self.assertEqual(latin["flags"]["x"]["default"], "\u00e9")
        self.assertEqual(self.ask(b"\xef\xbb\xbfx = 1\r\ny = 2\r\n")["flags"]["y"]["default"], 2)

    def test_output_of_a_module_is_not_the_answer(self):
        answer = self.parser("os.write(1, b'{' * 200000)", "p.add_argument('--a')")
        self.assertEqual(list(answer["flags"]), ["a"])

    def test_nothing_is_trained(self):
        self.parser("p.add_argument('--a')")
        self.assertFalse(os.path.exists(os.path.join(self.dir, "trained")))

    def test_modules_that_die(self):
        for source, part in (
            ("import argparse\nraise ValueError('no')", "ValueError: no"),
            ("import argparse, os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "ended by signal 9"),
            ("import argparse, os\nos._exit(3)", "ended with status 3"),
            ("import argparse\nraise SystemExit('bye')", "bye"),
        ):
            answer = self.ask(source)
            self.assertFalse(answer["ok"])
            self.assertIn(part, answer["quiet_warnings"][0])

    def test_modules_without_a_parser_after_all(self):
        for source in ("import argparse", "import argparse, os\nos._exit(0)"):
            answer = self.ask(source)
            self.assertEqual((answer["ok"], answer["flags"]), (True, {}))

    def test_the_last_parser_counts(self):
        answer = self.ask(
            "import argparse\n"
            "pre = argparse.ArgumentParser(add_help=False)\npre.add_argument('--config')\n"
            "pre.parse_known_args()\n"
            "p = argparse.ArgumentParser()\np.add_argument('--lr')\np.parse_args()\n"
        )
        self.assertEqual(list(answer["flags"]), ["lr"])

    def test_sub_commands_by_base_arguments(self):
        lines = ["s = p.add_subparsers()", "t = s.add_parser('train')", "t.add_argument('--lr')"]
        self.assertEqual(list(self.parser(*lines, base_args=["train"])["flags"]), ["lr"])

    def test_boolean_options(self):
        answer = self.parser(
            "p.add_argument('--on', action=argparse.BooleanOptionalAction, default=True)",
            "p.add_argument('--off', action=argparse.BooleanOptionalAction)",
        )
        self.assertEqual(answer["flags"]["on"]["arg-name"], "no-on")
        self.assertFalse(answer["flags"]["on"]["arg-switch"])
        self.assertTrue(answer["flags"]["off"]["arg-switch"])

    def test_types_that_nobody_knows_are_warned_about(self):
        answer = self.parser("p.add_argument('--a', type=lambda s: s)", "p.add_argument('--b', default={1})")
        self.assertIn("unsupported flag type", answer["warnings"][0])
        self.assertIn("coercing to string", answer["warnings"][1])
        self.assertEqual(answer["flags"]["b"]["default"], "{1}")

    def test_files_beside_the_module_are_named_in_full(self):
        os.mkdir(os.path.join(self.dir, "data"))
        answer = self.ask("a = 'data/'\nb = 'no/such'\nc = 'data'\n")
        self.assertEqual(answer["flags"]["a"]["default"], os.path.join(self.dir, "data/"))
        self.assertEqual(answer["flags"]["b"]["default"], "no/such")
        self.assertEqual(answer["flags"]["c"]["default"], "data")

    def test_keras_is_seen(self):
        answer = self.ask("import keras\ndef f(m):\n    m.fit()\n")
        self.assertEqual(answer["framework"], "keras")


if __name__ == "__main__":
    unittest.main()
