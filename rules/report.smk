# The reports on the delivery: MultiQC, the table of verdicts, and the manifest of the run.


rule multiqc:
    """Write the MultiQC page of the delivery."""
    input:
        verdicts="deliveries/{delivery}/verdicts/qc.json",
    output:
        html="deliveries/{delivery}/report/multiqc.html",
    log:
        "<logs>/multiqc/{delivery}.log",
    benchmark:
        "<benchmarks>/multiqc/{delivery}.tsv"
    conda:
        "../envs/multiqc.yaml"
    shell:
        "baekman step multiqc {wildcards.delivery} --output {output.html} 2> {log}"


rule verdict_table:
    """Write the verdicts of all gates, as a page and a table."""
    input:
        intake=ancient("deliveries/{delivery}/verdicts/intake.json"),
        qc="deliveries/{delivery}/verdicts/qc.json",
        call="deliveries/{delivery}/verdicts/call.json",
        failures=of_failed("qc", "call"),
    output:
        tsv="deliveries/{delivery}/report/verdicts.tsv",
        html="deliveries/{delivery}/report/verdicts.html",
    log:
        "<logs>/verdict_table/{delivery}.log",
    benchmark:
        "<benchmarks>/verdict_table/{delivery}.tsv"
    conda:
        "../envs/step.yaml"
    shell:
        "baekman step verdict-table {input.intake} {input.qc} {input.call} --tsv {output.tsv}"
        " --html {output.html} 2> {log}"


rule delivery_report:
    """Show the metrics of all specimens, and the time and memory of the jobs before this one."""
    input:
        intake=ancient("deliveries/{delivery}/verdicts/intake.json"),
        qc="deliveries/{delivery}/verdicts/qc.json",
        call="deliveries/{delivery}/verdicts/call.json",
        tables="deliveries/{delivery}/report/tables.json",
        thresholds=SETTINGS["qc_thresholds"],
    output:
        html="deliveries/{delivery}/report/report.html",
        numbers="deliveries/{delivery}/report/report.json",
    log:
        "<logs>/delivery_report/{delivery}.log",
    benchmark:
        "<benchmarks>/delivery_report/{delivery}.tsv"
    conda:
        "../envs/step.yaml"
    shell:
        "baekman step delivery-report {wildcards.delivery} --thresholds {input.thresholds} --html {output.html}"
        " 2> {log}"


rule run_manifest:
    """Write versions, settings, checksums and consent of the run, and the remarks on gVCFs."""
    input:
        tables="deliveries/{delivery}/report/tables.json",
        batch="deliveries/{delivery}/batch.json",
        verdicts="deliveries/{delivery}/verdicts/qc.json",
    output:
        manifest="deliveries/{delivery}/report/manifest.json",
        remarks="deliveries/{delivery}/report/remarks.html",
    log:
        "<logs>/run_manifest/{delivery}.log",
    benchmark:
        "<benchmarks>/run_manifest/{delivery}.tsv"
    conda:
        "../envs/step.yaml"
    params:
        settings=json.dumps(settings_of_manifest()),
    shell:
        "baekman step manifest {wildcards.delivery} --settings {params.settings:q} --output {output.manifest}"
        " --remarks {output.remarks} 2> {log}"


rule report:
    input:
        multiqc=of_delivery("deliveries/{delivery}/report/multiqc.html"),
        verdict_table=of_delivery("deliveries/{delivery}/report/verdicts.html"),
        delivery_report=of_delivery("deliveries/{delivery}/report/report.html"),
        manifest=of_delivery("deliveries/{delivery}/report/manifest.json"),
