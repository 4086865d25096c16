"""Every attribute of Snakemake that baekman uses and that Snakemake's documentation does not promise.

Rule files import this module; Snakemake puts their folder on the import path. ``check`` runs first: it names the
attributes that another version of Snakemake no longer has. Versions 9.12 to 9.27 have them all.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any

import snakemake
from baekman.engine.slurm import executor_of
from baekman.tools.environment import forget_places
from baekman.workflow_run import WorkflowRun
from snakemake.cli import get_argument_parser
from snakemake.exceptions import WorkflowError
from snakemake_logger_plugin_baekman import event_of

TESTED_VERSIONS = "9.12 to 9.27"

ATTRIBUTES = (
    "_onerror",
    "_onsuccess",
    "config_settings.config",  # the values of --config
    "config_settings.config_args",  # the same as jobs on other machines get them, or None
    "config_settings.configfiles",
    "global_resources",
    "is_main_process",  # False in a job
    "modifier.is_main_snakefile",  # False in a module
    "resource_settings.cores",
    "resource_settings.nodes",  # number of jobs at the same time on other machines, or None
)
# Options that plan, list or tidy, and run nothing.
PLANNING_OPTIONS = (
    *("dag", "detailed_summary", "dryrun", "filegraph", "lint"),
    *("list_rules", "list_target_rules", "rulegraph", "summary", "unlock"),
)
# Options that choose jobs, or the folder of work.
CHOOSING_OPTIONS = (
    *("batch", "directory", "force", "forceall", "forcerun", "omit_from", "target_jobs", "touch", "until"),
)
FILE_OPTIONS = ("configfile", "profile", "workflow_profile")
SNAKEFILE = Path(__file__).resolve().parent.parent / "Snakefile"
OPTIONS = ("cores", "executor", *FILE_OPTIONS, *CHOOSING_OPTIONS, *PLANNING_OPTIONS)

_interruptions: list[int] = []  # signals of Ctrl-C


def check(workflow: Any) -> None:
    """Raise ``WorkflowError`` when this Snakemake lacks an attribute or option that this module uses."""
    missing = [f"workflow.{name}" for name in ATTRIBUTES if not _has(workflow, name)]
    missing += [f"option {name}" for name in OPTIONS if not hasattr(command_line(), name)]
    if missing:
        raise WorkflowError(
            f"Snakemake {snakemake.__version__} has no {', no '.join(missing)}; "
            f"install a Snakemake from {TESTED_VERSIONS}, or change rules/snakemake_internals.py"
        )


@functools.cache
def command_line() -> Namespace:
    """Return the options of Snakemake's command line as typed, without those of profiles.

    Relative paths of profiles are not resolved again: they are not found from the workspace.
    """
    options: Namespace = get_argument_parser().parse_known_args(sys.argv[1:])[0]
    return options


def is_planning() -> bool:
    """Return whether Snakemake was asked to plan, list or tidy, and not to run."""
    options = command_line()
    return any(getattr(options, name) for name in PLANNING_OPTIONS)


def note_interruptions() -> None:
    """Note a Ctrl-C, which Snakemake ends like a run with failed jobs."""

    def interrupt(number: int, frame: Any) -> None:
        _interruptions.append(number)
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


def was_interrupted(workflow: Any) -> bool:
    """Return whether Ctrl-C, or a signal to end, stopped the run."""
    return bool(_interruptions) or getattr(workflow.scheduler, "_user_kill", None) is not None


def is_main_process(workflow: Any) -> bool:
    """Return whether this process is the one that a user started, not a job."""
    return bool(workflow.is_main_process)


def end_module_by(workflow: Any, *, success: Callable[[], None], error: Callable[[], None]) -> None:
    """Call ``success`` or ``error`` at the end of a workflow that has this one as a module.

    Snakemake takes these handlers from the main Snakefile only. Handlers there come later, and replace these.
    """
    if not workflow.modifier.is_main_snakefile():
        workflow._onsuccess = lambda log: success()
        workflow._onerror = lambda log: error()


class _Follower(logging.Handler):
    """Notes the events of this process in a run."""

    def __init__(self, run: WorkflowRun) -> None:
        super().__init__()
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        """Note the event of ``record``, if it has one."""
        if event := event_of(record):
            self._run.note(event)


def follow_events(logger: logging.Logger) -> WorkflowRun:
    """Return the state of the run of this process, which the messages of Snakemake's ``logger`` keep up to date."""
    run = WorkflowRun()
    logger.addHandler(_Follower(run))
    return run


def executor() -> str:
    """Return the executor that the command line or its profile names; "" for the default of profiles/default."""
    options = command_line()
    places = [place for name in options.profile or () for place in (_invoked_from(name), Path(name))]
    return options.executor or next(filter(None, map(executor_of, reversed(places))), "")


def _invoked_from(name: str) -> Path:
    return Path(os.environ.get("PWD", ".")) / name


def config_file(workflow: Any) -> Path | None:
    """Return the file of --configfile, or None."""
    return next(iter(workflow.config_settings.configfiles), None)


def config_options(workflow: Any) -> Mapping[str, Any]:
    """Return the values of --config."""
    values: Mapping[str, Any] = workflow.config_settings.config
    return values


def typed_value(key: str) -> str | None:
    """Return the text of ``key`` in --config as typed; None without it.

    Snakemake reads ``2026_11`` and ``0042`` as numbers, ``true`` as a truth value and ``2026-11-01`` as a date.
    """
    texts = [text for text in command_line().config or [] if text.startswith(f"{key}=")]
    return texts[-1].partition("=")[2] if texts else None


def set_config_for_jobs(workflow: Any, key: str, value: object) -> None:
    """Set ``key`` of --config in the command lines of jobs on other machines."""
    settings = workflow.config_settings
    others = [text for text in settings.config_args or [] if not text.startswith(f"{key}=")]
    settings.config_args = [*others, f"{key}={value!r}"]


def folder_of_command() -> Path:
    """Return the folder of the command; Snakemake is in that of ``--directory`` by now."""
    return Path.cwd() if command_line().directory is None else Path(os.environ.get("PWD", "."))


def forget_delivery() -> None:
    """Delete the variables that name a path of the delivery, or words of the user's command; ``PWD`` stays for now."""
    folder, delivered = os.environ.get("PWD"), typed_value("delivery")
    forget_places(os.environ, *([_invoked_from(delivered)] if delivered else []))
    if folder is not None:
        os.environ["PWD"] = folder


def forget_folder_of_command(workflow: Any) -> None:
    """Take the folder of the command, which may be the delivery's, out of the environment and options of jobs."""
    os.environ["PWD"] = str(Path.cwd())
    settings = workflow.config_settings
    settings.configfiles = [Path(file).resolve() for file in settings.configfiles]


def command_for(target: str, values: Mapping[str, str], *, folder: Path) -> list[str]:
    """Return the command of another run with the options of this one, for ``target`` of this workflow only.

    The workflow that runs may be another one, which has this one as a module. ``values`` are added to those of
    ``--config``. Options that choose jobs are left out. Paths of files, which are relative to the ``folder`` of this
    command, become absolute ones that do not lead through it.
    """
    options, config = ["--snakefile", str(SNAKEFILE)], []
    for action, words in _options(sys.argv[1:]):
        if action == "config":
            config += words[1:]
        elif action in FILE_OPTIONS:
            options += [_resolved(word, folder) for word in words]
        elif action not in (*CHOOSING_OPTIONS, "snakefile"):
            options += words
    config = [text for text in config if text.partition("=")[0] not in values]
    given = [f"{key}={value}" for key, value in values.items()]
    return [sys.executable, "-m", "snakemake", target, *options, "--config", *config, *given]


def _resolved(word: str, folder: Path) -> str:
    """Return ``word`` of a command line, or ``--option=word``, with an absolute path where it is a path."""
    name, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    path = folder / value
    return f"{name}{equals}{path.resolve() if value and path.exists() else value}"


def _options(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each option of a command line: its name in the parser ("" for an unknown one), and its words."""
    actions = {text: action for action in get_argument_parser()._actions for text in action.option_strings}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return
        if not word.startswith("-"):
            continue  # a target
        name, equals, value = word.partition("=")
        action = actions.get(name) or actions.get(word[:2])
        has_value = bool(equals) or (name not in actions and not word.startswith("--"))
        nargs = "*" if action is None else action.nargs
        most = nargs if isinstance(nargs, int) else len(rest) if nargs in ("*", "+") else 1
        taken = 0
        while not has_value and taken < min(most, len(rest)) and not rest[taken].startswith("-"):
            taken += 1
        values, rest = rest[:taken], rest[taken:]
        dest = action.dest if action else ""
        yield dest, [name, value, *values] if dest == "config" and equals else [word, *values]


class _OsWithinUmask:
    """The module ``os`` with a ``chmod`` that keeps to the umask of now."""

    def __init__(self) -> None:
        self._umask = os.umask(0o077)
        os.umask(self._umask)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def chmod(self, path: str, mode: int) -> None:
        Path(path).chmod(mode & ~self._umask)


def keep_records_within_umask() -> None:
    """Let Snakemake write its records with the mode of other files; it makes them writable to the group otherwise."""
    for name in ("snakemake.persistence", "snakemake.persistence.file"):  # the second in newer versions
        with suppress(ImportError):
            module: Any = importlib.import_module(name)
            module.os = _OsWithinUmask()


def lift_core_limit(workflow: Any) -> None:
    """Take the limit of cores away where jobs run on other machines and the user set none by ``--cores``.

    profiles/default counts the cores of this machine, and Snakemake would cut the threads of each job to them.
    """
    options = command_line()
    is_elsewhere = workflow.resource_settings.nodes and (options.profile or options.executor)
    if workflow.is_main_process and is_elsewhere and options.cores is None:
        workflow.resource_settings.cores = sys.maxsize
        workflow.global_resources["_cores"] = sys.maxsize


def _has(workflow: Any, name: str) -> bool:
    """Return whether ``workflow`` has the attribute ``name``, which may be dotted."""
    try:
        attrgetter(name)(workflow)
    except AttributeError:
        return False
    return True
