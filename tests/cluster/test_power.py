# SPDX-License-Identifier: Apache-2.0
"""A machine's power loss: what the coordinator has recorded, and what it has told others that they
need not keep any more, is on its disk.

The disk is an ext4 file system in a file, which is told to stop as it is: what was not written to it
is lost, as with the power (the kernel's EXT4_IOC_SHUTDOWN, made for such tests).
"""
import contextlib
import ctypes
import fcntl
import json
import os
import random
import signal
import sqlite3
import struct
import subprocess
import tempfile
import unittest

import hosts

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2
SEED = int(os.environ.get("POWER_SEED", "0")) or random.randrange(1, 1 << 30)
ROUNDS = int(os.environ.get("POWER_ROUNDS", "5"))
TRIALS = 60
LINES = 20000


def descendants(pids):
    """Of the processes `pids` those that are there, and all below them."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/stat") as f:
                state, parent = f.read().rsplit(")", 1)[1].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(name))
    there = {pid for each in children.values() for pid in each}
    found = [pid for pid in pids if pid in there]
    for pid in found:
        found += [child for child in children.get(pid, ()) if child not in found]
    return found


class Disk:
    """A file system that can lose its power, mounted on a folder."""

    def __init__(self, image, folder, mib=256):
        self.folder = folder
        with open(image, "wb") as f:
            f.truncate(mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        # One device for all mounts: one that is just going might still write to the file.
        self.device = subprocess.run(["losetup", "--find", "--show", image], check=True, text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.strip()
        try:
            self.mount()
        except subprocess.CalledProcessError:
            self.detach()
            raise

    def mount(self):
        subprocess.run(["mount", self.device, self.folder], check=True, stderr=subprocess.DEVNULL)

    def detach(self):
        subprocess.run(["losetup", "--detach", self.device], check=True)

    def lose_power(self):
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def unmount(self):
        """Nothing of it may be left when it is mounted again."""
        subprocess.run(["umount", self.folder], check=True)

    def close(self):
        subprocess.run(["umount", "--lazy", self.folder], check=True)
        self.detach()


def hide_mounts():
    """Mounts of this process and those it starts are theirs alone from here on: a namespace that another test
    makes meanwhile would keep the file system that lost its power.  False if that can't be."""
    clone_newns = 0x20000
    if ctypes.CDLL(None, use_errno=True).unshare(clone_newns) != 0:
        return False
    return subprocess.run(["mount", "--make-rprivate", "/"], stderr=subprocess.DEVNULL).returncode == 0


def can_lose_power():
    if os.geteuid() != 0 or not hide_mounts():
        return False
    with tempfile.TemporaryDirectory() as root:
        folder = os.path.join(root, "disk")
        os.mkdir(folder)
        try:
            disk = Disk(os.path.join(root, "image"), folder, 8)
        except (OSError, subprocess.CalledProcessError):
            return False
        with contextlib.ExitStack() as stack:
            stack.callback(disk.close)
            try:
                disk.lose_power()
            except OSError:
                return False
    return True


@unittest.skipUnless(can_lose_power(), "optional; needs root, loop mounts and ext4")
class Power(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster(options=["--lease", "2"])
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.home = self.cluster.head.home
        self.runs = os.path.join(self.home, "runs")
        self.cluster.coordinator.stop()
        keep = os.path.join(self.cluster.head.dir, "keep")
        os.rename(self.home, keep)
        os.mkdir(self.home)
        self.disk = Disk(os.path.join(self.cluster.root, "image"), self.home)
        self.addCleanup(self.disk.close)
        subprocess.run(["cp", "-a", keep + "/.", self.home], check=True)
        subprocess.run(["sync", "-f", self.home], check=True)
        self.cluster.start_coordinator()

    def lose_power(self):
        """The machine goes with all that runs there, and comes again."""
        parents = [p.pid for p in self.cluster.head.processes if p.running()]
        below = []
        while new := [pid for pid in descendants(parents + below) if pid not in below]:
            for pid in new:  # parents first, and again until there is none: who is stopped starts no others
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            below += new
        self.disk.lose_power()
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.cluster.head.processes:
            process.kill()
        hosts.wait_for(lambda: not descendants(below), "they are gone")
        self.disk.unmount()
        self.disk.mount()
        with contextlib.closing(sqlite3.connect(os.path.join(self.home, "coordinator", "queue.db"))) as db:
            db.execute("UPDATE meta SET value = value + 1 WHERE key = 'boot'")
            db.commit()
        with open(os.path.join(self.home, "cache", "blobs", "part", "boot"), "w") as f:
            f.write("another")
        self.cluster.start_coordinator()

    def ended(self):
        with contextlib.suppress(FileNotFoundError):
            return sum(os.path.exists(os.path.join(self.runs, run, ".guild", "attrs", "exit_status"))
                       for run in os.listdir(self.runs))
        return 0

    def listed(self):
        return json.loads(self.client.guild("runs", "-r", "lab", "--json", "--all").stdout)

    def look_at(self, run):
        """Everything of the trial is there, to the last byte.  Gives its flag."""
        folder = os.path.join(self.runs, run)
        with open(os.path.join(folder, ".guild", "attrs", "flags")) as f:
            n = int(f.read().split()[1])
        with open(os.path.join(folder, ".guild", "output")) as f:
            self.assertEqual(f.read(), f"n is {n}\n", run)
        with open(os.path.join(folder, "out")) as f:
            self.assertEqual(len(f.read().split()), LINES, run)
        with open(os.path.join(folder, ".guild", "attrs", "exit_status")) as f:
            self.assertEqual(f.read().strip(), "0", run)
        return n

    def test_what_was_submitted_runs(self):
        self.client.write("guild.yml", "op:\n  exec: cat input\n  sourcecode: no\n"
                          "  requires:\n    - file: input\n")
        self.client.write("input", "asked for\n")
        run = self.client.guild("run", "op", "-r", "lab", "--no-wait", "-y").stdout.split()[0]
        self.lose_power()
        self.cluster.start_worker("w1", slots=1)
        printed = self.client.guild("watch", run, "-r", "lab")
        self.assertIn("asked for", printed.stdout + printed.stderr)

    def test_a_revoked_key_stays_revoked(self):
        self.client.guild("runs", "-r", "lab")
        self.cluster.head.guild("coordinator", "revoke", "client")
        self.lose_power()
        refused = self.client.guild("runs", "-r", "lab", ok=False)
        self.assertIn("does not know the key", refused.stderr)

    def start_in_place(self):
        self.cluster.head.start("worker", "--slots", "2")

    def start_elsewhere(self):
        for name in ("w1", "w2"):
            if name not in self.cluster.workers:
                self.cluster.start_worker(name, slots=1)

    def test_trials_of_a_batch_have_one_whole_result_each(self):
        self.check_batch(self.start_elsewhere)

    def test_trials_in_place_have_one_whole_result_each(self):
        self.check_batch(self.start_in_place)

    def check_batch(self, start_workers):
        chance = random.Random(SEED)
        self.client.write("guild.yml", "op:\n  exec: sh -c 'seq %d > out; echo n is ${n}'\n"
                          "  sourcecode: no\n  flags: {n: 1}\n" % LINES)
        start_workers()
        batch = self.client.guild("run", "op", f"n=range[1:{TRIALS}]", "-r", "lab", "--retries", "1000",
                                  "--no-wait", "-y").stdout.split()[0]
        for _ in range(ROUNDS):
            enough = self.ended() + chance.randint(1, max(TRIALS // ROUNDS - 2, 1))
            hosts.wait_for(lambda: self.ended() >= min(enough, TRIALS + 1), "trials end", 60, 0.001)
            self.lose_power()
            start_workers()
        hosts.wait_for(lambda: all(r["status"] not in ("pending", "running", "staged")
                                   for r in self.listed()), f"all ends (seed {SEED})", 120, 0.2)
        with self.subTest(seed=SEED):
            trials = [r["id"] for r in self.listed() if r["id"] != batch]
            self.assertEqual(sorted(self.look_at(run) for run in trials), list(range(1, TRIALS + 1)))
            self.assertEqual(sorted(os.listdir(self.runs)), sorted([batch, *trials]))


if __name__ == "__main__":
    unittest.main()
