# SPDX-License-Identifier: Apache-2.0
"""Promise 7: a full disk is an error that names the path, and other runs go on.

The disk is a small file system in memory; making one needs root.
"""
import contextlib
import json
import os
import subprocess
import tempfile
import time
import unittest

import hosts

MIB = 1 << 20


class Disk:
    """A small file system in a folder, that can be filled to the last byte and emptied again."""

    def __init__(self, folder, mib):
        self.folder = folder
        self.filler = os.path.join(folder, "filler")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "none", folder], check=True,
                       stderr=subprocess.DEVNULL)

    def fill(self):
        with open(self.filler, "ab", 0) as f, contextlib.suppress(OSError):
            for size in (MIB, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        f.write(b"\0" * size)

    def leave(self, kib):
        """Makes so much room again."""
        os.truncate(self.filler, os.path.getsize(self.filler) - kib * 1024)

    def free(self):
        os.remove(self.filler)

    def close(self):
        subprocess.run(["umount", "--lazy", self.folder], check=True)


def can_mount():
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            Disk(folder, 1).close()
        except (OSError, subprocess.CalledProcessError):
            return False
    return True


@unittest.skipUnless(can_mount(), "needs root and mounts")
class FullDisk(unittest.TestCase):
    def disk_at(self, folder, mib=16):
        disk = Disk(folder, mib)
        self.addCleanup(disk.close)
        return disk

    def test_a_run_that_cannot_be_made(self):
        root = self.enterContext(tempfile.TemporaryDirectory(prefix="guild-disk-"))
        machine = hosts.Machine(root, "here")
        self.addCleanup(machine.close)
        machine.write("guild.yml", "op:\n  exec: echo ${n}\n  flags:\n    n: 1\n")
        disk = self.disk_at(machine.home, 4)
        machine.guild("run", "op", "-y")
        disk.fill()
        for flags in ((), ("n=[1,2]",)):
            done = machine.guild("run", "op", *flags, "-y", ok=False)
            last = done.stderr.strip().splitlines()[-1]
            self.assertTrue(last.startswith("guild: "), done.stderr)
            self.assertIn("No space left on device", last)
            self.assertIn(machine.home, last)
        disk.free()
        machine.guild("run", "op", "-y")

    def cluster(self):
        cluster = hosts.Cluster()
        self.addCleanup(cluster.close)
        cluster.client.write("guild.yml", "op:\n  exec: echo hello ${n}\n  flags:\n    n: 1\n")
        return cluster

    def test_a_worker_without_room(self):
        cluster = self.cluster()
        worker = cluster.start_worker("w1", slots=1)
        hosts.wait_for(lambda: "connected to" in worker.log(), "it has begun to use its home")
        disk = self.disk_at(cluster.worker_machine("w1").home)
        disk.fill()
        client = cluster.client
        run = client.guild("run", "op", "--remote", "lab", "--no-wait", "-y").stdout.split()[0]
        log = cluster.worker("w1").log
        hosts.wait_for(lambda: "No space left on device" in log(), "the worker says so")
        said = next(l for l in log().splitlines() if "No space left on device" in l)
        self.assertIn(cluster.worker_machine("w1").home, said)
        cluster.start_worker("w2", slots=1)

        def states():
            runs = json.loads(client.guild("runs", "--remote", "lab", "--json", "--all").stdout)
            return {r["id"]: r["status"] for r in runs}

        hosts.wait_for(lambda: states()[run] == "completed", "the other worker runs it", 40, 0.2)

    def worker_on_a_small_disk(self, cluster):
        cluster.start_worker("w1", slots=1).stop()
        disk = self.disk_at(cluster.worker_machine("w1").home)
        cluster.start_worker("w1", slots=1)
        return disk

    def ended(self, cluster, run):
        attrs = os.path.join(cluster.head.home, "runs", run, ".guild", "attrs")
        status = os.path.join(attrs, "exit_status")
        hosts.wait_for(lambda: os.path.exists(status), f"it ends\n{cluster.logs()}")
        with open(status) as f:
            return f.read().strip()

    def test_a_trial_whose_output_found_no_room_is_run_again(self):
        cluster = self.cluster()
        disk = self.worker_on_a_small_disk(cluster)
        client = cluster.client
        gate = os.path.join(client.dir, "gate")
        begun = os.path.join(client.dir, "begun")
        client.write("talk.sh", f"echo >>{begun}; while [ ! -e {gate} ]; do sleep 0.02; done\n"
                                "for i in $(seq 9); do echo line $i; done; echo 'loss: 0.5'\n")
        client.write("guild.yml", "talk: {exec: sh talk.sh}\n")
        run = client.guild("run", "talk", "-r", "lab", "--no-wait", "-y").stdout.split()[0]
        hosts.wait_for(lambda: os.path.exists(begun), "it runs")
        disk.fill()
        with open(gate, "w"):
            pass
        hosts.wait_for(lambda: f"run {run}: attempt 1 failed" in cluster.coordinator.log()
                       or "ended with status" in cluster.coordinator.log(), "it is lost")
        disk.free()
        self.assertEqual(self.ended(cluster, run), "0")
        output = client.guild("cat", "-r", "lab", run, "--output").stdout
        self.assertEqual(output.count("line"), 9, output)
        self.assertIn("0.5", client.guild("runs", "info", run, "-r", "lab").stdout)

    def test_a_full_worker_fails_no_trial(self):
        cluster = self.cluster()
        disk = self.worker_on_a_small_disk(cluster)
        client = cluster.client
        gate = os.path.join(client.dir, "gate")
        begun = os.path.join(client.dir, "begun")
        client.write("save.sh", f"echo >>{begun}; while [ ! -e {gate} ]; do sleep 0.02; done\n"
                                "head -c 9000 /dev/zero >saved\n")
        client.write("guild.yml", "save: {exec: sh save.sh}\n")
        run = client.guild("run", "save", "-r", "lab", "--no-wait", "-y").stdout.split()[0]
        hosts.wait_for(lambda: os.path.exists(begun), "it runs")
        disk.fill()
        with open(gate, "w"):
            pass
        home = cluster.worker_machine("w1").home
        log = cluster.coordinator.log
        hosts.wait_for(lambda: "worker w1 gives back what it is given: No space left on device: "
                       f"{home}" in log() or "ended with status" in log(), "it says so")
        disk.free()
        self.assertEqual(self.ended(cluster, run), "0")

    def test_a_full_home_fails_no_trial_in_place(self):
        cluster = self.cluster()
        disk = self.on_a_small_disk(cluster)
        head, client = cluster.head, cluster.client
        gate = os.path.join(client.dir, "gate")
        client.write("wait.sh", f"while [ ! -e {gate} ]; do sleep 0.02; done; echo 'loss: 0.5'\n")
        client.write("guild.yml", "wait:\n  exec: sh wait.sh\n  flags: {n: 1}\n")
        head.start("worker", "--slots", "2")
        client.guild("run", "wait", "n=range[1:8]", "-r", "lab", "--no-wait", "-y")
        runs = os.path.join(head.home, "runs")
        hosts.wait_for(lambda: client.guild("runs", "-r", "lab", "-s").stdout.count("running") >= 2,
                       "trials run")
        hosts.wait_for(lambda: len(os.listdir(runs)) == 9, "all are staged")
        disk.fill()
        with open(gate, "w"):
            pass
        hosts.wait_for(lambda: "No space left" in head.processes[-1].log()
                       or "disk is full" in cluster.coordinator.log(), "it says so")
        end = time.monotonic() + 3
        hosts.wait_for(lambda: time.monotonic() > end, "time passes")
        disk.free()
        hosts.wait_for(lambda: client.guild("queue", "-r", "lab", "--json").stdout.strip() == "[]",
                       "it ends\n" + cluster.logs(), 60)
        states = [r["status"] for r in json.loads(client.guild(
            "runs", "-r", "lab", "--json", "--all").stdout)]
        self.assertEqual(states, ["completed"] * 9, cluster.logs())

    def on_a_small_disk(self, cluster):
        """Its coordinator, with all that it has."""
        cluster.coordinator.stop()
        for name in os.listdir(cluster.head.home):
            self.assertIn(name, ("coordinator", "runs", "cache", "locks", "trash"))
        keep = os.path.join(cluster.head.dir, "keep")
        os.rename(cluster.head.home, keep)
        os.mkdir(cluster.head.home)
        disk = self.disk_at(cluster.head.home)
        subprocess.run(["cp", "-a", keep + "/.", cluster.head.home], check=True)
        cluster.start_coordinator()
        return disk

    def test_a_batch_that_is_being_made_waits_for_room(self):
        cluster = self.cluster()
        disk = self.on_a_small_disk(cluster)
        disk.fill()
        disk.leave(2500)
        batch = cluster.client.guild("run", "op", "n=range[1:60]", "-r", "lab", "--no-wait",
                                     "-y").stdout.split()[0]
        runs = os.path.join(cluster.head.home, "runs")
        hosts.wait_for(lambda: f"batch {batch} waits: " in cluster.coordinator.log(),
                       "it says so\n" + cluster.coordinator.log())
        self.assertLess(len(os.listdir(runs)), 61)
        disk.free()
        cluster.start_worker("w1", slots=2)
        status = os.path.join(runs, batch, ".guild", "attrs", "exit_status")
        hosts.wait_for(lambda: os.path.exists(status), f"it ends\n{cluster.logs()}", 60)
        states = [r["status"] for r in json.loads(cluster.client.guild(
            "runs", "--remote", "lab", "--json", "--all").stdout)]
        self.assertEqual(states, ["completed"] * 61)

    def test_a_coordinator_without_room(self):
        cluster = self.cluster()
        disk = self.on_a_small_disk(cluster)
        cluster.start_worker("w1", slots=1)
        client = cluster.client
        client.guild("run", "op", "--remote", "lab", "-y")
        disk.fill()
        done = client.guild("run", "op", "n=2", "--remote", "lab", "-y", ok=False)
        self.assertIn("No space left on device", done.stderr)
        self.assertIn(cluster.head.home, done.stderr)
        self.assertTrue(cluster.coordinator.running())
        client.guild("runs", "--remote", "lab")
        disk.free()
        done = client.guild("run", "op", "n=3", "--remote", "lab", "-y")
        self.assertIn("hello 3", done.stdout + done.stderr)

    def test_a_result_waits_for_room_and_costs_no_attempt(self):
        cluster = self.cluster()
        cluster.client.write("big.sh", "head -c 4000000 /dev/zero >out; date +%s%N >>out\n")
        cluster.client.write("guild.yml", "big: {exec: sh big.sh}\n")
        disk = self.on_a_small_disk(cluster)
        cluster.start_worker("w1", slots=1)
        disk.fill()
        disk.leave(1500)  # for all but the result
        run = cluster.client.guild("run", "big", "-r", "lab", "--no-wait", "--retries", "0",
                                   "-y").stdout.split()[0]
        attrs = os.path.join(cluster.head.home, "runs", run, ".guild", "attrs")
        hosts.wait_for(lambda: f"run {run}: its result waits: " in cluster.coordinator.log()
                       or os.path.exists(attrs + "/exit_status"), "it says so")
        disk.free()
        hosts.wait_for(lambda: os.path.exists(attrs + "/exit_status"), f"it ends\n{cluster.logs()}")
        with open(attrs + "/exit_status") as f:
            self.assertEqual(f.read().strip(), "0", cluster.logs())
        self.assertGreater(os.path.getsize(os.path.join(cluster.head.home, "runs", run, "out")),
                           4000000)

    def test_who_stops_a_run_hears_that_its_coordinator_has_no_room(self):
        cluster = self.cluster()
        cluster.client.write("guild.yml", "long: {exec: sleep 100}\n")
        disk = self.on_a_small_disk(cluster)
        cluster.start_worker("w1", slots=1)
        client = cluster.client
        runs = [client.guild("run", "long", "-r", "lab", "--no-wait", "-y").stdout.split()[0]
                for _ in range(2)]
        hosts.wait_for(lambda: "running" in client.guild("runs", "-r", "lab", "-s").stdout, "one runs")
        disk.fill()
        for run in runs:
            done = client.guild("stop", run, "-r", "lab", "-y", ok=False, seconds=10)
            self.assertIn("database or disk is full", done.stderr)
            self.assertIn(os.path.join(cluster.head.home, "coordinator", "queue.db"), done.stderr)
        disk.free()
        hosts.wait_for(lambda: client.guild("queue", "-r", "lab", "--json").stdout.strip() == "[]",
                       "both are stopped\n" + cluster.logs())

    def test_workers_are_not_blamed_for_a_lease_that_has_no_room(self):
        cluster = hosts.Cluster(options=["--lease", "0.5"])
        self.addCleanup(cluster.close)
        cluster.client.write("guild.yml", "op: {exec: 'true'}\n")
        disk = self.on_a_small_disk(cluster)
        cluster.start_worker("w1", slots=1).stop()
        run = cluster.client.guild("run", "op", "-r", "lab", "--no-wait", "-y").stdout.split()[0]
        disk.fill()
        cluster.start_worker("w1", slots=1)
        log = cluster.coordinator.log
        hosts.wait_for(lambda: "disk is full" in log(), "it says so")
        end = time.monotonic() + 4  # eight leases
        hosts.wait_for(lambda: time.monotonic() > end or "begins nothing" in log(), "time passes")
        self.assertNotIn("begins nothing", log())
        disk.free()
        status = os.path.join(cluster.head.home, "runs", run, ".guild", "attrs", "exit_status")
        hosts.wait_for(lambda: os.path.exists(status), f"it ends\n{cluster.logs()}")


if __name__ == "__main__":
    unittest.main()
