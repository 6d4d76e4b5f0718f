# SPDX-License-Identifier: Apache-2.0
"""Promise 5: what a run brings along or leaves behind leads nobody out of it and stops nobody.

A key says who may send runs and results, not what is in them. Links lead a coordinator to write and
to read elsewhere, pipes make whoever opens them wait for ever, files become folders.
"""
import os
import re
import unittest

import hosts

PROJECT = """\
- operations:
    echo: {exec: 'echo printed', sourcecode: no}
    read: {exec: "sh -c 'cat stolen || true'", sourcecode: no}
    link: {exec: "sh -c 'ln -s VICTIM stolen; ln -s HEAD dir; ln -s VICTIM output'", sourcecode: no}
    copy: {exec: "sh -c 'cat stolen'", requires: [{operation: link, select: stolen, target-type: copy}], sourcecode: no}
    follow: {exec: "sh -c 'cat stolen || true'", requires: [{operation: link, select: stolen}], sourcecode: no}
    aim: {exec: 'echo printed', requires: [{operation: link, select: output, target-path: .guild}], sourcecode: no}
    pipes: {exec: "sh -c 'rm .guild/output; for f in output attrs/exit_status attrs/stopped; do mkfifo .guild/$f; done'",
            sourcecode: no}
    hollow: {exec: "sh -c 'rm -r .guild/attrs; ln -s /nowhere .guild/attrs'", sourcecode: no}
    points: {exec: "sh -c 'mkdir -p points/best; for f in a b best/c; do echo old >points/$f; done'", sourcecode: no}
    go-on: {exec: "sh -c 'echo new >points/a; rm points/b; echo new >points/best/d'",
            requires: [{operation: points, select: points}], sourcecode: no}
    change: {exec: "sh -c 'rm -r a b; mkdir a; echo new >a/x; echo new >b'",
             requires: [{file: a}, {file: b}], sourcecode: no}
    staged: {exec: 'true', flags: {x: 1}, sourcecode: no,
             requires: [{file: 'data-${x}', post-process: 'touch RAN'}]}
"""


class HostileRuns(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster()
        self.addCleanup(self.cluster.close)
        self.client, self.head = self.cluster.client, self.cluster.head
        self.worker = self.cluster.start_worker("w1", slots=1)
        self.victim = os.path.join(self.head.dir, "victim")
        self.ran = os.path.join(self.head.dir, "ran")
        with open(self.victim, "w") as f:
            f.write("of nobody's run\n")
        self.client.write("guild.yml", PROJECT.replace("VICTIM", self.victim)
                          .replace("HEAD", self.head.dir).replace("RAN", self.ran))

    def run_there(self, *args, ok=True, seconds=40):
        done = self.client.guild("run", *args, "-r", "lab", "-y", ok=ok, seconds=seconds)
        return done.stdout + done.stderr

    def runs(self, machine):
        folder = os.path.join(machine.home, "runs")
        names = [os.path.join(folder, name) for name in os.listdir(folder)]
        return sorted(names, key=lambda d: os.stat(os.path.join(d, ".guild", "attrs", "id")).st_mtime_ns)

    def stage(self, op):
        """A staged run at the client, to be tampered with."""
        self.client.guild("run", op, "--stage", "-y")
        return self.runs(self.client)[-1]

    def read(self, *parts):
        with open(os.path.join(*parts)) as f:
            return f.read()

    def assert_unharmed(self):
        self.assertEqual(self.read(self.victim), "of nobody's run\n")
        self.assertIn("printed", self.run_there("echo"))

    def test_output_that_is_a_link_leads_nowhere(self):
        for name in ("output", "output.index", "attrs/exit_status", "LOCK.remote", "manifest"):
            run = self.stage("echo")
            link = os.path.join(run, ".guild", name)
            if os.path.lexists(link):
                os.remove(link)
            # From here it leads nowhere, so it travels as a link; at the coordinator it is the victim.
            os.symlink("../" * (4 + name.count("/")) + "victim", link)
            self.assertFalse(os.path.exists(link), name)
            self.assertIn("printed", self.run_there("--start", os.path.basename(run)))
            self.assert_unharmed()
            at_head = os.path.join(self.head.home, "runs", os.path.basename(run))
            self.assertFalse(os.path.islink(os.path.join(at_head, ".guild", name)))
            self.assertEqual(self.read(at_head, ".guild/output"), "printed\n")

    def test_no_dependency_is_put_where_guild_writes(self):
        self.run_there("link")
        self.assertIn("invalid path", self.run_there("aim", ok=False))
        self.assert_unharmed()

    def test_what_links_lead_to_is_handed_to_nobody(self):
        self.run_there("link")
        self.assertNotIn("nobody's", self.run_there("copy", ok=False))
        self.assertNotIn("nobody's", self.run_there("follow"))
        run = self.stage("read")
        os.symlink("../../../victim", os.path.join(run, "stolen"))
        self.assertNotIn("nobody's", self.run_there("--start", os.path.basename(run)))
        for args in (("cat", "-p", "stolen"), ("cat", "-p", "dir/victim"), ("ls", "-L"), ("ls", "-aL")):
            done = self.client.guild(*args, "-Fo", "link", "-r", "lab", ok=None)
            self.assertNotIn("nobody's", done.stdout, args)
            self.assertNotIn("victim", done.stdout, args)
        for args in (("runs", "-A" + self.head.dir), ("runs", "rm", "-yA" + self.head.dir), ("ls", "-nrlab")):
            done = self.client.guild(*args, "-r", "lab", ok=False)
            self.assertIn("can't be used on a remote", done.stderr, args)
        self.client.guild("pull", "lab", "-y")
        linked = next(r for r in self.runs(self.client) if os.path.lexists(os.path.join(r, "output")))
        self.assertTrue(os.path.islink(os.path.join(linked, "stolen")))
        self.assert_unharmed()

    def test_what_a_pulled_run_links_to_is_not_sent(self):
        self.run_there("link")  # to what is here as well: one file system
        self.client.guild("pull", "lab", "-y")
        pulled = self.runs(self.client)[-1]
        self.assertEqual(self.read(pulled, "stolen"), "of nobody's run\n")
        self.client.guild("runs", "rm", "-r", "lab", "-y")
        self.client.guild("push", "lab", "-y")
        pushed = os.path.join(self.head.home, "runs", os.path.basename(pulled))
        self.assertTrue(os.path.islink(os.path.join(pushed, "stolen")))
        self.assertTrue(os.path.islink(os.path.join(pushed, "dir")))

    def test_pipes_stop_no_worker(self):
        for op in ("pipes", "hollow"):
            self.run_there(op, ok=None)
            self.assert_unharmed()
        self.assertNotIn("is tried again", self.cluster.coordinator.log())
        self.client.guild("run", "pipes", "-y", seconds=20)

    def test_a_linked_folder_that_the_trial_changed_comes_home(self):
        self.run_there("points")
        points = self.runs(self.head)[-1]
        self.run_there("go-on")
        run = next(r for r in self.runs(self.head) if "go-on" in self.read(r, ".guild/opref"))
        self.assertEqual(self.read(run, "points/a"), "new\n")
        self.assertFalse(os.path.lexists(os.path.join(run, "points/b")))
        self.assertEqual(self.read(run, "points/best/c"), "old\n")
        self.assertEqual(self.read(run, "points/best/d"), "new\n")
        for name in ("a", "b", "best/c"):
            self.assertEqual(self.read(points, "points", name), "old\n")
        self.assertEqual(os.listdir(os.path.join(points, "points/best")), ["c"])

    def test_files_become_folders_and_folders_files(self):
        self.client.write("a", "old\n")
        self.client.write("b/c/d", "old\n")
        self.run_there("change")
        run = self.runs(self.head)[-1]
        self.assertEqual((self.read(run, "a/x"), self.read(run, "b")), ("new\n", "new\n"))

    def test_what_is_staged_there_is_not_resolved_there(self):
        for x in (1, 2):
            self.client.write(f"data-{x}", "data\n")
        text = self.run_there("staged", "x=[1,2]", "--stage-trials")
        trials = re.findall(r"Staging trial ([0-9a-f]{32})", text)
        self.assertEqual(len(trials), 2, text)
        for trial in trials:
            guild = os.path.join(self.head.home, "runs", trial, ".guild")
            self.assertTrue(os.path.exists(os.path.join(guild, "STAGED")))
            self.assertFalse(os.path.exists(os.path.join(guild, "ENV")))
        self.assertFalse(os.path.exists(self.ran))
        self.client.guild("pull", "lab", "-y")
        self.run_there("--start", trials[0])
        self.assertEqual(self.read(self.head.home, "runs", trials[0], "data-1"), "data\n")


if __name__ == "__main__":
    unittest.main()
