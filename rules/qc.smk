# Metrics per participant, then one gate for the delivery.


rule alignment_statistics:
    """Count reads and bases of the alignment (samtools stats)."""
    input:
        cram="participants/{participant}/aligned.cram",
        crai="participants/{participant}/aligned.cram.crai",
        reference=REFERENCE,
    output:
        stats=f"{QC}.stats.txt",
    log:
        "<logs>/alignment_statistics/{participant}.log",
    benchmark:
        "<benchmarks>/alignment_statistics/{participant}.tsv"
    conda:
        "../envs/step.yaml"
    threads: 2
    shell:
        "baekman step tool samtools stats -@ {threads} --reference {input.reference} --ref-seq {input.reference}"
        " {input.cram} > {output.stats} 2> {log}"


rule depth:
    """Measure depth and breadth (mosdepth)."""
    input:
        cram="participants/{participant}/aligned.cram",
        crai="participants/{participant}/aligned.cram.crai",
        reference=REFERENCE,
        regions=DEPTH_REGIONS,
    output:
        summary=f"{QC}.mosdepth.summary.txt",
        distribution=f"{QC}.mosdepth.global.dist.txt",
        regions=f"{QC}.regions.bed.gz",
        thresholds=f"{QC}.thresholds.bed.gz",
    log:
        "<logs>/depth/{participant}.log",
    benchmark:
        "<benchmarks>/depth/{participant}.tsv"
    conda:
        "../envs/mosdepth.yaml"
    threads: 2
    params:
        prefix=subpath(output.summary, strip_suffix=".mosdepth.summary.txt"),
    shell:
        "mosdepth --no-per-base --thresholds 1,5,10,15,20,30 --by {input.regions} --threads {threads}"
        " --fasta {input.reference} {params.prefix} {input.cram} 2> {log}"


rule metrics:
    """Write GA4GH WGS-QC metrics, with contamination, sex and identity."""
    input:
        unpack(evidence_of),
        reference=REFERENCE,
        sites=SETTINGS["contamination_sites"] or [],
    output:
        metrics="participants/{participant}/qc/metrics.json",
        contamination="participants/{participant}/qc/contamination.json",
        identity="participants/{participant}/qc/identity.json",
    log:
        "<logs>/metrics/{participant}.log",
    benchmark:
        "<benchmarks>/metrics/{participant}.tsv"
    conda:
        "../envs/metrics.yaml"
    params:
        delivery=config.get("delivery"),
        evidence=options_of,
    shell:
        "baekman step metrics --delivery {params.delivery} --participant {wildcards.participant}"
        " {params.evidence} --output {output.metrics} 2> {log}"


checkpoint verdicts:
    """Judge each participant; jobs after the gate are known only now."""
    input:
        metrics=of_participants("participants/{participant}/qc/metrics.json")
        + of_superseded("participants/{participant}/qc/metrics.json", SUPERSEDED),
        failures=of_failed("qc"),
        thresholds=SETTINGS["qc_thresholds"],
    output:
        verdicts=update("deliveries/{delivery}/verdicts/qc.json"),
        accepted="deliveries/{delivery}/accepted.tsv",
    log:
        "<logs>/verdicts/{delivery}.log",
    benchmark:
        "<benchmarks>/verdicts/{delivery}.tsv"
    conda:
        "../envs/step.yaml"
    params:
        gate=gate_of_run(),
    shell:
        "baekman step verdicts {wildcards.delivery} --thresholds {input.thresholds} --gate {params.gate}"
        " --output {output.verdicts} --accepted {output.accepted} 2> {log}"


rule qc:
    input:
        verdicts=of_delivery("deliveries/{delivery}/verdicts/qc.json"),
