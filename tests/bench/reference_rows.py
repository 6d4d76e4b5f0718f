# SPDX-License-Identifier: Apache-2.0
"""The same work done by the reference, Guild AI 0.9, where it is installed: $GUILD_REFERENCE names its program."""
import os

from measure import Skipped, pairs, ratios, scaled, timed

NOOP = "op:\n  exec: 'true'\n  flags:\n    x: 0\n"
PYTHON = "op:\n  main: prog\n  flags:\n    x: 1\n"
IRIS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "samples", "iris")


def reference():
    program = os.environ.get("GUILD_REFERENCE")
    if not program:
        raise Skipped("GUILD_REFERENCE does not name the reference's program")
    return program


def beside_reference(b, table):
    """Each row: a command by us and by the reference, in turn, each in a home of its own."""
    theirs = reference()
    noop, python = b.project(NOOP), b.project(PYTHON, **{"prog.py": "x = 1\n"})
    rows = [
        ("one no-op run", noop, ["run", "op", "-y"], 3),
        ("one no-op Python run", python, ["run", "op", "-y"], 3),
        ("20 no-op trials, -j 1", noop, ["run", "op", "x=range[1:20]", "-y"], 3),
        ("20 no-op Python trials, -j 1", python, ["run", "op", "x=range[1:20]", "-y"], 3),
        ("guild runs, of some hundred runs", noop, ["runs"], 3),
        ("guild runs info", noop, ["runs", "info"], 3),
        ("guild compare --csv", noop, ["compare", "--csv", "-"], 3),
    ]
    homes = b.folder(), b.folder()
    for name, project, args, rounds in rows:
        row(b, table, name, project, homes, [args, args], rounds)
    for home in homes:  # the sweep counts only itself
        os.rename(os.path.join(home, "runs"), os.path.join(home, "runs-before"))
    sweep = ["run", "sweep", "-y"]
    row(b, table, "iris, 24 trials, -j 1", IRIS, homes, [sweep, sweep], 1)
    row(b, table, "iris, 24 trials, ours -j 2", IRIS, homes, [[*sweep, "-j", "2"], sweep], 1)


def row(b, table, name, project, homes, commands, rounds):
    def by(program, home, args):
        return lambda: timed([program, *args], cwd=project, env=b.env(home))

    ours, peer = pairs(rounds, by(b.guild, homes[0], commands[0]), by(reference(), homes[1], commands[1]))
    table.row(name, scaled(ours, 1e3).show("ms"), scaled(peer, 1e3).show("ms"), f"{ratios(peer, ours).median:.1f} x", "none")


ROWS = [beside_reference]
