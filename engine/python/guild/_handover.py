# SPDX-License-Identifier: Apache-2.0
"""Replaces this process with the `guild` program.

Some operations are commands of Python modules (guild.steps_main, guild.batch_main,
guild.plugins.queue_main, ...) because that is what runs hold and what gets printed. Their work is
the program's; the modules only hand over to it, under the same process id.
"""

import os
import shutil
import sys


def find_guild():
    """Path of the program: what made the run, else what this package was installed with."""
    exe = os.environ.get("GUILD_EXE")
    if exe and os.access(exe, os.X_OK):
        return exe
    prefix = os.path.abspath(__file__)
    for _ in range(5):  # PREFIX/share/guild/python/guild/_handover.py
        prefix = os.path.dirname(prefix)
    exe = os.path.join(prefix, "bin", "guild")
    if os.access(exe, os.X_OK):
        return exe
    return shutil.which("guild")


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
