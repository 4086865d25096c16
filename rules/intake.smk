# Intake runs here, before the plan is made: from then on only pseudonymous IDs exist, in paths, logs,
# metadata and the command lines of jobs.


if config.get("delivery") and not re.fullmatch(DELIVERY, str(config["delivery"])):
    set_run_key("delivery", receive(invoked_from(str(config["delivery"]))))
    # Snakemake writes its own command line into its log
    sys.argv = [text for text in sys.argv if "delivery=" not in text]
    if config["delivery"] is None:
        logger.warning(
            "This delivery was not received yet: its jobs are known after intake."
        )
if re.fullmatch(DELIVERY, str(config.get("delivery"))) and staged() is None:
    raise WorkflowError(
        f"delivery {config['delivery']} was not received in this workspace"
    )

IS_RECEIVED = staged() is not None
STAGED = staged() or []


rule staged_file:
    """Staged files come from intake and go when they are used; here only so that they go."""
    output:
        temp("deliveries/{delivery}/staged/{participant}/{file}"),
    log:
        "<logs>/staged_file/{delivery}/{participant}/{file}.log",
    benchmark:
        "<benchmarks>/staged_file/{delivery}/{participant}/{file}.tsv"
    conda:
        "../envs/step.yaml"
    shell:
        "baekman step staged --delivery {wildcards.delivery} 2> {log}"
