"""The words for a failure: the file where its path names nobody, and the next step; never a path of a delivery."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
from pathlib import Path
from subprocess import CalledProcessError

import pytest
from baekman import cli
from baekman.cli.shared.failure import describe
from baekman.tools.pipes import PipeFailed, piped

SECRET = "HB-2026-Kim"
DENIED = "PermissionError: Permission denied"
ACCESS = "; give the user who runs this access to it, then run the same command again"


def denied(path: str | Path, *arguments: str, number: int = errno.EACCES, **environment: str) -> str:
    failure = OSError(number, os.strerror(number), str(path))
    return describe(failure, arguments=arguments, environment=environment)


@pytest.mark.parametrize(
    ("path", "arguments", "place"),
    [
        ("w/cohort/snapshots", ("deliver", "inbox", "--workspace", "w"), "w/cohort/snapshots"),
        ("w", ("deliver", "inbox", "--workspace=w"), "w"),
        ("/w/logs/deliver/D0.log", ("deliver", "inbox", "--workspace", "/w"), "/w/logs/deliver/D0.log"),
        ("/w", ("deliver", "inbox", "--workspace", "/w/x"), "/w"),
        ("participants/P0/calls.g.vcf.gz", ("step", "adopt"), "participants/P0/calls.g.vcf.gz"),
        ("c/batches/b1", ("cohort", "add", "--cohort", "c", "--batch", "b1"), "c/batches/b1"),
        ("o/.x.bcf." + "0" * 32 + ".tmp", ("export", "--cohort", "c", "--output", "o/x.bcf"), "o/x.bcf"),
        ("w/registry/registry.key", ("registry", "show", "--workspace", "w"), "w/registry/registry.key"),
    ],
)
def test_a_file_of_the_workspace_the_cohort_or_the_output_is_named(
    path: str, arguments: tuple[str, ...], place: str
) -> None:
    assert denied(path, *arguments) == f"{DENIED}: {place}{ACCESS}"


def test_a_stored_file_that_is_missing_has_its_remedy(tmp_path: Path) -> None:
    where, words = ("query", "--workspace", "w"), "`baekman verify` finds every damaged file"
    assert denied("w/cohort/sites/1/0.parquet", *where, number=errno.ENOENT) == (
        "a stored file is missing: w/cohort/sites/1/0.parquet; make it again from the batches with `baekman cohort "
        f"repair`. {words}"
    )
    (tmp_path / "SHA256SUMS").touch()
    assert denied(tmp_path / "sites" / "0.parquet", "query", "--cohort", str(tmp_path), number=errno.ENOENT) == (
        f"a stored file is missing: {tmp_path}/sites/0.parquet; copy the freeze again, or write it again with `baekman "
        f"cohort freeze`. {words}"
    )


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        (f"inbox/{SECRET}/manifest.tsv", ("deliver", f"inbox/{SECRET}", "--workspace", "w")),
        (f"w/inbox/{SECRET}/manifest.tsv", ("deliver", f"w/inbox/{SECRET}", "--workspace", "w")),
        (f"w/logs/{SECRET}/manifest.tsv", ("watch", "w/logs", "--workspace", "w")),
        (f"w/inbox/{SECRET}/manifest.tsv", ("watch", "w/inbox", "--workspace=w")),
        (f"logs/{SECRET}.bam", ("receive", ".", "--workspace", "/w")),
        (f"/elsewhere/{SECRET}", ("cohort", "add", "--cohort", "c")),
    ],
)
def test_a_file_of_a_delivery_is_never_named(path: str, arguments: tuple[str, ...]) -> None:
    assert denied(path, *arguments) == DENIED + ACCESS


def test_only_the_folder_of_all_return_reports_is_named() -> None:
    assert (
        denied(f"w/return/{SECRET}/{SECRET}", "deliver", "inbox", "--workspace", "w") == f"{DENIED}: w/return{ACCESS}"
    )


def test_the_workspace_of_the_environment_counts() -> None:
    assert denied("/w/cohort", "deliver", "inbox", BAEKMAN_WORKSPACE="/w") == f"{DENIED}: /w/cohort{ACCESS}"


def test_a_failure_of_sqlite_shows_its_code(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as failed:
        sqlite3.connect(tmp_path / SECRET / "index.sqlite").execute("SELECT 1")
    access = (
        "give the user who runs this access to the registry or cohort and its folder, then run the same command again"
    )
    assert describe(failed.value, arguments=(), environment={}) == f"OperationalError: SQLITE_CANTOPEN; {access}"


def test_the_tool_that_failed_is_named_without_its_arguments() -> None:
    failure = CalledProcessError(2, ["/usr/bin/multiqc", "--title", SECRET])
    assert describe(failure, arguments=(), environment={}) == "multiqc ended with exit code 2"
    assert describe(CalledProcessError(2, f"multiqc {SECRET}"), arguments=(), environment={}).startswith(
        "multiqc ended"
    )
    with pytest.raises(PipeFailed) as failed:
        piped(["false", SECRET], ["cat"])
    assert describe(failed.value, arguments=(), environment={}) == "false ended with exit code 1"


def test_a_full_disk_and_a_failure_without_a_number() -> None:
    room = "; make room there, then run the same command again"
    full = denied("w/tables/AB/P0.parquet", "tables", "--workspace", "w", number=errno.ENOSPC)
    assert full == f"OSError: No space left on device: w/tables/AB/P0.parquet{room}"
    assert describe(KeyError(SECRET), arguments=(), environment={}) == "KeyError"
    assert describe(OSError(SECRET), arguments=(), environment={}) == "OSError"


@pytest.mark.parametrize(
    ("failure", "limit", "is_memory"),
    [
        (MemoryError(), resource.RLIM_INFINITY, True),
        (OSError("std::bad_alloc"), resource.RLIM_INFINITY, True),
        (SystemError("returned NULL without setting an exception"), 300 << 20, True),
        (SystemError("returned NULL without setting an exception"), resource.RLIM_INFINITY, False),
    ],
)
def test_an_extension_that_got_no_memory_is_reported_as_too_little_memory(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, limit: int, is_memory: bool
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit, limit))
    assert (cli._words(failure) == cli.OUT_OF_MEMORY) == is_memory
