# SPDX-License-Identifier: Apache-2.0
"""Wall clocks of the coordinator and its workers jump, forward and back: leases don't notice."""
import glob
import os
import subprocess
import unittest

import hosts

TRIALS = 30
JUMPS = [("head", 7200), ("w1", -7200), ("head", -86400), ("w1", 864000), ("head", 0), ("w1", 0)]


class Clock(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster(options=["--lease", "2"])
        self.addCleanup(self.cluster.close)
        self.library = os.path.join(self.cluster.root, "clock.so")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clock.c")
        subprocess.run([os.environ.get("CC", "cc").split()[-1], "-shared", "-fPIC", "-o", self.library, source],
                       check=True)

    def own_clock(self, machine):
        """What is started there from now on has a clock that jump() sets."""
        env, path = machine.env, os.path.join(machine.dir, "clock")

        def with_clock():
            made = dict(env(), LD_PRELOAD=self.library, CLOCK_OFFSET=path)
            if "ASAN_OPTIONS" in made:
                made["ASAN_OPTIONS"] += ":verify_asan_link_order=0"
            return made

        machine.env = with_clock

    def jump(self, machine, seconds):
        path = os.path.join(machine.dir, "clock")
        with open(path + ".new", "w") as f:
            f.write(f"{seconds}\n")
        os.replace(path + ".new", path)

    def attr(self, run, name):
        path = os.path.join(run, ".guild", "attrs", name)
        if not os.path.exists(path):
            return None
        with open(path) as f:
            text = f.read().strip()
        return int(text) if text else None  # it is being written

    def ended(self):
        return [run for run in glob.glob(os.path.join(self.cluster.head.home, "runs", "*"))
                if os.path.exists(os.path.join(run, "made")) and self.attr(run, "exit_status") is not None]

    def test_each_trial_runs_once(self):
        self.cluster.coordinator.stop()
        self.own_clock(self.cluster.head)
        self.cluster.start_coordinator()
        machine = self.cluster.machine("w1")
        self.cluster.authorize("worker", machine)
        self.own_clock(machine)
        self.cluster.workers["w1"] = [machine, f"tcp://127.0.0.1:{self.cluster.port}", None]
        away, here = self.cluster.start_worker("w1"), self.cluster.head.start("worker", "--slots", "1")
        self.cluster.client.write("guild.yml", "t: {exec: \"sh -c 'sleep 0.3; echo ${x} > made'\", flags: {x: 1}, "
                                               "sourcecode: no}\n")
        follower = self.cluster.client.start("run", "t", f"x=range[1:{TRIALS}]", "-r", "lab", "-y")
        for i, (name, seconds) in enumerate(JUMPS):
            hosts.wait_for(lambda: len(self.ended()) >= 4 * i + 2, "trials go on", 30)
            self.jump(self.cluster.head if name == "head" else machine, seconds)
        self.assertEqual(follower.wait(60), 0)
        runs = self.ended()
        self.assertEqual(len(runs), TRIALS)
        self.assertEqual({self.attr(run, "attempts") or 1 for run in runs}, {1})
        started = [self.attr(run, "started") for run in runs]
        self.assertGreater(max(started) - min(started), 86400 * 10**6, "the clocks did jump")
        for log in (away.log(), here.log()):
            self.assertNotIn("lost", log)
            self.assertNotIn("lease", log)
        self.assertNotIn("is gone", self.cluster.coordinator.log())


if __name__ == "__main__":
    unittest.main()
