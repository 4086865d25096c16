# Intake runs in the main process before the plan is made. From then on only pseudonymous IDs exist: in paths, logs,
# metadata and the command lines of jobs.
import re
import sys

if config.get("delivery") and not re.fullmatch(DELIVERY, str(config["delivery"])):
    set_run_key("delivery", receive_delivery(invoked_from(str(config["delivery"]))))
    # Snakemake writes its command line into its log.
    sys.argv = [text for text in sys.argv if "delivery=" not in text]
    if config["delivery"] is None:
        logger.warning(
            "This delivery was not received yet: its jobs are known after intake."
        )
if re.fullmatch(DELIVERY, str(config.get("delivery"))) and staged_rows() is None:
    raise WorkflowError(
        f"delivery {config['delivery']} was not received in this workspace"
    )

IS_RECEIVED = staged_rows() is not None
STAGED = staged_rows() or []


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
