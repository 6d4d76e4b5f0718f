# SPDX-License-Identifier: Apache-2.0
"""Who follows a run sees each line once, whatever happens to the coordinator meanwhile."""
import glob
import os
import re
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

    def in_place(self, away):
        """A batch with a worker on the coordinator's home, which leaves output alone while `away()`."""
        gates = [os.path.join(self.cluster.root, name) for name in ("first", "second")]
        wait = "while [ ! -e {} ] && [ -d " + self.cluster.root + " ]; do sleep 0.05; done"
        script = "; ".join(["for i in $(seq 10); do echo line $i of ${x}; done", wait.format(gates[0]),
                            "for i in $(seq 11 20); do echo line $i of ${x}; done", wait.format(gates[1]),
                            "for i in $(seq 21 60); do echo line $i of ${x}; done"])
        self.client.write("guild.yml", f"count: {{exec: \"sh -c '{script}'\", flags: {{x: 1}}, sourcecode: no}}\n")
        relay = hosts.Proxy(self.cluster.head.address, self.cluster.port)
        self.cluster.proxies.append(relay)
        self.cluster.head.start("worker", f"tcp://127.0.0.1:{relay.port}", "--slots", "2", "--key",
                                os.path.join(self.cluster.head.home, "coordinator", "local.key"))
        follower = self.client.start("run", "count", "x=[1,2]", "-r", "lab", "-y")
        hosts.wait_for(lambda: all(f"line 10 of {x}" in follower.log() for x in (1, 2)), "some lines", 20)

        def printed_on():
            trials = 0
            for path in glob.glob(os.path.join(self.cluster.head.home, "runs", "*", ".guild", "output")):
                with open(path) as f:
                    trials += "line 20 of" in f.read()
            return trials >= 2

        def meanwhile():
            with open(gates[0], "w"):
                pass
            hosts.wait_for(printed_on, "they print on", 10)

        away(relay, meanwhile)
        with open(gates[1], "w"):
            pass
        self.assertEqual(follower.wait(40), 0, follower.log() + self.cluster.logs())
        return follower.log().splitlines()

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

    def test_a_batch_in_place_while_the_coordinator_is_restarted(self):
        def away(relay, meanwhile):
            self.cluster.coordinator.kill()
            meanwhile()
            self.cluster.start_coordinator()

        lines = self.in_place(away)
        for x in (1, 2):  # nobody knows what it was told last: some may come twice, none never
            self.assertEqual(sorted({int(s.split()[1]) for s in lines if s.endswith(f" of {x}")}),
                             list(range(1, 61)))

    def test_a_batch_in_place_while_its_worker_is_cut_off(self):
        def away(relay, meanwhile):
            relay.cut()
            meanwhile()
            relay.join()

        self.assert_whole(self.in_place(away), [1, 2])

    def test_long_output_of_a_batch_is_kept_when_the_coordinator_is_restarted(self):
        batch = self.client.guild("run", "count", "x=[1,2]", "-r", "lab", "--no-wait", "-y").stdout.split()[0]
        output = os.path.join(self.cluster.head.home, "runs", batch, ".guild", "output")
        self.cluster.coordinator.kill()
        with open(output, "a") as f:
            f.truncate(100 << 20)
            f.write("\n")
        self.cluster.start_coordinator()
        self.assertGreater(os.path.getsize(output), 100 << 20)
        self.cluster.start_worker("w1")
        last = "line 60 of 2\n"

        def is_told():
            with open(output, "rb") as f:
                f.seek(-10000, os.SEEK_END)
                return last.encode() in f.read()

        hosts.wait_for(is_told, "the output goes on", 30)


class Flood(unittest.TestCase):
    """A trial prints more than anybody reads."""

    def memory_mb(self, process):
        with open(f"/proc/{process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) // 1024

    def test_a_link_that_stands_still_costs_no_memory_and_no_output(self):
        cluster = hosts.Cluster()
        self.addCleanup(cluster.close)
        gate = os.path.join(cluster.root, "gate")
        cluster.client.write("guild.yml", f"""\
flood:
  exec: "sh -c 'echo begin; while [ ! -e {gate} ] && [ -d {cluster.root} ]; do sleep 0.05; done; seq 1 5000000'"
  flags: {{x: 1}}
  sourcecode: no
""")
        worker = cluster.start_worker("w1", slots=1, proxy=True)
        follower = cluster.client.start("run", "flood", "x=[1]", "-r", "lab", "-y")
        hosts.wait_for(lambda: "begin" in follower.log(), "it begins", 20)
        before = self.memory_mb(worker)
        relay = cluster.worker_machine("w1").proxy
        relay.frozen = True
        with open(gate, "w"):
            pass
        pattern = os.path.join(cluster.worker_machine("w1").home, "worker", "*", "*", "runs", "*", ".guild",
                               "attrs", "exit_status")
        hosts.wait_for(lambda: glob.glob(pattern), "it has printed", 25)
        grown = self.memory_mb(worker) - before
        relay.frozen = False
        self.assertEqual(follower.wait(40), 0)
        self.assertLess(grown, 25)  # of 38 MB
        self.assertIn("bytes more, which are left out here", follower.log())
        sizes = [os.path.getsize(path) for path in
                 glob.glob(os.path.join(cluster.head.home, "runs", "*", ".guild", "output"))]
        self.assertIn(38888902, sizes)


if __name__ == "__main__":
    unittest.main()
