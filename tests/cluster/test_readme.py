# SPDX-License-Identifier: Apache-2.0
"""The README's cluster, typed as it stands there on two hosts that share nothing but a network."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import hosts

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TWO_MINUTES = 120


def readme_commands():
    """Commands as (host, text) in order; a command goes on over the lines that have no prompt."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        section = re.search(r"\n## Two machines.*?(?=\n## )", f.read(), re.DOTALL).group()
    commands = []
    for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL):
        for line in block.splitlines():
            prompt = re.match(r"(alpha|beta)\$ (.*)", line)
            if prompt:
                commands.append(list(prompt.groups()))
            else:
                commands[-1][1] += "\n" + line
    return commands


class Shell:
    """A shell on a machine, with that machine's own ~/.guild, which types what it is told."""

    def __init__(self, machine, programs):
        env = {k: v for k, v in machine.env().items() if k != "GUILD_HOME"}
        env["PATH"] = programs + os.pathsep + env["PATH"]
        self.log_path = os.path.join(machine.dir, "shell.log")
        with open(self.log_path, "wb") as out:
            self.popen = subprocess.Popen(
                ["ip", "netns", "exec", machine.namespace, "bash"], env=env, cwd=machine.dir, stdin=subprocess.PIPE,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True)

    def write(self, text):
        self.popen.stdin.write(text.encode() + b"\n")
        self.popen.stdin.flush()

    def type(self, text, seconds):
        """Types a command and waits until it is over; gives its exit status and what was printed."""
        mark = f"typed-{time.monotonic_ns()}"
        before = len(self.log())
        self.write(f"{text}\necho {mark} $?")
        hosts.wait_for(lambda: re.search(f"{mark} \\d+\n", self.log()[before:]), text, seconds)
        out, status = self.log()[before:].rsplit(mark, 1)
        return int(status), out

    def log(self):
        with open(self.log_path, encoding="utf-8") as f:
            return f.read()

    def close(self):
        os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.stdin.close()
        self.popen.wait()


@unittest.skipUnless(hosts.can_make_namespaces(), "needs root and network namespaces")
class Readme(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="guild-readme-")
        self.addCleanup(shutil.rmtree, self.root)
        self.network = hosts.Network(self.root)
        self.addCleanup(self.network.close)
        self.machines = {name: self.network.machine(name) for name in ("alpha", "beta")}
        for machine in self.machines.values():
            self._name_hosts(machine)
            os.makedirs(os.path.join(machine.dir, ".guild"))
        self.programs = os.path.join(self.root, "bin")
        os.mkdir(self.programs)
        os.symlink(os.path.abspath(shutil.which(hosts.GUILD)), os.path.join(self.programs, "guild"))
        shutil.copytree(os.path.join(ROOT, "tests", "samples"),
                        os.path.join(self.machines["alpha"].dir, "tests", "samples"))

    def _name_hosts(self, machine):
        """What `ip netns exec` shows as /etc/hosts."""
        folder = os.path.join("/etc/netns", machine.namespace)
        os.makedirs(folder)
        self.addCleanup(shutil.rmtree, folder)
        with open(os.path.join(folder, "hosts"), "w", encoding="ascii") as f:
            f.write("127.0.0.1 localhost\n")
            f.writelines(f"{m.address} {m.name}\n" for m in self.machines.values())

    def test_two_machines_become_a_cluster_in_under_two_minutes(self):
        began = time.monotonic()
        alpha, beta = self.machines["alpha"], self.machines["beta"]
        shells = {}
        for name, machine in self.machines.items():
            shells[name] = Shell(machine, self.programs)
            self.addCleanup(shells[name].close)
        said = {}
        for host, text in readme_commands():
            if text.startswith("scp "):  # the test hosts run no sshd
                shutil.copy(os.path.join(alpha.dir, "beta.access"), beta.dir)
            elif text.startswith("guild worker "):
                shells[host].write(text + " &")  # it stays in the foreground of a shell that is not used again
            else:
                status, out = shells[host].type(text, TWO_MINUTES)
                self.assertEqual(status, 0, f"{text}\n{out}")
                said[text] = out
        self.assertLess(time.monotonic() - began, TWO_MINUTES)
        self.assertEqual(said["guild runs -r lab"].count("completed"), 20)  # 20 are shown without --all
        self.assertIn("connected", said["guild workers -r lab"])
        self.assertEqual(len(said["guild compare --table --max accuracy"].strip().split("\n")), 25)


if __name__ == "__main__":
    unittest.main()
