# SPDX-License-Identifier: Apache-2.0
"""Replaces this process with the `guild` program.

Some operations are commands of Python modules (guild.steps_main, guild.batch_main,
guild.plugins.queue_main, ...) because that is what runs hold and what gets printed. Their work is
the program's; the modules only hand over to it, under the same process id.
"""

import os
import re
import shutil
import sys


def _programs():
    """Where the program may be: what started this run, what made it, what this package was
    installed with, PATH."""
    yield os.environ.get("GUILD_EXE")
    # A run that is started by other means still knows the environment it was made for.
    for name in ("ENV", "attrs/env"):
        try:
            with open(os.path.join(os.environ["RUN_DIR"], ".guild", name)) as f:
                found = re.search("^(?:export )?GUILD_EXE(?:=|: )(.+)$", f.read(), re.M)
        except (KeyError, OSError, ValueError):
            continue
        yield found and found.group(1).strip("'\"")
    prefix = os.path.abspath(__file__)
    for _ in range(5):  # PREFIX/share/guild/python/guild/_handover.py
        prefix = os.path.dirname(prefix)
    yield os.path.join(prefix, "bin", "guild")
    yield shutil.which("guild")


def find_guild():
    for exe in _programs():
        if exe and os.access(exe, os.X_OK):
            return exe
    return None


def hand_over(*args):
    exe = find_guild()
    if not exe:
        sys.stderr.write(
            "guild: cannot find the guild program (set GUILD_EXE or add it to PATH)\n"
        )
        sys.exit(1)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(exe, [exe, *args])
