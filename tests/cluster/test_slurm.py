# SPDX-License-Identifier: Apache-2.0
"""Workers asked of a real Slurm: munged, slurmctld and slurmd of this machine, started here as root with
their files in a folder of the test's own."""
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

import hosts

CONF = """\
ClusterName=guildtest
SlurmctldHost={name}(127.0.0.1)
SlurmUser=root
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={root}/munge.socket
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
MinJobAge=10
KillWait=5
NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes={name} Default=YES MaxTime=INFINITE State=UP
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Slurm:
    """A cluster of this one machine.  `env()` is what its commands need."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="guild-slurm-")
        self.processes = []
        for folder in ("state", "spool"):
            os.mkdir(os.path.join(self.root, folder))
        name = socket.gethostname().split(".")[0]
        self.conf = os.path.join(self.root, "slurm.conf")
        with open(self.conf, "w") as f:
            f.write(CONF.format(root=self.root, name=name, ctld_port=free_port(),
                                slurmd_port=free_port()))
        key = os.path.join(self.root, "munge.key")
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o400), "wb") as f:
            f.write(os.urandom(1024))
        munge = [f"--{k}={os.path.join(self.root, v)}" for k, v in (
            ("key-file", "munge.key"), ("socket", "munge.socket"), ("pid-file", "munge.pid"),
            ("log-file", "munge.log"), ("seed-file", "munge.seed"))]
        try:
            self.start("munged", "--foreground", "--force", *munge)
            hosts.wait_for(lambda: os.path.exists(os.path.join(self.root, "munge.socket")), "munged")
            self.start("slurmctld", "-D", "-f", self.conf)
            self.start("slurmd", "-D", "-f", self.conf, "-N", name)
            hosts.wait_for(self.ready, "a Slurm node that is idle", 60, 0.3)
        except AssertionError:
            print(self.logs())
            self.close()
            raise

    def env(self):
        return dict(os.environ, SLURM_CONF=self.conf)

    def start(self, program, *args):
        program = shutil.which(program, path="/usr/sbin:/sbin:/usr/bin")
        with open(os.path.join(self.root, os.path.basename(program) + ".out"), "wb") as out:
            self.processes.append(subprocess.Popen(
                [program, *args], env=self.env(), stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, cwd=self.root))

    def command(self, *args):
        return subprocess.run(args, env=self.env(), capture_output=True, text=True,
                              timeout=30).stdout

    def ready(self):
        return "idle" in self.command("sinfo", "--noheader", "--format=%T")

    def logs(self):
        parts = []
        for name in sorted(os.listdir(self.root)):
            if name.endswith((".log", ".out")):
                with open(os.path.join(self.root, name), errors="replace") as f:
                    parts.append(f"--- {name}\n{f.read()[-2000:]}")
        return "\n".join(parts)

    def close(self):
        self.command("scancel", "--name=guild-worker")
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.root, ignore_errors=True)


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("slurmctld", path="/usr/sbin:/usr/bin"),
                     "needs root and Slurm")
class SlurmWorkers(unittest.TestCase):
    def setUp(self):
        self.slurm = Slurm()
        self.addCleanup(self.slurm.close)
        os.environ["SLURM_CONF"] = self.slurm.conf
        self.addCleanup(os.environ.pop, "SLURM_CONF")
        self.cluster = hosts.Cluster()
        self.addCleanup(self.cluster.close)
        self.client = self.cluster.client
        self.client.write(
            "guild.yml", "op:\n  exec: sh -c 'echo job $SLURM_JOB_ID; sleep 0.2'\n  flags: {i: 0}\n")

    def jobs(self):
        return self.slurm.command("squeue", "--noheader", "--format=%i", "--states=PD,R").split()

    def alloc(self, *args):
        return self.cluster.head.guild("workers", "alloc", *args)

    def test_workers_come_while_trials_wait_and_leave_when_idle(self):
        self.assertIn("No workers", self.alloc().stdout)
        self.alloc("slurm", "--max-workers", "1", "--time", "10m", "--idle-exit", "1",
                   "--", "--cpus-per-task=1")
        self.assertEqual(self.jobs(), [])
        try:
            self.client.guild("run", "op", "i=[1,2,3]", "--remote", "lab", "-y", seconds=90)
            listed = self.client.guild("runs", "--remote", "lab").stdout
            self.assertEqual(listed.count("completed"), 4, listed)
            output = self.client.guild("cat", "--output", "1", "--remote", "lab").stdout
            self.assertRegex(output, r"job \d+")
            hosts.wait_for(lambda: not self.jobs(), "the idle worker's job ends", 40, 0.3)
        except AssertionError:
            print(self.cluster.logs(), self.slurm.logs())
            raise
        self.assertIn("up to 1 worker", self.alloc().stdout)
        self.alloc("slurm", "--max-workers", "0")

    def test_a_trial_longer_than_the_allocation_is_not_begun_there(self):
        self.alloc("slurm", "--max-workers", "1", "--time", "5m", "--idle-exit", "1")
        submit = ("run", "op", "--remote", "lab", "--no-wait", "-y")
        run = self.client.guild(*submit, "--request", "time=2h").stdout.split()[0]
        # Nothing is asked for it; a short one makes a worker come, which leaves the long one alone.
        self.client.guild(*submit)
        hosts.wait_for(self.jobs, "a job", 40, 0.3)
        hosts.wait_for(lambda: not self.jobs(), "the worker that could take nothing leaves", 60, 0.3)
        listed = self.client.guild("runs", "--remote", "lab").stdout
        self.assertEqual(listed.count("completed"), 1, listed)
        self.alloc("slurm", "--max-workers", "0")
        self.client.guild("stop", run, "--remote", "lab", "-y", ok=None)


if __name__ == "__main__":
    unittest.main()
