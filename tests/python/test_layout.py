# SPDX-License-Identifier: Apache-2.0
"""The package that Python operations run under: small, and quick to import."""
import ast
import os
import subprocess
import sys
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "engine", "python")
PACKAGE = os.path.join(ROOT, "guild")


def modules():
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(PACKAGE)
                  for name in names if name.endswith(".py"))


class Layout(unittest.TestCase):
    def test_every_module_parses_as_python_3_7(self):
        for path in modules():
            with self.subTest(path), open(path, encoding="utf-8") as f:
                ast.parse(f.read(), path, feature_version=(3, 7))

    def test_what_projects_call_is_documented(self):
        for name in ("_api", "batch_util", "flag_util", "run", "summary", "util"):
            path = os.path.join(PACKAGE, name + ".py")
            with open(path, encoding="utf-8") as f:
                tree = ast.parse(f.read(), path)
            classes = [n for n in tree.body if isinstance(n, ast.ClassDef)]
            for node in tree.body + [m for c in classes for m in c.body]:
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                    with self.subTest(module=name, name=node.name):
                        self.assertTrue(ast.get_docstring(node))

    def test_running_an_operation_imports_only_what_it_needs(self):
        heavy = {"yaml", "json", "argparse", "subprocess", "logging", "inspect", "ast"}
        code = "import sys; before = set(sys.modules); import guild.op_main; print(*set(sys.modules) - before)"
        out = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ROOT}, check=True,
                             stdout=subprocess.PIPE, text=True).stdout.split()
        self.assertIn("guild.op_main", out)
        self.assertEqual(sorted(heavy & set(out)), [])


if __name__ == "__main__":
    unittest.main()
