"""The figures of a delivery's report, each with its meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baekman.qc import sex
from baekman.qc.thresholds import Limits
from baekman.report import wording
from baekman.report.delivery.numbers import Numbers
from baekman.report.figure import Figure
from baekman.report.plots import STYLES, VERDICT_STYLES, Style, plot
from baekman.report.words import Words, same, translated

MOST_NAMED = 12  # specimens below a figure; report.json has all
LIMIT_WORDS = {
    "hold_below": Words("보류: {} 미만", "hold below {}"),
    "reject_below": Words("반려: {} 미만", "reject below {}"),
    "hold_from": Words("보류: {} 이상", "hold from {}"),
    "reject_above": Words("반려: {} 초과", "reject above {}"),
}
SPECIMENS = Words("검체 (값의 순서)", "specimens, by value")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric with one value per specimen: its name, the meaning of a value, the label of the axis."""

    metric: str
    title: Words
    meaning: Words
    axis: Words


MEASURES = (
    Measure(
        metric="mean_autosome_coverage",
        title=Words("평균 깊이", "Mean coverage"),
        meaning=Words(
            "상염색체에서 염기 하나를 덮는 판독 수의 평균. 중복 판독은 빼고, 쌍이 겹치는 곳은 한 번만 센다.",
            "The mean number of reads over a base of the autosomes. Duplicates do not count, and overlapping mates "
            "count once.",
        ),
        axis=Words("평균 깊이 (×)", "mean coverage (×)"),
    ),
    Measure(
        metric="pct_autosomes_15x",
        title=Words("15× 이상인 범위", "Breadth at 15×"),
        meaning=Words(
            "판독이 15개 이상인 상염색체 염기의 비율. 평균이 높아도 고르지 않으면 낮다.",
            "The share of autosomal bases with 15 reads or more. Uneven coverage makes it low.",
        ),
        axis=Words("상염색체 염기 (%)", "autosomal bases (%)"),
    ),
    Measure(
        metric="pct_autosomes_20x",
        title=Words("20× 이상인 범위", "Breadth at 20×"),
        meaning=Words(
            "판독이 20개 이상인 상염색체 염기의 비율.", "The share of autosomal bases with 20 reads or more."
        ),
        axis=Words("상염색체 염기 (%)", "autosomal bases (%)"),
    ),
    Measure(
        metric="pct_bases_q30",
        title=Words("품질 30 이상인 염기", "Bases of quality 30"),
        meaning=Words(
            "오류 확률이 1/1000 이하라고 장비가 판단한 염기의 비율.",
            "The share of bases that the sequencer takes to be wrong once in 1,000 at most.",
        ),
        axis=Words("염기 (%)", "bases (%)"),
    ),
    Measure(
        metric="cross_contamination_rate",
        title=Words("오염", "Contamination"),
        meaning=Words(
            "다른 사람에게서 온 판독의 추정 비율. 0이 깨끗한 검체이다.",
            "The estimated share of reads of another person. A clean specimen has 0.",
        ),
        axis=Words("다른 사람의 판독 (%)", "reads of another person (%)"),
    ),
    Measure(
        metric="pct_reads_duplicated",
        title=Words("중복 판독", "Duplicates"),
        meaning=Words(
            "같은 DNA 조각의 복사본인 판독의 비율. 높으면 라이브러리의 DNA가 적었다.",
            "The share of reads that are copies of another read's fragment. It is high where a library had little DNA.",
        ),
        axis=Words("중복 판독 (%)", "duplicate reads (%)"),
    ),
    Measure(
        metric="median_insert_size",
        title=Words("조각 길이", "Insert size"),
        meaning=Words(
            "한 쌍의 바깥쪽 끝 사이 거리의 중앙값. 짧으면 두 판독이 겹친다.",
            "The median distance between the outer ends of a pair. Mates overlap where it is short.",
        ),
        axis=Words("중앙값 (bp)", "median (bp)"),
    ),
    Measure(
        metric="identity_concordance",
        title=Words("신원 일치", "Identity"),
        meaning=Words(
            "등록된 어레이와 유전형이 같은 자리의 비율. 같은 사람은 99 % 이상, 부모와 자녀는 약 75 %, "
            "남남은 약 50 %이다.",
            "The share of sites with the genotype of the registered array. The same person has 99 % or more, parent "
            "and child about 75 %, strangers about 50 %.",
        ),
        axis=Words("같은 유전형 (%)", "sites that agree (%)"),
    ),
)


def figures_of(numbers: Numbers) -> Iterator[Figure]:
    """Yield the figures for which there are numbers, in the order of the page."""
    yield from _reasons(numbers)
    for measure in MEASURES:
        yield from _measure(measure, numbers)
        if measure.metric == "pct_autosomes_20x":
            yield from _breadth(numbers["specimens"])
    yield from _sex(numbers["specimens"])
    yield from _costs(numbers["jobs"])


def _measure(measure: Measure, numbers: Numbers) -> Iterator[Figure]:
    """Yield the figure of one metric: specimens by value, with the limits of the gate."""
    metric = measure.metric
    factor = wording.factor(metric)
    measured = [
        (value * factor, row) for row in numbers["specimens"] if (value := row["values"].get(metric)) is not None
    ]
    if not measured:
        return
    measured.sort(key=lambda item: (item[0], item[1]["specimen"]))
    limits: Limits = numbers["limits"].get(metric, {})
    name = metric.replace("_", "-")
    alt = Words(
        f"{measure.title.ko}: 검체 {len(measured)}개, {measured[0][0]:.4g}에서 {measured[-1][0]:.4g}까지",
        f"{measure.title.en} of {len(measured)} specimens, from {measured[0][0]:.4g} to {measured[-1][0]:.4g}",
    )
    with plot(name, alt=alt) as drawn:
        for verdict, style in VERDICT_STYLES.items():
            places = [place for place, (_, row) in enumerate(measured, 1) if row["verdict"] == verdict]
            values = [value for value, row in measured if row["verdict"] == verdict]
            drawn.points(places, values, name=wording.VERDICTS[verdict], style=style)
        for key, limit in sorted(limits.items()):
            if limit is not None:
                words = LIMIT_WORDS[key]
                text = wording.value(metric, limit)
                drawn.limit(
                    limit * factor,
                    name=Words(words.ko.format(text), words.en.format(text)),
                    rejects=key.startswith("reject"),
                )
        drawn.label(x=SPECIMENS, y=measure.axis)
        drawn.whole_numbers()
        drawn.axes.set_xlim(0, len(measured) + 1)
    suspects = [(value, row) for value, row in measured if _is_beyond(value / factor, limits)]
    if any(key.endswith(("from", "above")) for key in limits):
        suspects.reverse()
    listed = tuple(
        (row["specimen"], same(wording.value(metric, value / factor))) for value, row in suspects[:MOST_NAMED]
    )
    more = max(0, len(suspects) - MOST_NAMED)
    yield Figure(title=measure.title, meaning=measure.meaning, svg=drawn.svg(), listed=listed, more=more)


def _is_beyond(value: float, limits: Limits) -> bool:
    """Return whether the value breaks a limit."""
    from baekman.qc.thresholds import beyond

    return beyond(value, limits)[0] is not None


def _breadth(rows: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    """Yield the share of bases by least depth: the median of the specimens, the middle nine tenths, and the least."""
    levels = sorted({int(name[14:-1]) for row in rows for name in row["values"] if name.startswith("pct_autosomes_")})
    measured = {
        level: sorted(value for row in rows if (value := row["values"].get(f"pct_autosomes_{level}x")) is not None)
        for level in levels
    }
    levels = [level for level in levels if measured[level]]
    if not levels:
        return
    curves = {
        name: [measured[level][round(share * (len(measured[level]) - 1))] for level in levels]
        for name, share in (("least", 0.0), ("low", 0.05), ("middle", 0.5), ("high", 0.95))
    }
    alt = Words(
        f"깊이별 상염색체 범위, {levels[0]}×에서 {levels[-1]}×까지",
        f"Breadth of the autosomes by depth, from {levels[0]}× to {levels[-1]}×",
    )
    with plot("breadth", alt=alt) as drawn:
        drawn.axes.fill_between(levels, curves["low"], curves["high"], color=STYLES[0].colour, alpha=0.15, linewidth=0)
        drawn.line(levels, curves["middle"], name=Words("검체의 중앙값", "median specimen"), style=STYLES[0])
        drawn.line(levels, curves["least"], name=Words("가장 낮은 값", "lowest"), style=STYLES[1])
        drawn.axes.set_ylim(0, 102)
        drawn.axes.set_xlim(0, levels[-1] * 1.03)
        drawn.label(
            x=Words("판독 수의 하한 (×)", "reads or more (×)"), y=Words("상염색체 염기 (%)", "autosomal bases (%)")
        )
    yield Figure(
        title=Words("깊이별 범위", "Breadth by depth"),
        meaning=Words(
            "각 깊이 이상인 염기의 비율. 띠는 검체의 5–95 %이다.",
            "The share of bases with at least so many reads. The band is from the 5th to the 95th percentile.",
        ),
        svg=drawn.svg(),
    )


def _sex(rows: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    """Yield the depth of X against that of Y, by registered sex, with the regions that the gate expects."""
    ratios = ("x_autosome_ratio", "y_autosome_ratio")
    measured = [row for row in rows if all(row["values"].get(ratio) is not None for ratio in ratios)]
    if not measured:
        return
    number = len(measured)
    alt = Words(f"검체 {number}개의 X와 Y의 깊이", f"Depth of X against Y for {number} specimens")
    largest_x = max(1.3, *(row["values"]["x_autosome_ratio"] * 1.05 for row in measured))
    with plot("sex", alt=alt) as drawn:
        drawn.box(
            (sex.TWO_X_FROM, largest_x), (-0.04, sex.NO_Y_BELOW), name=Words("XX로 판정", "judged XX"), style=STYLES[5]
        )
        drawn.box(sex.ONE_X, sex.ONE_Y, name=Words("XY로 판정", "judged XY"), style=STYLES[0])
        for word, registered, style in (
            (Words("등록: 여", "registered female"), "female", STYLES[5]),
            (Words("등록: 남", "registered male"), "male", STYLES[0]),
            (Words("등록: 모름", "registered unknown"), "unknown", STYLES[6]),
        ):
            own = [row["values"] for row in measured if row["registered_sex"] == registered]
            drawn.points([v[ratios[0]] for v in own], [v[ratios[1]] for v in own], name=word, style=style)
        drawn.axes.set_ylim(bottom=-0.04)
        drawn.axes.set_xlim(0, largest_x)
        drawn.label(
            x=Words("X의 깊이 / 상염색체", "depth of X / autosomes"),
            y=Words("Y의 깊이 / 상염색체", "depth of Y / autosomes"),
        )
    odd = [row for row in measured if row["observed_sex"] != row["registered_sex"] != "unknown"]
    odd += [row for row in measured if row["observed_sex"] == "ambiguous" and row["registered_sex"] == "unknown"]
    yield Figure(
        title=Words("성염색체", "Sex chromosomes"),
        meaning=Words(
            "사본 하나는 깊이가 절반이다. XX는 (1, 0), XY는 (0.5, 0.5) 가까이에 있다. 다른 곳은 애매하다.",
            "One copy has half the depth: XX lies near (1, 0), XY near (0.5, 0.5). Anything else is ambiguous.",
        ),
        svg=drawn.svg(),
        listed=tuple((row["specimen"], _both_sexes(row)) for row in odd[:MOST_NAMED]),
        more=max(0, len(odd) - MOST_NAMED),
    )


def _both_sexes(row: Mapping[str, Any]) -> Words:
    """Return the registered and the observed sex of a specimen."""
    registered, observed = (translated(wording.words(row[name])) for name in ("registered_sex", "observed_sex"))
    return Words(f"{registered.ko} → {observed.ko}", f"{registered.en} → {observed.en}")


def _reasons(numbers: Numbers) -> Iterator[Figure]:
    """Yield the number of specimens by reason."""
    codes = list(dict.fromkeys(reason["code"] for reason in numbers["reasons"]))[:15]
    if not codes:
        return
    counts = {(reason["code"], reason["severity"]): reason["specimens"] for reason in numbers["reasons"]}
    alt = Words("사유별 검체 수", "Number of specimens by reason")
    severities = (
        ("reject", wording.VERDICTS["reject"], VERDICT_STYLES["reject"]),
        ("hold", wording.VERDICTS["hold"], VERDICT_STYLES["hold"]),
        ("note", Words("참고", "note"), Style(colour="#9aa5b1", hatch="....")),
    )
    with plot("reasons", alt=alt, height=1.1 + 0.22 * len(codes)) as drawn:
        drawn.bars(
            [wording.reason_name(code) for code in codes],
            [
                (word, [counts.get((code, severity), 0) for code in codes], style)
                for severity, word, style in severities
            ],
        )
        drawn.label(x=Words("검체", "specimens"))
        drawn.whole_numbers()
    yield Figure(
        title=Words("사유", "Reasons"),
        meaning=Words(
            "검체 하나에 사유가 여럿일 수 있다. 참고는 판정을 바꾸지 않는다.",
            "A specimen may have several reasons. A note changes no verdict.",
        ),
        svg=drawn.svg(),
    )


def _costs(jobs: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    """Yield wall time and memory of the jobs of each rule."""
    names = [same(f"{row['rule']} ({row['jobs']:,})") for row in jobs]
    for key, name, title, axis in (
        ("seconds", "time", Words("작업 시간", "Time"), Words("초", "seconds")),
        ("memory_mb", "memory", Words("메모리", "Memory"), Words("MB", "MB")),
    ):
        if not any(row[key]["max"] for row in jobs):
            continue
        alt = Words(f"단계별 {title.ko}", f"{title.en} of the jobs of each rule")
        with plot(name, alt=alt, height=0.8 + 0.21 * len(names)) as drawn:
            # a logarithmic axis has no 0: a job too short to be measured stands at its begin
            spreads = [tuple(max(row[key][part], 0.1) for part in ("min", "median", "max")) for row in jobs]
            drawn.ranges(names, [(low, middle, high) for low, middle, high in spreads], style=STYLES[0])
            drawn.axes.set_xscale("log")
            drawn.axes.xaxis.set_major_formatter("{x:g}")
            drawn.label(x=axis)
        yield Figure(
            title=title,
            meaning=Words(
                "규칙별 작업(괄호 안은 수): 점은 중앙값, 선은 최소에서 최대까지.",
                "Jobs of each rule (their number in brackets): the dot is the median, the line goes from the least to "
                "the most.",
            ),
            svg=drawn.svg(),
        )
