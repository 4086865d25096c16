"""Generated gVCFs of a small genome."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st
from support.store_tools import line

CONTIGS = {
    name: "".join(random.Random(seed).choice("ACGT") + "A" * (seed % 3) for seed in range(seed, seed + 120))
    for seed, name in enumerate(("c1", "c2", "X"))
}


@st.composite
def gvcfs(draw: Any) -> list[str]:
    """Draw a gVCF: blocks, gaps, SNVs, indels, multi-allelic and haploid records, overlaps, missing fields."""
    lines = []
    for contig, bases in CONTIGS.items():
        ploidy = draw(st.sampled_from([1, 2])) if contig == "X" else 2
        pos = 1 + draw(st.integers(0, 30))
        while pos < len(bases) - 12:
            kind = draw(st.sampled_from(["block", "block", "gap", "snv", "indel", "multi"]))
            length = draw(st.integers(1, 40))
            base, gq = bases[pos - 1], draw(st.integers(0, 99))
            if kind == "block":
                end = min(pos + length, len(bases))
                sample = f"{'/'.join(['0'] * ploidy)}:{gq}:{gq // 3}"
                info, keys = f"END={end}", "GT:GQ:MIN_DP"
                lines.append(line(pos, base, "<NON_REF>", sample, contig=contig, info=info, format=keys))
                pos = end + draw(st.sampled_from([1, 1, 1, 0]))
                continue
            if kind == "gap":
                pos += length
                continue
            ref = base if kind == "snv" else bases[pos - 1 : pos + draw(st.integers(0, 4))]
            other = "ACGT"["ACGT".index(base) - 1]
            alts = {"snv": [other], "indel": [base + "AC"], "multi": [base + "G" + ref[1:], other + ref[1:]]}[kind]
            alleles = len(alts) + 1
            genotype = "/".join(str(draw(st.integers(0, len(alts)))) for _ in range(ploidy))
            size = alleles if ploidy == 1 else alleles * (alleles + 1) // 2
            pl = ",".join(str(draw(st.integers(0, 90))) for _ in range(size + draw(st.sampled_from([0, 0, 0, 1]))))
            sample = f"{genotype}:{gq}:20:{','.join(['10'] * alleles)}:{draw(st.sampled_from([pl, pl, '.']))}"
            failed = draw(st.sampled_from([".", "LowQual"]))
            lines.append(line(pos, ref, ",".join(alts), sample, contig=contig, filter=failed))
            pos += draw(st.sampled_from([0, 1, 1, 5]))
    return lines
