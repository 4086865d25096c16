"""A Slurm for the tests, from Debian's packages: controller and node on this machine, on ports of their own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

COMMANDS = ("sacct", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")

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
AccountingStorageType=accounting_storage/none
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(*, cores: int = 64, seconds: int = 2) -> Iterator[dict[str, str]]:
    """Run a cluster of one node that claims ``cores``; yield the environment variables of its commands.

    It keeps no accounts, and forgets a job so many ``seconds`` after its end.
    """
    host = socket.gethostname().partition(".")[0]
    with tempfile.TemporaryDirectory(prefix="baekman-slurm-") as folder:
        home = Path(folder)
        for name in ("state", "spool"):
            (home / name).mkdir()
        configuration = home / "slurm.conf"
        configuration.write_text(
            CONFIGURATION.format(
                host=host,
                home=home,
                cores=cores,
                seconds=seconds,
                user=getpass.getuser(),
                controller=_free_port(),
                node=_free_port(),
            )
        )
        # the steps of Snakemake's jobs get PATH, and not the variable that names the configuration
        (home / "bin").mkdir()
        for program in COMMANDS:
            wrapper = home / "bin" / program
            wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={configuration} exec {shutil.which(program)} "$@"\n')
            wrapper.chmod(0o755)
        environment = {"PATH": f"{home / 'bin'}:{os.environ['PATH']}"}
        started: list[subprocess.Popen[bytes]] = []
        try:
            for program in ("slurmctld", "slurmd"):
                command = [program, "-D", "-f", str(configuration)]
                quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
                started.append(subprocess.Popen(command, **quiet))  # type: ignore[call-overload]
            _until(lambda: "idle" in slurm_says(environment, "sinfo", "--noheader", "--format", "%T"))
            yield environment
        finally:
            slurm_says(environment, "scancel", "--me")
            _until(lambda: slurm_says(environment, "squeue", "--noheader") == "")
            for process in reversed(started):
                process.kill()  # asked to end, the node waits for the controller
                process.wait(timeout=60)


def _until(true: Callable[[], bool]) -> None:
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
