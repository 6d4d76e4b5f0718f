# SPDX-License-Identifier: Apache-2.0
"""After an install: compiles the package, because runs often can't write beside it, and a run under
uncompiled modules starts about 15 ms later."""

import compileall
import os
import sys

prefix = os.environ["MESON_INSTALL_DESTDIR_PREFIX"]
folder = os.path.join(prefix, sys.argv[1])
installed = os.path.join(os.environ["MESON_INSTALL_PREFIX"], sys.argv[1])
sys.exit(not compileall.compile_dir(folder, ddir=installed, quiet=1))
