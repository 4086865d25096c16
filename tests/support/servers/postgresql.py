"""A PostgreSQL server for the tests, from Debian's package, on a socket in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

INSTALLED = Path("/usr/lib/postgresql")


def binaries() -> Path | None:
    """Return the folder of the newest server that is installed; None if there is none."""
    programs = sorted(INSTALLED.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return programs[-1].parent if programs else None


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a server from the programs in ``folder``; yield the URL of its database ``postgres``.

    PostgreSQL refuses to run as root: the server then runs as ``nobody``.
    """
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    home = Path(tempfile.mkdtemp(prefix="baekman-pg-"))
    data = home / "data"
    os.chown(home, user.pw_uid, user.pw_gid)
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/", **as_user}
    control = [folder / "pg_ctl", "--pgdata", data, "--wait", "--timeout", "60", "--log", home / "log"]
    settings = f"-c listen_addresses='' -c unix_socket_directories='{home}' -c fsync=off"
    try:
        initdb = [folder / "initdb", "--pgdata", data, "--auth", "trust", "--username", "baekman", "--no-sync"]
        subprocess.run([*initdb, "--encoding", "UTF8", "--locale", "C"], **quiet)  # type: ignore[call-overload]
        subprocess.run([*control, "--options", settings, "start"], **quiet)  # type: ignore[call-overload]
        try:
            yield f"postgresql://baekman@/postgres?host={quote(str(home))}"
        finally:
            stop = [*control, "--mode", "immediate", "stop"]
            subprocess.run(stop, **quiet)  # type: ignore[call-overload]
    finally:
        shutil.rmtree(home, ignore_errors=True)
