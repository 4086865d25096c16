# One sequencing delivery, from the delivered files to per-participant tables:
#
#     snakemake --config delivery=DIR [workspace=DIR] [--configfile FILE] [--profile profiles/slurm]
#
# The last stage, by target: align, qc, call, cohort, tables, report.
from snakemake.utils import min_version

min_version("9.12")  # the first with the path variables <logs> and <benchmarks>


include: "rules/run.smk"
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
        crams=of_participants(
            "participants/{participant}/aligned.cram",
            ("aligned", "fastq", "bam", "cram"),
        ),
        metrics=of_participants("participants/{participant}/qc/metrics.json"),
        gvcfs=of_accepted("participants/{participant}/calls.g.vcf.gz"),
        verdicts=of_delivery("deliveries/{delivery}/verdicts/qc.json"),
        annotations=annotations_of_delivery(),
        tables=of_delivery("deliveries/{delivery}/report/tables.json"),
        verdict_table=of_delivery("deliveries/{delivery}/report/verdicts.html"),
        multiqc=of_delivery("deliveries/{delivery}/report/multiqc.html"),
        delivery_report=of_delivery("deliveries/{delivery}/report/report.html"),
        manifest=of_delivery("deliveries/{delivery}/report/manifest.json"),
