# SPDX-License-Identifier: Apache-2.0
"""Test hosts and what can happen to them.

A `Machine` has a folder of its own (home, project, logs) and, inside a `Network`, a network
namespace of its own; it starts `guild` processes and ends them by pid.  A `Network` joins machines
by veth pairs to a bridge in a further namespace; links can be cut, joined again and made slow.  A
`Proxy` is a TCP relay on loopback that delays, stalls or breaks connections, for what the kernel
has no queueing discipline for.  A `Cluster` is a coordinator, workers and a client on machines.

Everything made here is ended and removed by `close()`, whatever the test did.
"""
import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

GUILD = os.environ.get("GUILD", "guild")
_numbers = itertools.count(1)


def wait_for(condition, what, seconds=30.0, step=0.02):
    """Waits until condition() is true and gives its value.

    Args:
        condition: called without arguments, again and again.
        what: str, named in the error.
        seconds: float, the limit.
    Raises:
        AssertionError: the limit is over.
    """
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(step)


def can_make_namespaces():
    """True if this process may make network namespaces with veth pairs."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    name = f"guildprobe{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], stderr=subprocess.DEVNULL).returncode:
        return False
    veth = subprocess.run(
        ["ip", "-n", name, "link", "add", "name", "probe0", "type", "veth", "peer", "name", "probe1"],
        stderr=subprocess.DEVNULL)
    subprocess.run(["ip", "netns", "del", name], check=True)
    return veth.returncode == 0


class Process:
    """A started program with its output in a file.  Has a process group of its own."""

    def __init__(self, argv, env, cwd, log):
        self.log_path = log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(
                argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True)
        self.pid = self.popen.pid

    def log(self):
        """str: all that it printed."""
        with open(self.log_path, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def running(self):
        return self.popen.poll() is None

    def send(self, sig):
        if self.running():
            os.kill(self.pid, sig)

    def kill(self):
        """SIGKILL to the process alone, as a crash would: its children stay."""
        self.send(signal.SIGKILL)
        self.popen.wait()

    def stop(self, seconds=20):
        """SIGTERM, and SIGKILL when that doesn't help.  Gives the exit status."""
        self.send(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not stop within {seconds} s:\n{self.log()[-2000:]}")

    def wait(self, seconds):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not over within {seconds} s:\n{self.log()[-3000:]}")


class Machine:
    """A folder, perhaps a network namespace, and the processes started there."""

    def __init__(self, root, name, namespace=None, address="127.0.0.1"):
        self.name = name
        self.namespace = namespace
        self.address = address
        self.dir = os.path.join(root, name)
        self.home = os.path.join(self.dir, "home")
        self.project = os.path.join(self.dir, "project")
        for folder in (self.home, self.project):
            os.makedirs(folder)
        self.processes = []

    def env(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("GUILD_")}
        env.update(GUILD_HOME=self.home, HOME=self.dir, NO_IMPORT_FLAGS_PROGRESS="1",
                   GUILD_PYTHON_EXE="/usr/bin/python3")
        if "ASAN_OPTIONS" in env:  # what is freed is kept, 256 MB of it, and would be measured as ours
            env["ASAN_OPTIONS"] += ":quarantine_size_mb=8"
        return env

    def _argv(self, argv):
        prefix = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        return prefix + list(argv)

    def start(self, *args):
        """Starts `guild ARGS` in the background.  Gives a Process."""
        log = os.path.join(self.dir, f"{len(self.processes)}-{args[0]}.log")
        process = Process(self._argv([GUILD, *args]), self.env(), self.project, log)
        self.processes.append(process)
        return process

    def guild(self, *args, ok=True, seconds=60):
        """Runs `guild ARGS` to its end and gives a CompletedProcess with text.

        ok: raise AssertionError where it fails; None to take any status.
        """
        done = subprocess.run(
            self._argv([GUILD, *args]), env=self.env(), cwd=self.project, timeout=seconds,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if ok is not None and (done.returncode == 0) != ok:
            raise AssertionError(f"{args}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def write(self, path, text, mode=0o644):
        """Writes a file of the project."""
        full = os.path.join(self.project, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)
        os.chmod(full, mode)

    def close(self):
        for process in self.processes:
            if process.running():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.popen.wait()


class Network:
    """Machines in namespaces of their own, joined by a bridge: 10.77.0.N."""

    def __init__(self, root):
        self.root = root
        self.id = f"g{os.getpid() % 100000}x{next(_numbers)}"
        self.switch = self.id + "s"
        self.hosts = []
        self._ip("netns", "add", self.switch)
        self._ip("-n", self.switch, "link", "add", "name", "br0", "type", "bridge")
        self._ip("-n", self.switch, "link", "set", "br0", "up")

    @staticmethod
    def _ip(*args):
        subprocess.run(["ip", *args], check=True)

    def machine(self, name):
        """A new Machine on this network."""
        number = len(self.hosts) + 1
        namespace, port = f"{self.id}h{number}", f"p{number}"
        address = f"10.77.0.{number}"
        self._ip("netns", "add", namespace)
        host = Machine(self.root, name, namespace, address)
        host.port = port
        self.hosts.append(host)
        self._ip("-n", self.switch, "link", "add", "name", port, "type", "veth", "peer", "name", "eth0",
                 "netns", namespace)
        self._ip("-n", self.switch, "link", "set", port, "master", "br0", "up")
        self._ip("-n", namespace, "addr", "add", address + "/24", "dev", "eth0")
        self._ip("-n", namespace, "link", "set", "eth0", "up")
        self._ip("-n", namespace, "link", "set", "lo", "up")
        return host

    def cut(self, host):
        """Takes the host's link down: nothing is told to either end, packets are lost."""
        self._ip("-n", self.switch, "link", "set", host.port, "down")

    def join(self, host):
        self._ip("-n", self.switch, "link", "set", host.port, "up")

    def slow(self, host, rate):
        """Limits what the host is sent and sends; rate as tc has it: "1mbit"."""
        for where, device in ((self.switch, host.port), (host.namespace, "eth0")):
            subprocess.run(["tc", "-n", where, "qdisc", "replace", "dev", device, "root", "tbf",
                            "rate", rate, "burst", "32kbit", "latency", "400ms"], check=True)

    def close(self):
        for host in self.hosts:
            host.close()
            self._ip("netns", "del", host.namespace)
        self._ip("netns", "del", self.switch)


class Proxy:
    """A TCP relay on 127.0.0.1 to (host, port) whose link can be broken.

    Attributes:
        port: int, where it listens.
        delay: float, seconds that every piece waits before it goes on, with up to as much again by
            chance.
        frozen: bool, nothing goes on while it is set; connections stay open.
        bytes: int, what went on so far, both ways.
    """

    def __init__(self, host, port, seed=0):
        self.target = (host, port)
        self.delay = 0.0
        self.frozen = False
        self.bytes = 0
        self.closed = False
        self.refusing = False
        self.random = random.Random(seed)
        self.pairs = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.refusing:
                    raise OSError
                far = socket.create_connection(self.target, 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._relay, args=(a, b), daemon=True).start()

    def _relay(self, source, sink):
        try:
            while data := source.recv(65536):
                while self.frozen and not self.closed:
                    time.sleep(0.01)
                if self.delay:
                    time.sleep(self.delay * (1 + self.random.random()))
                sink.sendall(data)
                self.bytes += len(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """Breaks all connections and takes no new ones until join()."""
        self.refusing = True
        pairs, self.pairs = self.pairs, []
        for end in itertools.chain(*pairs):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def join(self):
        self.refusing = False

    def close(self):
        self.closed = True
        self.listener.close()
        self.cut()


class Cluster:
    """A coordinator, workers and a client, on loopback or on a Network.

    Args:
        network: bool, each on a host of its own.
        options: list of str, further options of `guild coordinator`.
    """

    def __init__(self, network=False, options=()):
        self.root = tempfile.mkdtemp(prefix="guild-cluster-")
        self.network = Network(self.root) if network else None
        self.options = list(options)
        self.machines = []
        self.proxies = []
        self.workers = {}
        self.head = self.machine("head")
        self.client = self.machine("client")
        self.port = None
        self.coordinator = None
        self.start_coordinator()
        self.authorize("client", self.client)
        self.configure(self.client, "lab", self.head.address, self.port)

    def machine(self, name):
        made = self.network.machine(name) if self.network else Machine(self.root, name)
        self.machines.append(made)
        return made

    def start_coordinator(self):
        """Starts the coordinator (again, on the same port) and waits until it listens."""
        bind = f"tcp://{self.head.address}:{self.port or 0}"
        endpoint = os.path.join(self.head.home, "coordinator", "endpoint")
        with contextlib.suppress(FileNotFoundError):
            os.remove(endpoint)
        self.coordinator = self.head.start("coordinator", "--bind", bind, *self.options)

        def listening():
            assert self.coordinator.running(), self.coordinator.log()
            with contextlib.suppress(FileNotFoundError, ValueError):
                with open(endpoint) as f:
                    return int(f.read().strip().rsplit(":", 1)[1])

        self.port = wait_for(listening, "the coordinator listens")

    @staticmethod
    def key_path(machine):
        return os.path.join(machine.dir, "access.key")

    def authorize(self, role, machine):
        """Makes an access file for the machine and copies it over, as a user would."""
        made = os.path.join(self.head.dir, f"{machine.name}.key")
        self.head.guild("coordinator", "authorize", "--role", role, "--name", machine.name, made)
        shutil.copy(made, self.key_path(machine))
        return self.key_path(machine)

    def configure(self, machine, remote, host, port):
        """Writes the remote into the machine's user config."""
        folder = os.path.join(machine.dir, ".guild")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "config.yml"), "w") as f:
            f.write(f"remotes:\n  {remote}:\n    type: coordinator\n    host: {host}\n"
                    f"    port: {port}\n    key: {self.key_path(machine)}\n")

    def start_worker(self, name, *options, slots=2, proxy=False):
        """Starts (or starts again) the worker `name` on a machine of its own and gives its Process.

        proxy: connect through a Proxy, which is then `self.proxy[name]`.
        """
        if name not in self.workers:
            machine = self.machine(name)
            self.authorize("worker", machine)
            url = f"tcp://{self.head.address}:{self.port}"
            if proxy:
                relay = Proxy(self.head.address, self.port)
                self.proxies.append(relay)
                machine.proxy = relay
                url = f"tcp://127.0.0.1:{relay.port}"
            self.workers[name] = [machine, url, None]
        machine, url, _ = self.workers[name]
        process = machine.start("worker", url, "--key", self.key_path(machine), "--name", name,
                                "--slots", str(slots), *options)
        self.workers[name][2] = process
        return process

    def worker(self, name):
        """The running Process of a worker."""
        return self.workers[name][2]

    def worker_machine(self, name):
        return self.workers[name][0]

    def logs(self):
        """str: the end of every log, for the message of a failed test."""
        parts = []
        for machine in self.machines:
            for process in machine.processes:
                parts.append(f"--- {os.path.basename(process.log_path)} of {machine.name}\n"
                             + process.log()[-1500:])
        return "\n".join(parts)

    def close(self):
        for relay in self.proxies:
            relay.close()
        for machine in self.machines:
            machine.close()
        if self.network:
            self.network.close()
        shutil.rmtree(self.root, ignore_errors=True)
