"""Generated participants for the tests of dense genotypes, and stores of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.snapshot import Snapshot, read_snapshot
from baekman.cohort.store import Store, create_store
from baekman.gvcf.thresholds import Thresholds
from hypothesis import strategies as st
from support.state_oracle import normalised
from support.store_tools import block, gvcf_text, line, write_reference

GENOME = "ACGTTTTACACACAGGCATTAGCCCGATATATACGGGTCAATTGGCCAACTGACTTTTTTGCA"
CONTIGS = {"c1": len(GENOME)}
ORDER = "ACGT"
# what a block says of its quality: FORMAT and values after its depth, and FILTER
QUALITIES = [
    ("GQ", "", "."),
    ("GQ", "", "."),
    ("", "", "."),
    ("", "", "LowQual"),
    ("", "", "RefCall"),
    (":GQX", ":25", "PASS"),
    (":GQX", ":6", "."),
    (":SQ", ":40", "LowQual"),
    (":RGQ", ":0", "."),
    (":PL", ":0,0,900", "."),
    (":PL", ":0,30,900", "."),
    (":PL", ":900,60,0", "."),
    (":GQ:PL", ":60:0,0,900", "."),
    (":GQ:AD", ":60:3,70", "."),
    (":AD", ":38,2", "."),
    (":AD", ":4,70", "LowQual"),
    (":GQ:FT", ":60:LowGQX", "."),
    (":FT", ":LowGQX", "."),
    (":GQ:FT", ":60:PASS", "PASS"),
    (":GQ:FT", ":60:RefCall", "."),
]
DIALECTS = ("star block", "freebayes block", "deletion", "triploid")


def other_base(base: str, step: int) -> str:
    """Return one of the three other bases."""
    return ORDER[(ORDER.index(base) + step) % 4]


@st.composite
def gvcf_lines(draw: st.DrawFn) -> list[str]:
    """Draw a participant: blocks, gaps, SNVs, MNPs, indels, several ALTs, ``*``, haploid, weak, missing genotypes."""
    lines: list[str] = []
    pos = draw(st.integers(1, 5))
    taken: dict[int, set[int]] = {}  # position of an allele -> the ploidies of its records
    alleles: set[tuple[int, str, str]] = set()  # no two records have the same
    while pos < len(GENOME) - 8:
        kind = draw(st.sampled_from(["block", "block", "gap", "snv", "mnp", "ins", "del", "multi", "star", *DIALECTS]))
        base = GENOME[pos - 1]
        if kind == "gap":
            pos += draw(st.integers(1, 4))
            continue
        if kind == "block":
            end = min(pos + draw(st.integers(0, 9)), len(GENOME))
            gq, dp = draw(st.sampled_from([0, 7, 20, 50])), draw(st.sampled_from([0, 1, 30]))
            quality, value, failed = draw(st.sampled_from(QUALITIES))
            info = f"END={end}"
            if quality == "GQ":
                lines.append(block(pos, end, base, gq=gq, dp=dp))
            else:
                fields = f"GT:MIN_DP{quality}"
                lines.append(line(pos, base, "<NON_REF>", f"0/0:{dp}{value}", info=info, format=fields, filter=failed))
            pos = end + 1
            continue
        if kind in DIALECTS:
            end = min(pos + draw(st.integers(1, 6)), len(GENOME))
            allele = (pos, base, other_base(base, 1))
            if kind == "triploid" and (allele in alleles or taken.get(pos, {2}) != {2}):
                pos += 1
                continue
            if kind == "triploid":
                alleles.add(allele)
                taken.setdefault(pos, set()).add(2)
            lines.append(_of_dialect(draw, kind, pos, end))
            pos += draw(st.sampled_from([1, end - pos + 1]))
            continue
        step = draw(st.integers(1, 3))
        length = draw(st.integers(2, 4))
        ref, alts = {
            "snv": (base, [other_base(base, step)]),
            "mnp": (GENOME[pos - 1 : pos + 1], [other_base(base, step) + other_base(GENOME[pos], 1)]),
            "ins": (base, [base + "ACGT"[:length]]),
            "del": (GENOME[pos - 1 : pos - 1 + length], [base]),
            "multi": (GENOME[pos - 1 : pos + 1], [base, other_base(base, step) + GENOME[pos]]),
            "star": (base, [other_base(base, step), "*"]),
        }[kind]
        parts = {part for alt in alts if alt != "*" for part in _parts(pos, ref, alt)}
        ploidy = draw(st.sampled_from([2, 2, 2, 1]))
        # records of one position with different ploidy lose their likelihoods: that has a test of its own
        if parts & alleles or any(taken.get(part[0], {ploidy}) != {ploidy} for part in parts):
            pos += 1
            continue
        alleles |= parts
        for part in parts:
            taken.setdefault(part[0], set()).add(ploidy)
        alts = [*alts, "<NON_REF>"]
        allele = st.sampled_from(["0", "0", "1", "2" if len(alts) > 2 else "1", "."])
        genotype = draw(st.sampled_from(["/", "|"])).join(draw(allele) for _ in range(ploidy))
        count = (len(alts) + 1) * (len(alts) + 2) // 2 if ploidy == 2 else len(alts) + 1
        pl = draw(st.lists(st.sampled_from([0, 5, 30, 300]), min_size=count, max_size=count))
        ad = draw(st.lists(st.sampled_from([0, 0, 7]), min_size=len(alts) + 1, max_size=len(alts) + 1))
        gq, dp = draw(st.sampled_from([0, 19, 20, 99])), draw(st.sampled_from([0, 3, 200]))
        values = {"GT": genotype, "DP": str(dp), "AD": ",".join(map(str, ad))}
        quality = draw(st.sampled_from(["GQ", "GQ", "GQX", "SQ", ""]))
        if quality:
            values[quality] = str(gq)
        values["FT"] = draw(st.sampled_from(["PASS", "PASS", ".", "RefCall", "LowGQX;HighDPFRatio"]))
        if draw(st.booleans()):
            values["RO"], values["AO"] = str(ad[0]), ",".join(map(str, ad[1:]))
            del values["AD"]
        if draw(st.booleans()):
            values["PL"] = ",".join(map(str, pl))
        else:
            values["GL"] = ",".join(f"-{value / 10}" for value in pl)
        lines.append(line(pos, ref, ",".join(alts), ":".join(values.values()), format=":".join(values)))
        pos += draw(st.integers(0, len(ref)))
    return lines


def _of_dialect(draw: st.DrawFn, kind: str, pos: int, end: int) -> str:
    """Draw a record of few callers: a block of octopus or freebayes, a symbolic deletion, a triploid genotype."""
    base = GENOME[pos - 1]
    gq, dp = draw(st.sampled_from([0, 19, 60])), draw(st.sampled_from([0, 3, 30]))
    if kind == "star block":
        genotype = draw(st.sampled_from(["0|0", "0/0", "./.", "1|1"]))
        return line(pos, base, "*", f"{genotype}:{gq}:{dp}", format="GT:GQ:DP", info=f"END={end}")
    if kind == "freebayes block":
        against = draw(st.sampled_from([0, 1, 40]))
        keys = "GQ:DP:MIN_DP:RO:AO"
        return line(pos, base, "<*>", f"{gq}:{dp}:{dp}:{30}:{against}", format=keys, info=f"END={end}")
    if kind == "deletion":
        genotype = draw(st.sampled_from(["0/0", "0/1", "1/1", "./1", "1"]))
        info = draw(st.sampled_from([f"END={end}", f"SVLEN={pos - end}", f"SVLEN={end - pos}"]))
        return line(pos, base, "<DEL>,<NON_REF>", f"{genotype}:{gq}:{dp}", format="GT:GQ:DP", info=info)
    return line(pos, base, other_base(base, 1), f"0/0/1:{gq}:{dp}:7,7:0,5,30,300")


def _parts(pos: int, ref: str, alt: str) -> list[tuple[int, str, str]]:
    return normalised(pos, ref, alt, GENOME)


@contextmanager
def store_of(participants: list[list[str]], *, batches: int = 1) -> Iterator[tuple[Store, Snapshot, list[Path]]]:
    """Make a store of these gVCFs in ``batches`` batches; yield it, its snapshot and the files of P0, P1 and so on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = create_store(
            folder / "cohort",
            reference=write_reference(folder / "ref.fa", {"c1": GENOME}),
            thresholds=Thresholds(min_gq=20),
        )
        paths = []
        for number, lines in enumerate(participants):
            paths.append(folder / f"{number}.g.vcf")
            paths[-1].write_text(gvcf_text(lines, contigs=CONTIGS))
        for batch in range(batches):
            members = [
                Member(participant_id=f"P{number}", gvcf=str(path))
                for number, path in enumerate(paths)
                if number % batches == batch
            ]
            if members:
                add_batch(store, batch=f"b{batch}", members=members)
        yield store, read_snapshot(store), paths
