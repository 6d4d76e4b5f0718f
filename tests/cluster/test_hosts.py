# SPDX-License-Identifier: Apache-2.0
"""Machines with a network between them that is cut and slow: coordinator, workers and client each in
a network namespace with a home of its own."""
import contextlib
import glob
import json
import os
import unittest

import hosts

SLEEPER = """\
echo "begin on $(cat /proc/sys/kernel/hostname) as $GUILD_ATTEMPT"
while [ ! -e "$1" ] && [ -d "${1%/*}" ]; do sleep 0.05; done
echo done
"""


def runs_of(machine, *args):
    """list of dict: `guild runs --json` on the remote of a client."""
    return json.loads(machine.guild("runs", "--remote", "lab", "--json", *args).stdout)


def children_of(process):
    """list of str: the pids of its children, whichever of its threads started them."""
    found = []
    for path in glob.glob(f"/proc/{process.pid}/task/*/children"):
        with contextlib.suppress(OSError), open(path) as f:
            found += f.read().split()
    return found


@unittest.skipUnless(hosts.can_make_namespaces(), "needs root and network namespaces")
class Hosts(unittest.TestCase):
    def setUp(self):
        self.cluster = None

    def start(self, *options, workers=("w1",), slots=1):
        self.cluster = hosts.Cluster(network=True, options=options)
        self.addCleanup(self.cluster.close)
        self.addCleanup(self.show_logs)
        for name in workers:
            self.cluster.start_worker(name, slots=slots)
        self.client = self.cluster.client
        self.gate = os.path.join(self.cluster.root, "gate")
        self.client.write("sleeper.sh", SLEEPER)
        self.client.write(
            "guild.yml",
            f"sleeper:\n  exec: sh sleeper.sh {self.gate}\n"
            f"step:\n  exec: sh sleeper.sh {self.gate}.${{n}}\n  flags:\n    n: 1\n"
            "echo:\n  exec: echo hello ${n}\n  flags:\n    n: 1\n"
            "big:\n  exec: sh -c 'head -c 3000000 /dev/urandom > data.bin; sha256sum data.bin > sum'\n")

    def show_logs(self):
        outcome = self._outcome.result
        if any(test is self for test, _ in outcome.failures + outcome.errors):
            print(self.cluster.logs())

    def open_gate(self, number=None):
        with open(self.gate if number is None else f"{self.gate}.{number}", "w"):
            pass

    def submit(self, *args):
        return self.client.guild(
            "run", *args, "--remote", "lab", "--no-wait", "-y").stdout.split()[0]

    def status(self, run):
        return next(r["status"] for r in runs_of(self.client, "--all") if r["id"] == run)

    def wait_for_status(self, run, status, seconds=30):
        hosts.wait_for(lambda: self.status(run) == status, f"{run} is {status}", seconds, 0.2)

    def wait_for_output(self, run, text, seconds=30):
        hosts.wait_for(
            lambda: text in self.client.guild("cat", "--output", run, "--remote", "lab",
                                              ok=None).stdout,
            f"{run} prints {text}", seconds, 0.2)

    def test_a_batch_over_two_machines(self):
        self.start(workers=("w1", "w2"), slots=2)
        done = self.client.guild("run", "echo", "n=range[1:12]", "--remote", "lab", "-y")
        self.assertEqual(done.returncode, 0)
        trials = [r for r in runs_of(self.client) if r["status"] == "completed"]
        self.assertGreaterEqual(len(trials), 12)

    def test_a_worker_that_is_cut_off_goes_on_and_delivers(self):
        self.start()
        run = self.submit("sleeper")
        self.wait_for_status(run, "running")
        self.wait_for_output(run, "begin")
        machine = self.cluster.worker_machine("w1")
        self.cluster.network.cut(machine)
        self.assertTrue(children_of(self.cluster.worker("w1")))
        self.open_gate()
        worker = self.cluster.worker("w1")
        hosts.wait_for(lambda: not children_of(worker), "the trial ends while cut off", 20)
        self.assertEqual(self.status(run), "running")
        self.cluster.network.join(machine)
        self.wait_for_status(run, "completed", 40)
        output = self.client.guild("cat", "--output", run, "--remote", "lab").stdout
        self.assertEqual(output.count("begin"), 1)
        self.assertIn("done", output)

    def test_a_late_report_cannot_overwrite_the_newer_attempt(self):
        self.start("--lease", "2", workers=("w1", "w2"))
        run = self.submit("sleeper")
        self.wait_for_output(run, "begin")
        holder = next(n for n in ("w1", "w2") if self.children(n))
        other = "w2" if holder == "w1" else "w1"
        machine = self.cluster.worker_machine(holder)
        self.cluster.network.cut(machine)
        hosts.wait_for(lambda: self.children(other), "the other worker has it", 30)
        self.open_gate()
        self.wait_for_status(run, "completed", 30)
        self.cluster.network.join(machine)
        hosts.wait_for(lambda: not self.children(holder), "the old attempt is over", 40)
        self.client.guild("pull", "lab", "-y")
        folder = os.path.join(self.client.home, "runs", run)
        with open(os.path.join(folder, ".guild", "output")) as f:
            self.assertEqual(f.read().count("begin"), 1)

    def children(self, name):
        return children_of(self.cluster.worker(name))

    def test_files_cross_a_slow_link_whole(self):
        self.start()
        self.cluster.network.slow(self.cluster.worker_machine("w1"), "20mbit")
        run = self.submit("big")
        self.wait_for_status(run, "completed", 60)
        self.client.guild("pull", "lab", "-y")
        folder = os.path.join(self.client.home, "runs", run)
        self.assertEqual(os.path.getsize(os.path.join(folder, "data.bin")), 3000000)

    def test_a_worker_in_place_that_is_cut_off_ends_its_trials_and_another_runs_them(self):
        """With the trial that it begins while it is cut off, of which nobody hears."""
        self.start("--lease", "4", workers=())
        head = self.cluster.head
        near = self.cluster.network.machine("near")
        self.cluster.machines.append(near)
        near.home = head.home  # as over a shared file system
        near_worker = near.start("worker", "--slots", "1")
        first, second = (self.submit("step", f"n={n}") for n in (1, 2))
        self.wait_for_output(first, "begin")
        hosts.wait_for(lambda: "waits_for: room on" in self.client.guild(
            "runs", "info", second, "--remote", "lab").stdout, "the worker has the second one too")
        self.cluster.network.cut(near)
        self.open_gate(1)
        self.wait_for_output(second, "begin")
        self.assertTrue(children_of(near_worker))
        hosts.wait_for(lambda: not children_of(near_worker), "it ends what it can't renew", 20)
        self.assertTrue(near_worker.running(), near_worker.log())
        self.assertIn("its lease could not be renewed", near_worker.log())
        head.start("worker", "--slots", "1")
        self.open_gate(2)
        for run in (first, second):
            self.wait_for_status(run, "completed")
            output = self.client.guild("cat", "--output", run, "--remote", "lab").stdout
            self.assertEqual(output.count("begin"), 1)
            self.assertTrue(output.endswith("done\n"), output)
        self.cluster.network.join(near)
        third = self.submit("step", "n=2")
        self.wait_for_status(third, "completed")

    def test_the_coordinator_restarts_and_takes_running_trials_back(self):
        self.start()
        run = self.submit("sleeper")
        self.wait_for_output(run, "begin")
        self.cluster.coordinator.kill()
        self.cluster.start_coordinator()
        self.open_gate()
        self.wait_for_status(run, "completed", 40)
        output = self.client.guild("cat", "--output", run, "--remote", "lab").stdout
        self.assertEqual(output.count("begin"), 1)


if __name__ == "__main__":
    unittest.main()
