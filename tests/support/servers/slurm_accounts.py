"""A Slurm that keeps accounts: slurmdbd over a MariaDB of its own, from Debian's packages; tests stop and start it."""

from __future__ import annotations

import getpass
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.servers import slurm
from support.servers.slurm import Slurm, free_port, until

PROGRAMS = ("mariadbd", "slurmdbd")
INSTALL = "apt-get install --no-install-recommends $(cat envs/apt-cluster.txt)"

SETTINGS = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}"""
CONFIGURATION = """\
AuthType=auth/none
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
LogFile={home}/slurmdbd.log
PidFile={home}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user}
StorageLoc=accounts
"""


def missing() -> list[str]:
    """Return the programs that are not on PATH; an empty list where the accounts can be started."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@dataclass
class AccountedSlurm(Slurm):
    """A cluster with accounts. The database listens on a socket in the cluster's folder, which is its owner's alone."""

    @property
    def _socket(self) -> Path:
        return self.home / "mariadb.sock"

    def start_database(self) -> None:
        """Start MariaDB with an empty folder of data."""
        (self.home / "data").mkdir()
        words = [
            f"--datadir={self.home / 'data'}",
            f"--socket={self._socket}",
            f"--pid-file={self.home / 'mariadb.pid'}",
        ]
        words += ["--skip-networking", "--skip-grant-tables", f"--user={getpass.getuser()}", f"--tmpdir={self.home}"]
        self.start("mariadbd", "--no-defaults", *words, "--innodb-flush-log-at-trx-commit=0")
        until(self._socket.exists)

    def start_accounts(self) -> None:
        """Start slurmdbd; wait until it answers."""
        self.start("slurmdbd", "-D", MYSQL_UNIX_PORT=str(self._socket))
        until(lambda: "Cluster" in self.says("sacctmgr", "--parsable2", "list", "cluster"))

    def stop_accounts(self) -> None:
        """End slurmdbd: who asks the accounts is refused at once."""
        self.stop("slurmdbd", by=signal.SIGTERM)

    def pause_accounts(self) -> None:
        """Let slurmdbd hang: who asks the accounts gets no answer."""
        self.programs["slurmdbd"].send_signal(signal.SIGSTOP)

    def resume_accounts(self) -> None:
        """Let slurmdbd go on."""
        self.programs["slurmdbd"].send_signal(signal.SIGCONT)

    def lose_jobs(self) -> None:
        """Let the controller forget all jobs, and what it had to say about them; the accounts must be stopped.

        It keeps a queue of messages to the accounts, which ends jobs that it does not know: the queue is lost too.
        """
        for lost in ("job_state*", "dbd.messages"):
            self.stop("slurmctld", by=signal.SIGTERM)
            for path in (self.home / "state").glob(lost):
                path.unlink()
            self.start_controller()

    def accounts_say(self, *words: str) -> list[list[str]]:
        """Return the rows of ``sacct`` for all jobs, with the columns of the format that ``words`` end with."""
        command = ("sacct", "--allocations", "--parsable2", "--noheader", "--starttime=now-1days", *words)
        return [line.split("|") for line in self.says(*command).splitlines()]


@contextmanager
def server(*, cores: int = 64, seconds: int = 2) -> Iterator[AccountedSlurm]:
    """Run a cluster of one node that claims ``cores``, and forgets a job so many ``seconds`` after its end."""
    with tempfile.TemporaryDirectory(prefix="baekman-slurm-") as folder:
        port = free_port()
        home = Path(folder)
        made = slurm.new_slurm(home, cores=cores, seconds=seconds, accounts=SETTINGS.format(port=port))
        accounted = AccountedSlurm(made.home)
        settings = home / "slurmdbd.conf"
        settings.touch(0o600)
        settings.write_text(CONFIGURATION.format(home=home, port=port, user=getpass.getuser()))
        try:
            accounted.start_database()
            accounted.start_accounts()
            accounted.says("sacctmgr", "--immediate", "add", "cluster", "test")
            with slurm.running(accounted):
                yield accounted
        finally:
            for program in reversed(list(accounted.programs)):
                accounted.stop(program)
