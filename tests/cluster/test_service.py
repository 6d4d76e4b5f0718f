# SPDX-License-Identifier: Apache-2.0
"""Coordinator and worker as services: a socket plays systemd's part."""
import os
import shutil
import socket
import tempfile
import time
import unittest
from unittest import mock

import hosts

WATCHDOG_S = 1.0


class Supervisor:
    """What systemd is to a unit of Type=notify with WatchdogSec: a datagram socket and two variables."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.env = {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}

    def hear(self, state, seconds):
        """True if the service says `state` within so many seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if state in self.socket.recv(4096).decode().split("\n"):
                    return True
            except TimeoutError:
                break
        return False

    def silent(self, seconds):
        """True if the service says nothing for so long, once what it had said is read."""
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(4096)
        except BlockingIOError:
            pass
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(4096)
        except TimeoutError:
            return True
        return False


class Service(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="guild-service-")
        self.machine = hosts.Machine(self.folder, "one")
        self.addCleanup(shutil.rmtree, self.folder)
        self.addCleanup(self.machine.close)

    def start(self, *args):
        """A service and its supervisor, after the service has said that it is ready."""
        supervisor = Supervisor(tempfile.mkdtemp(dir=self.folder))
        self.addCleanup(supervisor.socket.close)
        with mock.patch.dict(os.environ, supervisor.env):
            process = self.machine.start(*args)
        self.assertTrue(supervisor.hear("READY=1", 10), process.log())
        return process, supervisor

    def check(self, process, supervisor):
        for _ in range(3):
            self.assertTrue(supervisor.hear("WATCHDOG=1", WATCHDOG_S), process.log())
        process.send(hosts.signal.SIGSTOP)  # it hangs: systemd would hear nothing and end it
        self.assertTrue(supervisor.silent(2 * WATCHDOG_S))
        process.send(hosts.signal.SIGCONT)
        self.assertTrue(supervisor.hear("WATCHDOG=1", WATCHDOG_S))
        self.assertEqual(process.stop(), 0)

    def test_the_coordinator_is_ready_when_it_listens_and_feeds_the_watchdog(self):
        process, supervisor = self.start("coordinator", "--bind", "127.0.0.1:0")
        self.assertTrue(os.path.exists(os.path.join(self.machine.home, "coordinator", "endpoint")))
        self.check(process, supervisor)

    def test_the_worker_is_ready_and_feeds_the_watchdog(self):
        coordinator, _ = self.start("coordinator", "--bind", "127.0.0.1:0")
        self.check(*self.start("worker"))
        self.assertEqual(coordinator.stop(), 0)


if __name__ == "__main__":
    unittest.main()
