# The run: its workspace, its configuration, and its beginning and end in the main process.
import os
from contextlib import contextmanager
from pathlib import Path

import snakemake_internals as internals
from baekman.cohort.settings import require_fixed_in
from baekman.config.loading import load_config
from baekman.engine import slurm
from baekman.errors import InputRefused
from baekman.tools import environment, processes, programs
from baekman.workspace import run_lock, specimens
from baekman.workspace.paths import Workspace
from baekman.workspace.runs import failures
from snakemake.exceptions import WorkflowError

RUN_KEYS = ("delivery", "workspace")  # keys of --config that are no settings

internals.check(workflow)
processes.keep_from_others()
internals.keep_records_within_umask()
STARTED_IN = {Path.cwd(), Path(os.environ.get("PWD", "."))}  # the log lies in one

FOLDER = internals.folder_of_command()
# Jobs inherit the environment, and never open the registry.
KEYS = {
    name: os.environ.pop(name)
    for name in environment.KEY_VARIABLES
    if name in os.environ
}
internals.forget_delivery()


@contextmanager
def with_keys():
    """Put the variables of the registry and of keys back inside the block."""
    os.environ.update(KEYS)
    try:
        yield
    finally:
        for name in KEYS:
            del os.environ[name]


def close_snakemake_folders():
    """Close the `.snakemake` of the workspace and of the folder of the command."""
    for folder in {*STARTED_IN, Path.cwd()}:
        processes.close_snakemake_folder(folder / ".snakemake")


if internals.is_main_process(workflow):
    close_snakemake_folders()
# Rules call `baekman`, which is installed next to this Python; its environment need not be activated.
programs.find_own_commands()


def set_run_key(key, value):
    """Set `key` of --config in this process and in jobs."""
    config[key] = value
    internals.set_config_for_jobs(workflow, key, value)


def invoked_from(path):
    """Return `path` from the folder of the command; Snakemake may have changed the folder since."""
    typed = Path(os.environ.get("PWD", ".")) / path
    return typed if typed.exists() else Path(path)


@contextmanager
def refusing(subject):
    """End Snakemake with the problems of refused input."""
    try:
        yield
    except InputRefused as refusal:
        raise WorkflowError(f"{subject} refused", *map(str, refusal.problems))


for key in RUN_KEYS:
    # a folder may have a name that looks like a number, a date or a truth value
    typed = internals.typed_value(key)
    if typed and not isinstance(config.get(key), str):
        set_run_key(key, typed)

if folder := config.get("workspace") or os.environ.get("BAEKMAN_WORKSPACE"):
    set_run_key("workspace", str(invoked_from(folder).resolve()))

    workdir: config["workspace"]


WORKSPACE = Workspace(Path.cwd())
# Without `baekman deliver` this process holds the specimens of which a job fails, and the next run goes on.
IS_PLAIN = (
    internals.is_main_process(workflow)
    and not internals.is_planning()
    and processes.STARTED_BY not in os.environ
)
RUN = internals.follow_events(logger) if IS_PLAIN else None
DELIVERED = None  # the folder of the delivery, where the command names it

if internals.is_main_process(workflow) and not internals.is_planning():
    processes.stop_with_deliver()
    internals.note_interruptions()
    run_lock.join(WORKSPACE)

internals.lift_core_limit(workflow)

if internals.is_main_process(workflow) and not internals.is_planning():
    with refusing("profile"):
        slurm.require(internals.executor())
    if internals.executor() == slurm.OTHER_EXECUTOR:
        logger.warning(slurm.ADVICE, extra={"notice": "Slurm"})

with refusing("configuration"):
    SETTINGS = load_config(
        WORKSPACE.root,
        file=internals.config_file(workflow),
        overrides={
            key: value
            for key, value in internals.config_options(workflow).items()
            if key not in RUN_KEYS
        },
    )
    del SETTINGS["notify"]  # of `baekman deliver`: it changes no result
    if internals.is_main_process(workflow):
        require_fixed_in(WORKSPACE, SETTINGS)


def receive_delivery(folder):
    """Receive the delivery in `folder` and return its ID; None for a new one when nothing is to run."""
    # jobs never open the registry
    from baekman.intake.receive import receive, received_id

    if internals.is_planning():
        return received_id(folder, workspace=WORKSPACE)
    with refusing("delivery"), with_keys():
        return receive(
            folder, workspace=WORKSPACE, config=SETTINGS, run=run_inspections
        ).delivery_id


def run_inspections(workspace, delivery, participants):
    """Carry out the orders of `participants` by a run with the options of this one, and show its progress."""
    from baekman import deliver, workflow_run

    numbers = set()
    said = []

    def show(run):
        for line in run.cluster[len(said) :]:
            said.append(line)
            logger.warning(line, extra={"notice": workflow_run.CLUSTER})
        if run.total and run.done not in numbers:
            numbers.add(run.done)
            logger.info(f"intake: {run.done} of {run.total} jobs done")

    values = {"workspace": str(workspace.root.resolve()), "delivery": delivery}
    try:
        deliver.run_inspections(
            internals.command_for(deliver.INSPECTED, values, folder=FOLDER),
            workspace=workspace,
            home=workspace.delivery(delivery),
            participants=participants,
            show=show,
        )
    except deliver.InspectionsFailed as failure:
        raise WorkflowError(
            "intake failed: no specimen was inspected", *failure.run.last_lines
        )


def orders_under_way():
    """Return the form of each order of an intake that is under way, by participant."""
    orders = WORKSPACE.delivery(str(config.get("delivery"))).orders
    words = [path.name.split(".") for path in sorted(orders.glob("P*.sealed"))]
    return {participant: "".join(form) for participant, *form, _ in words}


def staged_rows():
    """Return the rows of the delivery's pseudonymous manifest; None without a received delivery."""
    manifest = WORKSPACE.delivery(str(config.get("delivery"))).specimens
    return specimens.read(manifest) if manifest.is_file() else None


def superseded_participants():
    """Return the participants of the delivery of whom a later delivery brought data, sorted."""
    ids = {row.participant_id for row in staged_rows() or []}
    return sorted(specimens.superseded(WORKSPACE, str(config.get("delivery")), ids))


def failed_participants(gate):
    """Return the participants of the delivery of whom a job failed before `gate`; the others go on without them."""
    noted = failures.read_failures(
        WORKSPACE.delivery(str(config.get("delivery"))), (gate,)
    )
    return [each for each, failure in noted.items() if not failure.is_settled]


def try_failed_again():
    """Forget the failed jobs without which a run of plain `snakemake` has come to its end."""
    if IS_PLAIN:
        failures.clear_settled_failures(
            WORKSPACE.delivery(str(config.get("delivery"))), ("qc", "call")
        )


def hold_failed():
    """Hold the specimens of which a job failed in this run of plain `snakemake`, and print what to do."""
    from baekman import failed_jobs

    with with_keys():
        assessment = failed_jobs.hold_failed(
            RUN,
            workspace=WORKSPACE,
            folder=WORKSPACE.delivery(config["delivery"]),
            delivery=DELIVERED,
        )
    for line in failed_jobs.advice(assessment, WORKSPACE):
        logger.error(line)


def end_failed_run():
    """Note that every job has run that could, unless the run was interrupted, and hold specimens that failed."""
    from baekman import workflow_run

    if not internals.was_interrupted(workflow):
        logger.info(
            "every job has run that could", extra={"notice": workflow_run.ENDED}
        )
    if IS_PLAIN and IS_RECEIVED and not ORDERED:
        hold_failed()
    conclude(has_failed=True)


def conclude(has_failed=False):
    """Tidy up after the last job and bring the return report up to date."""
    close_snakemake_folders()
    if IS_RECEIVED and not ORDERED:
        from baekman import deliver, workflow_run  # jobs never open the registry

        with with_keys():
            message = deliver.conclude(
                WORKSPACE, config["delivery"], has_failed=has_failed
            )
        if message:
            logger.warning(message, extra={"notice": workflow_run.RETURN_REPORT})


onsuccess:
    conclude()


onerror:
    end_failed_run()


internals.end_module_by(workflow, success=conclude, error=end_failed_run)
