# SPDX-License-Identifier: Apache-2.0
"""Rows for one machine: trials, single runs, large batches, listing."""
import os
import shutil
import signal
import subprocess
import time

from measure import (Skipped, Sample, differences, pairs, ratios, resident_bytes, scaled, timed, wait_for)

NOOP = "op:\n  exec: 'true'\n  flags:\n    x: 0\n"
PYTHON = "/usr/bin/python3"


def count_runs(home):
    """Runs in a home that ended well."""
    good = 0
    for run in os.listdir(os.path.join(home, "runs")):
        try:
            with open(os.path.join(home, "runs", run, ".guild", "attrs", "exit_status"), encoding="ascii") as f:
                good += f.read().strip() == "0"
        except FileNotFoundError:
            pass
    return good


def run_size(b):
    """Folders, files and mean bytes a file of a real no-op trial."""
    project, home = b.project(NOOP), b.folder()
    b.run(["run", "op", "x=[1,2]", "-y"], project, home)
    run = os.path.join(home, "runs", os.listdir(os.path.join(home, "runs"))[0])
    folders = files = size = 0
    for path, _, names in os.walk(run):
        folders += 1
        files += len(names)
        size += sum(os.lstat(os.path.join(path, n)).st_size for n in names)
    return folders, files, size // max(files, 1)


def _batch_rate(b, on, trials):
    project, home = b.project(NOOP), b.folder(on)
    took = b.run(["run", "op", f"x=range[1:{trials}]", "-j", "2", "-y"], project, home)
    if count_runs(home) != trials:
        raise RuntimeError(f"{count_runs(home)} of {trials} trials completed")
    shutil.rmtree(home)
    return trials / took


def _floor_rate(b, on, trials, files, size):
    folder = b.folder(on)
    took = timed([os.path.join(b.tools, "floor_trials"), folder, str(trials), "2", str(files), str(size)])
    shutil.rmtree(folder)
    return trials / took


def noop_trials(b, table):
    folders, files, size = run_size(b)
    print(f"(a run has {folders} folders and {files} files of {size} bytes; the floor makes 3 and {files})")
    for where, on, trials, bar in (("tmpfs", b.memory, 1000, 0.5), ("disk", b.disk, 200, None)):
        ours, floor = pairs(5 if bar else 3, lambda: _batch_rate(b, on, trials),
                            lambda: _floor_rate(b, on, trials, files, size))
        ratio = ratios(ours, floor)
        table.row(f"{trials} no-op trials, -j 2, {where}", ours.show("/s"), floor.show("/s"), f"{ratio.median:.2f}",
                  f">= {bar}" if bar else "none", ratio.median >= bar if bar else None)


def single_run(b, table):
    project, home = b.project(NOOP), b.folder()
    b.run(["run", "op", "-y"], project, home)
    ours, child = pairs(41, lambda: b.run(["run", "op", "-y"], project, home), lambda: timed(["true"]))
    more = scaled(differences(ours, child), 1e3)
    table.row("one no-op run", scaled(ours, 1e3).show("ms"), scaled(child, 1e3).show("ms"),
              f"+{more.median:.1f} ms", "< +10 ms", more.median < 10)


def single_python_run(b, table):
    project, home = b.project("op:\n  main: prog\n  flags:\n    x: 1\n", **{"prog.py": "x = 1\n"}), b.folder()
    b.run(["run", "op", "-y"], project, home)
    ours, peer = pairs(21, lambda: b.run(["run", "op", "x=2", "-y"], project, home), lambda: timed([PYTHON, "-c", "pass"]))
    more = scaled(differences(ours, peer), 1e3)
    table.row("one no-op Python run, flags cached", scaled(ours, 1e3).show("ms"), scaled(peer, 1e3).show("ms"),
              f"+{more.median:.1f} ms", "< +30 ms", more.median < 30)


def large_batch(b, table):
    """10,000 pending trials: memory of the process, and when the first trial starts."""
    project, home = b.project("op:\n  exec: sh -c '[ -e %s ] || echo $$ >%s; sleep 600'\n  flags:\n    x: 0\n"
                              .replace("%s", os.path.join(b.memory, "first-trial"))), b.folder()
    began = time.perf_counter()
    child = subprocess.Popen([b.guild, "run", "op", "x=range[1:10000]", "-j", "1", "-y"], cwd=project, env=b.env(home),
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: os.path.exists(os.path.join(b.memory, "first-trial")), 60, "the first trial")
        first = time.perf_counter() - began
        runs = os.path.join(home, "runs")
        wait_for(lambda: child.poll() is not None or len(os.listdir(runs)) >= 10001, 120, "10,000 staged trials")
        staged = time.perf_counter() - began
        resident = resident_bytes(child.pid) / 1e6
    finally:
        for sign in (signal.SIGINT, signal.SIGINT):
            child.send_signal(sign)
            time.sleep(0.2)
        child.wait(30)
    table.row("10,000 trials: first one starts", f"{first:.3f} s", "", "", "< 1 s", first < 1)
    table.row("10,000 trials: all are staged", f"{staged:.2f} s", "", f"{10000 / staged:.0f} /s")
    table.row("10,000 trials: memory of the process", f"{resident:.1f} MB", "", "", "< 60 MB", resident < 60)


def listing(b, table):
    """`guild runs` in a home of 10,000."""
    project, home = b.project("op:\n  exec: >\n    sh -c 'echo loss: 0.$FLAG_X'\n  flags:\n    x: 0\n"), b.folder()
    b.run(["run", "op", "x=range[1:100]", "-j", "0", "-y"], project, home)
    runs = os.path.join(home, "runs")
    made = os.listdir(runs)
    for i in range(100, 10000):
        source = os.path.join(runs, made[i % len(made)])
        name = f"{i:032x}"
        shutil.copytree(source, os.path.join(runs, name), symlinks=True)
        with open(os.path.join(runs, name, ".guild", "attrs", "id"), "w", encoding="ascii") as f:
            f.write(name + "\n")

    def forget():
        cache = os.path.join(home, "cache")
        if os.path.isdir(cache):
            shutil.rmtree(cache)

    def fresh(args):
        forget()
        return b.run(args, project, home)

    for name, args in (("guild runs", ["runs"]),
                       ("guild runs -F, flag and scalar", ["runs", "-F", "x > 50 and loss < 0.7"])):
        first = Sample(fresh(args) for _ in range(3))
        again = Sample(b.run(args, project, home) for _ in range(9))
        table.row(f"{name}, 10,000 runs, first", scaled(first, 1e3).show("ms"), "", "", "< 1 s", first.median < 1)
        table.row(f"{name}, 10,000 runs, again", scaled(again, 1e3).show("ms"), "", "", "< 150 ms", again.median < 0.15)


def user_transcript(b, table):
    shared = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "transcripts")
    if not os.path.exists(os.path.join(shared, "check")):
        raise Skipped("the user's transcript is not beside the checkout")
    argv = [os.path.join(shared, "check"), os.path.join(shared, "run-impl.md"), "--guild", b.guild]
    took = Sample(timed(argv, env=b.env(b.folder())) for _ in range(3))
    table.row("the user's transcript, 131 examples", took.show("s"), "", "", "< 4 s", took.median < 4)


ROWS = [noop_trials, single_run, single_python_run, large_batch, listing, user_transcript]
