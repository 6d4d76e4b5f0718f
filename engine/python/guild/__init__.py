# SPDX-License-Identifier: Apache-2.0
"""What Python operations run under: guild.op_main, guild.pass and modules that hand over to the
`guild` program.

Guild AI's Python package has the same name. Code of a project that imports `guild` gets that one if
it is installed: only `python -m guild.MODULE` and optimizers, which use guild.batch_util, get this.
"""

import sys


def _is_wanted():
    if sys.argv[:1] == ["-m"]:  # what Python sets while it looks for the module of -m
        words = getattr(sys, "orig_argv", ["guild"])  # Python 3.10
        return any(word.split(".")[0] == "guild" for word in words)
    import os

    run_dir = os.environ.get("RUN_DIR")
    return bool(run_dir) and os.path.isdir(os.path.join(run_dir, ".guild", "proto"))


def _other_spec():
    """The spec of another package `guild`, or None."""
    import os
    from importlib.machinery import PathFinder

    here = os.path.dirname(os.path.abspath(__file__))
    path = [p for p in sys.path if os.path.abspath(os.path.join(p or ".", "guild")) != here]
    for finder in sys.meta_path:
        if finder is PathFinder:
            spec = PathFinder.find_spec("guild", path)
        elif hasattr(finder, "find_spec"):
            spec = finder.find_spec("guild", None)
        else:
            continue
        # A folder without __init__.py is no package of that name, only a folder.
        if spec and spec.loader and spec.origin and os.path.dirname(spec.origin) != here:
            return spec
    return None


def _give_way():
    spec = _other_spec()
    if spec is None:
        return
    from importlib.util import module_from_spec

    sys.modules[__name__] = other = module_from_spec(spec)
    spec.loader.exec_module(other)


if not _is_wanted():
    _give_way()
