# One sequencing delivery, from what was delivered to per-participant tables:
#
#     snakemake --config delivery=DIR [workspace=DIR] [--configfile FILE] [--profile profiles/slurm]
#
# Last stage by target: align, qc, call, cohort, tables, report.
from snakemake.utils import min_version

min_version("9.0")


include: "rules/common.smk"
include: "rules/intake.smk"
include: "rules/align.smk"
include: "rules/qc.smk"
include: "rules/call.smk"
include: "rules/cohort.smk"
include: "rules/tables.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        of_participants(
            "participants/{participant}/aligned.cram", ("fastq", "bam", "cram")
        ),
        of_participants("participants/{participant}/qc/metrics.json"),
        of_accepted("participants/{participant}/calls.g.vcf.gz"),
        of_delivery("deliveries/{delivery}/verdicts/qc.json"),
        of_delivery("deliveries/{delivery}/report/tables.json"),
        of_delivery("deliveries/{delivery}/report/verdicts.html"),
        of_delivery("deliveries/{delivery}/report/multiqc.html"),
        of_delivery("deliveries/{delivery}/report/manifest.json"),


onsuccess:
    conclude()


onerror:
    conclude()
