# SPDX-License-Identifier: Apache-2.0
"""A server that does not answer holds up the trials that need it, and nothing else: no lease runs out,
other trials run, a stop is a stop."""
import http.server
import json
import threading
import time
import unittest

import hosts

LEASE_S = 2


class SlowServer(http.server.ThreadingHTTPServer):
    """Answers when the gate is open, with the path."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.gate = threading.Event()
        self.asked = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A client that went away is what the test is about."""

    def close(self):
        self.gate.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        self.server.gate.wait()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode() + b"\n")

    def log_message(self, format, *args):
        pass


class SlowUrls(unittest.TestCase):
    def setUp(self):
        self.server = SlowServer()
        self.addCleanup(self.server.close)
        self.cluster = hosts.Cluster(options=["--lease", str(LEASE_S)])
        self.addCleanup(self.cluster.close)
        self.cluster.start_worker("w1", slots=2)
        self.client = self.cluster.client
        self.client.write("guild.yml", f"""\
url:
  exec: cat f-${{x}}
  flags: {{x: 1}}
  sourcecode: no
  requires: [{{url: 'http://127.0.0.1:{self.server.server_address[1]}/f-${{x}}'}}]
other: {{exec: echo done}}
""")

    def submit(self, *args):
        return self.client.guild("run", *args, "--remote", "lab", "--no-wait", "-y").stdout.split()[0]

    def runs(self):
        return json.loads(self.client.guild("runs", "--remote", "lab", "--all", "--json").stdout)

    def status(self, run):
        return next(r["status"] for r in self.runs() if r["id"] == run)

    def test_no_lease_runs_out_meanwhile(self):
        batch = self.submit("url", "x=[1]")
        hosts.wait_for(lambda: self.server.asked, "the server is asked")
        until = time.monotonic() + 2 * LEASE_S
        while time.monotonic() < until:  # others run beside it
            self.assertEqual(self.client.guild("run", "other", "--remote", "lab", "-y").stdout, "done\n")
        self.assertNotIn("no sign of life", self.cluster.coordinator.log())
        self.server.gate.set()
        hosts.wait_for(lambda: self.status(batch) == "completed", "the batch is completed")
        self.assertEqual(self.server.asked, 1)

    def test_a_stop_does_not_wait_for_it(self):
        batch = self.submit("url", "x=[1,2]")
        hosts.wait_for(lambda: self.server.asked == 2, "the server is asked")
        self.client.guild("stop", batch, "--remote", "lab", "-y")
        hosts.wait_for(lambda: self.status(batch) == "terminated", "the batch is stopped", 10)
        self.assertFalse(any(r["status"] == "running" for r in self.runs()))
        self.server.gate.set()
        self.assertEqual(self.client.guild("run", "other", "--remote", "lab", "-y").stdout, "done\n")


if __name__ == "__main__":
    unittest.main()
