# SPDX-License-Identifier: Apache-2.0
"""The durable queue: a coordinator killed at any moment goes on as if nothing had been."""
import json
import os
import signal
import unittest

import hosts

TRIALS = 400


class DurableQueue(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster(options=["--lease", "4"])
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.client.write("guild.yml", "op:\n  exec: 'true'\n  flags:\n    x: 1\n")
        self.runs = os.path.join(self.cluster.head.home, "runs")

    def submit(self, *args):
        return self.client.guild("run", *args, "--remote", "lab", "--no-wait", "-y").stdout.split()[0]

    def half_made(self):
        return [run for run in os.listdir(self.runs)
                if not os.path.exists(os.path.join(self.runs, run, ".guild", "opref"))]

    def test_a_kill_while_trials_are_staged_leaves_nothing_half_made(self):
        batch = self.submit("op", f"x=range[1:{TRIALS}]")
        for more in (1, 7, 13, 19, 23):
            there = len(os.listdir(self.runs))
            hosts.wait_for(lambda: len(os.listdir(self.runs)) > min(there + more, TRIALS),
                           "more are staged", step=0.0005)
            self.cluster.coordinator.kill()
            self.cluster.start_coordinator()
        hosts.wait_for(lambda: len(os.listdir(self.runs)) == TRIALS + 1 and not self.half_made(),
                       "all are staged, and whole", 60)
        links = [n for n in os.listdir(os.path.join(self.runs, batch)) if n != ".guild"]
        self.assertEqual(set(links), set(os.listdir(self.runs)) - {batch})

    def test_trials_made_ready_before_a_kill_are_not_made_ready_again(self):
        batch = self.submit("op", f"x=range[1:{TRIALS // 2}]", "--stage-trials")
        ended = os.path.join(self.runs, batch, ".guild", "attrs", "exit_status")
        for more in (1, 7, 13):
            there = len(os.listdir(self.runs))
            hosts.wait_for(lambda: len(os.listdir(self.runs)) > there + more or os.path.exists(ended),
                           "more are made ready", step=0.0005)
            self.cluster.coordinator.kill()
            self.cluster.start_coordinator()
        # One that was killed when all were made, and had not recorded that, goes on where it was.
        self.client.guild("runs", "-r", "lab")
        mark = os.path.join(self.runs, batch, ".guild", "LOCK.remote")
        hosts.wait_for(lambda: os.path.exists(ended) and not os.path.exists(mark), "all are made ready", 60)
        values = []
        for run in set(os.listdir(self.runs)) - {batch}:
            self.assertTrue(os.path.exists(os.path.join(self.runs, run, ".guild", "STAGED")), run)
            with open(os.path.join(self.runs, run, ".guild", "attrs", "flags")) as f:
                values.append(int(f.read().split(":")[1]))
        self.assertEqual(sorted(values), list(range(1, TRIALS // 2 + 1)))

    def test_what_was_being_staged_is_cleared_away_and_nothing_else(self):
        batch = self.submit("op", "x=[1,2]")
        hosts.wait_for(lambda: len(os.listdir(self.runs)) == 3, "the trials are staged")
        self.cluster.coordinator.kill()
        half, precious = "ab" * 16, os.path.join(self.cluster.root, "precious")
        os.makedirs(os.path.join(self.runs, half, ".guild"))
        os.makedirs(precious)
        os.symlink("../" + half, os.path.join(self.runs, batch, half))
        os.symlink(precious, os.path.join(self.runs, batch, "cd" * 16))
        self.cluster.start_coordinator()
        for gone in (os.path.join(self.runs, half), os.path.join(self.runs, batch, half)):
            hosts.wait_for(lambda path=gone: not os.path.lexists(path), f"{gone} goes")
        self.assertTrue(os.path.isdir(precious))
        self.assertTrue(os.path.islink(os.path.join(self.runs, batch, "cd" * 16)))
        self.assertEqual(len(os.listdir(self.runs)), 3)

    def test_a_trial_that_somebody_started_by_hand_is_not_run_again_in_place(self):
        self.client.write("guild.yml", "op:\n  exec: sh -c 'echo x >> again'\n  flags:\n    x: 1\n")
        batch = self.submit("op", "x=[1,2]")
        hosts.wait_for(lambda: len(os.listdir(self.runs)) == 3, "the trials are staged")
        by_hand, other = sorted(set(os.listdir(self.runs)) - {batch})
        self.cluster.head.guild("run", "--start", by_hand, "-y")
        self.cluster.head.start("worker", f"tcp://{self.cluster.head.address}:{self.cluster.port}")
        self.client.guild("watch", batch, "-r", "lab")
        for run in (by_hand, other):
            with open(os.path.join(self.runs, run, "again"), encoding="ascii") as f:
                self.assertEqual(f.read(), "x\n")

    def states(self, batch):
        """list of str: statuses of its trials, sorted."""
        runs = json.loads(self.client.guild("runs", "--remote", "lab", "--json", "--all").stdout)
        return sorted(r["status"] for r in runs if r["id"] != batch)

    def ends(self, batch):
        status = os.path.join(self.runs, batch, ".guild", "attrs", "exit_status")
        hosts.wait_for(lambda: os.path.exists(status), f"the batch ends\n{self.cluster.logs()}", 30)

    def begin_slow(self):
        """A batch of three on a worker of one slot, of which one runs."""
        self.client.write("guild.yml", "slow: {exec: sleep 60, flags: {x: 1}}\n")
        worker = self.cluster.start_worker("w1", slots=1)
        batch = self.submit("slow", "x=[1,2,3]")
        hosts.wait_for(lambda: len(self.states(batch)) == 3 and self.runs_one(), "one runs")
        return worker, batch

    def runs_one(self):
        workers = json.loads(self.client.guild("workers", "--remote", "lab", "--json").stdout)
        return any(run["running"] for worker in workers for run in worker["runs"])

    def test_a_batch_that_was_stopped_does_not_go_on(self):
        """Its worker stands still, so that nothing has ended when the coordinator dies."""
        worker, batch = self.begin_slow()
        worker.send(signal.SIGSTOP)
        self.client.guild("stop", batch, "--remote", "lab", ok=None)
        self.cluster.coordinator.kill()
        self.cluster.start_coordinator()
        worker.send(signal.SIGCONT)
        self.ends(batch)
        self.assertEqual(self.states(batch), ["pending", "pending", "terminated"])

    def test_nor_one_of_which_a_trial_failed_and_what_ran_ends_by_itself(self):
        """Its optimizer makes each trial when there is room for it."""
        gate = os.path.join(self.cluster.root, "gate")
        self.client.write("op.sh", f"""\
cd {self.cluster.root}
wait_for() {{ while [ ! -e {self.cluster.root}/$1 ] && [ -d {self.cluster.root} ]; do sleep 0.05; done; }}
if mkdir failed 2>/dev/null; then wait_for other; exit 3; fi
touch other
wait_for gate
""")
        self.client.write("guild.yml", "op: {exec: sh op.sh, flags: {x: 1}}\n")
        self.cluster.start_worker("w1", slots=2)
        batch = self.submit("op", "x=uniform[0:1]", "-o", "gp", "-m", "6", "--fail-on-trial-error")
        hosts.wait_for(lambda: "error" in self.states(batch) and "running" in self.states(batch), "one fails")
        self.cluster.coordinator.kill()
        self.cluster.start_coordinator()
        hosts.wait_for(self.runs_one, "it is taken back")
        with open(gate, "w", encoding="ascii"):
            pass
        self.ends(batch)
        self.assertEqual(self.states(batch), ["completed", "error"])
        with open(os.path.join(self.runs, batch, ".guild", "attrs", "exit_status"), encoding="ascii") as f:
            self.assertEqual(f.read().strip(), "3")

    def test_a_batch_is_stopped_while_its_worker_is_cut_off(self):
        self.client.write("guild.yml", "slow: {exec: sleep 60, flags: {x: 1}}\n")
        self.cluster.start_worker("w1", slots=1, proxy=True)
        batch = self.submit("slow", "x=[1]")
        hosts.wait_for(self.runs_one, "it runs")
        relay = self.cluster.worker_machine("w1").proxy
        relay.cut()
        self.client.guild("stop", batch, "--remote", "lab", ok=None)
        relay.join()
        self.ends(batch)
        self.assertEqual(self.states(batch), ["terminated"])

    def test_a_trial_that_was_stopped_before_it_began_is_not_begun(self):
        batch = self.submit("op", "x=[1,2,3]")
        hosts.wait_for(lambda: len(self.states(batch)) == 3, "they are staged")
        trial = next(run for run in os.listdir(self.runs) if run != batch)
        self.client.guild("stop", trial, "--remote", "lab")
        self.cluster.coordinator.kill()
        self.cluster.start_coordinator()
        self.cluster.start_worker("w1", slots=1)
        self.ends(batch)
        self.assertEqual(self.states(batch), ["completed", "completed", "pending"])

    def test_a_second_coordinator_on_one_home_is_refused(self):
        done = self.cluster.head.guild("coordinator", "--bind", "tcp://127.0.0.1:0", ok=False)
        self.assertEqual(done.stderr.strip(),
                         f"guild: another coordinator serves {self.cluster.head.home}")
        self.client.guild("runs", "--remote", "lab")


if __name__ == "__main__":
    unittest.main()
