"""Receipts of withdrawals in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from baekman.workspace.paths import Top


def summary(receipt: Mapping[str, Any]) -> Iterator[str]:
    """Yield a receipt in a few lines: what is gone, what was revoked, who must delete copies, and the next commands."""
    participant = receipt["participant"]
    yield f"{participant}: withdrawn on {receipt['withdrawn']}"
    snapshots = [
        f"{name} snapshot {receipt[key]}"
        for name, key in (("cohort", "cohort_snapshot"), ("records", "records_snapshot"))
        if receipt.get(key) is not None
    ]
    files = f"{len(receipt['removed'])} files or folders removed, {len(receipt['edited'])} edited"
    yield f"gone: {', '.join([files, *snapshots])}"
    if receipt["left"]:
        yield f"left: {len(receipt['left'])} files still name the participant: delete those in `left` of the receipt"
    yield f"receipt: {Top.RECEIPTS}/{participant}.json; its `remains` says what is kept and why"
    yield from revocation_lines(participant, receipt.get("releases", ()))


def revocation_lines(participant: str, releases: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each revoked release (``revocation.copies_outside``) and each person who must delete copies."""
    for each in releases:
        manifest = f"{Top.RELEASES}/{each['release']}/revoked/{each['manifest']}"
        yield f"revoked: {each['release']} of project {each['project']} ({each['tier']}) by {manifest}"
        for person in each["delete"]:
            place = f" ({person['institution']})" if person["institution"] else ""
            yield f"  every copy must be deleted at once by {person['name']}{place}"
    if releases:
        yield f"next: send each manifest to the people named; `baekman release status --participant {participant}`"
