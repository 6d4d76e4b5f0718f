# SPDX-License-Identifier: Apache-2.0
"""Who follows a run sees each line once, whatever happens to the coordinator meanwhile."""
import glob
import os
import unittest

import hosts

COUNT = "count: {exec: \"sh -c 'for i in $(seq 60); do echo line $i of ${x}; sleep 0.1; done'\", " \
        "flags: {x: 1}, sourcecode: no}\n"


class Followed(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster(options=["--lease", "5"])
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.client.write("guild.yml", COUNT)

    def follow(self, *args, away):
        """Runs it, followed; `away()` is called when some lines are there.  Gives the printed lines."""
        self.cluster.start_worker("w1", slots=2, proxy=True)
        follower = self.client.start("run", "count", *args, "-r", "lab", "-y")
        hosts.wait_for(lambda: "line 9 of" in follower.log(), "some lines", 20)
        away()
        self.assertEqual(follower.wait(40), 0, follower.log() + self.cluster.logs())
        return follower.log().splitlines()

    def goes_on(self):
        """Waits until the trials have printed more than anybody heard."""
        home = self.cluster.worker_machine("w1").home
        pattern = os.path.join(home, "worker", "*", "*", "runs", "*", ".guild", "output")

        def printed():
            for path in glob.glob(pattern):
                with open(path) as f:
                    if "line 25 of" not in f.read():
                        return False
            return True

        hosts.wait_for(printed, "they print on", 10)

    def restart(self):
        self.cluster.coordinator.kill()
        self.goes_on()
        self.cluster.start_coordinator()

    def cut(self):
        relay = self.cluster.worker_machine("w1").proxy
        relay.cut()
        self.goes_on()
        relay.join()

    def assert_whole(self, printed, trials):
        """Each line once. Of a batch the last before a kill may come again: it is told, then recorded."""
        for x in trials:
            lines = [line for line in printed if line.endswith(f" of {x}")]
            again = [i for i in range(1, len(lines)) if lines[i] == lines[i - 1]]
            self.assertLessEqual(len(again), 1 if len(trials) > 1 else 0, lines)
            for i in again:
                del lines[i]
            self.assertEqual(lines, [f"line {i} of {x}" for i in range(1, 61)])
        said = [line for line in printed if "Running trial" in line]
        self.assertEqual(len(said), len(trials) if len(trials) > 1 else 0, said)

    def test_a_run_while_the_coordinator_is_restarted(self):
        self.assert_whole(self.follow(away=self.restart), [1])

    def test_a_batch_while_the_coordinator_is_restarted(self):
        self.assert_whole(self.follow("x=[1,2]", away=self.restart), [1, 2])

    def test_a_batch_while_its_worker_is_cut_off(self):
        self.assert_whole(self.follow("x=[1,2]", away=self.cut), [1, 2])


if __name__ == "__main__":
    unittest.main()
