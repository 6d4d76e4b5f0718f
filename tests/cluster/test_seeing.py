# SPDX-License-Identifier: Apache-2.0
"""What a coordinator shows to those who watch over it: metrics and health over HTTP where it is asked to,
log lines for programs."""
import contextlib
import json
import os
import re
import socket
import unittest
import urllib.error
import urllib.request

import hosts


def listeners(pid):
    """set of int: the TCP ports that a process listens on."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}")))
    ports = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}") as f:
            rows = [line.split() for line in f.readlines()[1:]]
        ports.update(int(r[1].rsplit(":", 1)[1], 16) for r in rows if r[3] == "0A" and r[9] in inodes)
    return ports


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Seeing(unittest.TestCase):
    def start(self, *options):
        self.cluster = hosts.Cluster(options=options)
        self.addCleanup(self.cluster.close)
        self.cluster.client.write("guild.yml", "good: {exec: 'true'}\nbad: {exec: 'false'}\n")
        return self.cluster.client

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def metric(self, name):
        return int(re.search(rf"^guild_{name} (\d+)$", self.get("/metrics"), re.M).group(1))

    def test_metrics_and_health(self):
        self.port = free_port()
        client = self.start("--metrics-port", str(self.port))
        self.assertEqual(listeners(self.cluster.coordinator.pid), {self.cluster.port, self.port})
        self.assertEqual(self.get("/health"), "ok\n")
        self.assertEqual((self.metric("workers"), self.metric("tasks_waiting")), (0, 0))
        client.guild("run", "good", "-r", "lab", "--no-wait", "-y")
        self.assertEqual((self.metric("jobs"), self.metric("tasks_waiting")), (1, 1))
        self.cluster.start_worker("w1", slots=1)
        client.guild("run", "bad", "-r", "lab", "-y", ok=False)
        hosts.wait_for(lambda: self.metric("jobs") == 0, "both have ended")
        self.assertEqual((self.metric("workers"), self.metric("tasks_finished_total"),
                          self.metric("tasks_failed_total")), (1, 2, 1))
        with self.assertRaises(urllib.error.HTTPError):
            self.get("/other")

    def test_nothing_is_served_that_was_not_asked_for(self):
        self.start()
        self.assertEqual(listeners(self.cluster.coordinator.pid), {self.cluster.port})

    def test_log_lines_are_objects(self):
        client = self.start("--json-log")
        worker = self.cluster.start_worker("w1", "--json-log", slots=1)
        client.guild("run", "good", "-r", "lab", "-y")
        for process in (self.cluster.coordinator, worker):
            lines = [json.loads(line) for line in process.log().splitlines()]
            self.assertTrue(lines)
            for line in lines:
                self.assertIn(line["level"], ("DEBUG", "INFO", "WARNING", "ERROR"))
                self.assertTrue(line["msg"])
                self.assertIn("time", line)


if __name__ == "__main__":
    unittest.main()
