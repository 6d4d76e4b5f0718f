# SPDX-License-Identifier: Apache-2.0
"""Machines with a network between them that is cut and slow: coordinator, workers and client each in
a network namespace with a home of its own."""
import json
import os
import unittest

import hosts

SLEEPER = """\
echo "begin on $(cat /proc/sys/kernel/hostname) as $GUILD_ATTEMPT"
while [ ! -e "$1" ]; do sleep 0.05; done
echo done
"""


def runs_of(machine, *args):
    """list of dict: `guild runs --json` on the remote of a client."""
    return json.loads(machine.guild("runs", "--remote", "lab", "--json", *args).stdout)


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
            "echo:\n  exec: echo hello ${n}\n  flags:\n    n: 1\n"
            "big:\n  exec: sh -c 'head -c 3000000 /dev/urandom > data.bin; sha256sum data.bin > sum'\n")

    def show_logs(self):
        outcome = self._outcome.result
        if any(test is self for test, _ in outcome.failures + outcome.errors):
            print(self.cluster.logs())

    def open_gate(self):
        with open(self.gate, "w"):
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
        self.open_gate()
        pids = self.cluster.worker("w1").pid

        def trial_ended():
            with open(f"/proc/{pids}/task/{pids}/children") as f:
                return not f.read().split()

        hosts.wait_for(trial_ended, "the trial ends while cut off", 20)
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
        pid = self.cluster.worker(name).pid
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as f:
                return f.read().split()
        except FileNotFoundError:
            return []

    def test_files_cross_a_slow_link_whole(self):
        self.start()
        self.cluster.network.slow(self.cluster.worker_machine("w1"), "20mbit")
        run = self.submit("big")
        self.wait_for_status(run, "completed", 60)
        self.client.guild("pull", "lab", "-y")
        folder = os.path.join(self.client.home, "runs", run)
        self.assertEqual(os.path.getsize(os.path.join(folder, "data.bin")), 3000000)

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
