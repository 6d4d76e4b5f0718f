# SPDX-License-Identifier: Apache-2.0
"""Promise 6: what a user interrupts stops within seconds, with its children, and says so.

Every trial here starts a child in its own session that ignores SIGTERM, and one without the run's
environment, and notes their pids.
"""
import contextlib
import fcntl
import glob
import json
import os
import signal
import subprocess
import time
import unittest

import hosts

SECONDS = 5.0
SLACK = 5.0  # of a machine that has other things to do

TRIAL = """\
folder=$1/$$
mkdir -p $folder
setsid sh -c 'trap "" TERM; echo $$ > '$folder'/deaf; while :; do sleep 0.1; done' &
env -i setsid sh -c 'echo $$ > '$folder'/bare; exec sleep 300' &
echo $$ > $folder/self
wait
"""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Stopping(unittest.TestCase):
    def prepare(self, machine, root):
        self.pids_dir = os.path.join(root, "pids")
        os.makedirs(self.pids_dir)
        self.addCleanup(self.kill_left)
        machine.write("trial.sh", TRIAL)
        machine.write("guild.yml", f"trial:\n  exec: sh trial.sh {self.pids_dir} ${{n}}\n"
                      "  flags:\n    n: 1\n")

    def local(self):
        self.cluster = None
        root = self.enterContext(hosts.tempfile.TemporaryDirectory(prefix="guild-stop-"))
        machine = hosts.Machine(root, "here")
        self.addCleanup(machine.close)
        self.prepare(machine, root)
        return machine

    def remote(self, *workers):
        self.cluster = hosts.Cluster()
        self.addCleanup(self.cluster.close)
        for name in workers:
            self.cluster.start_worker(name, slots=1)
        self.prepare(self.cluster.client, self.cluster.root)
        return self.cluster.client

    def pids(self):
        """list of int: of all trials that are complete with their children."""
        found = []
        for trial in os.listdir(self.pids_dir):
            folder = os.path.join(self.pids_dir, trial)
            texts = []
            for name in ("self", "deaf", "bare"):
                path = os.path.join(folder, name)
                if os.path.exists(path):
                    with open(path) as f:
                        texts.append(f.read().strip())
            if len(texts) == 3 and all(texts):
                found += [int(text) for text in texts]
        return found

    def kill_left(self):
        for pid in filter(alive, self.pids()):
            os.kill(pid, signal.SIGKILL)

    def wait_for_trials(self, count):
        return hosts.wait_for(lambda: len(p := self.pids()) == 3 * count and p, f"{count} trials run")

    def assert_all_gone(self, pids, since):
        hosts.wait_for(lambda: not any(map(alive, pids)), "the trial and its children end",
                       SECONDS + SLACK)
        self.assertLess(time.monotonic() - since, SECONDS + SLACK)

    def interrupt(self, sig, *args, trials):
        machine = self.local()
        process = machine.start("run", "trial", *args, "-y")
        pids = self.wait_for_trials(trials)
        began = time.monotonic()
        process.send(sig)
        self.assert_all_gone(pids, began)
        self.assertNotEqual(process.wait(20), 0)
        runs = json.loads(machine.guild("runs", "--json", "--all").stdout)
        self.assertEqual({r["status"] for r in runs} & {"running", "completed"}, set(), runs)
        of_trials = json.loads(machine.guild("runs", "--json", "-Fo", "trial").stdout)
        return process.log(), sorted(r["status"] for r in of_trials)

    def test_sigterm_to_a_run(self):
        _, states = self.interrupt(signal.SIGTERM, trials=1)
        self.assertEqual(states, ["terminated"])

    def test_ctrl_c_of_a_batch(self):
        log, states = self.interrupt(signal.SIGINT, "n=[1,2,3]", "-j", "2", trials=2)
        self.assertIn("Stopping batch", log)
        self.assertEqual(states, ["pending", "terminated", "terminated"])

    def test_ctrl_backslash_of_a_batch(self):
        _, states = self.interrupt(signal.SIGQUIT, "n=[1,2,3]", "-j", "2", trials=2)
        self.assertEqual(states, ["pending", "terminated", "terminated"])

    def test_ctrl_c_while_an_archive_is_unpacked(self):
        """That waits here for somebody else who has the folder it is unpacked into."""
        machine = self.local()
        machine.write("a.txt", "a")
        subprocess.run(["tar", "-cf", "a.tar", "a.txt"], cwd=machine.project, check=True)
        machine.write("guild.yml", "op: {exec: 'true', flags: {x: 1}, requires: [{file: a.tar}], sourcecode: no}\n")
        machine.guild("run", "op", "-y")
        (name,) = glob.glob(os.path.join(machine.home, "locks", "resource-*"))
        with open(name, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            batch = machine.start("run", "op", "x=[1,2]", "-j", "2", "-y")
            hosts.wait_for(lambda: len(os.listdir(os.path.join(machine.home, "runs"))) == 4, "the trials are made")
            hosts.wait_for(lambda: b"_resolve" in self.commands(), "one of them is made ready")
            batch.send(signal.SIGINT)
            batch.wait(SECONDS + SLACK)

    @staticmethod
    def commands():
        found = b""
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            with contextlib.suppress(OSError), open(path, "rb") as f:
                found += f.read()
        return found

    def test_stop_of_a_run_elsewhere(self):
        client = self.remote("w1")
        run = client.guild("run", "trial", "--remote", "lab", "--no-wait", "-y").stdout.split()[0]
        pids = self.wait_for_trials(1)
        began = time.monotonic()
        client.guild("stop", run, "--remote", "lab", "-y")
        self.assert_all_gone(pids, began)

        def terminated():
            runs = json.loads(client.guild("runs", "--remote", "lab", "--json", "--all").stdout)
            return [r["status"] for r in runs] == ["terminated"]

        hosts.wait_for(terminated, "the run is terminated")

    def test_sigterm_to_a_worker(self):
        client = self.remote("w1")
        client.guild("run", "trial", "--remote", "lab", "--no-wait", "-y")
        pids = self.wait_for_trials(1)
        began = time.monotonic()
        self.cluster.worker("w1").send(signal.SIGTERM)
        self.assert_all_gone(pids, began)
        self.assertEqual(self.cluster.worker("w1").wait(10), 0)
        self.cluster.start_worker("w1", slots=1)
        hosts.wait_for(lambda: any(map(alive, self.pids())), "it is run again")


if __name__ == "__main__":
    unittest.main()
