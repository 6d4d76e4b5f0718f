# SPDX-License-Identifier: Apache-2.0
"""After a build: compile_built.py STAMP FILE... compiles the package where it is, for runs from the build folder.
Python would do so itself, but not where PYTHONDONTWRITEBYTECODE is set, and then every run compiles it anew. A
checkout that can't be written does without."""

import py_compile
import sys

for path in sys.argv[2:]:
    try:
        py_compile.compile(path, doraise=True)
    except OSError:
        break
open(sys.argv[1], "w").close()
