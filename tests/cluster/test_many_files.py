# SPDX-License-Identifier: Apache-2.0
"""Runs of very many files: while they are built, read and removed nobody loses a lease.

MANY_FILES (default 12000) is how many. So many kept a loop for a lease of 1 s when they were handled on it."""
import os
import unittest

import hosts

FILES = int(os.environ.get("MANY_FILES", "12000"))
MAKE = f"""\
import os
os.mkdir("made")
for i in range({FILES}):
    with open(f"made/{{i}}", "w") as f:
        f.write(str(i))
"""


class ManyFiles(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster(options=["--lease", "1"])
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.worker = None
        self.gate = os.path.join(self.cluster.root, "gate")
        self.client.write("guild.yml", f"""\
- operations:
    wait: {{exec: "sh -c 'while [ ! -e {self.gate} ] && [ -d {self.cluster.root} ]; do sleep 0.1; done'", sourcecode: no}}
    take: {{exec: 'true', flags: {{x: 1}}, requires: [{{file: data}}], sourcecode: no}}
    make: {{exec: /usr/bin/python3 make.py, sourcecode: [make.py]}}
    copy: {{exec: 'true', requires: [{{operation: make, select: made, target-type: copy}}], sourcecode: no}}
""")
        self.client.write("make.py", MAKE)

    def attr(self, run, name, missing=None):
        path = os.path.join(self.cluster.head.home, "runs", run, ".guild", "attrs", name)
        if missing and not os.path.exists(path):
            return missing
        with open(path) as f:
            return f.read().strip()

    def during(self, *operation):
        """Runs it beside a long run of the same worker, which must not notice."""
        self.worker = self.worker or self.cluster.start_worker("w1", slots=2)
        long = self.client.guild("run", "wait", "-r", "lab", "--no-wait", "-y").stdout.split()[0]
        run = self.client.guild("run", *operation, "-r", "lab", "--no-wait", "-y",
                                seconds=120).stdout.split()[0]
        lock = os.path.join(self.cluster.head.home, "runs", run, ".guild", "LOCK.remote")
        hosts.wait_for(lambda: self.ended(run) and not os.path.exists(lock), f"{operation[0]} ends", 180)
        with open(self.gate, "w"):
            pass
        hosts.wait_for(lambda: self.ended(long), "the other run ends", 20)
        for each in (run, long):
            self.assertEqual((self.attr(each, "exit_status"), self.attr(each, "attempts", "1")), ("0", "1"))
        self.assertNotIn("lost the coordinator", self.worker.log())
        self.assertNotIn("its lease could not be renewed", self.worker.log())
        self.assertNotIn("is back", self.cluster.coordinator.log())
        return os.path.join(self.cluster.head.home, "runs", run)

    def ended(self, run):
        path = os.path.join(self.cluster.head.home, "runs", run, ".guild", "attrs", "exit_status")
        return os.path.exists(path)

    def need(self, count):
        folder = os.path.join(self.client.project, "data")
        os.mkdir(folder)
        for i in range(count):
            with open(os.path.join(folder, str(i)), "w") as f:
                f.write(str(i))

    def test_that_it_needs(self):
        self.need(FILES)
        run = self.during("take")
        self.assertEqual(len(os.listdir(os.path.join(run, "data"))), FILES)

    def test_that_its_trials_need(self):
        self.need(FILES // 4)
        batch = self.during("take", "x=[1,2,3,4]")
        trials = [n for n in os.listdir(batch) if os.path.islink(os.path.join(batch, n))]
        self.assertEqual(len(trials), 4)
        for trial in trials:
            self.assertEqual((self.attr(trial, "exit_status"), self.attr(trial, "attempts", "1")), ("0", "1"))
            self.assertEqual(len(os.listdir(os.path.join(batch, trial, "data"))), FILES // 4)

    def test_that_it_makes(self):
        run = self.during("make")
        self.assertEqual(len(os.listdir(os.path.join(run, "made"))), FILES)

    def copied(self):
        self.client.guild("run", "make", "-r", "lab", "-y", seconds=120)
        run = self.during("copy")
        self.assertEqual(len(os.listdir(os.path.join(run, "made"))), FILES)

    def test_that_an_upstream_run_made(self):
        self.worker = self.cluster.start_worker("w1", slots=2)
        self.copied()

    def test_that_an_upstream_run_made_in_place(self):
        self.worker = self.cluster.head.start("worker", "--slots", "2")
        self.copied()


if __name__ == "__main__":
    unittest.main()
