"""The return report on a delivery of records: for the institution, by its own subject codes.

It lies next to the reports on specimens, and neither names a pseudonym. It shows columns and counts, never a value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baekman.files import atomic
from baekman.intake.return_report import DEADLINE_DAYS, HTML_NAME, JSON_NAME, folder_of
from baekman.records.intake.home import RecordsDelivery
from baekman.records.intake.judging import quoted
from baekman.records.intake.reasons import REASON_KINDS
from baekman.records.intake.sheet import RecordsSheet
from baekman.report import wording
from baekman.workspace.paths import Workspace

if TYPE_CHECKING:
    import duckdb  # not at the start of every command

SHOWN = 200  # subjects on the page; the JSON has all
UNREGISTERED = 1_000  # subject codes that are listed
PAGE = 1_000

Report = dict[str, Any]


def write_return_report(
    connection: duckdb.DuckDBPyConnection,
    home: RecordsDelivery,
    *,
    workspace: Workspace,
    sheet: RecordsSheet,
    unregistered: tuple[list[str], int],
) -> Path:
    """Write ``return.json`` and ``return.html``; return their folder.

    ``connection`` has the table ``subjects``; verdicts and counts come from ``home``. ``unregistered``: the first
    subject codes without registration, and the number of all of them.
    """
    received = datetime.now(UTC).date()
    report: Report = {
        "kind": "records",
        "institution": sheet.institution,
        "delivery": sheet.name,
        "receipt": home.id,
        "received": received.isoformat(),
        "deadline": (received + timedelta(days=DEADLINE_DAYS)).isoformat(),
        "source": sheet.source,
        "as_of": sheet.as_of.isoformat(),
        "period": [str(sheet.first), str(sheet.last)] if sheet.first else None,
        "summary": _summary(connection, home),
        "counts": json.loads(home.counts.read_text("utf-8")),
        "unregistered": {"count": unregistered[1], "first": unregistered[0]},
    }
    folder = folder_of(workspace, sheet.institution, sheet.name)
    with atomic.atomic_file(folder / JSON_NAME) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(report, indent=1, ensure_ascii=False).removesuffix("\n}") + ',\n "subjects": [')
        for number, subject in enumerate(_subjects(connection, home)):
            file.write(f"{',' if number else ''}\n  {json.dumps(subject, ensure_ascii=False)}")
        file.write("\n ]\n}\n")
    atomic.write_text(folder / HTML_NAME, _render(report, list(islice(_subjects(connection, home), SHOWN + 1))))
    folder.chmod(0o700)
    return folder


def _render(report: Report, subjects: list[dict[str, Any]]) -> str:
    parts = {name: report["counts"][name] for name in ("events", "coverage")}
    actions = {code: kind.action for code, kind in REASON_KINDS.items()}
    return wording.render(
        "records_return.html.j2",
        language="ko",
        report=report,
        parts=parts,
        actions=actions,
        subjects=subjects[:SHOWN],
        has_more=len(subjects) > SHOWN,
    )


def _verdicts(home: RecordsDelivery) -> str:
    """Return the SQL that reads the verdicts of ``home`` in a stream."""
    columns = "{participant: 'VARCHAR', verdict: 'VARCHAR', rows: 'BIGINT', accepted: 'BIGINT', reasons: 'JSON'}"
    return f"read_json({quoted(str(home.verdicts))}, format = 'array', columns = {columns})"


def _summary(connection: duckdb.DuckDBPyConnection, home: RecordsDelivery) -> dict[str, int]:
    rows = connection.execute(f"SELECT verdict, count(*) FROM {_verdicts(home)} GROUP BY verdict").fetchall()
    return {"accept": 0, "hold": 0, "reject": 0} | dict(rows)


def _subjects(connection: duckdb.DuckDBPyConnection, home: RecordsDelivery) -> Iterator[dict[str, Any]]:
    """Yield the subjects with reasons, by subject code; the worst verdict first."""
    query = f"""SELECT s.subject_code, v.verdict, v.rows, v.accepted, v.reasons FROM {_verdicts(home)} v
        JOIN subjects s ON s.participant_id = v.participant WHERE json_array_length(v.reasons) > 0
        ORDER BY v.verdict = 'accept', s.subject_code"""
    with connection.cursor() as cursor:
        cursor.execute(query)
        while page := cursor.fetchmany(PAGE):
            for subject_code, verdict, rows, accepted, reasons in page:
                yield {
                    "subject": subject_code,
                    "verdict": verdict,
                    "rows": rows,
                    "accepted": accepted,
                    "reasons": [
                        {"code": reason["code"], "column": reason["metric"], "rows": reason["observed"]}
                        for reason in json.loads(reasons)
                    ],
                }
