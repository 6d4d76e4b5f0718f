# SPDX-License-Identifier: Apache-2.0
"""Promise 4: nobody without an authorised key gets past the handshake, and a role is what it says.

Garbage, half-open connections and wrong keys are thrown at a coordinator that goes on serving its
own people throughout.
"""
import os
import socket
import time
import unittest

import hosts

ZMQ_GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x00"


class Strangers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = hosts.Cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start_worker("w1", slots=1)
        cls.client = cls.cluster.client
        cls.client.write("guild.yml", "op:\n  exec: echo hello\n")

    def connect(self):
        return socket.create_connection((self.cluster.head.address, self.cluster.port), 5)

    def assert_serves(self):
        done = self.client.guild("run", "op", "--remote", "lab", "-y", seconds=30)
        self.assertIn("hello", done.stdout + done.stderr)

    def memory_kib(self):
        with open(f"/proc/{self.cluster.coordinator.pid}/status") as f:
            return int(next(l for l in f if l.startswith("VmRSS")).split()[1])

    def test_garbage_is_ignored(self):
        for bytes_ in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(65536), b"\0" * 4096,
                       ZMQ_GREETING + b"NULL" + b"\0" * 48, ZMQ_GREETING + b"CURVE" + os.urandom(512)):
            with self.connect() as s:
                try:
                    s.sendall(bytes_)
                except OSError:
                    pass
        self.assert_serves()

    def test_a_thousand_half_open_connections(self):
        sockets = []
        try:
            for _ in range(900):
                sockets.append(self.connect())
            self.assert_serves()
            self.assertLess(self.memory_kib(), 200 * 1024)
        finally:
            for s in sockets:
                s.close()

    def test_unknown_key_is_told_so_within_ten_seconds(self):
        stranger = self.cluster.machine("stranger")
        other = hosts.Cluster()
        self.addCleanup(other.close)
        path = other.authorize("client", stranger)
        with open(path) as f:
            text = f.read()
        with open(self.cluster.key_path(self.client)) as f:
            right = dict(l.split(": ", 1) for l in f.read().splitlines() if ": " in l)
        lines = [f"server_key: {right['server_key']}" if l.startswith("server_key:") else l
                 for l in text.splitlines()]
        with open(path, "w") as f:
            f.write("\n".join(lines) + "\n")
        self.cluster.configure(stranger, "lab", self.cluster.head.address, self.cluster.port)
        began = time.monotonic()
        done = stranger.guild("runs", "--remote", "lab", ok=False, seconds=30)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("key", done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def test_nobody_there_is_told_so_within_ten_seconds(self):
        lonely = self.cluster.machine("lonely")
        self.cluster.authorize("client", lonely)
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        self.cluster.configure(lonely, "lab", "127.0.0.1", port)
        began = time.monotonic()
        done = lonely.guild("runs", "--remote", "lab", ok=False, seconds=30)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn(str(port), done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def test_a_worker_key_cannot_submit(self):
        machine = self.cluster.machine("impostor")
        self.cluster.authorize("worker", machine)
        self.cluster.configure(machine, "lab", self.cluster.head.address, self.cluster.port)
        machine.write("guild.yml", "op:\n  exec: touch /tmp/impostor\n")
        done = machine.guild("run", "op", "--remote", "lab", "-y", ok=False, seconds=30)
        self.assertIn("worker", done.stderr)

    def test_a_client_key_cannot_serve(self):
        machine = self.cluster.machine("usurper")
        key = self.cluster.authorize("client", machine)
        worker = machine.start("worker", f"tcp://{self.cluster.head.address}:{self.cluster.port}",
                               "--key", key)
        self.assertNotEqual(worker.wait(15), 0)
        self.assertIn("client", worker.log())

    def test_a_reader_cannot_submit_but_can_list(self):
        machine = self.cluster.machine("reader")
        self.cluster.authorize("reader", machine)
        self.cluster.configure(machine, "lab", self.cluster.head.address, self.cluster.port)
        machine.write("guild.yml", "op:\n  exec: 'true'\n")
        machine.guild("runs", "--remote", "lab")
        machine.guild("run", "op", "--remote", "lab", "-y", ok=False, seconds=30)

    def test_a_key_that_others_may_read_is_refused(self):
        machine = self.cluster.machine("careless")
        os.chmod(self.cluster.authorize("client", machine), 0o644)
        self.cluster.configure(machine, "lab", self.cluster.head.address, self.cluster.port)
        done = machine.guild("runs", "--remote", "lab", ok=False)
        self.assertIn("access.key", done.stderr)

    def test_a_revoked_client_is_not_heard(self):
        machine = self.cluster.machine("former")
        self.cluster.authorize("client", machine)
        self.cluster.configure(machine, "lab", self.cluster.head.address, self.cluster.port)
        machine.guild("runs", "--remote", "lab")
        self.cluster.head.guild("coordinator", "revoke", "former")
        machine.guild("runs", "--remote", "lab", ok=False, seconds=30)


if __name__ == "__main__":
    unittest.main()
