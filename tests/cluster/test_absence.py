# SPDX-License-Identifier: Apache-2.0
"""A coordinator that was away, or cut off, without having been restarted: what a worker began meanwhile
is its own, and nothing is begun twice."""
import glob
import os
import signal
import time
import unittest

import hosts


class Absence(unittest.TestCase):
    LEASE_S = 2

    def setUp(self):
        self.cluster = hosts.Cluster(options=["--lease", str(self.LEASE_S)])
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.began = os.path.join(self.cluster.root, "began")
        root = self.cluster.root
        self.client.write("guild.yml", f"""\
wait:
  exec: "sh -c 'echo ${{x}} >> {self.began}; while [ ! -e {root}/${{x}} ] && [ -d {root} ]; do sleep 0.05; done'"
  flags: {{x: 1}}
  sourcecode: no
short: {{exec: "sh -c 'echo ${{x}} >> {self.began}; sleep 0.4'", flags: {{x: 1}}, sourcecode: no}}
""")

    def begun(self):
        if not os.path.exists(self.began):
            return []
        with open(self.began) as f:
            return f.read().split()

    def let_go(self, x):
        with open(os.path.join(self.cluster.root, str(x)), "w"):
            pass

    def given(self, n):
        """The worker has what it needs for n runs."""
        pattern = os.path.join(self.cluster.worker_machine("w1").home, "worker", "*", "*", "runs", "*", ".guild",
                               "PENDING")
        return lambda: len(glob.glob(pattern)) >= n

    def test_a_trial_that_began_while_its_worker_was_cut_off_stays_with_it(self):
        self.cluster.start_worker("w1", slots=1, proxy=True)
        follower = self.client.start("run", "wait", "x=[1,2]", "-r", "lab", "-y")
        hosts.wait_for(lambda: self.begun() == ["1"] and self.given(1)(), "the first runs, the second waits", 20)
        relay = self.cluster.worker_machine("w1").proxy
        relay.cut()
        self.let_go(1)
        hosts.wait_for(lambda: self.begun() == ["1", "2"], "the second begins", 10)
        relay.join()
        hosts.wait_for(lambda: "is back" in self.cluster.coordinator.log(), "the worker is back", 10)
        time.sleep(3.5 * self.LEASE_S)  # what is taken for idle is given away after two leases
        self.let_go(2)
        self.assertEqual(follower.wait(30), 0)
        self.assertEqual(self.begun(), ["1", "2"])
        self.assertNotIn("begins nothing", self.cluster.coordinator.log())

    def test_nothing_is_begun_twice_when_a_coordinator_that_stood_still_goes_on(self):
        self.cluster.start_worker("w1", slots=2)
        follower = self.client.start("run", "short", "x=range[1:16]", "-r", "lab", "-y")
        hosts.wait_for(lambda: len(self.begun()) >= 4, "some begin", 20)
        self.cluster.coordinator.send(signal.SIGSTOP)
        time.sleep(2.5 * self.LEASE_S)  # longer than leases and what is added to them, or nothing is put to the test
        self.cluster.coordinator.send(signal.SIGCONT)
        self.assertEqual(follower.wait(60), 0)
        self.assertEqual(sorted(self.begun(), key=int), [str(x) for x in range(1, 17)])

    def test_in_place_what_it_gives_when_it_goes_on_is_not_ended_for_an_old_lease(self):
        self.cluster.head.start("worker", "--slots", "1")
        run = self.client.guild("run", "wait", "-r", "lab", "--no-wait", "-y").stdout.split()[0]
        hosts.wait_for(self.begun, "it begins", 20)
        self.cluster.coordinator.send(signal.SIGSTOP)
        time.sleep(4.4 * self.LEASE_S)  # by then the worker asks every 4 s whether it is back
        self.cluster.coordinator.send(signal.SIGCONT)
        hosts.wait_for(lambda: len(self.begun()) > 1, "it begins again", 20)
        self.let_go(1)
        status = os.path.join(self.cluster.head.home, "runs", run, ".guild", "attrs", "exit_status")
        hosts.wait_for(lambda: os.path.exists(status), "it ends", 20)
        with open(os.path.join(os.path.dirname(status), "attempts")) as f:
            self.assertEqual(f.read().strip(), "2")


if __name__ == "__main__":
    unittest.main()
