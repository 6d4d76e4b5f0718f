# SPDX-License-Identifier: Apache-2.0
"""Taking times in pairs, and the table that shows them."""
import os
import shutil
import statistics
import subprocess
import tempfile
import time


class Skipped(Exception):
    """A row that cannot be measured here, and why."""


class Sample:
    """Values of one thing, in order: their median, and how far they spread."""

    def __init__(self, values):
        self.values = list(values)

    @property
    def median(self):
        return statistics.median(self.values)

    def show(self, unit):
        low, high = min(self.values), max(self.values)
        if len(self.values) == 1:
            return f"{number(self.median)} {unit}"
        return f"{number(self.median)} {unit} [{number(low)} - {number(high)}]"


def number(x):
    if x == 0 or 1e-3 <= abs(x) < 1e5:
        return f"{x:.4g}"
    return f"{x:.3e}"


class Table:
    """Rows as they come: measurement, floor or peer, ratio or difference, and the bar it must meet."""

    COLUMNS = (40, 34, 34, 14, 14)

    def __init__(self):
        self.missed = []
        self._line("measurement", "value", "floor or peer", "ratio", "bar", "")

    def _line(self, *cells):
        padded = [str(c).ljust(w) for c, w in zip(cells, self.COLUMNS)] + [str(c) for c in cells[len(self.COLUMNS):]]
        print(" ".join(padded).rstrip(), flush=True)

    def row(self, name, value, floor="", ratio="", bar="", holds=None):
        verdict = "" if holds is None else "holds" if holds else "MISSED"
        if holds is False:
            self.missed.append(name)
        self._line(name, value, floor, ratio, bar, verdict)


class Bench:
    """One program under test, scratch folders on memory and on disk, and ways to time commands."""

    def __init__(self, build):
        self.build = os.path.abspath(build)
        self.guild = os.path.join(self.build, "guild")
        self.tools = os.path.join(self.build, "tests", "bench")
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.memory = tempfile.mkdtemp(prefix="guild-bench-", dir=shm)
        self.disk = tempfile.mkdtemp(prefix="guild-bench-", dir="/var/tmp")
        self._names = 0

    def close(self):
        for folder in (self.memory, self.disk):
            shutil.rmtree(folder, ignore_errors=True)

    def folder(self, on=None):
        """A new empty folder, in memory unless `on` says where."""
        self._names += 1
        path = os.path.join(on or self.memory, str(self._names))
        os.mkdir(path)
        return path

    def project(self, text, **files):
        path = self.folder()
        for name, content in {"guild.yml": text, **files}.items():
            with open(os.path.join(path, name), "w", encoding="utf-8") as f:
                f.write(content)
        return path

    def env(self, home):
        return {**os.environ, "GUILD_HOME": home, "GUILD_PYTHON_EXE": "/usr/bin/python3"}

    def run(self, args, cwd, home, **options):
        """Runs guild; it must succeed. Gives seconds."""
        return timed([self.guild, *args], cwd=cwd, env=self.env(home), **options)

    def capture(self, args, cwd, home):
        done = subprocess.run([self.guild, *args], cwd=cwd, env=self.env(home), check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return done.stdout


def timed(argv, **options):
    """Seconds that a command takes. Raises where it fails."""
    began = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)
    took = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} gave {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}")
    return took


def pairs(rounds, *things):
    """Calls the things in turn, `rounds` times, so that the machine's moods meet all of them. Gives a Sample each."""
    columns = [[] for _ in things]
    for _ in range(rounds):
        for column, thing in zip(columns, things):
            column.append(thing())
    return [Sample(c) for c in columns]


def ratios(a, b):
    return Sample(x / y for x, y in zip(a.values, b.values))


def differences(a, b):
    return Sample(x - y for x, y in zip(a.values, b.values))


def scaled(sample, factor):
    return Sample(v * factor for v in sample.values)


def wait_for(condition, seconds, what, step_s=0.002):
    """The first true value that the condition gives; polls, every `step_s`: each look takes time of what is measured."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(step_s)
    raise RuntimeError(f"waited {seconds} s for {what}")


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return 0
