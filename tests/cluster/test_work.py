# SPDX-License-Identifier: Apache-2.0
"""What workers do with trials and what becomes of them: ends of workers, stops, requests, runs that
make runs, files, full disks."""
import glob
import json
import os
import shutil
import signal
import stat
import subprocess
import time
import unittest
from unittest import mock

import hosts

GUILDFILE = """\
quick: {exec: "echo ${x}", flags: {x: 1}}
slow: {exec: "sh -c 'echo began; sleep 30 & wait'", flags: {x: 1}}
short: {exec: "sh -c 'echo began; sleep ${x}; echo ended'", flags: {x: 1}}
keep: {exec: "sh -c 'mkdir d; for f in a.log d/b.log model.bin d/tmp.bin; do echo $f > $f; done'", sync: ["*.log", d/*, "!d/tmp*"], sourcecode: no}
leave: {exec: "sh -c 'echo x > kept; echo x > core.1'", sync: ["!core*"], sourcecode: no}
nest: {exec: "sh -c '${guild} run -y quick x=[1,2] --keep-batch'", flags: {guild: guild}}
pipes: {exec: "sh -c 'mkdir d; mkfifo d/pipe; echo ${x} > d/x'", flags: {x: 1}, sourcecode: no}
files: {exec: "sh files.sh"}
"""
FILES = """\
mkdir -p d/e; echo x > d/e/script; chmod 755 d/e/script; ln -s e/script d/link; ln -s /etc/passwd out
head -c 300000 /dev/zero > zeros; rm unwanted.txt
"""


class Work(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster(options=["--lease", "3"])
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.client.write("guild.yml", GUILDFILE)
        self.client.write("files.sh", FILES)
        self.client.write("unwanted.txt", "unwanted\n")

    def submit(self, *args):
        return self.client.guild("run", *args, "--remote", "lab", "--no-wait", "-y").stdout.split()[0]

    def run_dir(self, run):
        return os.path.join(self.cluster.head.home, "runs", run)

    def attr(self, run, name):
        path = os.path.join(self.run_dir(run), ".guild", "attrs", name)
        if not os.path.exists(path):
            return None
        with open(path) as f:
            return f.read().strip()

    def output(self, run):
        with open(os.path.join(self.run_dir(run), ".guild", "output")) as f:
            return f.read()

    def has_printed(self, run, text):
        return hosts.wait_for(
            lambda: os.path.exists(os.path.join(self.run_dir(run), ".guild", "output"))
            and text in self.output(run), f"{run} prints {text}", 15)

    def ended(self, run, seconds=20):
        lock = os.path.join(self.run_dir(run), ".guild", "LOCK.remote")
        return hosts.wait_for(lambda: not os.path.exists(lock) and self.attr(run, "exit_status"),
                              f"{run} ends", seconds)

    def test_a_worker_in_place_is_killed(self):
        worker = self.cluster.head.start("worker", "--slots", "1")
        run = self.submit("short", "x=3")
        self.has_printed(run, "began")
        worker.kill()
        self.cluster.head.start("worker", "--slots", "1")
        self.assertEqual(self.ended(run), "0")
        self.assertEqual(self.attr(run, "attempts"), "2")
        self.assertEqual(self.output(run), "began\nended\n")
        with open(os.path.join(self.run_dir(run), ".guild", "attempts", "1", "output")) as f:
            self.assertIn("began", f.read())

    def test_retries_end_in_an_error_that_says_why(self):
        worker = self.cluster.start_worker("w1", slots=1)
        run = self.submit("slow", "--retries", "0")
        self.has_printed(run, "began")
        worker.kill()
        self.assertEqual(self.ended(run), "1")
        self.assertIn("gave up", self.attr(run, "error"))
        self.assertIn("w1", self.attr(run, "error"))

    def test_a_worker_told_to_end_hands_its_trials_back(self):
        worker = self.cluster.start_worker("w1", slots=1)
        run = self.submit("short", "x=4", "--retries", "0")
        self.has_printed(run, "began")
        self.assertEqual(worker.stop(), 0)
        self.cluster.start_worker("w2", slots=1)
        self.assertEqual(self.ended(run), "0")

    def test_a_drained_worker_finishes_and_takes_no_more(self):
        worker = self.cluster.start_worker("w1", slots=1)
        first = self.submit("short", "x=2")
        self.has_printed(first, "began")
        self.client.guild("workers", "drain", "w1", "--remote", "lab")
        second = self.submit("quick")
        self.assertEqual(self.ended(first), "0")
        self.assertEqual(worker.wait(10), 0)
        self.assertIsNone(self.attr(second, "exit_status"))

    def test_stop_ends_trials_and_their_children_within_five_seconds(self):
        self.cluster.start_worker("w1", slots=2)
        batch = self.submit("slow", "x=[1,2,3]")
        hosts.wait_for(lambda: self.running() == 2, "two trials run", 15)
        began = time.monotonic()
        self.client.guild("stop", batch, "--remote", "lab")
        hosts.wait_for(lambda: self.attr(batch, "exit_status"), "the batch ends", 6)
        self.assertLess(time.monotonic() - began, 5.5)
        listed = self.client.guild("runs", "--remote", "lab", "-s").stdout
        self.assertEqual(listed.count("terminated"), 3, listed)
        self.assertEqual(listed.count("pending"), 1, listed)

    def test_a_trial_that_is_stopped_is_not_begun_again(self):
        """One that runs, and one that its worker has for later."""
        self.cluster.start_worker("w1", slots=1)
        batch = self.submit("slow", "x=[1,2]", "--retry-failed", "2")
        hosts.wait_for(lambda: self.running() == 1, "the first one runs", 15)
        states = self.states(batch)
        hosts.wait_for(lambda: sorted(self.held()) == sorted(states), "its worker has both", 15)
        first = next(run for run, running in self.held().items() if running)
        second = next(run for run in states if run != first)
        self.client.guild("stop", second, "--remote", "lab")
        hosts.wait_for(lambda: second not in self.held(), "it is given back", 10)
        self.client.guild("stop", first, "--remote", "lab")
        hosts.wait_for(lambda: self.attr(batch, "exit_status"), "the batch ends", 15)
        self.assertEqual(self.states(batch), {first: "terminated", second: "pending"})
        self.assertEqual(self.attr(first, "attempts"), "1")

    def test_nor_one_whose_worker_dies_before_it_is_ended(self):
        worker = self.cluster.start_worker("w1", slots=1)
        batch = self.submit("slow", "x=[1]")
        hosts.wait_for(lambda: self.running() == 1, "it runs", 15)
        trial = next(iter(self.states(batch)))
        worker.send(signal.SIGSTOP)
        self.client.guild("stop", trial, "--remote", "lab", ok=None)
        worker.kill()
        self.cluster.start_worker("w2", slots=1)
        hosts.wait_for(lambda: self.attr(batch, "exit_status"), "the batch ends", 20)
        self.assertEqual(self.states(batch), {trial: "pending"})
        self.assertEqual(self.held(), {})

    def states(self, batch):
        """dict: of the trials of a batch, by their ids."""
        runs = json.loads(self.client.guild("runs", "--remote", "lab", "--json", "--all").stdout)
        return {r["id"]: r["status"] for r in runs if r["id"] != batch}

    def held(self):
        """dict: what workers have, and whether it runs."""
        workers = json.loads(self.client.guild("workers", "--remote", "lab", "--json").stdout)
        return {run["run"]: run["running"] for worker in workers for run in worker["runs"]}

    def running(self):
        workers = json.loads(self.client.guild("workers", "--remote", "lab", "--json").stdout)
        return sum(run["running"] for worker in workers for run in worker["runs"])

    def test_what_fits_nowhere_is_said(self):
        self.cluster.start_worker("w1", slots=1)
        self.submit("quick", "--request", "gpus=2,license=1")
        listed = self.client.guild("queue", "--remote", "lab").stdout
        self.assertIn("no worker has that", listed)

    def test_what_fits_nowhere_is_said_to_who_waits_for_it(self):
        self.cluster.start_worker("w1", slots=1)
        for flags in ((), ("x=[1,2]",)):
            follower = self.client.start("run", "quick", *flags, "--request", "license=1", "-r", "lab", "-y")
            hosts.wait_for(lambda: "no worker has that (1 license)" in follower.log(), "it is said", 20)
            self.assertTrue(follower.running())
        batch = json.loads(self.client.guild("queue", "--remote", "lab", "--json").stdout)[-1]["run"]
        self.assertIn("no worker has that (1 license)", self.output(batch))

    def test_named_resources_limit_what_runs_at_once(self):
        self.cluster.start_worker("w1", "--have", "license=1", slots=4)
        batch = self.submit("short", "x=[0.5,0.6,0.7]", "--request", "license=1")
        hosts.wait_for(lambda: self.attr(batch, "exit_status") == "0", "the batch ends", 30)
        # One ends before the next begins: its license is free with its process, its result may still travel.
        trials = [run for run in os.listdir(self.run_dir("")) if run != batch]
        times = sorted((int(self.attr(run, "started")), int(self.attr(run, "stopped"))) for run in trials)
        self.assertEqual(len(times), 3)
        for (_, stopped), (started, _) in zip(times, times[1:]):
            self.assertGreaterEqual(started, stopped)

    def test_gpus_that_nvidia_smi_lists_are_given_out_one_by_one_and_in_parts(self):
        machine = self.cluster.machine("gpus")
        machine.write("bin/nvidia-smi", "#!/bin/sh\n[ \"$1\" = --query-gpu=index ] && printf '0\\n3\\n'\n",
                      0o755)
        key = self.cluster.authorize("worker", machine)
        with mock.patch.dict(os.environ, PATH=f"{machine.project}/bin:{os.environ['PATH']}"):
            machine.start("worker", f"tcp://127.0.0.1:{self.cluster.port}", "--key", key, "--slots", "8")
        hosts.wait_for(lambda: "gpus=2" in self.client.guild("workers", "--remote", "lab").stdout,
                       "it has two")
        gate = os.path.join(self.cluster.root, "gate")
        self.client.write("gpu.sh", f"echo \"has $CUDA_VISIBLE_DEVICES\"; until [ -e {gate} ]; do sleep 0.05; "
                                    "done\n")
        self.client.write("guild.yml", "gpu: {exec: sh gpu.sh, flags: {x: 1}}\n")

        def devices(request, count):
            batch = self.submit("gpu", "x=[1,2,3,4,5]", "--request", request)
            hosts.wait_for(lambda: self.running() == count, f"{count} trials run with {request}", 15)
            self.assertEqual(self.left(batch), 5 - count)
            with open(gate, "w"):
                pass
            self.assertEqual(self.ended(batch), "0")
            os.remove(gate)
            return sorted(line for line in self.output(batch).splitlines() if line.startswith("has "))

        self.assertEqual(set(devices("gpus=1", 2)), {"has 0", "has 3"})
        self.assertEqual(devices("gpus=2", 1), ["has 0,3"] * 5)
        halves = devices("gpus=0.5", 4)
        self.assertEqual(set(halves), {"has 0", "has 3"})

    def left(self, run):
        jobs = json.loads(self.client.guild("queue", "--remote", "lab", "--json").stdout)
        return next(job["left"] for job in jobs if job["run"] == run)

    def test_a_run_that_removes_its_own_directory_ends_in_error_once(self):
        # Again, if something was written there (its lock) while it was being removed.
        self.client.write("gone.sh", "while [ -e \"$RUN_DIR/.guild\" ]; do rm -rf \"$RUN_DIR\"; done\n")
        self.client.write("guild.yml", "gone: {exec: sh gone.sh}\n")
        self.cluster.start_worker("w1", slots=1)
        run = self.submit("gone")
        hosts.wait_for(lambda: self.attr(run, "error"), "it ends", 15)
        self.assertEqual(self.attr(run, "error"), "its run directory was removed while it ran")
        self.assertEqual(self.attr(run, "attempts"), "1")

    def test_labels_choose_the_worker(self):
        self.client.write("guild.yml", "op: {exec: 'true', request: {labels: [big]}}\n")
        self.cluster.start_worker("w1", slots=1)
        run = self.submit("op")
        self.assertIn("no worker has that", self.client.guild("queue", "--remote", "lab").stdout)
        self.cluster.start_worker("w2", "--label", "big", slots=1)
        self.assertEqual(self.ended(run), "0")
        self.assertIn("w2 ", "".join(l for l in self.client.guild(
            "workers", "--remote", "lab").stdout.splitlines() if "w2" in l))

    def test_a_worker_takes_nothing_that_outlasts_it(self):
        self.cluster.start_worker("w1", "--time", "10", slots=1)
        long, short = (self.submit("quick", "--request", f"time={t}") for t in ("1h", "5m"))
        self.assertEqual(self.ended(short), "0")
        self.assertIn("waits for", self.client.guild("queue", "--remote", "lab").stdout)
        self.assertIsNone(self.attr(long, "exit_status"))

    def test_runs_that_a_run_makes_come_home(self):
        self.cluster.start_worker("w1", slots=1)
        run = self.submit("nest", f"guild={shutil.which(hosts.GUILD) or hosts.GUILD}")
        self.assertEqual(self.ended(run), "0", self.cluster.logs())
        listed = self.client.guild("runs", "--remote", "lab", "-s").stdout
        self.assertEqual(listed.count("completed"), 4, listed)

    def test_links_modes_and_removed_files_come_back(self):
        self.cluster.start_worker("w1", slots=1)
        run = self.submit("files")
        self.assertEqual(self.ended(run), "0", self.cluster.logs())
        folder = self.run_dir(run)
        self.assertEqual(os.readlink(os.path.join(folder, "d", "link")), "e/script")
        self.assertEqual(os.readlink(os.path.join(folder, "out")), "/etc/passwd")
        mode = os.stat(os.path.join(folder, "d", "e", "script")).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o755)
        self.assertEqual(os.path.getsize(os.path.join(folder, "zeros")), 300000)
        self.assertFalse(os.path.lexists(os.path.join(folder, "unwanted.txt")))

    def test_what_cannot_come_back_is_said_once(self):
        self.cluster.start_worker("w1", slots=1)
        batch = self.client.guild("run", "pipes", "x=[1,2]", "--remote", "lab", "-y")
        lines = [l for l in (batch.stdout + batch.stderr).splitlines() if "is left out" in l]
        self.assertEqual(len(lines), 2, batch.stdout + batch.stderr + self.cluster.logs())
        for line in lines:
            self.assertRegex(line, "Trial [0-9a-f]{32}: d/pipe is left out: it is a pipe$")
        single = self.client.guild("run", "pipes", "x=3", "--remote", "lab", "-y")
        self.assertRegex(single.stdout + single.stderr, "d/pipe is left out: it is a pipe")

    def test_a_name_that_cannot_go_is_told_by_the_run(self):
        self.cluster.start_worker("w1", slots=1)
        name = os.path.join(self.client.project.encode(), b"odd\xff.txt")
        with open(name, "w") as f:
            f.write("x")
        result = self.client.guild("run", "quick", "--remote", "lab", "-y")
        lines = [l for l in result.stderr.splitlines() if "UTF-8" in l]
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertRegex(lines[0], "run [0-9a-f]{32}: .*odd.*txt is left out: its name is not UTF-8")

    def test_sync_says_what_comes_back(self):
        self.cluster.start_worker("w1", slots=1)
        kept, left = self.submit("keep"), self.submit("leave")
        self.assertEqual((self.ended(kept), self.ended(left)), ("0", "0"), self.cluster.logs())
        found = sorted(os.path.relpath(path, self.run_dir(kept))
                       for path in glob.glob(self.run_dir(kept) + "/**", recursive=True)
                       if os.path.isfile(path))
        self.assertEqual(found, ["a.log", "d/b.log"])
        self.assertEqual([n for n in os.listdir(self.run_dir(left)) if n in ("kept", "core.1")], ["kept"])

    def test_a_link_to_a_run_that_it_made_leads_there_at_home(self):
        self.client.write("link.sh", "$1 run quick -y --run-id made && ln -s $GUILD_HOME/runs/made mine\n")
        self.client.write("guild.yml", GUILDFILE + "link: {exec: 'sh link.sh ${guild}', flags: {guild: guild}}\n")
        self.cluster.start_worker("w1", slots=1)
        run = self.submit("link", f"guild={shutil.which(hosts.GUILD) or hosts.GUILD}")
        self.assertEqual(self.ended(run), "0", self.cluster.logs())
        self.assertEqual(os.readlink(os.path.join(self.run_dir(run), "mine")), "../made")
        self.assertEqual(self.attr("made", "exit_status"), "0")

    def test_the_cache_of_a_worker_has_a_limit(self):
        self.client.write("guild.yml", "big: {exec: 'true', requires: [{file: '${file}'}], flags: {file: 1.bin},"
                                       " sourcecode: no}\n")
        self.cluster.start_worker("w1", "--cache", "0.004", slots=1)
        cache = os.path.join(self.cluster.worker_machine("w1").home, "cache", "blobs")
        for i in range(3):
            self.client.write(f"{i}.bin", str(i) * 3_000_000)
            self.assertEqual(self.ended(self.submit("big", f"file={i}.bin")), "0", self.cluster.logs())

        def size():
            found = 0
            for folder, _, names in os.walk(cache):
                for name in names:
                    try:
                        found += os.path.getsize(os.path.join(folder, name))
                    except FileNotFoundError:
                        pass
            return found

        hosts.wait_for(lambda: size() <= 4_000_000, "the cache is small again", 20)

    def test_nothing_of_a_run_stays_at_the_worker_but_its_cache(self):
        self.cluster.start_worker("w1", slots=1)
        self.ended(self.submit("quick"))
        home = self.cluster.worker_machine("w1").home
        hosts.wait_for(lambda: not glob.glob(os.path.join(home, "worker", "*", "*", "runs", "*")),
                       "the run's place is removed", 10)

    def test_what_a_killed_worker_left_goes_when_it_is_started_again(self):
        """Its processes too: they would go on writing, and taking what the worker offers again."""
        self.client.write("guild.yml", "deaf: {exec: 'sh deaf.sh'}\n")
        self.client.write("deaf.sh", f"echo pid $$; trap '' TERM HUP; while [ -d {self.cluster.root} ]; do sleep 0.1; done\n")
        worker = self.cluster.start_worker("w1", slots=1)
        run = self.submit("deaf")
        self.has_printed(run, "pid ")
        pid = int(self.output(run).split()[1])
        places = os.path.join(self.cluster.worker_machine("w1").home, "worker")
        before = set(os.listdir(places)) - {"lock"}
        worker.kill()
        self.assertTrue(os.path.exists(f"/proc/{pid}"))
        self.cluster.start_worker("w1", slots=1)
        hosts.wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the process is ended", 20)
        hosts.wait_for(lambda: not before & set(os.listdir(places)), "its place is removed", 20)
        self.client.guild("stop", run, "--remote", "lab")

    def test_a_revoked_worker_delivers_nothing(self):
        worker = self.cluster.start_worker("w1", slots=1)
        run = self.submit("short", "x=2")
        self.has_printed(run, "began")
        self.cluster.head.guild("coordinator", "revoke", "w1")
        self.assertNotEqual(worker.wait(10), 0)
        self.assertIn("its key is not authorized any more", worker.log())
        self.assertIsNone(self.attr(run, "exit_status"))
        self.cluster.start_worker("w2", slots=1)
        self.assertEqual(self.ended(run), "0")
        self.assertEqual(self.attr(run, "attempts"), "2")

    def test_a_failing_trial_is_tried_again_when_asked(self):
        self.client.write("guild.yml", "fail: {exec: 'false'}\n")
        self.cluster.start_worker("w1", slots=1)
        run = self.submit("fail", "--retry-failed", "2")
        hosts.wait_for(lambda: self.attr(run, "attempts") == "3" and self.attr(run, "exit_status"),
                       "three attempts", 15)

    def test_a_trial_that_is_restarted_by_itself_stops_no_batch(self):
        self.client.write("guild.yml", "fail:\n  exec: test 0 = ${n}\n  flags: {n: 1}\n")
        self.cluster.start_worker("w1", slots=1)
        done = self.client.guild("run", "fail", "n=[0,1]", "--fail-on-trial-error", "-r", "lab", "-y",
                                 ok=False)
        self.assertIn("Stopping batch because a trial failed", done.stderr)
        trial = self.client.guild("select", "-r", "lab", "-Se", "-Fo", "fail").stdout.strip()
        done = self.client.guild("run", "--restart", trial, "-r", "lab", "-y", ok=False)
        self.assertNotIn("Stopping batch", done.stderr)

    def test_a_full_disk_at_the_worker_costs_no_trial(self):
        machine = self.cluster.machine("small")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", machine.home],
                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest("can't mount a small file system")
        self.addCleanup(subprocess.run, ["umount", "-l", machine.home], check=False)
        self.client.write("guild.yml", "big: {exec: 'ls -l big.bin', requires: [{file: big.bin}], "
                                       "sourcecode: no}\n")
        self.client.write("big.bin", "x" * 3_000_000)
        key = self.cluster.authorize("worker", machine)
        machine.start("worker", f"tcp://127.0.0.1:{self.cluster.port}", "--key", key, "--slots", "1")
        hosts.wait_for(lambda: "connected" in machine.processes[-1].log(), "it connects", 10)
        run = self.submit("big", "--retries", "20")
        hosts.wait_for(lambda: "No space left" in machine.processes[-1].log(), "its disk is full", 15)
        self.cluster.start_worker("w1", slots=1)
        self.assertEqual(self.ended(run, 30), "0")

    def test_a_full_disk_at_the_coordinator_is_waited_out(self):
        head = self.cluster.head
        self.cluster.coordinator.stop()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", head.home],
                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest("can't mount a small file system")
        self.addCleanup(subprocess.run, ["umount", "-l", head.home], check=False)
        os.remove(os.path.join(head.dir, "client.key"))
        self.cluster.start_coordinator()
        self.cluster.authorize("client", self.client)
        self.cluster.configure(self.client, "lab", head.address, self.cluster.port)
        self.cluster.start_worker("w1", slots=2)
        batch = self.submit("short", "x=range[1:12]", "--retries", "1000")
        hosts.wait_for(lambda: self.running() == 2, "trials run", 15)
        filler = os.path.join(head.home, "filler")
        with open(filler, "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        hosts.wait_for(lambda: "disk is full" in self.cluster.coordinator.log()
                       or "No space left" in self.cluster.coordinator.log(), "it says so", 20)
        self.assertTrue(self.cluster.coordinator.running(), self.cluster.coordinator.log())
        os.remove(filler)
        self.assertEqual(self.ended(batch, 150), "0", self.cluster.logs())
        listed = self.client.guild("runs", "--remote", "lab", "-s", "-a").stdout
        self.assertEqual(listed.count("completed"), 13, listed)


if __name__ == "__main__":
    unittest.main()
