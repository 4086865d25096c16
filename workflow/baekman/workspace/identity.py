"""The identity of a workspace: a random ID in ``workspace.json``, which the ``store.json`` of its cohort names too.

A cohort is asked for by a path, which may lead over links or to a copy. Its consent, audit log and keys are those of
the workspace with the same ID, wherever the path leads. A cohort without an ID that lies in no workspace is *bare*.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path

from baekman import audit
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.atomic import fsync_folder, write_text
from baekman.files.digests import read_sealed, sealed_text, unsealed, write_sealed
from baekman.workspace.paths import Top, Workspace

VARIABLE = "BAEKMAN_WORKSPACE"
KEY = "workspace"  # of the ID, in workspace.json, store.json and next to tables
STORE_FILE = "store.json"
# Entries that show a workspace of an earlier version, which has no ID yet.
SIGNS = (Top.AUDIT, Top.AUDIT_HEAD, Top.REGISTRY, Top.DENIED, Top.WITHDRAWN, Top.TABLE_KEYS)
_DELIVERY = re.compile(r"\.|D.{13}$")  # in `deliveries`; an institution's folder of that name has others
_ID = re.compile("[0-9a-f]{32}")
_EARLIER = re.compile(rb'\{"workspace": "[0-9a-f]{32}"\}\n')
_FIND = f"name the workspace: --workspace DIR (in Python workspace=DIR), or {VARIABLE}"


def id_of(folder: Path) -> str:
    """Return the ID in the ``workspace.json`` of ``folder``; "" without the file.

    Raises:
        InputRefused: The file holds something else.
    """
    try:
        identity = id_in((folder / Top.IDENTITY).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if identity is None:
        raise lost_identity("something else")
    return identity


def id_in(data: bytes) -> str | None:
    """Return the ID in the bytes of a ``workspace.json`` or ``tables.json``; None when one of them differs.

    A file of an earlier version has the ID alone, without a digest.
    """
    value = unsealed(data)
    if value is None and _EARLIER.fullmatch(data):
        value = json.loads(data)
    identity = (value or {}).get(KEY)
    return identity if isinstance(identity, str) and _ID.fullmatch(identity) else None


def lost_identity(found: str) -> InputRefused:
    """Return the refusal of a workspace with signs of an ID whose ``workspace.json`` is lost or damaged."""
    return InputRefused(
        Problem(
            file=Top.IDENTITY,
            expected="the ID of this workspace, which its cohort or its notes name",
            found=found,
            action="if the file was lost or damaged, `baekman restore check --workspace W` writes it again; "
            "a cohort that was copied or linked from another workspace does not belong here",
        )
    )


def is_workspace(folder: Path) -> bool:
    """Return whether ``folder`` is a workspace, of an earlier version too."""
    if id_of(folder) or any((folder / sign).exists() for sign in SIGNS):
        return True
    deliveries = folder / Top.DELIVERIES
    return deliveries.is_dir() and all(_DELIVERY.match(path.name) for path in deliveries.iterdir())


def kind_of(folder: Path) -> str:
    """Return what ``folder`` is, as a message shows it: "a workspace", "a delivery", "another folder" and so on."""
    if not folder.is_dir():
        return "a file" if folder.exists() else "no such folder"
    signs = {
        "a freeze": ("sites", "tables"),
        "a delivery": ("delivery.yaml",),
        "a folder of tables": ("variants", "reference"),
        "the package of a release": ("manifest.dsse.json",),
    }
    if (folder / STORE_FILE).exists():
        return "a record store" if (folder / "dictionary.tsv").exists() else "a cohort store"
    if (folder / Top.IDENTITY).exists():
        return "a workspace"
    for kind, names in signs.items():
        if all((folder / name).exists() for name in names):
            return kind
    return "a workspace" if is_workspace(folder) else "another folder"


def require_workspace(folder: Path) -> None:
    """Raise InputRefused when ``folder`` is no workspace."""
    if not is_workspace(folder):
        raise no_workspace(folder)


def _above(folder: Path) -> Path | None:
    """Return the workspace that ``folder`` lies in; None for none."""
    parents = folder.absolute().parents
    return next(
        (each for each in parents if (each / Top.IDENTITY).is_file() or (each / Top.AUDIT_HEAD).is_file()), None
    )


def refuse_inside_of_workspace(folder: Path) -> None:
    """Raise InputRefused for a new workspace in a folder of another one."""
    if (above := _above(folder)) is not None and not is_workspace(folder):
        raise InputRefused(
            Problem(
                file="--workspace",
                expected="a folder outside of other workspaces",
                found="one inside of a workspace",
                action=f"its workspace is a folder above it: --workspace {os.path.relpath(above)}",
            )
        )


def no_workspace(folder: Path) -> InputRefused:
    """Return the refusal of ``folder``, which is no workspace, with the likely mistake."""
    kind = kind_of(folder)
    is_here = folder == Path()
    above = _above(folder)
    if above is not None:
        action = f"its workspace is a folder above it: --workspace {os.path.relpath(above)}"
    elif kind == "a cohort store":
        action = "a bare cohort store is given as --cohort DIR, to the commands that have --cohort"
    elif kind == "a freeze":
        action = "a freeze is given as --cohort DIR to `baekman query`, and as --freeze DIR to `baekman verify`"
    elif is_here:
        action = f"say --workspace DIR or set {VARIABLE}; `baekman registry init --workspace DIR` makes a workspace"
    else:
        action = f"correct --workspace (or {VARIABLE}); `baekman registry init` makes one"
    place = "of the current directory" if is_here else ""
    return InputRefused(Problem(file="--workspace", place=place, expected="a workspace", found=kind, action=action))


def identify(workspace: Workspace) -> str:
    """Return the ID of ``workspace``, which is made if it never had one; its cohort gets the ID too if it has none.

    Raises:
        InputRefused: The cohort belongs to another workspace, or ``workspace.json`` is lost or damaged.
    """
    if not id_of(workspace.root):
        if owner_of_cohort(workspace) or audit.read_seen(workspace.root).registry:
            raise lost_identity("no file")
        write_identity(workspace, secrets.token_hex(16))
    identity = id_of(workspace.root)
    if (workspace.cohort / STORE_FILE).is_file():
        bind(workspace.cohort, identity)
    if unsealed(workspace.identity.read_bytes()) is None:  # of an earlier version
        write_sealed(workspace.identity, {KEY: identity})
    return identity


def write_identity(workspace: Workspace, identity: str) -> None:
    """Write ``workspace.json`` where there is none; what another command wrote before stays."""
    file = workspace.identity
    workspace.root.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}.tmp")
    try:
        write_text(temporary, sealed_text({KEY: identity}))
        os.link(temporary, file)
    except FileExistsError:  # another command was first
        pass
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(workspace.root)


def owner_of_cohort(workspace: Workspace) -> str:
    """Return the ID that the cohort of ``workspace`` names; "" without a cohort, or one that is damaged or bare."""
    try:
        return str(read_sealed(workspace.cohort / STORE_FILE).get(KEY, ""))
    except (DamagedFile, FileNotFoundError, NotADirectoryError):
        return ""


def bind(store: Path, identity: str) -> None:
    """Write the ID of a workspace to the ``store.json`` of the cohort ``store``, which belongs to it from now on.

    Raises:
        InputRefused: The cohort belongs to another workspace.
    """
    file = store / STORE_FILE
    try:
        description = read_sealed(file)
    except DamagedFile:
        return  # the next command that reads the cohort refuses it
    owner = description.get(KEY, "")
    if owner and owner != identity:
        raise _of_two()
    if not owner:
        write_sealed(file, {**description, KEY: identity})


def find_workspace(place: Path, *, owner: str, given: Path | None = None) -> Path | None:
    """Return the workspace of the cohort store or tables at ``place``; None for a bare cohort.

    Args:
        place: The path as it was typed; each link on the way counts.
        owner: The ID that the store or the tables name; "" without one.
        given: The workspace that the caller names; without it ``BAEKMAN_WORKSPACE`` may name one.

    Raises:
        InputRefused: The workspace with the ID ``owner`` is not found, or another workspace has this cohort too.
    """
    folders = list(_folders_around(place))
    others = (folder for folder in folders if is_workspace(folder) and not (owner and id_of(folder) == owner))
    claims = {_key(folder): folder for folder in others}
    if given is not None:
        if owner and is_workspace(given) and not id_of(given):
            raise lost_identity("no file")
        if not is_workspace(given) or (owner and id_of(given) != owner):
            found = "another workspace" if is_workspace(given) else kind_of(given)
            raise _refusal(found, action="correct --workspace")
        if not owner and any(_key(folder) != _key(given) for folder in claims.values()):
            raise _of_two()
        return given
    if not owner:
        if len(claims) > 1:
            raise _of_two()
        return next(iter(claims.values()), None)
    claiming = [folder for folder in claims.values() if (folder / Top.COHORT).resolve() == place.resolve()]
    if claiming:
        raise _of_two() if any(map(id_of, claiming)) else lost_identity("no file")
    variable = os.environ.get(VARIABLE, "")
    above = (parent for folder in folders for parent in (folder, *folder.absolute().parents))
    for folder in (*above, *([Path(variable)] if variable else [])):
        if id_of(folder) == owner:
            return folder
    if any(not id_of(folder) for folder in claims.values()):
        raise lost_identity("no file")
    raise _refusal("none around it" if not variable else f"none around it, and another in {VARIABLE}", action=_FIND)


def _folders_around(place: Path) -> Iterator[Path]:
    """Yield the folder of ``place``, that of each link on the way, and that of the final path."""
    path = place
    for _ in range(40):  # as many links as Linux follows
        yield path.absolute().parent
        if not path.is_symlink():
            break
        path = path.absolute().parent / path.readlink()
    yield place.resolve().parent


def _key(folder: Path) -> str:
    return id_of(folder) or str(folder.resolve())


def _refusal(found: str, *, action: str) -> InputRefused:
    return InputRefused(
        Problem(
            file="workspace", expected="the workspace that the cohort or tables belong to", found=found, action=action
        )
    )


def _of_two() -> InputRefused:
    return InputRefused(
        Problem(
            file="workspace",
            expected="a cohort of one workspace",
            found="a cohort that two workspaces claim",
            action="name the one that it belongs to (--workspace DIR), and remove the copy or link from the other",
        )
    )
