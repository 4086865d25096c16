"""The work of Hail for ``cohort.py --hail``: combine gVCFs, densify, export. Run with a Python that has Hail.

python scripts/benchmarks/hail_combiner.py LIST.tsv REFERENCE.fa FOLDER
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"  # before Hail: its servers stay on this machine

import hail as hl

INTERVAL = 1_200_000  # bases of a partition, as Hail's own for genomes; a short region is cut into eight


def main() -> None:
    """Combine the gVCFs of the list, densify, export a block-compressed VCF."""
    listed, reference, folder = (Path(argument) for argument in sys.argv[1:4])
    shutil.rmtree(folder, ignore_errors=True)
    hl.init(master="local[2]", tmp_dir=str(folder / "tmp"), quiet=True)
    fai = reference.with_name(reference.name + ".fai")
    lengths = dict(line.split("\t")[:2] for line in fai.read_text().splitlines())
    genome = hl.ReferenceGenome("bench", list(lengths), {name: int(length) for name, length in lengths.items()})
    step = min(INTERVAL, max(map(int, lengths.values())) // 8)
    gvcfs = [line.split("\t")[1] for line in listed.read_text().splitlines()]
    names = [line.split("\t")[0] for line in listed.read_text().splitlines()]
    combiner = hl.vds.new_combiner(
        output_path=str(folder / "out.vds"),
        temp_path=str(folder / "tmp"),
        gvcf_paths=gvcfs,
        gvcf_sample_names=names,
        gvcf_external_header=gvcfs[0],
        # in one round: Hail 0.2.139 cannot make the result of several rounds dense
        branch_factor=max(len(gvcfs), 2),
        gvcf_batch_size=len(gvcfs),
        reference_genome=genome,
        intervals=[
            hl.eval(
                hl.locus_interval(
                    name, first, min(first + step - 1, int(length)), includes_end=True, reference_genome="bench"
                )
            )
            for name, length in lengths.items()
            for first in range(1, int(length) + 1, step)
        ],
    )
    combiner.run()
    dense = hl.vds.to_dense_mt(hl.vds.read_vds(str(folder / "out.vds")))
    dense = dense.annotate_entries(GT=hl.vds.lgt_to_gt(dense.LGT, dense.LA)).select_entries("GT", "GQ", "DP")
    hl.export_vcf(dense.drop("gvcf_info") if "gvcf_info" in dense.entry else dense, str(folder / "dense.vcf.bgz"))


if __name__ == "__main__":
    main()
