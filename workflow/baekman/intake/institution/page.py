"""The page of the monthly summary of an institution, with its numbers as JSON next to it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from baekman.files.secret_file import write_secret
from baekman.intake.institution.months import SCHEMA_VERSION, Numbers, institution_months
from baekman.registry.records import Registry
from baekman.report import wording
from baekman.report.figure import Figure
from baekman.report.plots import STYLES, VERDICT_STYLES, plot
from baekman.report.words import Words, same
from baekman.workspace.paths import Workspace

MOST_REASONS = 12


def write_summary(
    registry: Registry,
    institution: str,
    *,
    workspace: Workspace,
    html: Path,
    record: Callable[[str], object] = lambda digest: None,
) -> None:
    """Write the monthly summary of ``institution`` to ``html``, and its numbers as JSON next to it (mode 0600).

    ``record`` is called with the SHA-256 (hex) of the JSON before the files are there.
    """
    numbers = {
        "schema": SCHEMA_VERSION,
        "institution": institution,
        "made": datetime.now(UTC).date().isoformat(),
        "months": institution_months(registry, institution, workspace=workspace),
    }
    content = (json.dumps(numbers, indent=1, ensure_ascii=False) + "\n").encode()
    record(sha256(content).hexdigest())
    write_secret(html.with_suffix(".json"), content)
    write_secret(html, render(numbers).encode())


def render(numbers: Numbers) -> str:
    """Return the page of ``numbers``."""
    months = numbers["months"]
    totals: Counter[str] = Counter()
    for month in months:
        totals.update(month["verdicts"])
    return wording.render(
        "institution.html.j2",
        language="ko",
        institution=numbers["institution"],
        made=numbers["made"],
        months=months,
        totals=totals,
        figures=list(figures_of(months)),
    )


def figures_of(months: Sequence[Numbers]) -> Iterator[Figure]:
    """Yield the figures of the months for which there are numbers."""
    if not months:
        return
    names = [same(month["month"]) for month in months]
    specimens = Words("검체", "specimens")
    with plot("months", alt=Words("달마다 전달된 검체와 판정", "Specimens and verdicts by month")) as drawn:
        drawn.columns(
            names,
            [
                (word, [month["verdicts"][verdict] for month in months], VERDICT_STYLES[verdict])
                for verdict, word in wording.VERDICTS.items()
            ],
        )
        drawn.whole_numbers("y")
        drawn.label(y=specimens)
    yield Figure(
        title=Words("달마다의 검체", "Specimens by month"),
        meaning=Words(
            "등록된 검체를 전달될 때마다 한 번씩 센다. 판정은 모든 단계 가운데 가장 나쁜 것이다. "
            "등록되지 않은 검체는 회신 보고서에만 있다.",
            "A registered specimen counts once for each delivery. Its verdict is the worst of all gates. "
            "Specimens that are not registered are in return reports alone.",
        ),
        svg=drawn.svg(),
    )
    yield from _reasons(months)
    yield from _trend(
        months,
        key="coverage",
        title=Words("깊이의 추이", "Trend of coverage"),
        meaning=Words(
            "상염색체 평균 깊이의 중앙값. 띠는 검체의 5–95 %이다.",
            "The median of the mean coverage of autosomes. The band is from the 5th to the 95th percentile.",
        ),
        axis=Words("평균 깊이 (×)", "mean coverage (×)"),
    )
    yield from _trend(
        months,
        key="turnaround_days",
        title=Words("처리 기간", "Turnaround"),
        meaning=Words(
            "접수 검사부터 마지막 검사까지의 날수. 띠의 위는 90번째 백분위이다.",
            "Days from intake to the last gate. The band goes from the median to the 90th percentile.",
        ),
        axis=Words("일", "days"),
    )


def _reasons(months: Sequence[Numbers]) -> Iterator[Figure]:
    """Yield the number of specimens by reason, over all months."""
    counts: Counter[str] = Counter()
    for month in months:
        counts.update(month["reasons"])
    codes = sorted(counts, key=lambda code: (-counts[code], code))[:MOST_REASONS]
    if not codes:
        return
    alt = Words("사유별 검체 수", "Number of specimens by reason")
    with plot("reasons", alt=alt, height=0.8 + 0.22 * len(codes)) as drawn:
        names = [wording.reason_name(code) for code in codes]
        drawn.bars(names, [(Words("검체", "specimens"), [counts[code] for code in codes], STYLES[5])])
        drawn.whole_numbers()
        drawn.label(x=Words("검체", "specimens"))
    yield Figure(
        title=Words("보류와 반려의 사유", "Reasons to hold or reject"),
        meaning=Words("검체 하나에 사유가 여럿일 수 있다.", "A specimen may have several reasons."),
        svg=drawn.svg(),
    )


def _trend(months: Sequence[Numbers], *, key: str, title: Words, meaning: Words, axis: Words) -> Iterator[Figure]:
    """Yield the median of ``key`` by month, with a band of percentiles."""
    measured = [(place, month[key]) for place, month in enumerate(months) if month[key]["specimens"]]
    if not measured:
        return
    places = [place for place, _ in measured]
    middle = [values["middle"] for _, values in measured]
    low = [values.get("low", values["middle"]) for _, values in measured]
    with plot(key.replace("_", "-"), alt=title) as drawn:
        drawn.axes.fill_between(
            places, low, [values["high"] for _, values in measured], color=STYLES[0].colour, alpha=0.15, linewidth=0
        )
        drawn.line(places, middle, name=Words("중앙값", "median"), style=STYLES[0])
        drawn.name_columns([same(month["month"]) for month in months])
        drawn.axes.set_xlim(-0.5, len(months) - 0.5)
        drawn.axes.set_ylim(0, max(1.0, drawn.axes.get_ylim()[1]))
        drawn.label(y=axis)
    yield Figure(title=title, meaning=meaning, svg=drawn.svg())
