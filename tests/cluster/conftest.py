"""A Slurm of Debian on this machine, for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from support.servers import slurm, slurm_accounts
from support.servers.slurm_accounts import AccountedSlurm


def require_slurm() -> None:
    """Skip the test without a Slurm: it is optional on a laptop, required in CI."""
    if not slurm.is_installed():
        _leave_out("no Slurm: Debian's packages slurmctld, slurmd and slurm-client are not installed")


def _leave_out(message: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def cluster() -> Iterator[dict[str, str]]:
    """Return the environment for the commands of a running Slurm that forgets jobs two seconds after their end."""
    require_slurm()
    with slurm.server() as environment:
        yield environment


@pytest.fixture(scope="module")
def remembering_cluster() -> Iterator[dict[str, str]]:
    """Return the environment for the commands of a Slurm of 8 cores that remembers its jobs."""
    require_slurm()
    with slurm.server(cores=8, seconds=7200) as environment:
        yield environment


@pytest.fixture(scope="session")
def accounted_cluster() -> Iterator[AccountedSlurm]:
    """Return a running Slurm that keeps accounts, and forgets jobs two seconds after their end."""
    require_slurm()
    if missing := slurm_accounts.missing():
        _leave_out(f"no accounts of Slurm: {' and '.join(missing)} not installed: {slurm_accounts.INSTALL}")
    with slurm_accounts.server() as accounted:
        yield accounted
