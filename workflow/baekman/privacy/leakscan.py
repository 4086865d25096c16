"""The leak scan: the search for identifiers of persons anywhere under a path.

Names of files and folders, targets of symbolic links, extended attributes and all contents are scanned (``file_scan``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from baekman.privacy.file_scan import FileScan, Scan
from baekman.privacy.leak_patterns import Matcher


def scan(
    paths: Sequence[Path],
    *,
    matcher: Matcher,
    exclude: Sequence[Path] = (),
    seen: Callable[[Path], None] = lambda path: None,
) -> Scan:
    """Scan every file and folder under ``paths`` without ``exclude``; call ``seen`` with each, for a progress display.

    Symbolic links are not followed. Files that cannot be opened are ``unread`` in the result; files that could be read
    only in part, such as a truncated gzip, are ``damaged``.
    """
    result = Scan()
    excluded = {path.absolute() for path in exclude}
    for root in paths:
        for path in _walk(root, excluded):
            seen(path)
            FileScan(path, shown=_shown(path, matcher), matcher=matcher, result=result).run()
    result.leaks.sort()
    return result


def _walk(root: Path, excluded: set[Path]) -> Iterator[Path]:
    """Yield ``root`` and everything under it, sorted; do not follow symbolic links."""
    if root.absolute() in excluded:
        return
    yield root
    if root.is_dir() and not root.is_symlink():
        try:
            entries = sorted(root.iterdir())
        except OSError:
            return
        for entry in entries:
            yield from _walk(entry, excluded)


def _shown(path: Path, matcher: Matcher) -> str:
    """Return ``path`` for the report, with the number of the inode in place of a part that holds an identifier."""
    plain = next(matcher.find(os.fsencode(path)), None) is None
    if plain:
        return str(path).encode("utf-8", "backslashreplace").decode().translate(_CONTROL)
    parts = []
    for part, whole in ((parent.name, parent) for parent in reversed((path, *path.parents)) if parent.name):
        if next(matcher.find(os.fsencode(part)), None) is not None:
            part = f"(inode {whole.lstat().st_ino})" if os.path.lexists(whole) else "(hidden)"
        # a name may hold any character, and each leak is reported on one line
        parts.append(part.encode("utf-8", "backslashreplace").decode().translate(_CONTROL))
    return ("/" if path.is_absolute() else "") + "/".join(parts)


_CONTROL = dict.fromkeys((*range(32), 127), "?")
