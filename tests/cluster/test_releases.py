"""Releases on a cluster: their buckets and shards as jobs of Slurm, and as tasks of Dask workers that Slurm starts."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from baekman.releases.dag.tasks import SECRET
from baekman.releases.home import ReleaseHome
from baekman.releases.package.build import build_release
from support import PROJECT
from support.servers import slurm
from support.small_release import SmallRelease, small_release
from support.store_tools import hashes
from support.transfers import decrypted, make_keys, recipient

pytestmark = pytest.mark.cluster

WAYS = {
    "jobs": ("--profile", str(PROJECT / "profiles" / "slurm")),
    "dask": ("--scheduler", "slurm:2"),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    return small_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def key_file(small: SmallRelease) -> Path:
    """Return the private key of the recipient of a transfer."""
    return make_keys(small.folder / "recipient")


@pytest.fixture(scope="module")
def releases(small: SmallRelease, key_file: Path) -> dict[str, tuple[ReleaseHome, dict[str, str]]]:
    """Return approved releases that have tasks of every kind, each with the digests of the package built here."""
    learning = {"shape": "meds", "genotypes": "dense", "regions": ["c1:1-60", "c1:100-120"]}
    pgen = {"pgen": shutil.which("plink2") is not None}
    built = {}
    transfer = {"tier": "transfer", "recipient": recipient(key_file)}
    for name, keys in {"tables": {}, "learning": {**learning, **pgen}, "transfer": transfer}.items():
        home = small.approve(small.propose(**keys))
        package = build_release(small.workspace, home.id, registry=small.registry)
        built[name] = (home, digests(package, key_file))
        shutil.rmtree(home.package)
    return built


def digests(package: Path, key_file: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a package that has the same bytes in each build.

    The encrypted files of a transfer, and the manifest and crate that name them, never have: of these the plain bytes.
    """
    found = hashes(package)
    if not list(package.rglob("*.c4gh")):
        return found
    plain = {name: hashlib.sha256(data).hexdigest() for name, data in decrypted(package, key_file).items()}
    return {name: found[name] for name in ("README.md", "dictionary.tsv")} | plain


def started(small: SmallRelease, home: ReleaseHome, cluster: dict[str, str], *words: str) -> subprocess.Popen[str]:
    """Start ``baekman release build`` with ``words`` on the cluster."""
    return subprocess.Popen(
        [Path(sys.executable).parent / "baekman", "release", "build", home.id, "--workspace", small.workspace, *words],
        env=slurm.environment_of({**cluster, "DASK_JOBQUEUE__SLURM__INTERFACE": "lo"}), cwd=small.folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["tables", "learning", "transfer"])
@pytest.mark.parametrize("way", WAYS)
def test_a_release_built_on_slurm_has_the_bytes_of_one_built_here(
    way: str,
    name: str,
    small: SmallRelease,
    releases: dict[str, tuple[ReleaseHome, dict[str, str]]],
    key_file: Path,
    cluster: dict[str, str],
) -> None:
    home, expected = releases[name]
    process = started(small, home, cluster, *WAYS[way])
    _, messages = process.communicate(timeout=600)
    assert process.returncode == 0, messages
    assert digests(home.package, key_file) == expected and len(expected) > 6
    assert bool(list(home.package.rglob("*.c4gh"))) == (name == "transfer")
    word = "submitted with SLURM jobid" if way == "jobs" else "2 workers as jobs of Slurm"
    assert word in messages
    # nothing is left of the run: no secret, no job
    assert list(home.path.glob(".package.*")) == []
    assert slurm.slurm_says(cluster, "squeue", "--noheader", "--states", "PENDING,RUNNING") == ""
    shutil.rmtree(home.package)


def test_a_build_that_is_stopped_leaves_no_job_and_no_secret_and_the_same_command_finishes(
    small: SmallRelease, releases: dict[str, tuple[ReleaseHome, dict[str, str]]], cluster: dict[str, str]
) -> None:
    home, expected = releases["tables"]
    process = started(small, home, cluster, *WAYS["jobs"])
    try:
        slurm.until(lambda: slurm.slurm_says(cluster, "squeue", "--noheader", "--states", "RUNNING") != "")
        (secret,) = home.path.glob(f".package.*/{SECRET}")
        process.terminate()
        _, messages = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM, messages
    assert not secret.exists() and not home.package.exists()
    slurm.until(lambda: slurm.slurm_says(cluster, "squeue", "--noheader") == "")
    again = started(small, home, cluster, *WAYS["jobs"])
    _, messages = again.communicate(timeout=600)
    assert again.returncode == 0, messages
    assert hashes(home.package) == expected
    shutil.rmtree(home.package)
