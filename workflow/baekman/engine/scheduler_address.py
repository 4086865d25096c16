"""The address of a Dask scheduler, and the rule that its messages are encrypted."""

from __future__ import annotations

import json
import re
from pathlib import Path

from baekman.errors import InputRefused, Problem

SLURM = re.compile(r"slurm:([1-9]\d{0,4})")
SLURM_FORM = "slurm:N, N workers from 1 to 99999, as in slurm:40"
ENCRYPTED = ("tls://", "wss://")


def is_slip_of_slurm(scheduler: str) -> bool:
    """Return whether ``scheduler`` is meant as ``slurm:N`` and is not; it would be taken for an address."""
    if SLURM.fullmatch(scheduler) or not scheduler.strip().lower().startswith("slurm") or Path(scheduler).exists():
        return False
    return "://" not in scheduler and not re.fullmatch(r"slurm[\w.-]+:\d+", scheduler, re.IGNORECASE)


def scheduler_address(scheduler: str, *, insecure: bool = False) -> str:
    """Return the address that ``scheduler`` gives: ``slurm:N``, an address, or the path of a scheduler file.

    Everybody who reaches a scheduler without TLS can run programs as its owner and read the genomes that its workers
    read. Therefore ``insecure`` must allow such an address.

    Raises InputRefused for an address without TLS, and for a text that is no address and no scheduler file.
    """
    if SLURM.fullmatch(scheduler):
        return scheduler
    if is_slip_of_slurm(scheduler):
        action = "write the number of workers after the colon"
        raise InputRefused(Problem(file="--scheduler", expected=SLURM_FORM, found="another form", action=action))
    address = _address_in(Path(scheduler)) if Path(scheduler).is_file() else scheduler
    if "://" not in address:
        address = f"{_default_scheme(address)}://{address}"
    if not insecure and not address.startswith(ENCRYPTED):
        raise InputRefused(
            Problem(
                file="--scheduler",
                expected="a scheduler with TLS (tls://…)",
                found=f"one without ({address.partition('://')[0]}://…)",
                action="start it with TLS (docs/operating.md), use slurm:N, or give --insecure (BAEKMAN_INSECURE=1) "
                "where only you can reach it",
            )
        )
    return address


def _address_in(file: Path) -> str:
    try:
        address = json.loads(file.read_bytes())["address"]
    except (OSError, ValueError, KeyError, TypeError):
        address = None
    if not isinstance(address, str):
        raise InputRefused(
            Problem(
                file="--scheduler",
                expected="a scheduler file that Dask wrote",
                found="a file without an address",
                action="give the file that `dask scheduler --scheduler-file` writes",
            )
        )
    return address


def _default_scheme(address: str) -> str:
    """Return the scheme that Dask takes for an ``address`` without one, such as ``node1:8786``."""
    if not re.fullmatch(r"[^/\s]+:\d+", address):
        raise InputRefused(
            Problem(
                file="--scheduler",
                expected="the address of a scheduler, the path of its scheduler file, or slurm:N",
                found="none of them",
                action="check the path",
            )
        )
    import dask

    return str(dask.config.get("distributed.comm.default-scheme", "tcp"))
