# SPDX-License-Identifier: Apache-2.0
"""An optimizer that is an operation of the project runs on the client's machine and has its trials
run on the remote."""
import unittest

import hosts

HALVE = """\
from guild import batch_util

batch_run = batch_util.batch_run()
flags = batch_run.batch_proto.get("flags")
x = flags["x"]
for i in range(3):
    batch_util.run_trial(batch_run, dict(flags, x=x))
    x = x / 2
print("losses", [loss for _, (loss,) in batch_util.trial_results(batch_run, [(None, "loss", None)])])
"""
EVERY = """\
from guild import batch_util

batch_run = batch_util.batch_run()
batch_util.handle_trials(batch_run, batch_util.expanded_batch_trials(batch_run))
"""


class OwnOptimizer(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster()
        self.addCleanup(self.cluster.close)
        self.cluster.start_worker("w1", slots=2)
        self.client = self.cluster.client
        self.client.write("halve.py", HALVE)
        self.client.write("every.py", EVERY)
        self.client.write("loss.py", "x = 8.0\nprint('loss: %f' % (x * x))\n")

    def remote_runs(self):
        return self.client.guild("runs", "--remote", "lab", "-s").stdout

    def test_one_trial_after_the_other(self):
        out = self.client.guild("run", "loss.py", "--optimizer", "halve.py", "--remote", "lab", "-y")
        self.assertIn("losses [64.0, 16.0, 4.0]", out.stdout)
        self.assertEqual(self.remote_runs().count("completed"), 3)

    def test_trials_side_by_side(self):
        self.client.guild("run", "loss.py", "x=[1,2,3,4]", "--optimizer", "every.py", "--remote", "lab",
                          "-j", "2", "-y")
        self.assertEqual(self.remote_runs().count("completed"), 4)
        here = self.client.guild("runs", "-s").stdout
        self.assertEqual(here.count("completed"), 5)
        self.assertIn("loss.py+every.py", here)

    def test_a_trial_that_fails_ends_the_optimizer(self):
        self.client.write("loss.py", "x = 8.0\nassert x > 4\nprint('loss: %f' % x)\n")
        done = self.client.guild("run", "loss.py", "--optimizer", "halve.py", "--remote", "lab", "-y",
                                 ok=False)
        self.assertNotIn("losses", done.stdout)
        self.assertIn("error", self.remote_runs())


if __name__ == "__main__":
    unittest.main()
