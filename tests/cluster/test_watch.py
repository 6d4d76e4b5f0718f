# SPDX-License-Identifier: Apache-2.0
"""What clients see of runs while they run, and what they do to them: watch, sync, info, delete."""
import json
import os
import signal
import unittest

import hosts

GUILDFILE = """\
gate:
  exec: sh gate.sh ${gate} ${n}
  flags: {gate: none, n: 1}
flood:
  exec: sh flood.sh ${gate}
  flags: {gate: none}
"""
# Ends with the cluster's folder too: a test may leave it running.
GATE = 'echo "began $2"; while [ ! -e "$1" ] && [ -d "${1%/*}" ]; do sleep 0.05; done; echo "ended $2"\n'
FLOOD = """\
echo began
while [ ! -e "$1" ] && [ -d "${1%/*}" ]; do sleep 0.05; done
yes 'a line of sixty characters or so, to make very many of them' | head -c 60000000
"""
FLOOD_BYTES = 60_000_000


class Watching(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster(options=["--lease", "4"])
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.gate = os.path.join(self.cluster.root, "gate")
        for machine in (self.client, self.cluster.head):
            machine.write("guild.yml", GUILDFILE)
            machine.write("gate.sh", GATE)
            machine.write("flood.sh", FLOOD)

    def open_gate(self):
        with open(self.gate, "w"):
            pass

    def submit(self, op, *args):
        return self.client.guild("run", op, f"gate={self.gate}", *args, "--remote", "lab", "--no-wait",
                                 "-y").stdout.split()[0]

    def output_of(self, run):
        return self.client.guild("cat", "--output", run, "--remote", "lab", ok=None).stdout

    def has_begun(self, run):
        hosts.wait_for(lambda: "began" in self.output_of(run), f"{run} begins", step=0.1)

    def runs(self, machine, *args):
        return {r["id"]: r["status"] for r in json.loads(machine.guild("runs", "--json", *args).stdout)}

    def memory_kib(self):
        with open(f"/proc/{self.cluster.coordinator.pid}/status") as f:
            return int(next(l for l in f if l.startswith("VmRSS:")).split()[1])

    def test_a_run_that_somebody_started_at_the_coordinator_ends_for_its_watchers(self):
        own = self.cluster.head.start("run", "gate", f"gate={self.gate}", "-y")
        hosts.wait_for(lambda: "began" in own.log(), "it begins")
        watch = self.client.start("watch", "1", "--remote", "lab")
        hosts.wait_for(lambda: "began" in watch.log(), "the watcher sees it")
        self.open_gate()
        self.assertEqual(watch.wait(20), 0)
        self.assertIn("began 1\nended 1\n", watch.log())
        self.assertIn("stopped with a status of 'completed'", watch.log())

    def test_a_watcher_that_stops_reading_costs_no_memory_and_misses_nothing(self):
        self.cluster.start_worker("w1", slots=1)
        run = self.submit("flood")
        self.has_begun(run)
        watch = self.client.start("watch", run, "--remote", "lab")
        hosts.wait_for(lambda: "began" in watch.log(), "the watcher sees it")
        watch.send(signal.SIGSTOP)
        before = self.memory_kib()
        self.open_gate()
        hosts.wait_for(lambda: self.runs(self.client, "--remote", "lab")[run] == "completed",
                       "it ends", 60, 0.2)
        self.assertLess(self.memory_kib() - before, FLOOD_BYTES // 1024 // 2)
        watch.send(signal.SIGCONT)
        self.assertEqual(watch.wait(30), 0)
        self.assertGreaterEqual(os.path.getsize(watch.log_path), FLOOD_BYTES)

    def test_ctrl_c_ends_the_watching_and_not_the_run(self):
        self.cluster.start_worker("w1", slots=1)
        shown = self.client.start("run", "gate", f"gate={self.gate}", "--remote", "lab", "-y")
        hosts.wait_for(lambda: "began" in shown.log(), "it begins")
        shown.send(signal.SIGINT)
        self.assertEqual(shown.wait(10), 130)
        self.assertIn("still running", shown.log())
        self.open_gate()
        hosts.wait_for(lambda: "completed" in self.runs(self.client, "--remote", "lab").values(),
                       "the run goes on to its end", step=0.1)

    def test_sync_brings_a_run_home_while_it_runs_and_when_it_is_over(self):
        self.cluster.start_worker("w1", slots=1)
        run = self.client.guild("run", "gate", f"gate={self.gate}", "--stage", "-y").stdout.split()[3]
        self.client.guild("run", "--start", run, "--remote", "lab", "--no-wait", "-y")
        self.has_begun(run)
        self.client.guild("sync")
        self.assertEqual(self.client.guild("cat", "--output", run).stdout, "began 1\n")
        self.assertEqual(self.runs(self.client)[run], "running")
        self.open_gate()
        hosts.wait_for(lambda: self.runs(self.client, "--remote", "lab")[run] == "completed", "it ends",
                       step=0.1)
        self.client.guild("sync")
        self.assertEqual(self.runs(self.client)[run], "completed")
        self.assertEqual(self.client.guild("cat", "--output", run).stdout, "began 1\nended 1\n")
        self.assertEqual(self.client.guild("sync").stdout, "")

    def test_info_says_what_a_run_waits_for(self):
        run = self.submit("gate")
        said = "waits_for: a worker (none is connected)"
        self.assertIn(said, self.client.guild("runs", "info", run, "--remote", "lab").stdout)
        self.assertIn(said, self.cluster.head.guild("runs", "info", run).stdout)
        self.cluster.start_worker("w1", slots=1)
        other = self.submit("gate", "--request", "gpus=2")
        self.assertIn("waits_for: 1 cpu, 2 gpus: no worker has that",
                      self.client.guild("runs", "info", other, "--remote", "lab").stdout)
        self.has_begun(run)
        self.assertNotIn("waits_for", self.client.guild("runs", "info", run, "--remote", "lab").stdout)

    def test_a_batch_that_is_deleted_while_it_runs_is_stopped(self):
        self.cluster.start_worker("w1", slots=1)
        batch = self.submit("gate", "n=[1,2,3]")
        hosts.wait_for(lambda: "began" in self.output_of(batch), "a trial runs", step=0.1)
        self.client.guild("runs", "delete", "--remote", "lab", "-y")
        hosts.wait_for(lambda: not self.client.guild("queue", "--remote", "lab").stdout,
                       "the queue is empty", step=0.1)
        hosts.wait_for(lambda: " 0 running" in self.client.guild("workers", "--remote", "lab").stdout,
                       "the worker is free", step=0.1)
        self.open_gate()
        run = self.submit("gate")
        hosts.wait_for(lambda: self.runs(self.client, "--remote", "lab") == {run: "completed"},
                       "the next run is run, and nothing of the others is back", step=0.1)

    def test_pull_takes_indexes(self):
        self.cluster.start_worker("w1", slots=1)
        self.open_gate()
        for n in (1, 2, 3):
            self.client.guild("run", "gate", f"gate={self.gate}", f"n={n}", "--remote", "lab", "-y")
        ids = self.client.guild("select", "--all", "--remote", "lab").stdout.split()
        self.client.guild("pull", "lab", "2:3", "-y")
        self.assertEqual(self.client.guild("select", "--all").stdout.split(), ids[1:])


if __name__ == "__main__":
    unittest.main()
