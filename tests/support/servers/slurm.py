"""A Slurm for the tests, from Debian's packages: controller and node on this machine, on ports of their own."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

COMMANDS = ("sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
{accounts}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
KillWait=2
MinJobAge={seconds}
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=1000000
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def is_installed() -> bool:
    """Return whether this machine has a Slurm to start."""
    return all(map(shutil.which, ("slurmctld", "slurmd", *COMMANDS)))


def free_port() -> int:
    """Return a port of the loopback address on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Slurm:
    """A cluster in the folder ``home``; ``programs`` are those that run, by their name."""

    home: Path
    programs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def configuration(self) -> Path:
        """The file of its settings."""
        return self.home / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of its commands."""
        return {"PATH": f"{self.home / 'bin'}:{os.environ['PATH']}"}

    def start(self, program: str, *words: str, **variables: str) -> None:
        """Start a program of the cluster, with ``variables`` in its environment."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, "SLURM_CONF": str(self.configuration), **variables}
        self.programs[program] = subprocess.Popen([program, *words], env=environment, **quiet)  # type: ignore[call-overload]

    def start_controller(self) -> None:
        """Start the controller; wait until it has a node."""
        self.start("slurmctld", "-D", "-f", str(self.configuration))
        until(lambda: any(word in self.says("sinfo", "--noheader", "--format", "%T") for word in ("idle", "mixed")))

    def stop(self, program: str, by: int = signal.SIGKILL) -> None:
        """End a program by the signal ``by``; return when it has ended."""
        process = self.programs.pop(program)
        process.send_signal(by)
        process.wait(timeout=60)

    def says(self, *command: str) -> str:
        """Run a command of the cluster; return its stdout."""
        return slurm_says(self.environment, *command)


def new_slurm(home: Path, *, cores: int, seconds: int, accounts: str = "") -> Slurm:
    """Return a cluster of one node that claims ``cores``; none of its programs runs yet.

    It forgets a job so many ``seconds`` after its end. ``accounts`` are settings; without them it keeps none.
    """
    for name in ("state", "spool", "bin"):
        (home / name).mkdir()
    slurm = Slurm(home)
    slurm.configuration.write_text(
        CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            home=home,
            cores=cores,
            seconds=seconds,
            user=getpass.getuser(),
            controller=free_port(),
            node=free_port(),
            accounts=accounts or "AccountingStorageType=accounting_storage/none",
        )
    )
    # the steps of Snakemake's jobs get PATH, and not the variable that names the configuration
    for program in COMMANDS:
        wrapper = home / "bin" / program
        wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={slurm.configuration} exec {shutil.which(program)} "$@"\n')
        wrapper.chmod(0o755)
    return slurm


@contextmanager
def running(slurm: Slurm) -> Iterator[Slurm]:
    """Run controller and node of a cluster until the block ends, and with it all jobs and programs."""
    try:
        slurm.start("slurmd", "-D", "-f", str(slurm.configuration))
        slurm.start_controller()
        yield slurm
        slurm.says("scancel", "--me")
        until(lambda: slurm.says("squeue", "--noheader") == "")
    finally:
        for program in reversed(list(slurm.programs)):  # asked to end, the node waits for the controller
            slurm.stop(program)


@contextmanager
def server(*, cores: int = 64, seconds: int = 2) -> Iterator[dict[str, str]]:
    """Run a cluster of one node that claims ``cores``; yield the environment variables of its commands.

    It keeps no accounts, and forgets a job so many ``seconds`` after its end.
    """
    with (
        tempfile.TemporaryDirectory(prefix="baekman-slurm-") as folder,
        running(new_slurm(Path(folder), cores=cores, seconds=seconds)) as slurm,
    ):
        yield slurm.environment


def until(true: Callable[[], bool]) -> None:
    """Wait until ``true()``, for a minute at most."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def environment_of(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of this process with the variables of a cluster."""
    return {**os.environ, **environment}


def slurm_says(environment: dict[str, str], *command: str) -> str:
    """Run a command of the cluster; return its stdout."""
    done = subprocess.run(command, env=environment_of(environment), capture_output=True, text=True, check=False)
    return done.stdout
