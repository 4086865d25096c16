# The workspace, the configuration, and what is known of the delivery before anything runs.
import json
import os
import re
import sys
from pathlib import Path

from baekman.align import alignment
from baekman.tools import processes
from baekman.workspace import run_lock
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace
from baekman.tools import programs as tools
from baekman.config.loading import load_config
from baekman.errors import InputRefused
from snakemake.cli import get_argument_parser
from snakemake.exceptions import WorkflowError

PARTICIPANT = r"P[0-9A-Z]{13}"
DELIVERY = r"D[0-9A-Z]{13}"
RUN_KEYS = ("delivery", "workspace")  # of --config: which run this is, not a setting
BASES_PER_CALL_JOB = 125_000_000
QC = "participants/{participant}/qc/{participant}"

processes.keep_from_others()
# rules call `baekman`, which lies beside this Python whether the environment is activated or not
tools.find_own_commands()


def set_run_key(key, value):
    """Set `key` of --config here and in what jobs on other machines are started with."""
    config[key] = value
    workflow.config_settings.overwrite_config[key] = value
    given = workflow.config_settings.config_args or []
    others = [text for text in given if not text.startswith(f"{key}=")]
    workflow.config_settings.config_args = [*others, f"{key}={value!r}"]


def invoked_from(path):
    """`path` as meant by who typed it, though Snakemake has changed the folder since."""
    typed = Path(os.environ.get("PWD", ".")) / path
    return typed if typed.exists() else Path(path)


def settings():
    """The configuration in force, checked; a fault ends here, before any work."""
    file = next(iter(workflow.config_settings.configfiles), None)
    given = workflow.config_settings.config
    overrides = {key: value for key, value in given.items() if key not in RUN_KEYS}
    try:
        return load_config(Path.cwd(), file=file, overrides=overrides)
    except InputRefused as refused:
        raise WorkflowError("configuration refused", *map(str, refused.problems))


def typed():
    """What was given on the command line, without the profiles: a relative one is no more found from the workspace."""
    return get_argument_parser().parse_known_args(sys.argv[1:])[0]


def is_planning():
    """Whether Snakemake was asked to plan, list or tidy, and not to run."""
    other = "dryrun lint list_rules list_target_rules unlock summary detailed_summary dag rulegraph filegraph"
    return any(getattr(typed(), mode, None) for mode in other.split())


def runs_elsewhere():
    """Whether jobs go to other machines, and nobody has said how many of their cores may be used."""
    given = typed()
    return (
        workflow.is_main_process
        and workflow.resource_settings.nodes
        and given.cores is None
        and (given.profile or given.executor)
    )


def receive(folder):
    """Receive the delivery in `folder`; its D… ID, or None where it is new and nothing is to run."""
    from baekman.intake import receive as intake  # jobs never open the registry

    if is_planning():
        return intake.received_id(folder, workspace=Workspace(Path.cwd()))
    try:
        workspace = Workspace(Path.cwd())
        return intake.receive(folder, workspace=workspace, config=SETTINGS).delivery_id
    except InputRefused as refused:
        raise WorkflowError("delivery refused", *map(str, refused.problems))


def conclude():
    """Bring the return report up to date with the QC verdicts, and clear up what is not to stay."""
    from baekman import withdrawal, workflow_run
    from baekman.registry import records as registry
    from baekman.intake import return_report

    if not IS_RECEIVED:
        return
    workspace = Workspace(Path.cwd())
    specimens.tidy_staged(workspace.delivery(config["delivery"]))
    withdrawal.sweep_after(workspace, config["delivery"])
    try:
        opened = registry.open_registry(workspace.root)
        return_report.write_return_report(
            workspace, config["delivery"], registry=opened
        )
    except InputRefused as refused:
        logger.warning(
            f"the return report stays as intake wrote it: {refused.problems[0]}",
            extra={"notice": workflow_run.RETURN_REPORT},
        )


if workspace := config.get("workspace") or os.environ.get("BAEKMAN_WORKSPACE"):
    set_run_key("workspace", str(invoked_from(workspace).resolve()))

    workdir: config["workspace"]


if workflow.is_main_process and not is_planning():
    processes.stop_with_deliver()
    run_lock.join(Workspace(Path.cwd()))

if runs_elsewhere():
    # profiles/default counts the cores of this machine, and Snakemake would cut every job's threads to them
    workflow.resource_settings.cores = sys.maxsize
    workflow.global_resources["_cores"] = sys.maxsize

SETTINGS = settings()
REFERENCE = f"reference/{SETTINGS['reference_name']}.fa"
DICTIONARY = f"reference/{SETTINGS['reference_name']}.dict"
INDEX = [
    f"{REFERENCE}{ending}" for ending in alignment.INDEX_ENDINGS[SETTINGS["aligner"]]
]


scattergather:
    call=max(1, Path(SETTINGS["reference"]).stat().st_size // BASES_PER_CALL_JOB),


wildcard_constraints:
    delivery=DELIVERY,
    participant=PARTICIPANT,


def staged():
    """The rows of the delivery's pseudonymous manifest; None where there is no delivery yet."""
    manifest = Workspace(Path()).delivery(str(config.get("delivery"))).specimens
    return specimens.read(manifest) if manifest.is_file() else None


def of_delivery(pattern):
    """`pattern` for the delivery of this run; nothing when there is none."""
    return expand(pattern, delivery=config["delivery"]) if IS_RECEIVED else []


def of_participants(pattern, entries=specimens.ENTRIES):
    """`pattern` for each participant of the delivery who comes in by one of `entries`."""
    ids = sorted({row.participant_id for row in STAGED if row.entry in entries})
    return expand(pattern, participant=ids)


def of_accepted(pattern):
    """`pattern` for each participant whom the QC gate lets through (known after the checkpoint)."""

    def accepted(wildcards):
        if not IS_RECEIVED:
            return []
        chosen = checkpoints.verdicts.get(delivery=config["delivery"]).output.accepted
        ids = [line.split("\t")[0] for line in Path(chosen).read_text().splitlines()]
        return expand(pattern, participant=ids)

    return accepted


def rows_of(wildcards):
    """The staged rows of one participant."""
    return [row for row in STAGED if row.participant_id == wildcards.participant]


def staged_reads(wildcards):
    return [file for row in rows_of(wildcards) for file in row.files]


def needed_index(wildcards):
    """The aligner's index, unless a participant's delivered alignment is taken as it is."""
    entries = {row.entry for row in rows_of(wildcards)}
    is_accepted = SETTINGS["aligned_input"] == "accept" and "fastq" not in entries
    return [] if is_accepted else INDEX


def evidence_of(wildcards):
    """What a participant's metrics are made from: the alignment and its statistics, or the delivered calls."""
    row = rows_of(wildcards)[0]
    array = {"array": row.array_genotypes} if row.array_genotypes else {}
    if row.entry == "gvcf":
        return {"gvcf": "participants/{participant}/calls.g.vcf.gz", **array}
    return {
        "cram": "participants/{participant}/aligned.cram",
        "stats": f"{QC}.stats.txt",
        "depth": f"{QC}.regions.bed.gz",
        "depth_thresholds": f"{QC}.thresholds.bed.gz",
        **array,
    }


def options_of(wildcards, input):
    """`--name path` of each of a participant's files that are there."""
    return [
        f"--{name.replace('_', '-')} {path}" for name, path in input.items() if path
    ]


def pieces_of(wildcards):
    """The gVCFs that make up a participant's: called pieces, or the delivered one."""
    delivered = [row.file_1 for row in rows_of(wildcards) if row.entry == "gvcf"]
    return delivered or gather.call(
        "participants/{{participant}}/calls/{scatteritem}.g.vcf.gz"
    )


def caller_of(wildcards):
    """What the pieces of a participant's gVCF depend on beside the reads; nothing when it was delivered."""
    if rows_of(wildcards)[0].entry == "gvcf":
        return ""
    return (
        f"{SETTINGS['caller']} {SETTINGS['par_regions'] or SETTINGS['reference_name']}"
    )
