# The accepted participants of the delivery are added to the cohort together.


rule batch:
    """Add the batch to the store. The store is no output: Snakemake deletes outputs before it makes them again."""
    input:
        accepted="deliveries/{delivery}/accepted.tsv",
        gvcfs=of_accepted("participants/{participant}/calls.g.vcf.gz"),
        failures=of_failed("call"),
        reference=REFERENCE,
        fai=f"{REFERENCE}.fai",
        shards="reference/shards.tsv",
        targets=TARGETS,
    output:
        batch="deliveries/{delivery}/batch.json",
        verdicts=update("deliveries/{delivery}/verdicts/call.json"),
    log:
        "<logs>/batch/{delivery}.log",
    benchmark:
        "<benchmarks>/batch/{delivery}.tsv"
    conda:
        "../envs/step.yaml"
    threads: 4
    params:
        thresholds=json.dumps(SETTINGS["cohort"]),
        filters=json.dumps(SETTINGS["sites"]),
        par=PAR + PADDING,
    shell:
        "baekman step batch {wildcards.delivery} --gvcfs {input.accepted} --reference {input.reference}"
        " --shards {input.shards} --thresholds {params.thresholds:q} --filters {params.filters:q}"
        " --par {params.par} --targets '{input.targets}'"
        " --workers {threads} --output {output.batch} 2> {log}"


rule annotate:
    """Annotate the alleles of the latest snapshot, in the store next to its sites; new alleles only."""
    input:
        batch="deliveries/{delivery}/batch.json",
        sources=ANNOTATION_SOURCES,
    output:
        annotations="deliveries/{delivery}/annotations.json",
    log:
        "<logs>/annotate/{delivery}.log",
    benchmark:
        "<benchmarks>/annotate/{delivery}.tsv"
    conda:
        "../envs/step.yaml"
    threads: 4
    params:
        settings=json.dumps({key: SETTINGS[key] for key in ("annotate", "cohort")}),
    shell:
        "baekman step annotate --settings {params.settings:q} --workers {threads}"
        " --output {output.annotations} 2> {log}"


rule cohort:
    input:
        batch=of_delivery("deliveries/{delivery}/batch.json"),
        annotations=annotations_of_delivery(),
