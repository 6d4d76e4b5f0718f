# SPDX-License-Identifier: Apache-2.0
"""What scripts of projects import from the reference's module of this name."""

from guild import run


class NoCurrentRun(Exception):
    """This process is not of a run."""


def current_run():
    """The run (guild.run.Run) that this process is of, by $RUN_DIR. NoCurrentRun if there is none."""
    here = run.current_run()
    if here is None:
        raise NoCurrentRun("$RUN_DIR is not the directory of a run")
    return here
