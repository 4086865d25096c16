"""The table of the remarks on a delivery's gVCFs, by participant ID."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from baekman.cohort.add import waiting_sentence
from baekman.files.atomic import write_text
from baekman.files.sidecar import read_checked
from baekman.gvcf.remarks import MEANINGS
from baekman.report.wording import render, reporting_words
from baekman.report.words import Words
from baekman.verdicts import reporting_gates
from baekman.workspace.paths import Workspace
from baekman.workspace.waiting import verdicts_of

COLUMNS = ("participant", "remark", "number", "meaning")


def write_remarks(workspace: Workspace, delivery_id: str, *, html: Path) -> None:
    """Write the remarks in the delivery's ``batch.json`` as HTML, and as TSV next to it.

    The TSV has a row per participant and kind with ``COLUMNS``; ``number`` is never 0.
    """
    batch = json.loads(read_checked(workspace.delivery(delivery_id).batch))
    remarks: Mapping[str, Mapping[str, int]] = batch.get("remarks", {})  # a batch of an earlier version has none
    rows = [
        (participant, name, number, MEANINGS[name])
        for participant, counts in remarks.items()
        for name, number in counts.items()
    ]
    lines = ["\t".join(COLUMNS), *("\t".join(map(str, row)) for row in rows)]
    write_text(html.with_suffix(".tsv"), "\n".join(lines) + "\n")
    sums = [
        (name, sum(numbers), len(numbers), meaning)
        for name, meaning in MEANINGS.items()
        if (numbers := [counts[name] for counts in remarks.values() if name in counts])
    ]
    participants = len(batch["participants"])
    waiting = len(batch.get("waiting", []))
    more = batch["more"] if waiting else 0
    sentence = Words(
        f"참여자 {waiting}명이 {more}명을 더 기다린다 (cohort.min_batch). 아직 어느 스냅숏에도 없고 표도 없다.",
        f"{waiting_sentence(waiting, more=more)}: no snapshot has them yet, and they have no tables.",
    )
    page = render(
        "remarks.html.j2",
        language="en",
        delivery=delivery_id,
        participants=participants,
        sums=sums,
        rows=rows,
        waiting=sentence if waiting else None,
        reporting=reporting_words(reporting_gates(verdicts_of(workspace.delivery(delivery_id)))),
    )
    write_text(html, page)
