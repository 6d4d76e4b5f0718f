# SPDX-License-Identifier: Apache-2.0
"""Runs that are started and started again at a remote: those of the client's home, whose results come
back, and those that are only there."""
import glob
import os
import unittest

import hosts

GUILDFILE = """\
say: {exec: 'sh -c "echo x is ${x}; date +%s%N > stamp"', flags: {x: 1}, sourcecode: no}
wait: {exec: sleep 60, sourcecode: no}
"""


class Restart(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster()
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.client.write("guild.yml", GUILDFILE)
        self.cluster.start_worker("w1", slots=2)

    def stage(self, *args):
        return self.client.guild("run", *args, "--stage", "-y").stdout.split("--start ")[1].split("'")[0]

    def there(self, *args):
        """What `guild run ARGS -r lab` printed, followed to its end."""
        done = self.client.guild("run", *args, "-r", "lab", "-y")
        return done.stdout + done.stderr

    def read(self, run, path):
        with open(os.path.join(self.client.home, "runs", run, path)) as f:
            return f.read()

    def test_a_run_of_ours_runs_there_again_and_its_results_come_back(self):
        run = self.stage("say")
        self.assertIn("x is 1", self.there("--start", run))
        first = self.read(run, "stamp")
        self.assertIn("x is 1", self.there("--restart", run))
        second = self.read(run, "stamp")
        self.assertNotEqual(first, second)
        self.assertIn("x is 4", self.there("--restart", run, "x=4"))
        self.assertNotEqual(second, self.read(run, "stamp"))
        self.assertIn("x: 4", self.read(run, ".guild/attrs/flags"))
        for where in ([], ["-r", "lab"]):
            listed = self.client.guild("runs", *where).stdout
            self.assertEqual(listed.count("completed"), 1, listed)
            self.assertEqual(len(listed.strip().splitlines()), 1, listed)

    def test_a_batch_of_ours_runs_there_again(self):
        batch = self.stage("say", "x=[1,2]")
        self.there("--start", batch)
        printed = self.there("--restart", batch, "x=[3,4]")
        self.assertIn("x is 3", printed)
        self.assertIn("x is 4", printed)
        listed = self.client.guild("runs").stdout
        self.assertEqual(listed.count("completed"), 5, listed)
        self.assertNotIn("staged", listed)
        self.assertNotIn("pending", listed)

    def test_a_run_that_is_only_there_is_started_again_there(self):
        run = self.client.guild("run", "say", "-r", "lab", "--no-wait", "-y").stdout.split()[0]
        self.client.guild("watch", run, "-r", "lab")
        self.assertIn("x is 1", self.there("--restart", run))
        self.assertIn("x is 5", self.there("--restart", run, "x=5"))
        self.assertEqual(glob.glob(os.path.join(self.client.home, "runs", "*")), [])

    def test_a_copy_from_before_the_end_takes_no_results_away(self):
        """It was pulled while it waited, and is pushed when the run there has ended."""
        self.cluster.worker("w1").stop()
        run = self.client.guild("run", "say", "-r", "lab", "--no-wait", "-y").stdout.split()[0]
        self.client.guild("pull", "lab", "-y")
        self.cluster.start_worker("w1", slots=2)
        self.client.guild("watch", run, "-r", "lab")
        refused = self.client.guild("push", "lab", "-y", ok=False)
        self.assertIn(f"run {run} has ended, and the copy of it has not", refused.stderr)
        self.assertIn("completed", self.client.guild("runs", "-r", "lab").stdout)
        self.client.guild("pull", "lab", "-y")
        self.assertIn("Pushed", self.client.guild("push", "lab", "-y").stdout)
        self.assertIn("completed", self.client.guild("runs", "-r", "lab").stdout)

    def test_one_that_runs_or_waits_there_is_refused_and_stays_as_it_is(self):
        runs = [self.stage("wait"), self.stage("wait"), self.stage("wait")]
        for run in runs:
            self.client.guild("run", "--start", run, "-r", "lab", "--no-wait", "-y")
        hosts.wait_for(lambda: self.client.guild("runs", "-r", "lab").stdout.count("running") >= 2,
                       "two of them run", 15)
        before = self.client.guild("runs").stdout
        for run in runs:
            refused = self.client.guild("run", "--restart", run, "-r", "lab", "-y", ok=False)
            self.assertRegex(refused.stderr, "cannot restart run .* (running|waiting for its turn) on lab")
        self.assertEqual(self.client.guild("runs").stdout, before)


if __name__ == "__main__":
    unittest.main()
