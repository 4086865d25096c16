# One gVCF per participant accepted by the QC gate: called in pieces and gathered, or taken as delivered.
CALL_ENVS = {
    "bcftools": "../envs/step.yaml",
    "freebayes": "../envs/freebayes.yaml",
    "gatk": "../envs/gatk.yaml",
    "deepvariant": "../envs/deepvariant.yaml",
}


rule call_piece:
    """Call one piece of the genome; every caller writes reference blocks with evidence, and PL at each ALT seen."""
    input:
        cram="participants/{participant}/aligned.cram",
        crai="participants/{participant}/aligned.cram.crai",
        metrics="participants/{participant}/qc/metrics.json",
        reference=REFERENCE,
        fai=f"{REFERENCE}.fai",
        shards="reference/shards.tsv",
        targets=TARGETS,
    output:
        gvcf=temp("participants/{participant}/calls/{scatteritem}.g.vcf.gz"),
        index=temp("participants/{participant}/calls/{scatteritem}.g.vcf.gz.tbi"),
        note=temp("participants/{participant}/calls/{scatteritem}.json"),
    log:
        "<logs>/call_piece/{participant}/{scatteritem}.log",
    benchmark:
        "<benchmarks>/call_piece/{participant}/{scatteritem}.tsv"
    conda:
        CALL_ENVS[SETTINGS["caller"]]
    threads: 1
    params:
        delivery=config.get("delivery"),
        caller=SETTINGS["caller"],
        par=PAR + PADDING,
    shell:
        "baekman step call {input.cram} --delivery {params.delivery} --participant {wildcards.participant}"
        " --caller {params.caller} --reference {input.reference} --shards {input.shards}"
        " --piece {wildcards.scatteritem} --par {params.par} --targets '{input.targets}'"
        " --output {output.gvcf} 2> {log}"


rule gather_calls:
    """Put the pieces together, or take the delivered gVCF."""
    input:
        pieces=pieces_of,
        notes=notes_of,
    output:
        gvcf="participants/{participant}/calls.g.vcf.gz",
        index="participants/{participant}/calls.g.vcf.gz.tbi",
        note="participants/{participant}/calls.json",
    log:
        "<logs>/gather_calls/{participant}.log",
    benchmark:
        "<benchmarks>/gather_calls/{participant}.tsv"
    conda:
        "../envs/step.yaml"
    params:
        # Pieces are temporary, so a change of the settings that they depend on is noticed here.
        made_by=caller_of,
    shell:
        "baekman step gather {input.pieces} --output {output.gvcf} 2> {log}"


rule call:
    input:
        gvcfs=of_accepted("participants/{participant}/calls.g.vcf.gz"),
