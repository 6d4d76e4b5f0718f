# SPDX-License-Identifier: Apache-2.0
"""Promises 1 to 3: whatever dies, every trial has exactly one result, made of one attempt.

A batch of some hundred trials runs while, for FAULT_ROUNDS rounds (default 30), something is broken
at a random time: the coordinator or a worker is killed, a trial is killed, a connection is cut.  A
batch that ends before the faults do is followed by another.  The seed is printed; FAULT_SEED repeats
it.  FAULT_SECONDS (default 120) bounds the time.
"""
import hashlib
import json
import os
import random
import signal
import subprocess
import time
import unittest

import hosts

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "30"))
SECONDS = float(os.environ.get("FAULT_SECONDS", "120"))
SEED = int(os.environ.get("FAULT_SEED", str(int(time.time()))))
TRIALS = min(12 * ROUNDS, 600)  # of a batch
WORKERS = ("w1", "w2", "w3")

TRIAL = """\
i=$1
echo "begin $i"
head -c 65536 /dev/urandom > data.bin
sleep $(( i % 4 / 2 )).$(( i % 2 * 5 + 3 ))
sha256sum data.bin > data.sum
echo "end $i"
"""


class Faults(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)
        self.submitted = 0  # trials
        self.cluster = hosts.Cluster(options=["--lease", "2"])
        self.addCleanup(self.cluster.close)
        for name in WORKERS:
            self.cluster.start_worker(name, slots=3, proxy=True)
        client = self.cluster.client
        client.write("trial.sh", TRIAL)
        client.write("guild.yml", "trial:\n  exec: sh trial.sh ${i}\n  flags:\n    i: 0\n")

    def kill_coordinator(self):
        self.cluster.coordinator.kill()
        time.sleep(self.random.random())
        self.cluster.start_coordinator()

    def kill_worker(self):
        name = self.random.choice(WORKERS)
        self.cluster.worker(name).kill()
        self.cluster.start_worker(name, slots=3, proxy=True)

    def kill_trial(self):
        """SIGKILL to the shell of one running trial of one worker."""
        worker = self.cluster.worker(self.random.choice(WORKERS))
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
                if parent == worker.pid:
                    found.append(int(pid))
            except OSError:
                continue
        if found:
            try:
                os.kill(self.random.choice(found), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def cut_link(self):
        relay = self.cluster.worker_machine(self.random.choice(WORKERS)).proxy
        relay.cut()
        time.sleep(self.random.choice((0.1, 0.5, 4.0)))
        relay.join()

    def test_every_trial_has_one_result(self):
        print(f"seed {SEED}, {ROUNDS} rounds, {TRIALS} trials a batch", flush=True)
        client = self.cluster.client
        batch = self.submit()
        faults = (self.kill_coordinator, self.kill_worker, self.kill_trial, self.cut_link)
        end = time.monotonic() + SECONDS
        done = 0
        while done < ROUNDS and time.monotonic() < end:
            time.sleep(self.random.random())
            self.random.choice(faults)()
            done += 1
            if done % 10 == 0 and self.ended(batch):
                batch = self.submit()
        print(f"{done} faults", flush=True)
        self.assertGreater(done, 0)
        try:
            self.wait_for_end(batch)
            self.check_results()
        except Exception:
            print(self.cluster.logs())
            print(self.cluster.head.guild("runs", "--all", ok=None).stdout)
            print(client.guild("queue", "--remote", "lab", ok=None).stdout)
            print(client.guild("workers", "--remote", "lab", ok=None).stdout)
            raise

    def submit(self):
        """The next batch; gives its id."""
        first, self.submitted = self.submitted, self.submitted + TRIALS
        done = self.cluster.client.guild(
            "run", "trial", f"i=range[{first}:{self.submitted - 1}]", "--remote", "lab", "--no-wait", "-y",
            "--retries", "10000", "--retry-failed", "10000")
        return done.stdout.split()[0]

    def ended(self, batch):
        listed = self.cluster.client.guild("runs", "--remote", "lab", "--all", "--json", ok=None)
        if listed.returncode:
            return False
        states = {run["id"]: run["status"] for run in json.loads(listed.stdout)}
        return states.get(batch) == "completed"

    def wait_for_end(self, batch):
        hosts.wait_for(lambda: self.ended(batch), "the batch ends", 30 + TRIALS / 4, step=0.5)

    def check_results(self):
        """Brings everything home and looks at each trial's flags, status, output and files."""
        client = self.cluster.client
        client.guild("pull", "lab", "-y", seconds=60 + self.submitted / 5)
        seen = []
        for run in json.loads(client.guild("runs", "--all", "--json").stdout):
            folder = os.path.join(client.home, "runs", run["id"])
            if os.path.exists(os.path.join(folder, ".guild", "proto")):
                continue
            with open(os.path.join(folder, ".guild", "attrs", "flags")) as f:
                number = int(f.read().strip().removeprefix("i: "))
            seen.append(number)
            try:
                self.check_result(run, folder, number)
            except Exception:
                for home in (self.cluster.head.home, client.home):
                    print(subprocess.run(["find", os.path.join(home, "runs", run["id"]), "-ls"],
                                         stdout=subprocess.PIPE, text=True).stdout)
                raise
        self.assertEqual(sorted(seen), list(range(self.submitted)))
        print(f"{self.submitted} trials have one whole result each", flush=True)

    def check_result(self, run, folder, number):
        self.assertEqual(run["status"], "completed", run)
        with open(os.path.join(folder, ".guild", "output")) as f:
            self.assertEqual(f.read(), f"begin {number}\nend {number}\n", folder)
        with open(os.path.join(folder, "data.bin"), "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        with open(os.path.join(folder, "data.sum")) as f:
            self.assertEqual(f.read(), f"{digest}  data.bin\n")


if __name__ == "__main__":
    unittest.main()
