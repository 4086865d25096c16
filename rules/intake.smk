# Intake runs here, before the plan is made: from then on only pseudonymous IDs exist, in paths, logs,
# metadata and the command lines of jobs.
from snakemake.cli import parse_args


def is_planning():
    """Whether Snakemake was asked to plan, list or tidy, and not to run."""
    other = "dryrun lint list_rules list_target_rules unlock summary detailed_summary dag rulegraph filegraph"
    _, given = parse_args(sys.argv[1:])
    return any(getattr(given, mode, None) for mode in other.split())


def receive(folder):
    """Receive the delivery in `folder`; its D… ID, or None where it is new and nothing is to run."""
    from baekman import intake  # jobs never open the registry

    if is_planning():
        return intake.known(folder, workspace=Path.cwd())
    try:
        return intake.receive(folder, workspace=Path.cwd(), config=SETTINGS).delivery_id
    except InputRefused as refused:
        raise WorkflowError("delivery refused", *map(str, refused.reasons))


def tell_institution():
    """Bring the institution's return report up to date with the QC verdicts."""
    from baekman import registry, return_report

    if STAGED:
        opened = registry.open_registry(Path.cwd())
        return_report.write_return_report(
            Path.cwd(), config["delivery"], registry=opened
        )


if config.get("delivery") and not re.fullmatch(DELIVERY, str(config["delivery"])):
    set_run_key("delivery", receive(invoked_from(str(config["delivery"]))))
    # Snakemake writes its own command line into its log
    sys.argv = [text for text in sys.argv if not text.startswith("delivery=")]
    if config["delivery"] is None:
        logger.warning(
            "This delivery was not received yet: its jobs are known after intake."
        )

STAGED = staged()


rule staged_file:
    """Staged files come from intake and go when they are used; here only so that they go."""
    output:
        temp("deliveries/{delivery}/staged/{participant}/{file}"),
    log:
        "<logs>/staged_file/{delivery}/{participant}/{file}.log",
    benchmark:
        "<benchmarks>/staged_file/{delivery}/{participant}/{file}.tsv"
    shell:
        "baekman step staged --delivery {wildcards.delivery} 2> {log}"
