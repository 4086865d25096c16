"""Findings on the contents of all files of a specimen."""

from __future__ import annotations

from collections.abc import Mapping

from baekman.intake.checks import check_contents
from baekman.intake.contents import Contents
from baekman.intake.examination.reads import check_mates
from baekman.intake.orders.order import OpenOrder
from baekman.intake.reasons import Finding


def check_specimen(opened: OpenOrder, contents: Mapping[int, Contents]) -> list[Finding]:
    """Return the findings on the files of a specimen; ``contents`` are by row of the manifest.

    Files without contents, which are those of other lanes, are left out. The wrong sizes that the desk found are not
    found again.
    """
    order = opened.order
    findings = []
    rows = [row for row in order.rows if row.row in contents]
    for row in rows:
        findings += check_contents(
            row,
            opened.under_our_names(contents[row.row]) if row.kind == "gvcf" else contents[row.row],
            reference=opened.contigs,
            claims_reference=order.claims_reference,
            realigns=order.realigns,
        )
    known = {finding.rows for finding in order.findings if finding.reason.code == "size_wrong"}
    findings = [finding for finding in findings if finding.reason.code != "size_wrong" or finding.rows not in known]
    return [*findings, *check_mates(rows, contents)]
