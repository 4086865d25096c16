# The desk of intake runs in the main process before the plan is made, and has its orders carried out by a run of its
# own with the target `inspected`. Only pseudonymous IDs exist in paths, logs, metadata and the command lines of jobs.
import re
import sys

if config.get("delivery") and not re.fullmatch(DELIVERY, str(config["delivery"])):
    DELIVERED = invoked_from(str(config["delivery"]))
    set_run_key("delivery", receive_delivery(DELIVERED))
    # Snakemake writes its command line into its log.
    sys.argv = [text for text in sys.argv if "delivery=" not in text]
    if config["delivery"] is None:
        logger.warning(
            "This delivery was not received yet: its jobs are known after intake."
        )
# Jobs inherit the environment and the paths of options.
internals.forget_folder_of_command(workflow)
ORDERED = orders_under_way()
if (
    re.fullmatch(DELIVERY, str(config.get("delivery")))
    and staged_rows() is None
    and not ORDERED
):
    raise WorkflowError(
        f"delivery {config['delivery']} was not received in this workspace"
    )

IS_RECEIVED = staged_rows() is not None
# The files of a participant of whom a later delivery brought data are sources here: no rule makes them.
SUPERSEDED = superseded_participants()
# A job failed for them: they wait until the others are done.
try_failed_again()
FAILED = {gate: failed_participants(gate) for gate in ("qc", "call")}
STAGED = [
    row
    for row in staged_rows() or []
    if row.participant_id not in {*SUPERSEDED, *FAILED["qc"]}
]


wildcard_constraints:
    participant=(
        PARTICIPANT if not SUPERSEDED else f"(?!{'|'.join(SUPERSEDED)}){PARTICIPANT}"
    ),


rule inspect:
    """Open the files of one specimen: check them and stage them. The order is sealed, and gone after the run."""
    input:
        order="deliveries/{delivery}/orders/{participant}.sealed",
    output:
        note="deliveries/{delivery}/inspected/{participant}.json",
    log:
        "<logs>/inspect/{delivery}/{participant}.log",
    benchmark:
        "<benchmarks>/inspect/{delivery}/{participant}.tsv"
    conda:
        "../envs/step.yaml"
    threads: 2
    shell:
        "baekman step inspect --delivery {wildcards.delivery} --participant {wildcards.participant} 2> {log}"


rule inspect_and_align:
    """Check and align the FASTQ of a specimen with one lane in one stream; each file is read once."""
    input:
        order="deliveries/{delivery}/orders/{participant}.lane.sealed",
        reference=REFERENCE,
        index=INDEX,
    output:
        note="deliveries/{delivery}/inspected/{participant}.json",
    log:
        "<logs>/inspect_and_align/{delivery}/{participant}.log",
    benchmark:
        "<benchmarks>/inspect_and_align/{delivery}/{participant}.tsv"
    conda:
        "../envs/align.yaml"
    threads: 4
    params:
        aligner=SETTINGS["aligner"],
    shell:
        "baekman step inspect --delivery {wildcards.delivery} --participant {wildcards.participant}"
        " --reference {input.reference} --aligner {params.aligner} --threads {threads} 2> {log}"


rule inspect_lane:
    """Check and align one lane of several in one stream; each file is read once."""
    input:
        order=order_of_lanes,
        reference=REFERENCE,
        index=INDEX,
    output:
        lane=temp("deliveries/{delivery}/lanes/{participant}/{lane}.bam"),
        note=temp("deliveries/{delivery}/lanes/{participant}/{lane}.sealed"),
    log:
        "<logs>/inspect_lane/{delivery}/{participant}/{lane}.log",
    benchmark:
        "<benchmarks>/inspect_lane/{delivery}/{participant}/{lane}.tsv"
    conda:
        "../envs/align.yaml"
    threads: 4
    params:
        aligner=SETTINGS["aligner"],
    shell:
        "baekman step inspect --delivery {wildcards.delivery} --participant {wildcards.participant}"
        " --lane {wildcards.lane} --reference {input.reference} --aligner {params.aligner}"
        " --threads {threads} 2> {log}"


rule merge_lanes:
    """Merge the lanes of one specimen and mark duplicates, once for all lanes."""
    input:
        lanes=lanes_of,
        order=order_of_lanes,
        reference=REFERENCE,
    output:
        note="deliveries/{delivery}/inspected/{participant}.json",
    log:
        "<logs>/merge_lanes/{delivery}/{participant}.log",
    benchmark:
        "<benchmarks>/merge_lanes/{delivery}/{participant}.tsv"
    conda:
        "../envs/align.yaml"
    threads: 4
    params:
        aligner=SETTINGS["aligner"],
    shell:
        "baekman step merge-lanes --delivery {wildcards.delivery} --participant {wildcards.participant}"
        " --reference {input.reference} --aligner {params.aligner} --threads {threads} 2> {log}"


# The name of an order says which of these carries it out.
ruleorder: inspect > inspect_and_align > merge_lanes


rule inspected:
    input:
        notes=expand(
            "deliveries/{delivery}/inspected/{participant}.json",
            delivery=config.get("delivery"),
            participant=list(ORDERED),
        ),


rule staged_file:
    """Declare staged files as temporary, so that Snakemake deletes them after use. Intake makes them, not this rule."""
    output:
        staged=temp("deliveries/{delivery}/staged/{participant}/{file}"),
    log:
        "<logs>/staged_file/{delivery}/{participant}/{file}.log",
    benchmark:
        "<benchmarks>/staged_file/{delivery}/{participant}/{file}.tsv"
    conda:
        "../envs/step.yaml"
    shell:
        "baekman step staged --delivery {wildcards.delivery} 2> {log}"
