# SPDX-License-Identifier: Apache-2.0
"""Attempts that are lost in place: the next one begins as the first did."""
import glob
import os
import unittest

import hosts

# Its first attempt spoils what it can and waits to be killed; the second one tells what it finds.
TRIAL = """\
import os, sys, time
x = 1
print("found:", *sorted(f for f in os.listdir(".") if f not in (".guild", "__pycache__")), flush=True)
print("data:", open("data.txt").read(), end="", flush=True)
print("user:", os.path.exists("user.txt"), flush=True)
print("loss: %d" % (1 if os.path.exists(os.environ["GATE"]) else 7), flush=True)
if not os.path.exists(os.environ["GATE"]):
    os.makedirs("made/deep")
    open("made/deep/half", "w").write("half")
    open("checkpoint", "w").write("1")
    open("data.txt", "w").write("spoilt\\n")
    os.remove("other.py")
    print("spoilt", flush=True)
    time.sleep(60)
"""


class Attempts(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster(options=["--lease", "3"])
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.gate = os.path.join(self.cluster.root, "gate")
        self.client.write("guild.yml", f"""\
trial: {{main: trial, requires: [{{file: data.txt, target-type: copy}}], env: {{GATE: {self.gate}}},
        flags-import: [x], flags-dest: globals, sourcecode: ["*.py"]}}
fail: {{exec: "sh -c 'ls; echo more >> log; test $(wc -l < log) = 2'", sourcecode: no}}
""")
        self.client.write("trial.py", TRIAL)
        self.client.write("other.py", "pass\n")
        self.client.write("data.txt", "good\n")

    def run_dir(self, run):
        return os.path.join(self.cluster.head.home, "runs", run)

    def text(self, run, *path):
        with open(os.path.join(self.run_dir(run), *path)) as f:
            return f.read()

    def ended(self, run):
        return hosts.wait_for(lambda: os.path.exists(self.path(run, ".guild", "attrs", "exit_status")),
                              f"{run} ends\n{self.cluster.logs()}", 30)

    def path(self, run, *parts):
        return os.path.join(self.run_dir(run), *parts)

    def spoil(self, run, changed=()):
        """Waits for the first attempt to have spoilt the run, kills its worker, changes files of the
        project and starts another worker."""
        hosts.wait_for(lambda: os.path.exists(self.path(run, ".guild", "output"))
                       and "spoilt" in self.text(run, ".guild", "output"), "it is spoilt", 20)
        self.worker.kill()
        for name in changed:
            self.client.write(name, "other\n")
        with open(self.gate, "w"):
            pass
        self.cluster.head.start("worker", "--slots", "1")

    def submit(self, *args):
        self.worker = self.cluster.head.start("worker", "--slots", "1")
        return self.client.guild("run", *args, "-r", "lab", "--no-wait", "-y").stdout.split()[0]

    def assert_as_new(self, run, found):
        self.assertEqual(self.text(run, ".guild", "attrs", "attempts").strip(), "2")
        output = self.text(run, ".guild", "output")
        self.assertIn(f"found: {found}\n", output)
        aside = self.path(run, ".guild", "attempts", "1", "files")
        for name in ("made/deep/half", "checkpoint"):
            self.assertTrue(os.path.exists(os.path.join(aside, name)), name)
            self.assertFalse(os.path.exists(self.path(run, name)), name)
        self.assertFalse(os.path.exists(self.path(run, "made")))
        shown = self.cluster.head.guild("runs", "info", run, "--all-scalars").stdout
        self.assertIn("max: 1.000000", shown)

    def test_a_trial_finds_its_inputs_as_they_were_and_nothing_else(self):
        batch = self.submit("trial", "x=[1]")
        trial = os.path.basename(hosts.wait_for(
            lambda: [d for d in glob.glob(self.run_dir("*")) if not d.endswith(batch)], "a trial")[0])
        self.spoil(trial, changed=["data.txt", "other.py"])
        self.ended(trial)
        self.assert_as_new(trial, "data.txt other.py trial.py")
        self.assertIn("data: good", self.text(trial, ".guild", "output"))
        self.assertNotIn("begins again with", self.text(batch, ".guild", "output"))

    def test_what_a_user_put_into_a_run_stays_and_an_input_that_is_lost_is_said(self):
        self.client.guild("run", "trial", "--stage", "-y")
        run = os.path.basename(glob.glob(os.path.join(self.client.home, "runs", "*"))[0])
        with open(os.path.join(self.client.home, "runs", run, "user.txt"), "w") as f:
            f.write("user\n")
        self.submit("--start", run)
        self.spoil(run, changed=["data.txt"])
        self.ended(run)
        self.assertIn("user: True", self.text(run, ".guild", "output"))
        self.assert_as_new(run, "data.txt other.py trial.py user.txt")
        self.assertIn("data: spoilt", self.text(run, ".guild", "output"))
        self.assertIn("begins again with data.txt as attempt 1 left it", self.cluster.coordinator.log())

    def test_a_trial_that_failed_begins_again_in_what_it_left(self):
        run = self.submit("fail", "--retry-failed", "2")
        status = self.path(run, ".guild", "attrs", "exit_status")
        hosts.wait_for(lambda: os.path.exists(status) and self.text(run, status).strip() == "0",
                       "it succeeds", 30)
        self.assertEqual(self.text(run, ".guild", "output"), "log\n")


if __name__ == "__main__":
    unittest.main()
