# SPDX-License-Identifier: Apache-2.0
"""The debugger and the profiler around an operation: PDB_BREAKS and PROFILE."""

import ast
import os
import pdb
import shlex
import sys


class Debugger(pdb.Pdb):
    """Stops in the project's module only."""

    def __init__(self):
        super().__init__()
        self.skip = True  # any truth makes Pdb ask is_skipped_module()

    def is_skipped_module(self, module_name):
        return module_name != "__main__"


NOT_BREAKABLE = (ast.Expr, ast.Constant, ast.List, ast.Dict, ast.Tuple, ast.Set, ast.Name)


def next_breakable_line(path, line):
    with open(path, "rb") as f:
        tree = ast.parse(f.read(), path)
    lines = sorted(
        node.lineno
        for node in ast.walk(tree)
        if hasattr(node, "lineno") and not isinstance(node, NOT_BREAKABLE)
    )
    after = [n for n in lines if n >= line]
    return (after or lines or [line])[0]


def location(text, main_path):
    """A line of the module, FILE:LINE, or whatever pdb takes."""
    path, line = main_path, text
    if ":" in text:
        path, line = text.rsplit(":", 1)
    if not line.isdigit():
        return text
    if not os.path.isabs(path):
        debugger = pdb.Pdb()
        debugger.mainpyfile = main_path
        path = debugger.lookupmodule(path) or path
    try:
        return "%s:%i" % (path, next_breakable_line(path, int(line)))
    except (OSError, SyntaxError):
        return "%s:%s" % (path, line)


def run_with_breaks(run, main_path, breaks):
    debugger = Debugger()
    debugger.rcLines.extend("break " + location(b, main_path) for b in shlex.split(breaks))
    debugger.rcLines.append("continue")
    debugger.runcall(run)


def run_with_profile(run):
    import cProfile
    import tempfile

    profile = cProfile.Profile()
    sys.stderr.write("Profiling operation\n")
    try:
        profile.runcall(run)
    finally:
        fd, path = tempfile.mkstemp(prefix="guild-op-profile-")
        os.close(fd)
        sys.stderr.write("Writing guild.op_main profile stats to %s\n" % path)
        profile.dump_stats(path)
        sys.stderr.write("Use 'python -m pstats %s' to view stats\n" % path)
