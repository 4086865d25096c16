# Each participant of the batch gets one Parquet of variants and one of reference blocks, verified after writing.


rule write_tables:
    """Write variants and reference blocks of each participant of the batch."""
    input:
        batch="deliveries/{delivery}/batch.json",
    output:
        report="deliveries/{delivery}/report/tables.json",
    log:
        "<logs>/write_tables/{delivery}.log",
    benchmark:
        "<benchmarks>/write_tables/{delivery}.tsv"
    conda:
        "../envs/step.yaml"
    threads: 4
    params:
        encrypt="--encrypt" if SETTINGS["encrypt_tables"] else "",
    shell:
        "baekman step tables --batch {input.batch} {params.encrypt} --workers {threads}"
        " --report {output.report} 2> {log}"


rule tables:
    input:
        tables=of_delivery("deliveries/{delivery}/report/tables.json"),
