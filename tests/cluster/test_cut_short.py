# SPDX-License-Identifier: Apache-2.0
"""A coordinator that ends in the midst of what a client asks, or of what it is about to record; and one whose
queue is lost."""
import glob
import os
import re
import sqlite3
import unittest

import hosts

SIZE = 8_000_000
GUILDFILE = """\
large: {exec: wc -c large.bin, flags: {x: 1}, sourcecode: no, requires: [file: large.bin]}
write: {exec: 'sh -c "head -c ${n} /dev/urandom > out.bin"', flags: {n: %d}, sourcecode: no}
wait: {exec: sleep 60, sourcecode: no}
""" % SIZE


class CutShort(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster()
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.client.write("guild.yml", GUILDFILE)
        with open(os.path.join(self.client.project, "large.bin"), "wb") as f:
            f.write(os.urandom(SIZE))

    def slow_link(self):
        """Between the client and the coordinator; only so can one be sure to be in the midst of it."""
        relay = hosts.Proxy(self.cluster.head.address, self.cluster.port)
        self.addCleanup(relay.close)
        self.cluster.configure(self.client, "lab", "127.0.0.1", relay.port)
        relay.delay = 0.03
        return relay

    def listed(self):
        return self.cluster.head.guild("runs").stdout

    def restart_after(self, relay, amount):
        hosts.wait_for(lambda: relay.bytes > amount, "it is under way")
        self.cluster.coordinator.kill()
        relay.delay = 0
        self.cluster.start_coordinator()

    def test_a_submission_goes_on_at_a_coordinator_that_was_started_again(self):
        self.cluster.start_worker("w1", slots=2)
        relay = self.slow_link()
        submitted = self.client.start("run", "large", "x=[1,2]", "-r", "lab", "-y")
        self.restart_after(relay, 1_000_000)
        self.assertEqual(submitted.wait(60), 0, submitted.log())
        self.assertEqual(submitted.log().count(f"{SIZE} large.bin"), 2, submitted.log())
        self.assertIn("the connection to remote 'lab' is lost", submitted.log())
        self.assertEqual(self.listed().count("completed"), 3, self.listed())

    def test_a_submission_goes_on_when_its_connection_was_broken(self):
        """Again and again, the coordinator all the while there: each begins anew what the last one had."""
        self.cluster.start_worker("w1", slots=2)
        relay = self.slow_link()
        submitted = self.client.start("run", "large", "x=[1,2]", "-r", "lab", "-y")
        for share in (1, 3, 6):
            hosts.wait_for(lambda: relay.bytes > share * 1_000_000, "it goes on")
            relay.cut()
            relay.join()
        relay.delay = 0
        self.assertEqual(submitted.wait(60), 0, submitted.log())
        self.assertEqual(submitted.log().count(f"{SIZE} large.bin"), 2, submitted.log())
        self.assertEqual(self.listed().count("completed"), 3, self.listed())

    def test_a_run_comes_home_from_a_coordinator_that_was_started_again(self):
        self.cluster.start_worker("w1", slots=1)
        self.client.guild("run", "write", "-r", "lab", "-y")
        relay = self.slow_link()
        pulled = self.client.start("pull", "lab", "-y")
        self.restart_after(relay, 1_000_000)
        self.assertEqual(pulled.wait(60), 0, pulled.log())
        ours = glob.glob(os.path.join(self.client.home, "runs", "*", "out.bin"))
        theirs = glob.glob(os.path.join(self.cluster.head.home, "runs", "*", "out.bin"))
        with open(ours[0], "rb") as one, open(theirs[0], "rb") as other:
            self.assertEqual(one.read(), other.read())

    def test_a_run_that_changes_meanwhile_is_listed_again(self):
        self.cluster.head.start("worker", "--slots", "1")  # in place: its files are the run's alone
        self.client.guild("run", "write", f"n={8 * SIZE}", "-r", "lab", "-y")
        relay = self.slow_link()
        pulled = self.client.start("pull", "lab", "-y")
        hosts.wait_for(lambda: relay.bytes > 1_000_000, "it is under way")
        theirs = glob.glob(os.path.join(self.cluster.head.home, "runs", "*", "out.bin"))[0]
        with open(theirs, "w") as f:
            f.write("another")
        relay.delay = 0
        self.assertEqual(pulled.wait(60), 0, pulled.log())
        ours = glob.glob(os.path.join(self.client.home, "runs", "*", "out.bin"))
        with open(ours[0]) as f:
            self.assertEqual(f.read(), "another")

    def test_a_command_that_may_have_been_done_is_not_said_again(self):
        """To delete run 1 twice deletes two."""
        self.cluster.start_worker("w1", slots=1)
        self.client.guild("run", "write", "-r", "lab", "-y")
        relay = self.slow_link()
        shown = self.client.start("cat", "-r", "lab", "-p", "out.bin")
        hosts.wait_for(lambda: relay.bytes > 1_000_000, "it is under way")
        relay.cut()
        relay.join()
        self.assertEqual(shown.wait(20), 1)
        self.assertIn("was lost before it answered", shown.log())

    def test_a_batch_that_the_queue_had_not_recorded_does_not_run_for_ever(self):
        """The queue can't be written while another has it, and the coordinator ends before it can."""
        with sqlite3.connect(os.path.join(self.cluster.head.home, "coordinator", "queue.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            self.client.start("run", "large", "x=[1,2]", "-r", "lab", "-y", "--no-wait")
            hosts.wait_for(lambda: "large" in self.listed(), "it is there")
            self.cluster.coordinator.kill()
            other.rollback()
        self.cluster.start_coordinator()
        self.assertNotIn("running", self.listed())
        self.assertRegex(self.listed(), "large.*(pending|staged)")
        batch = self.client.guild("select", "-r", "lab").stdout.strip()
        self.client.guild("runs", "rm", batch, "-r", "lab", "-y")

    def test_who_submits_hears_that_it_can_not_be_recorded(self):
        """And is not left waiting; it runs when it can be."""
        self.cluster.start_worker("w1", slots=1)
        with sqlite3.connect(os.path.join(self.cluster.head.home, "coordinator", "queue.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            told = self.client.guild("run", "large", "-r", "lab", "-y", ok=False)
            self.assertIn("it is accepted, but would be forgotten", told.stderr)
            self.assertIn("coordinator/queue.db", told.stderr)
            other.rollback()
        hosts.wait_for(lambda: "completed" in self.listed(), "it runs")

    def test_what_a_lost_queue_had_can_be_stopped_and_started_again(self):
        """Its marks say that it runs; whoever follows it is told, and does not wait for ever."""
        self.cluster.start_worker("w1", slots=2)
        self.client.guild("run", "wait", "-r", "lab", "-y", "--no-wait")
        hosts.wait_for(lambda: "running (w1)" in self.client.guild("runs", "-r", "lab").stdout, "it runs")
        self.cluster.coordinator.kill()
        self.cluster.worker("w1").kill()
        for path in glob.glob(os.path.join(self.cluster.head.home, "coordinator", "queue.db*")):
            os.remove(path)
        self.cluster.start_coordinator()
        run = self.client.guild("select", "-r", "lab").stdout.strip()
        watch = self.client.start("watch", run, "-r", "lab")
        hosts.wait_for(lambda: "not in this coordinator's queue" in watch.log(), "it is said")
        self.client.guild("stop", run, "-r", "lab", "-y")
        watch.wait(20)
        self.assertIn("terminated", self.client.guild("runs", "-r", "lab").stdout)
        self.cluster.start_worker("w1", slots=2)
        self.client.guild("run", "--restart", run, "-r", "lab", "-y", "--no-wait")
        hosts.wait_for(lambda: "running (w1)" in self.client.guild("runs", "-r", "lab").stdout, "it runs")

    def test_a_run_that_was_started_elsewhere_is_not_stopped_here(self):
        """The queue has not got it either, but its mark is the name of a remote of this home's users."""
        self.cluster.head.write("guild.yml", GUILDFILE)
        run = re.search("--start ([0-9a-f]+)", self.cluster.head.guild("run", "wait", "--stage", "-y").stdout)[1]
        self.cluster.configure(self.cluster.head, "far", "127.0.0.1", 1)
        mark = glob.glob(os.path.join(self.cluster.head.home, "runs", run + "*", ".guild"))[0]
        with open(os.path.join(mark, "LOCK.remote"), "w") as f:
            f.write("far")
        refused = self.client.guild("stop", run, "-r", "lab", "-y", ok=False)
        self.assertEqual(refused.returncode, 1, refused.stderr)
        self.assertIn("running (far)", self.listed())


if __name__ == "__main__":
    unittest.main()
