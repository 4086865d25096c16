# The run: its workspace, its configuration, and its beginning and end in the main process.
import os
from contextlib import contextmanager
from pathlib import Path

import snakemake_internals as internals
from baekman.cohort.settings import require_fixed_in
from baekman.config.loading import load_config
from baekman.errors import InputRefused
from baekman.tools import processes, programs
from baekman.workspace import run_lock, specimens
from baekman.workspace.paths import Workspace
from snakemake.exceptions import WorkflowError

RUN_KEYS = ("delivery", "workspace")  # keys of --config that are no settings

internals.check(workflow)
processes.keep_from_others()
STARTED_IN = {Path.cwd(), Path(os.environ.get("PWD", "."))}  # the log lies in one


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


if folder := config.get("workspace") or os.environ.get("BAEKMAN_WORKSPACE"):
    set_run_key("workspace", str(invoked_from(folder).resolve()))

    workdir: config["workspace"]


WORKSPACE = Workspace(Path.cwd())

if internals.is_main_process(workflow) and not internals.is_planning():
    processes.stop_with_deliver()
    run_lock.join(WORKSPACE)

internals.lift_core_limit(workflow)

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
    if internals.is_main_process(workflow):
        require_fixed_in(WORKSPACE, SETTINGS)


def receive_delivery(folder):
    """Receive the delivery in `folder` and return its ID; None for a new one when nothing is to run."""
    # jobs never open the registry
    from baekman.intake.receive import receive, received_id

    if internals.is_planning():
        return received_id(folder, workspace=WORKSPACE)
    with refusing("delivery"):
        return receive(folder, workspace=WORKSPACE, config=SETTINGS).delivery_id


def staged_rows():
    """Return the rows of the delivery's pseudonymous manifest; None without a received delivery."""
    manifest = WORKSPACE.delivery(str(config.get("delivery"))).specimens
    return specimens.read(manifest) if manifest.is_file() else None


def conclude():
    """Tidy up after the last job and bring the return report up to date."""
    from baekman import deliver, workflow_run  # jobs never open the registry

    close_snakemake_folders()
    if IS_RECEIVED:
        if message := deliver.conclude(WORKSPACE, config["delivery"]):
            logger.warning(message, extra={"notice": workflow_run.RETURN_REPORT})


onsuccess:
    conclude()


onerror:
    conclude()
