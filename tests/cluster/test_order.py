# SPDX-License-Identifier: Apache-2.0
"""Who is served first: users' batches of equal priority share, higher priorities go before, small
trials are let past a large one that waits for room, which is not starved."""
import os
import unittest

import hosts


class Order(unittest.TestCase):
    """Everything is queued before there is a worker, and each trial notes when it begins."""

    def setUp(self):
        self.cluster = hosts.Cluster()
        self.addCleanup(self.cluster.close)
        self.order = os.path.join(self.cluster.root, "order")
        self.second = self.cluster.machine("second")
        self.cluster.authorize("client", self.second)
        self.cluster.configure(self.second, "lab", self.cluster.head.address, self.cluster.port)
        for client in (self.cluster.client, self.second):
            client.write("guild.yml", f"""\
note:
  exec: "sh -c 'echo ${{name}} >> {self.order}; sleep 0.05'"
  flags: {{name: '', x: 1}}
  sourcecode: no
""")

    def submit(self, client, name, trials, *options):
        client.guild("run", "note", f"name={name}", f"x=range[1:{trials}]", *options, "-r", "lab", "--no-wait",
                     "-y")

    def begun(self, n):
        """The first that began, when that are n."""
        def enough():
            if not os.path.exists(self.order):
                return None
            with open(self.order) as f:
                names = f.read().split()
            return names if len(names) >= n else None

        return hosts.wait_for(enough, f"{n} trials begin\n{self.cluster.logs()}", 60)[:n]

    def test_two_keys_share_equally_whatever_their_users_are_called(self):
        self.submit(self.cluster.client, "a", 12)
        self.submit(self.second, "b", 12)
        self.submit(self.second, "b", 12)
        users = self.cluster.client.guild("queue", "-r", "lab").stdout
        self.assertIn("client", users)
        self.assertIn("second", users)
        self.cluster.start_worker("w1", slots=2)
        first = self.begun(24)[:16]
        self.assertIn(first.count("a"), (7, 8, 9), first)

    def test_priority_goes_first(self):
        self.submit(self.cluster.client, "low", 6)
        self.submit(self.second, "high", 6, "--priority", "3")
        self.submit(self.cluster.client, "last", 2, "--priority", "-1")
        self.cluster.start_worker("w1", slots=1)
        self.assertEqual(self.begun(14), ["high"] * 6 + ["low"] * 6 + ["last"] * 2)

    def test_small_ones_pass_a_large_one_and_do_not_starve_it(self):
        self.submit(self.cluster.client, "before", 1)
        self.submit(self.cluster.client, "large", 1, "--request", "cpus=2")
        self.submit(self.second, "small", 110)
        self.cluster.start_worker("w1", slots=2)
        names = self.begun(112)
        self.assertIn("small", names[:names.index("large")])
        self.assertIn("small", names[names.index("large"):])


if __name__ == "__main__":
    unittest.main()
