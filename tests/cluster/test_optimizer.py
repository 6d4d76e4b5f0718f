# SPDX-License-Identifier: Apache-2.0
"""Optimizers that learn, on a cluster whose coordinator dies in the middle of the batch."""
import os
import unittest

import hosts

LOSS = """\
x = 1.0
print('loss: %f' % ((x - 0.5) ** 2))
"""
GATED = """\
import os, time
x = 1.0
gate = os.environ.get("GATE_FILE")
while os.path.exists(gate + ".shut") and not os.path.exists(gate):
    time.sleep(0.05)
print('loss: %f' % ((x - 0.5) ** 2))
"""
TRIALS = 7


class Optimizer(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster()
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.gate = os.path.join(self.cluster.root, "gate")

    def submit(self, script, slots):
        self.cluster.start_worker("w1", slots=slots)
        self.client.write("train.py", script)
        return self.client.guild(
            "run", "train.py", "x=[-2.0:2.0]", "-o", "gp", "-m", str(TRIALS), "--random-seed", "3",
            "--remote", "lab", "--no-wait", "-y").stdout.split()[0]

    def batch_status(self, batch):
        return self.client.guild("runs", "info", batch, "--remote", "lab").stdout

    def wait_until_done(self, batch):
        hosts.wait_for(lambda: "status: completed" in self.batch_status(batch), "the batch is done", 90, 0.2)

    def trials(self, batch):
        """Flags of the trials in the order in which they were made, and the batch's output."""
        runs = os.path.join(self.cluster.head.home, "runs")
        found = []
        for name in os.listdir(os.path.join(runs, batch)):
            attrs = os.path.join(runs, name, ".guild", "attrs")
            if len(name) == 32:
                with open(os.path.join(attrs, "flags"), encoding="utf-8") as f:
                    flags = f.read()
                with open(os.path.join(attrs, "exit_status"), encoding="utf-8") as f:
                    self.assertEqual(f.read().strip(), "0")
                with open(os.path.join(attrs, "started"), encoding="utf-8") as f:
                    found.append((int(f.read()), flags))
        with open(os.path.join(runs, batch, ".guild", "output"), encoding="utf-8") as f:
            return [flags for _, flags in sorted(found)], f.read()

    def test_a_restarted_coordinator_goes_on_with_what_was_learned(self):
        batch = self.submit(LOSS, 1)
        self.wait_until_done(batch)
        undisturbed, _ = self.trials(batch)
        self.assertEqual(len(undisturbed), TRIALS)

        self.client.write("shut", "")
        script = GATED.replace('os.environ.get("GATE_FILE")', repr(self.gate))
        self.client.write("train.py", script)
        batch = self.submit_again()
        hosts.wait_for(lambda: "Found 4 previous" in self.output(batch), "four are known", 60, 0.05)
        with open(self.gate + ".shut", "w", encoding="ascii"):
            pass
        hosts.wait_for(lambda: "Found" in self.output(batch), "a model was asked", 60, 0.05)
        self.cluster.coordinator.kill()
        with open(self.gate, "w", encoding="ascii"):
            pass
        self.cluster.start_coordinator()
        self.wait_until_done(batch)
        trials, output = self.trials(batch)
        self.assertEqual(trials, undisturbed)
        self.assertIn(f"Found {TRIALS - 1} previous trial(s)", output)
