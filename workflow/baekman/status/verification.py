"""The verification of all files of a workspace: one part after the other, whatever the parts before have found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from baekman import audit
from baekman.api.opening import open_cohort
from baekman.engine.local import Engine
from baekman.errors import DamagedFile, InputRefused
from baekman.files.digests import LIST, read_sealed
from baekman.files.sidecar import read_checked
from baekman.freezes.folder import SITES, TABLES
from baekman.freezes.verification import notes_on, verify_freeze
from baekman.projects.release_key import public_file
from baekman.projects.signing import PublicKey
from baekman.projects.verification import verify_projects
from baekman.records.store import open_store
from baekman.records.verification import verify as verify_records
from baekman.registry import denied_list
from baekman.registry.books import every_book
from baekman.registry.records import open_registry
from baekman.releases.home import ReleaseHome
from baekman.releases.members import KEY_NOTE, Members, member_ring
from baekman.releases.package.revocation import statuses
from baekman.releases.package.verify import verify_package
from baekman.tables.dataset import find_owner
from baekman.tables.keys import folder_of, open_keys, verify_keys
from baekman.tables.owner import verify_owner
from baekman.tables.seals import verify_tables
from baekman.workspace.currency import require_current
from baekman.workspace.denied import is_sealed_list, read_mark, withdrawn_participants
from baekman.workspace.identity import id_of, lost_identity, owner_of_cohort
from baekman.workspace.paths import Workspace
from baekman.workspace.remedies import RESTORE, remedy_of

LISTS_AGAIN = "any command that opens the registry writes it again, such as `baekman registry show`"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a workspace.

    Attributes:
        name: Its name.
        verify: Yields a line per finding. Raises InputRefused, or the error of a file that cannot be read.
        notes: Returns sentences on what the verification covers.
    """

    name: str
    verify: Callable[[], Iterator[str]] = field(repr=False)
    notes: Callable[[], list[str]] = field(repr=False, default=list)


def parts(
    workspace: Workspace,
    *,
    registry: Path | str | None = None,
    key_file: Path | None = None,
    freezes: tuple[Path, ...] = (),
    workers: int = 1,
) -> list[Part]:
    """Return the parts that ``workspace`` has, in the order of their verification.

    ``freezes`` are those outside of the workspace. ``registry`` and ``key_file``: as for ``open_registry``.
    """
    found = [Part(name="workspace", verify=partial(_workspace, workspace))]
    if workspace.deliveries.is_dir():
        found.append(Part(name="deliveries", verify=partial(_deliveries, workspace)))
    if registry is not None or workspace.registry.exists() or workspace.denied.exists():
        found.append(Part(name="registry", verify=partial(_registry, workspace, registry, key_file)))
    if audit.keeps_log(workspace.root):
        found.append(Part(name="audit log", verify=partial(_audit_log, workspace)))
    if workspace.projects.is_dir():
        found.append(Part(name="projects", verify=partial(verify_projects, workspace.root)))
    if workspace.releases.is_dir():
        found.append(Part(name="releases", verify=partial(_releases, workspace, registry, key_file)))
    if folder_of(workspace.root) is not None:
        found.append(Part(name="keys of tables", verify=partial(_table_keys, workspace)))
    if workspace.cohort.exists() or workspace.cohort.is_symlink():
        found.append(Part(name="cohort", verify=partial(_cohort, workspace, workers)))
    if workspace.records.exists():
        found.append(Part(name="records", verify=partial(_records, workspace, workers)))
    if workspace.tables.is_dir():
        found.append(Part(name="tables", verify=partial(_tables, workspace)))
    inside = sorted(path.parent for path in workspace.root.glob(f"*/{LIST}") if (path.parent / SITES).is_dir())
    for freeze in dict.fromkeys([*inside, *freezes]):
        found.append(Part(name=f"freeze {freeze.name}", verify=partial(_freeze, workspace, freeze)))
    return found


def freezes_alone(freezes: Sequence[Path]) -> list[Part]:
    """Return a part for each of ``freezes``, which are verified without a cohort store."""

    def part(freeze: Path) -> Part:
        home = owner.root if (owner := find_owner(freeze / TABLES)) is not None else None
        verify, notes = partial(verify_freeze, freeze, home=home), partial(notes_on, freeze, home=home)
        return Part(name=f"freeze {freeze.absolute().name}", verify=verify, notes=notes)

    return [part(freeze) for freeze in freezes]


def _workspace(workspace: Workspace) -> Iterator[str]:
    """Verify ID, state, marks, lists and receipts."""
    if not id_of(workspace.root) and (owner_of_cohort(workspace) or audit.read_seen(workspace.root).registry):
        raise lost_identity("no file")
    require_current(workspace, marked=len(withdrawn_participants(workspace)))
    for participant_id in sorted(withdrawn_participants(workspace)):
        try:
            read_mark(workspace, participant_id)
        except DamagedFile:
            yield f"withdrawn/{participant_id}: damaged; run `baekman withdraw {participant_id}` again"
    for path in (workspace.denied, workspace.granted):
        if path.is_file() and not is_sealed_list(path.read_bytes()):
            yield f"{path.name}: damaged; {LISTS_AGAIN}"
    for path in sorted(workspace.receipts.glob("P*.json")):
        yield from _checked(path, place=f"receipts/{path.name}", remedy=RESTORE)


def _deliveries(workspace: Workspace) -> Iterator[str]:
    """Verify the files of deliveries that have a digest next to them, and the decisions on specimens and reads."""
    for note in sorted(workspace.deliveries.glob("D*/**/.*.sha256")):
        path = note.with_name(note.name.removeprefix(".").removesuffix(".sha256"))
        place = path.relative_to(workspace.root).as_posix()
        yield from _checked(path, place=place, remedy="receive the delivery again: baekman receive DELIVERY --again")
    notes = workspace.participants.glob("P*/reads.json")
    for path in sorted([*workspace.deliveries.glob("D*/decisions.json"), *notes]):
        try:
            read_sealed(path)
        except DamagedFile:
            yield f"{path.relative_to(workspace.root).as_posix()}: damaged; {remedy_of(path)}"


def _checked(path: Path, *, place: str, remedy: str) -> Iterator[str]:
    try:
        read_checked(path)
    except FileNotFoundError:
        yield f"{place}: absent; {remedy}"
    except (DamagedFile, UnicodeDecodeError):
        yield f"{place}: damaged; {remedy}"


def _registry(workspace: Workspace, registry: Path | str | None, key_file: Path | None) -> Iterator[str]:
    opened = open_registry(workspace.root, registry=registry, key_file=key_file)
    opened.guard.require_whole()
    opened.require_arrays()
    every_book.require_whole(opened)
    denied_list.require_seen(workspace, opened)
    denied_list.require_log(workspace, opened)
    if not denied_list.is_as_noted(workspace, opened):
        yield f"marks or lists of consent: others than the registry has noted; {LISTS_AGAIN}"


def _audit_log(workspace: Workspace) -> Iterator[str]:
    for link in audit.verify(audit.log_file(workspace.root)):
        yield f"line {link.line}: {link.problem}" if link.line else link.problem
    audit.require_whole(workspace.root)


def _releases(workspace: Workspace, registry: Path | str | None, key_file: Path | None) -> Iterator[str]:
    """Verify plans, requests, sealed members, manifests and packages; without an open registry no members."""
    opened = None
    with suppress(InputRefused):  # the part of the registry says why
        opened = open_registry(workspace.root, registry=registry, key_file=key_file)
    for home in (ReleaseHome(path) for path in sorted(workspace.releases.glob("R*")) if path.is_dir()):
        looks: list[Callable[[], object]] = [home.read_plan, partial(_require_request, home)]
        if opened is not None and opened.noted(KEY_NOTE) is not None:
            looks.append(partial(list, Members(home.members, home.id, member_ring(opened)).ids()))
        looks.append(partial(statuses, workspace.root, release=home.id))
        for look in looks:
            try:
                look()
            except (DamagedFile, FileNotFoundError) as fault:
                yield f"releases/{home.id}/{Path(fault.filename).name}: damaged or absent; {RESTORE}"
                break
            except InputRefused as refused:
                yield from (f"releases/{home.id}: {problem}" for problem in refused.problems)
                break
        else:
            yield from _package(workspace, home)


def _require_request(home: ReleaseHome) -> None:
    plan = home.read_plan()
    if not plan.stored and home.read_request().hash != plan.request_hash:
        raise DamagedFile(home.request)


def _package(workspace: Workspace, home: ReleaseHome) -> Iterator[str]:
    if home.package.is_dir() and not home.is_revoked:
        try:
            verify_package(home.package, key=PublicKey.read(public_file(workspace.root), named="release.pub"))
        except InputRefused as refused:
            again = f"delete this folder, then run `baekman release build {home.id}` again"
            for each in refused.problems:
                place = f"releases/{home.id}/package/{each.file}"
                yield f"{place}: expected {each.expected}, found {each.found}; {again}"


def _table_keys(workspace: Workspace) -> Iterator[str]:
    keys = open_keys(workspace.root)
    if keys is not None:
        yield from verify_keys(keys)


def _cohort(workspace: Workspace, workers: int) -> Iterator[str]:
    for finding in open_cohort(workspace.cohort, snapshot=0, workspace=workspace.root, workers=workers).verify():
        name = finding.partition(":")[0]
        yield finding if ";" in finding else f"{finding}; {remedy_of(Path(name))}"


def _records(workspace: Workspace, workers: int) -> Iterator[str]:
    for finding in verify_records(open_store(workspace.root), engine=Engine(workers=workers)):
        yield f"{finding}; {RESTORE}"


def _tables(workspace: Workspace) -> Iterator[str]:
    yield from verify_owner(workspace.tables, owner=id_of(workspace.root))
    yield from verify_tables(workspace.tables)


def _freeze(workspace: Workspace, freeze: Path) -> Iterator[str]:
    yield from verify_freeze(freeze, open_cohort(workspace.cohort, snapshot=0, workspace=workspace.root).store)
