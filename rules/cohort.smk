# The accepted participants of the delivery, added to the cohort together.


rule batch:
    """The store is not an output: Snakemake deletes outputs before it makes them anew."""
    input:
        accepted="deliveries/{delivery}/accepted.tsv",
        gvcfs=of_accepted("participants/{participant}/calls.g.vcf.gz"),
        reference=REFERENCE,
        fai=f"{REFERENCE}.fai",
        shards="reference/shards.tsv",
    output:
        batch="deliveries/{delivery}/batch.json",
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
        par=SETTINGS["par_regions"] or SETTINGS["reference_name"],
    shell:
        "baekman step batch {wildcards.delivery} --gvcfs {input.accepted} --reference {input.reference}"
        " --shards {input.shards} --thresholds {params.thresholds:q} --filters {params.filters:q}"
        " --par {params.par} --workers {threads} --output {output.batch} 2> {log}"


rule cohort:
    input:
        of_delivery("deliveries/{delivery}/batch.json"),
