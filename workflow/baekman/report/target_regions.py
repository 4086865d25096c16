"""The sentence of a delivery's reports on the target regions within which its reads were judged."""

from __future__ import annotations

import re

from baekman.qc.metrics import read_metrics
from baekman.report.words import Words
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace

_NUMBERS = re.compile(r"within ([\d,]+) target regions? \(([\d,]+) bases\)\. .* and ([\d,]+) bases around")


def targets_sentence(workspace: Workspace, delivery_id: str) -> str:
    """Return the sentence by the metrics of a delivery's participants; "" where none were judged within targets."""
    rows = specimens.read(workspace.delivery(delivery_id).specimens)
    for participant_id in sorted({row.participant_id for row in rows}):
        path = workspace.participant(participant_id).metrics
        targets = read_metrics(path).details.get("targets") if path.is_file() else None
        if targets:
            regions, bases, padding = (targets[key] for key in ("regions", "bases", "padding"))
            word = "region" if regions == 1 else "regions"
            return (
                f"Depth, breadth and sex are judged within {regions:,} target {word} ({bases:,} bases). "
                f"Variants are called within them and {padding:,} bases around them; elsewhere nothing is called."
            )
    return ""


def targets_words(sentence: str) -> Words | None:
    """Return ``sentence`` in both languages; None for none. The JSON of a return report has the English one."""
    numbers = _NUMBERS.search(sentence)
    if numbers is None:
        return None
    regions, bases, padding = numbers.groups()
    korean = (
        f"깊이와 범위, 성별은 대상 영역 {regions}개({bases} 염기) 안에서 판정한다. "
        f"변이는 그 안과 주변 {padding} 염기에서만 찾고 다른 곳에서는 찾지 않는다."
    )
    return Words(korean, sentence)
