# Delivered reads or alignments become one CRAM per participant.


rule reference:
    """Copy the reference, and make its indexes, shards and regions of depth."""
    input:
        fasta=SETTINGS["reference"],
        shards=SETTINGS["shards"] or [],
    output:
        fasta=REFERENCE,
        fai=f"{REFERENCE}.fai",
        dictionary=DICTIONARY,
        regions="reference/depth_regions.bed",
        shards="reference/shards.tsv",
    log:
        "<logs>/reference.log",
    benchmark:
        "<benchmarks>/reference.tsv"
    conda:
        "../envs/step.yaml"
    params:
        par=PAR,
    shell:
        "baekman step reference {input.fasta} {output.fasta} --par {params.par}"
        " --shards '{input.shards}' 2> {log}"


if TARGETS:

    rule targets:
        """Cut the regions in which depth is judged to the target regions."""
        input:
            bed=SETTINGS["target_regions"],
            fai=f"{REFERENCE}.fai",
            regions="reference/depth_regions.bed",
        output:
            targets=TARGETS,
            regions=DEPTH_REGIONS,
        log:
            "<logs>/targets.log",
        benchmark:
            "<benchmarks>/targets.tsv"
        conda:
            "../envs/step.yaml"
        params:
            reference=REFERENCE,
            aliases=json.dumps(SETTINGS["cohort"]["contig_aliases"]),
        shell:
            "baekman step targets {input.bed} --reference {params.reference} --aliases {params.aliases:q}"
            " --output {output.targets} 2> {log}"


rule aligner_index:
    """Make the index of the aligner."""
    input:
        fasta=REFERENCE,
    output:
        index=INDEX,
    log:
        "<logs>/aligner_index.log",
    benchmark:
        "<benchmarks>/aligner_index.tsv"
    conda:
        "../envs/align.yaml"
    params:
        aligner=SETTINGS["aligner"],
    shell:
        "baekman step index {input.fasta} --aligner {params.aligner} 2> {log}"


rule align_reads:
    """Align staged reads, or accept an alignment, in one stream to a CRAM with marked duplicates."""
    input:
        reads=staged_reads,
        earlier=earlier_reads,
        reference=REFERENCE,
        index=needed_index,
    output:
        cram="participants/{participant}/aligned.cram",
        crai="participants/{participant}/aligned.cram.crai",
        markdup="participants/{participant}/qc/{participant}.markdup.txt",
    log:
        "<logs>/align_reads/{participant}.log",
    benchmark:
        "<benchmarks>/align_reads/{participant}.tsv"
    conda:
        "../envs/align.yaml"
    threads: 4
    params:
        delivery=config.get("delivery"),
        aligner=SETTINGS["aligner"],
        aligned_input=SETTINGS["aligned_input"],
    shell:
        "baekman step align --delivery {params.delivery} --participant {wildcards.participant}"
        " --reference {input.reference} --aligner {params.aligner} --aligned-input {params.aligned_input}"
        " --output {output.cram} --metrics {output.markdup} --threads {threads} 2> {log}"


rule align:
    input:
        crams=of_participants(
            "participants/{participant}/aligned.cram",
            ("aligned", "fastq", "bam", "cram"),
        ),
