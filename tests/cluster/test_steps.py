# SPDX-License-Identifier: Apache-2.0
"""Operations with steps on workers: their project goes along, the runs of the steps come home."""
import glob
import os
import subprocess
import unittest

import hosts

GUILDFILE = """\
- include: common.yml
- model: m
  operations:
    prepare:
      exec: sh prepare.sh ${part}
      flags: {part: a}
      requires: [{file: "data/${part}.txt"}]
    train:
      main: train
      flags-import: [lr]
      requires: [{operation: prepare}]
    pipeline:
      flags: {part: b, lr: 0.1}
      steps: ["prepare part=${part}", {run: "train lr=${lr}", expect: {file: model.txt}}, extra/report.py]
    stops: {steps: [prepare, {run: fail, name: bang}, train]}
    fail: {exec: sh -c 'exit 3'}
    trials: {steps: ["prepare part=[a,b]", {run: pipeline, flags: {part: a}}]}
    outside: {steps: [reads-outside]}
    reads-outside: {exec: 'true', requires: [{file: ../secret.txt}]}
    lacking: {steps: ["prepare part=c"]}
    elsewhere: {steps: [prepare --remote lab]}
"""
PREPARE = "tr a-z A-Z <$1.txt >out.txt; cat out.txt\n"
TRAIN = """\
lr = 0.3
text = open("out.txt").read().strip()
print("trained on", text, lr)
open("model.txt", "w").write(text)
"""


class Steps(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster(options=["--lease", "3"])
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        for name, text in (("guild.yml", GUILDFILE), ("common.yml", "- config: common\n"),
                           ("prepare.sh", PREPARE), ("train.py", TRAIN), ("data/a.txt", "apples\n"),
                           ("data/b.txt", "bananas\n"), ("extra/report.py", "print('reported')\n"),
                           ("../secret.txt", "secret\n")):
            self.client.write(name, text)

    def run_on_lab(self, *args, ok=True):
        return self.client.guild("run", *args, "--remote", "lab", "-y", ok=ok)

    def submit(self, *args):
        return self.client.guild("run", *args, "--remote", "lab", "--no-wait", "-y").stdout.split()[0]

    @staticmethod
    def attr(run_dir, name):
        path = os.path.join(run_dir, ".guild", "attrs", name)
        if not os.path.exists(path):
            return None
        with open(path) as f:
            return f.read().strip()

    @staticmethod
    def read(*path):
        with open(os.path.join(*path)) as f:
            return f.read()

    def ended(self, run, home=None):
        run_dir = os.path.join(home or self.cluster.head.home, "runs", run)
        lock = os.path.join(run_dir, ".guild", "LOCK.remote")
        hosts.wait_for(lambda: not os.path.exists(lock) and self.attr(run_dir, "exit_status"),
                       f"{run} ends", 30)
        return run_dir

    def assert_pipeline(self, run_dir, text, lr="0.1"):
        """The run's links lead to runs that ended well and whose own links hold."""
        self.assertEqual(self.attr(run_dir, "exit_status"), "0", self.cluster.logs())
        for step in ("m:prepare", "m:train", "extra/report.py"):
            name = step if os.path.lexists(os.path.join(run_dir, step)) else step.split(":")[-1]
            self.assertEqual(self.attr(os.path.join(run_dir, name), "exit_status"), "0", step)
        self.assertEqual(self.read(run_dir, "train", "model.txt"), text)
        self.assertEqual(self.read(run_dir, "train", "out.txt"), text + "\n")
        self.assertTrue(os.path.islink(os.path.join(run_dir, "train", "out.txt")))
        self.assertIn(f"trained on {text} {lr}", self.read(run_dir, ".guild", "output"))

    def test_runs_of_steps_come_home_from_two_machines(self):
        self.cluster.start_worker("w1", slots=1)
        self.cluster.start_worker("w2", slots=1)
        first, second = self.submit("m:pipeline"), self.submit("m:pipeline", "part=a", "lr=0.2")
        self.assert_pipeline(self.ended(first), "BANANAS")
        self.assert_pipeline(self.ended(second), "APPLES", "0.2")
        listed = self.client.guild("runs", "--remote", "lab", "-s").stdout
        self.assertEqual(listed.count("completed"), 8, listed)
        self.client.guild("pull", "lab", first, "-y")
        self.assert_pipeline(os.path.join(self.client.home, "runs", first), "BANANAS")
        self.assertEqual(len(os.listdir(os.path.join(self.client.home, "runs"))), 4)

    def test_operations_are_called_after_the_project_and_not_the_workers_folder(self):
        self.cluster.start_worker("w1", slots=1)
        run_dir = self.ended(self.submit("m:trials"))
        self.assertEqual(self.attr(run_dir, "exit_status"), "0", self.cluster.logs())
        oprefs = glob.glob(os.path.join(self.cluster.head.home, "runs", "*", ".guild", "opref"))
        named = [text for text in map(self.read, oprefs) if not text.startswith("builtin:")]
        self.assertEqual(len(named), 7)
        for text in named:
            self.assertIn(f":{self.client.project}/", text)
        self.assert_pipeline(os.path.join(run_dir, "pipeline"), "APPLES")

    def test_the_source_code_of_a_git_project_is_what_git_says(self):
        self.client.write(".gitignore", "data\nout.bin\n")
        self.client.write("out.bin", "ignored\n")
        self.client.write("big.txt", "x" * 2_000_000)  # more than the limit of other projects
        for args in (["init", "-q"], ["add", "-A"],
                     ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "all"]):
            subprocess.run(["git", *args], cwd=self.client.project, check=True)
        self.cluster.start_worker("w1", slots=1)
        there = self.ended(self.submit("m:pipeline"))
        self.client.guild("run", "m:pipeline", "-y")
        for attr in ("sourcecode_digest", "vcs_commit"):
            here = {self.attr(path, attr) for path in
                    glob.glob(os.path.join(self.client.home, "runs", "*")) if self.attr(path, attr)}
            self.assertIn(self.attr(os.path.join(there, "train"), attr), here)
        self.assertTrue(os.path.exists(os.path.join(there, "train", "big.txt")))
        self.assertFalse(os.path.exists(os.path.join(there, "train", "out.bin")))

    def test_a_batch_of_steps(self):
        self.cluster.start_worker("w1")
        self.run_on_lab("m:pipeline", "part=[a,b]")
        listed = self.client.guild("runs", "--remote", "lab", "-s").stdout
        self.assertEqual(listed.count("completed"), 9, listed)

    def test_a_failing_step_ends_the_run_with_its_status(self):
        self.cluster.start_worker("w1", slots=1)
        done = self.run_on_lab("m:stops", ok=False)
        self.assertEqual(done.returncode, 3, done.stderr)
        runs = self.client.guild("runs", "--remote", "lab", "-s").stdout
        self.assertEqual((runs.count("completed"), runs.count("error")), (1, 2), runs)

    def test_a_second_attempt_makes_the_runs_of_its_steps_anew(self):
        self.cluster.start_worker("w1", slots=1)
        run_dir = self.ended(self.submit("m:stops", "--retry-failed", "1"))
        hosts.wait_for(lambda: self.attr(run_dir, "attempts") == "2" and self.attr(run_dir, "exit_status"),
                       "the second attempt", 20)
        self.assertEqual(self.attr(run_dir, "exit_status"), "3")
        self.assertEqual(self.attr(os.path.join(run_dir, "bang"), "exit_status"), "3")
        self.assertEqual(self.attr(os.path.join(run_dir, "prepare"), "exit_status"), "0")
        runs = self.client.guild("runs", "--remote", "lab", "-s").stdout
        self.assertEqual((runs.count("completed"), runs.count("error")), (2, 3), runs)

    def test_a_staged_run_and_those_of_its_steps_come_back_to_the_client(self):
        self.cluster.start_worker("w1", slots=1)
        self.client.guild("run", "m:pipeline", "--stage", "-y")
        run = os.listdir(os.path.join(self.client.home, "runs"))[0]
        self.assertFalse(glob.glob(os.path.join(self.client.home, "runs", "*", ".guild", "project")))
        self.run_on_lab("--start", run)
        self.assert_pipeline(os.path.join(self.client.home, "runs", run), "BANANAS")

    def test_a_run_that_stays_here_has_no_project_in_it(self):
        self.client.guild("run", "m:pipeline", "-y")
        self.assertEqual(len(os.listdir(os.path.join(self.client.home, "runs"))), 4)
        self.assertFalse(glob.glob(os.path.join(self.client.home, "runs", "*", ".guild", "project")))

    def test_what_a_step_lacks_is_said_at_once(self):
        for operation, text in (
                ("m:outside", "step 'reads-outside' needs "
                 f"{os.path.dirname(self.client.project)}/secret.txt, which is outside of the project"),
                ("m:lacking", "step 'prepare' needs the file 'data/c.txt', which is not in"),
                ("m:elsewhere", "step 'prepare' is for remote 'lab'")):
            self.assertIn(text, self.run_on_lab(operation, ok=False).stderr)
        self.client.write("../above.yml", "- config: above\n")
        self.client.write("guild.yml", "- include: ../above.yml\n" + GUILDFILE)
        self.assertIn(f"guild.yml needs {os.path.dirname(self.client.project)}/above.yml, which is outside",
                      self.run_on_lab("m:pipeline", ok=False).stderr)
        self.assertEqual(self.client.guild("runs", "--remote", "lab", "-s").stdout, "")


if __name__ == "__main__":
    unittest.main()
