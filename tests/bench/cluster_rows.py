# SPDX-License-Identifier: Apache-2.0
"""Rows for many machines: trials over tcp, files, the scheduler, idle workers."""
import contextlib
import json
import os
import subprocess
import sys
import time

from measure import Sample, number, pairs, ratios, resident_bytes, scaled, timed, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))

GIB = 1 << 30
CHUNK = 256 * 1024


@contextlib.contextmanager
def cluster(b, workers, **options):
    """A coordinator, so many workers on homes of their own, and a client, all in memory over loopback tcp."""
    os.environ["GUILD"] = b.guild
    os.environ["TMPDIR"] = b.memory
    import tempfile
    tempfile.tempdir = b.memory
    import hosts
    hosts.GUILD = b.guild
    made = hosts.Cluster()
    try:
        for i in range(workers):
            made.start_worker(f"w{i + 1}", **options)
        wait_for(lambda: len(worker_list(made)) == workers, 30, f"{workers} workers")
        yield made
    finally:
        made.close()


def worker_list(made):
    out = made.client.guild("workers", "--remote", "lab", "--json").stdout
    return json.loads(out or "[]")


def tcp_trials(b, table):
    """1,000 no-op trials on two workers over tcp on loopback with CURVE, separate homes."""
    trials = 1000
    with cluster(b, 2, slots=1) as made:
        made.client.write("guild.yml", "op:\n  exec: 'true'\n  flags:\n    x: 0\n")

        def once():
            began = time.perf_counter()
            made.client.guild("run", "op", f"x=range[1:{trials}]", "--remote", "lab", "-y", seconds=120)
            return trials / (time.perf_counter() - began)

        rate = Sample(once() for _ in range(3))
        runs = os.path.join(made.head.home, "runs")
        good = sum(os.path.exists(os.path.join(runs, r, ".guild", "attrs", "exit_status"))
                   and not os.path.exists(os.path.join(runs, r, ".guild", "proto")) for r in os.listdir(runs))
    if good != 3 * trials:
        raise RuntimeError(f"{good} of {3 * trials} trials have a result")
    table.row(f"{trials} no-op trials, 2 workers, tcp", rate.show("/s"), "", "", ">= 200 /s", rate.median >= 200)


def slot_latency(b, table):
    """From a slot becoming free to its next trial's process starting: by the trials' own clocks."""
    with cluster(b, 1, slots=1) as made:
        made.client.write("guild.yml", "op:\n  exec: sh -c 'date +%s%N; exec true'\n  flags:\n    x: 0\n")
        made.client.guild("run", "op", "x=range[1:200]", "--remote", "lab", "-y", seconds=120)
        runs = os.path.join(made.head.home, "runs")
        spans = []
        for run in os.listdir(runs):
            attrs = os.path.join(runs, run, ".guild", "attrs")
            if not os.path.exists(os.path.join(runs, run, ".guild", "proto")):
                spans.append(tuple(int(open(os.path.join(attrs, a), encoding="ascii").read())
                                   for a in ("started", "stopped")))
    spans.sort()
    gaps = Sample((b_[0] - a[1]) / 1e3 for a, b_ in zip(spans, spans[1:]))
    table.row("a slot is free - its next trial starts", f"{number(gaps.median)} ms median", "", "", "< 2 ms",
              gaps.median < 2)


def _large_file(b, size):
    """Brings a file to a coordinator, then to a worker. Gives seconds of the submission (hashed, sent, checked, in the
    coordinator's home); seconds from a worker's launch to its trial's, which has the file, checked and in place; and
    the peak memory of both."""
    with cluster(b, 0) as made:
        path = os.path.join(made.client.project, "large.bin")
        subprocess.run(["truncate", "-s", str(size), path], check=True)
        made.client.write("guild.yml", "op:\n  exec: stat -c %s large.bin\n  sourcecode: no\n"
                                       "  requires:\n    - file: large.bin\n")
        submission = timed([b.guild, "run", "op", "--remote", "lab", "-y", "--no-wait"], cwd=made.client.project,
                           env=made.client.env())
        runs = os.path.join(made.head.home, "runs")
        run = os.path.join(runs, os.listdir(runs)[0])
        began = time.time()
        made.start_worker("w1", slots=1)
        wait_for(lambda: read_attr(run, "exit_status"), 600, "the trial", 0.05)
        peak = max(resident_bytes(p.pid) for p in (made.coordinator, made.worker("w1")))
        with open(os.path.join(run, ".guild", "output"), encoding="ascii") as f:
            if f.read().strip() != str(size) or read_attr(run, "exit_status") != "0":
                raise RuntimeError("the trial failed")
        return submission, int(read_attr(run, "started")) / 1e6 - began, peak


def read_attr(run, name):
    try:
        with open(os.path.join(run, ".guild", "attrs", name), encoding="ascii") as f:
            return f.read().strip()
    except FileNotFoundError:
        return ""


def large_file(b, table):
    """A 2 GiB file to a worker, beside a plain zmq pipe with CURVE between two processes, in interleaved pairs."""
    size = 2 * GIB
    peer_pipe = [os.path.join(b.tools, "peer_pipe"), str(size), str(CHUNK)]

    def ask_peer():
        return float(subprocess.run(peer_pipe, check=True, stdout=subprocess.PIPE).stdout)

    taken = []

    def bring():
        taken.append(_large_file(b, size))
        return size / taken[-1][1]

    ours, peer = pairs(5, bring, ask_peer)
    ratio = ratios(ours, peer)
    table.row("2 GiB coordinator to worker, in place", scaled(ours, 1e-6).show("MB/s"),
              scaled(peer, 1e-6).show("MB/s"), ratio.show(""), ">= 0.6", ratio.median >= 0.6)
    peak = max(t[2] for t in taken)
    table.row("2 GiB: memory of coordinator and worker", f"{peak / 1e6:.0f} MB", "", "", "< 100 MB", peak < 100e6)
    table.row("2 GiB client to coordinator, hashed first", Sample(size / t[0] / 1e6 for t in taken).show("MB/s"), "", "",
              "none")


def scheduler(b, table):
    out = [subprocess.run([os.path.join(b.tools, "bench_scheduler")], check=True, stdout=subprocess.PIPE).stdout.split()
           for _ in range(3)]
    ns, resident = Sample(float(o[0]) for o in out), Sample(float(o[3]) for o in out)
    table.row("scheduler, 1,000,000 tasks, 1,000 workers", ns.show("ns a decision"), "", "", "< 2000", ns.median < 2000)
    table.row("scheduler: bytes a task", resident.show("B"), "", "", "< 300", resident.median < 300)


def _fake_rate(b, workers, tasks, staged_first):
    """What the coordinator finishes with workers that end each task at once.

    Returns:
        tuple of floats: tasks a second from the first to the last, seconds of its core for them and for the workers'
        joining, and tasks a second when all workers have joined.
    """
    with cluster(b, 0) as made:
        made.client.write("guild.yml", "op:\n  exec: 'true'\n  flags:\n    x: 0\n")
        made.client.guild("run", "op", f"x=range[1:{tasks}]", "--remote", "lab", "-y", "--no-wait", seconds=120)
        runs = os.path.join(made.head.home, "runs")
        if staged_first:
            wait_for(lambda: len(os.listdir(runs)) > tasks, 120, f"{tasks} staged trials")
        with open(os.path.join(made.head.home, "coordinator", "token"), encoding="ascii") as f:
            token = f.read().strip()
        key = made.authorize("worker", made.machine("fakes"))
        before = cpu_s(made.coordinator.pid)
        out = subprocess.run([os.path.join(b.tools, "fake_workers"), f"tcp://127.0.0.1:{made.port}", key, token,
                              str(workers), "4", str(tasks)], check=True, stdout=subprocess.PIPE, timeout=300).stdout
        seconds, joined_tasks, joined_seconds = map(float, out.split())
        return tasks / seconds, cpu_s(made.coordinator.pid) - before, joined_tasks / joined_seconds


def fake_workers(b, table):
    """The coordinator over loopback tcp with CURVE; the queue is durable, the home on a tmpfs."""
    tasks = 20000
    for workers in (8, 500):
        rate, used, joined = _fake_rate(b, workers, tasks, True)
        table.row(f"coordinator, {workers} fake workers", f"{number(joined)} /s", f"{number(tasks / used)} /s of its core", "",
                  ">= 10000 /s", joined >= 10000)
        table.row("the same, from the first task, while others join", f"{number(rate)} /s", "", "", "none")
    rate, used, _ = _fake_rate(b, 8, tasks, False)
    table.row("the same, while it stages the trials", f"{number(rate)} /s", f"{number(tasks / used)} /s of its core", "",
              "none")


def idle_workers(b, table):
    """100 idle workers: what the coordinator uses of a core."""
    seconds = 20
    with cluster(b, 100, slots=1) as made:
        time.sleep(5)  # joining is over; what is measured is rest
        before = cpu_s(made.coordinator.pid)
        time.sleep(seconds)
        used = (cpu_s(made.coordinator.pid) - before) / seconds
    table.row("100 idle workers: the coordinator's core", f"{100 * used:.2f} %", "", "", "< 1 %", used < 0.01)


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


ROWS = [tcp_trials, slot_latency, large_file, scheduler, fake_workers, idle_workers]
