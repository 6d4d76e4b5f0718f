# SPDX-License-Identifier: Apache-2.0
"""Optimizers that learn, on a cluster whose coordinator dies in the middle of the batch."""
import os
import unittest

import hosts

# The fifth trial waits for the gate.
TRAIN = """\
import os, time
x = 1.0
seen, gate = {seen!r}, {gate!r}
open(os.path.join(seen, str(os.getpid())), "w").close()
while len(os.listdir(seen)) > 4 and not os.path.exists(gate):
    time.sleep(0.05)
print('loss: %f' % ((x - 0.5) ** 2))
"""
TRIALS = 7


class Optimizer(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster()
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.seen = os.path.join(self.cluster.root, "seen")
        self.gate = os.path.join(self.cluster.root, "gate")
        os.mkdir(self.seen)
        self.client.write("train.py", TRAIN.format(seen=self.seen, gate=self.gate))
        self.cluster.start_worker("w1", slots=1)

    def submit(self):
        return self.client.guild(
            "run", "train.py", "x=[-2.0:2.0]", "-o", "gp", "-Fo", "prev-trials=batch", "-m", str(TRIALS),
            "--random-seed", "3", "--remote", "lab", "--no-wait", "-y").stdout.split()[0]

    def wait_until_done(self, batch):
        def done():
            return "status: completed" in self.client.guild("runs", "info", batch, "--remote", "lab").stdout
        hosts.wait_for(done, "the batch is done", 90, 0.2)

    def trials(self, batch):
        """Flags of the batch's trials in the order in which they were made; each has completed."""
        runs, found = os.path.join(self.cluster.head.home, "runs"), []
        for name in os.listdir(os.path.join(runs, batch)):
            if len(name) != 32:
                continue
            attrs = {}
            for attr in ("started", "flags", "exit_status"):
                with open(os.path.join(runs, name, ".guild", "attrs", attr), encoding="utf-8") as f:
                    attrs[attr] = f.read().strip()
            self.assertEqual(attrs["exit_status"], "0")
            found.append((int(attrs["started"]), attrs["flags"]))
        return [flags for _, flags in sorted(found)]

    def open_gate(self):
        with open(self.gate, "w", encoding="ascii"):
            pass

    def test_a_restarted_coordinator_goes_on_with_what_was_learned(self):
        self.open_gate()
        batch = self.submit()
        self.wait_until_done(batch)
        undisturbed = self.trials(batch)
        self.assertEqual(len(undisturbed), TRIALS)

        os.remove(self.gate)
        for name in os.listdir(self.seen):
            os.remove(os.path.join(self.seen, name))
        batch = self.submit()
        hosts.wait_for(lambda: len(os.listdir(self.seen)) == 5, "the fifth trial runs", 60, 0.05)
        self.cluster.coordinator.kill()
        self.cluster.start_coordinator()
        self.open_gate()
        self.wait_until_done(batch)
        self.assertEqual(self.trials(batch), undisturbed)
        output = self.client.guild("cat", "--output", batch, "--remote", "lab").stdout
        self.assertIn(f"Found {TRIALS - 1} previous trial(s) for use in optimization", output)


if __name__ == "__main__":
    unittest.main()
