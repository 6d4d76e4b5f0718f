# SPDX-License-Identifier: Apache-2.0
"""What trials require goes with them: once a batch is submitted nothing of the client's machine is
needed any more.  Each test submits while there is no worker, moves the project away, and only then
starts a worker."""
import os
import unittest

import hosts

GUILDFILE = """\
up: {exec: "sh -c 'echo from-up > up.txt'"}
plain: {exec: cat up.txt data/d.txt, flags: {x: 1}, requires: [operation: up, file: data]}
always: {exec: cat up.txt, requires: [{operation: up, always-resolve: yes, replace-existing: yes}]}
config: {exec: cat c.yml, flags-dest: 'config:c.yml', flags-import: all}
ref:
  exec: cat f.dat
  flags: {which: a}
  sourcecode: no
  requires: [{file: '${which}.dat', name: it, rename: '${which}.dat f.dat'}]
flag:
  exec: cat in.dat
  sourcecode: no
  requires: [{file: a.dat, flag-name: input, rename: '.* in.dat'}]
spoil:
  exec: "sh -c 'tail -c 4 large.dat; echo spoilt >>large.dat'"
  flags: {x: 1}
  sourcecode: no
  requires: [{file: large.dat}]
"""


class Dependencies(unittest.TestCase):
    def setUp(self):
        self.cluster = hosts.Cluster()
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.client.write("guild.yml", GUILDFILE)
        self.client.write("data/d.txt", "from-data\n")
        self.client.write("c.yml", "lr: 0.1\n")
        self.client.write("a.dat", "A\n")
        self.client.write("b.dat", "B\n")
        self.client.write("rows.csv", "which\na\nb\n")

    def outputs(self, *submissions):
        """Submits each `guild run` without waiting, hides the project, starts a worker; gives the
        last lines of the outputs of all runs that ended well, sorted."""
        for args in submissions:
            self.client.guild("run", *args, "--remote", "lab", "--no-wait", "-y")
        away = self.client.project + "-away"
        os.rename(self.client.project, away)
        os.mkdir(self.client.project)
        self.cluster.start_worker("w1", slots=1)

        def ended():
            runs = self.client.guild("runs", "--remote", "lab", "-a", "-s").stdout
            return not any(word in runs for word in ("pending", "staged", "running")) and runs

        runs = hosts.wait_for(ended, "all runs have ended", 60, 0.2)
        self.assertNotIn("error", runs)
        ids = self.client.guild("select", "--all", "--remote", "lab").stdout.split()
        texts = [self.client.guild("cat", "--output", i, "--remote", "lab", ok=None).stdout.strip()
                 for i in ids]
        return sorted(text for text in texts if text and "[guild]" not in text)

    def test_configuration(self):
        self.assertEqual(self.outputs(("config", "lr=[1,2]"), ("config", "lr=3")),
                         ["lr: 1", "lr: 2", "lr: 3"])

    def test_names_with_flags(self):
        self.assertEqual(self.outputs(("ref", "which=[a,b]"), ("ref", "@rows.csv"), ("ref", "which=b")),
                         ["A", "A", "B", "B", "B"])

    def test_files_given_by_flags(self):
        self.assertEqual(self.outputs(("flag", "input=[a.dat,b.dat]"), ("flag", "input=b.dat")),
                         ["A", "B", "B"])

    def test_a_trial_that_changes_a_large_file_changes_its_own(self):
        """It is large enough to be lent to the first, instead of being copied."""
        self.client.write("large.dat", "x" * 3_000_000 + "end\n")
        self.assertEqual(self.outputs(("spoil", "x=[1,2,3]"), ("spoil", "x=4")), ["end"] * 4)

    def test_upstream_runs(self):
        self.client.write("guild.yml", GUILDFILE)
        self.cluster.start_worker("w0", slots=1)
        self.client.guild("run", "up", "--remote", "lab", "-y")
        outputs = self.outputs(("plain", "x=[1,2]"), ("always",))
        self.assertEqual(outputs, ["from-up", "from-up\nfrom-data", "from-up\nfrom-data"])

    def test_what_is_missing_is_said_at_once(self):
        done = self.client.guild("run", "ref", "which=[a,nope]", "--remote", "lab", "-y", ok=False)
        self.assertIn("run failed because a dependency was not met: could not resolve 'it' in it "
                      "resource: cannot find source file 'nope.dat'", done.stderr)

    def test_a_run_without_its_upstream_run_ends_in_error(self):
        """As a trial of a batch does: it is not left staged, as if it had never been tried."""
        self.cluster.start_worker("w1", slots=1)
        for args in (("plain",), ("plain", "x=[1]")):
            done = self.client.guild("run", *args, "--remote", "lab", "-y", ok=None)
            self.assertIn("no suitable run for up", done.stderr)
            shown = self.client.guild("runs", "info", "--remote", "lab").stdout
            self.assertIn("status: error", shown)


if __name__ == "__main__":
    unittest.main()
