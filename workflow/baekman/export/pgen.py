"""The cohort as plink2's pgen, with the sexes of the rosters."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from baekman.cohort.roster import read_roster
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.errors import InputRefused, Problem
from baekman.tools import programs as tools

FILES = (".pgen", ".pvar", ".psam")


def write_pgen(store: Store, snapshot: Snapshot, *, whole: Path, output: Path) -> None:
    """Convert the BCF file ``whole``, which lies in a folder of work, to ``output`` with its ``.pvar`` and ``.psam``.

    Sexes are those of the roster. Contigs keep the names that the cohort gives them.

    Raises:
        InputRefused: there is no allele to write, or a position has more alleles than plink2 reads.
        RuntimeError: plink2 failed otherwise.
    """
    if not any(piece.stat().st_size for piece in whole.parent.glob("*.piece")):
        shutil.rmtree(whole.parent)
        raise InputRefused(
            Problem(
                file="--format",
                place="pgen",
                expected="at least one allele to write: plink2 makes no empty file",
                found="no carrier of any allele there",
                action="choose another region, or --format bcf",
            )
        )
    sexes = whole.with_name("sex.tsv")
    _write_sexes(store, snapshot, sexes)
    prefix = whole.with_name("pgen")
    # plink2 would write human contigs by number; this keeps the cohort's names
    style = "chrM" if any(contig.name.startswith("chr") for contig in store.contigs) else "MT"
    done = subprocess.run(
        [
            tools.require("plink2"), "--bcf", str(whole), "--make-pgen", "--out", str(prefix), "--allow-extra-chr",
            "--output-chr", style, "--set-all-var-ids", "@:#:$r:$a", "--new-id-max-allele-len", "200", "truncate",
            "--vcf-half-call", "missing", "--update-sex", str(sexes), "--silent",
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        raise _failure(" ".join((done.stdout + done.stderr).split()), work=whole.parent)
    for suffix in reversed(FILES):
        prefix.with_suffix(suffix).replace(output.with_suffix(suffix))


def _write_sexes(store: Store, snapshot: Snapshot, output: Path) -> None:
    """Write the participants' sexes as plink2 reads them: 1 male, 2 female."""
    code = {"male": "1", "female": "2"}
    with output.open("w") as out:
        out.write("#IID\tSEX\n")
        for entry in snapshot.batches:
            roster, _ = read_roster(store, entry.name)
            for participant, sex in zip(roster["participant_id"].to_pylist(), roster["sex"].to_pylist(), strict=True):
                out.write(f"{participant}\t{code.get(sex, 'NA')}\n")


def _failure(output: str, *, work: Path) -> Exception:
    """Return the exception for a failure of plink2; ``work`` is deleted when another run would fail too."""
    limit = re.search(r"has (\d+) alleles; this build of plink2 is limited to (\d+)", output)
    if limit is None:
        return RuntimeError(f"plink2 could not make a pgen: {output}")
    shutil.rmtree(work)
    return InputRefused(
        Problem(
            file="--format",
            place="pgen",
            expected=f"sites of at most {limit[2]} alleles: plink2 reads no more",
            found=f"a site of {limit[1]}",
            action="leave out --sites, or take --format bcf",
        )
    )
