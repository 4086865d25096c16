"""The figures of the report on a snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from baekman.report import wording
from baekman.report.cohort.numbers import Numbers
from baekman.report.cohort.relatives_figures import relatives_figures
from baekman.report.cohort.variants import CLASSES, FREQUENCIES, RATES, TESTS
from baekman.report.figure import Figure
from baekman.report.plots import STYLES, VERDICT_STYLES, Style, plot
from baekman.report.words import Words, same

CLASS_WORDS = {
    "transition": Words("SNV 전이", "SNV, transition"),
    "transversion": Words("SNV 전환", "SNV, transversion"),
    "insertion": Words("삽입", "insertion"),
    "deletion": Words("결실", "deletion"),
    "other": Words("기타", "other"),
}
FREQUENCY_WORDS = {"one carrier": Words("보유자 1명", "one carrier")}
SEX_WORDS = {"female": Words("여", "female"), "male": Words("남", "male"), "unknown": Words("모름", "unknown")}
TYPE_WORDS = {
    "rare": Words("희귀질환", "rare disease"),
    "severe": Words("중증질환", "severe disease"),
    "general": Words("일반", "general"),
}
MEASURE_WORDS = {
    "snvs": Words("참여자당 SNV", "SNVs per participant"),
    "het_hom": Words("이형/동형 비", "Het/hom"),
    "ti_tv": Words("전이/전환 비", "Ti/Tv"),
    "singletons": Words("참여자당 단독 변이", "Singletons per participant"),
}
MEASURE_MEANINGS = {
    "snvs": Words("상염색체에서 통과한 SNV의 유전형 수.", "Genotypes of passing SNVs of the autosomes."),
    "het_hom": Words(
        "이형접합 SNV / 대립동형접합 SNV. 오염되면 높고, 근친이면 낮다.",
        "Heterozygous over homozygous SNVs. Contamination raises it, related parents lower it.",
    ),
    "ti_tv": Words(
        "전장유전체에서 2.0–2.1이다. 낮으면 거짓 변이가 많다.",
        "About 2.0 to 2.1 in whole genomes; false calls lower it.",
    ),
    "singletons": Words(
        "이 사람만 가진 대립유전자의 수. 조상 집단과 코호트 크기에 따라 다르다.",
        "Alleles that nobody else carries. Their number depends on ancestry and on the size of the cohort.",
    ),
}
ALLELES, PARTICIPANTS = Words("대립유전자", "alleles"), Words("참여자", "participants")


def figures_of(numbers: Numbers) -> Iterator[Figure]:
    """Yield the figures for which there are numbers, in the order of the page."""
    yield from _growth(numbers["batches"])
    yield from _variants(numbers["variants"])
    yield from _filters(numbers["variants"])
    yield from _call_rate(numbers["variants"]["call_rate"])
    yield from _hwe(numbers["variants"]["hwe"])
    for measure, values in numbers["measures"].items():
        yield from _distribution(measure, values)
    yield from _places(numbers["batches"])
    yield from relatives_figures(numbers["relatedness"])


def _growth(batches: Sequence[Numbers]) -> Iterator[Figure]:
    """Yield the number of participants after each batch; a hidden batch adds none, and no figure is of these alone."""
    hidden = [batch for batch in batches if batch["participants"] is None]
    if len(hidden) == len(batches):
        return
    left_out = Words(" 숨긴 배치는 세지 않는다.", " Hidden batches do not count.") if hidden else same("")
    sums = list(accumulate(batch["participants"] or 0 for batch in batches))
    with plot("growth", alt=Words("배치마다 늘어난 참여자", "Participants after each batch")) as drawn:
        drawn.line(range(1, len(sums) + 1), sums, name=PARTICIPANTS, style=STYLES[0], marked=len(sums) <= 60)
        drawn.axes.set_ylim(bottom=0)
        drawn.whole_numbers()
        drawn.whole_numbers("y")
        drawn.label(x=Words("배치", "batches"), y=PARTICIPANTS)
    yield Figure(
        title=Words("코호트의 성장", "Growth"),
        meaning=Words(
            f"배치가 더해진 뒤의 참여자 수.{left_out.ko}",
            f"Participants after each batch, in the order of the store.{left_out.en}",
        ),
        svg=drawn.svg(),
    )


def _variants(variants: Numbers) -> Iterator[Figure]:
    """Yield the passing alleles by class and frequency."""
    names = [FREQUENCY_WORDS.get(name, same(name)) for name in FREQUENCIES]
    rows = [
        (CLASS_WORDS[name], list(variants["passed"][name].values()), STYLES[place])
        for place, name in enumerate(CLASSES)
        if any(variants["passed"][name].values())
    ]
    if not rows:
        return
    with plot("variants", alt=Words("종류와 빈도별 변이 수", "Alleles by class and frequency")) as drawn:
        drawn.columns(names, rows)
        drawn.thousands()
        drawn.label(x=Words("대립유전자 빈도", "allele frequency"), y=ALLELES)
    yield Figure(
        title=Words("종류와 빈도별 변이", "Variants by class and frequency"),
        meaning=Words(
            "필터를 통과하고 누군가 가진 대립유전자. 빈도는 스냅숏 전체에서 센 것이다.",
            "Alleles that pass the filters and somebody carries. Frequencies are of the whole snapshot.",
        ),
        svg=drawn.svg(),
    )


def _filters(variants: Numbers) -> Iterator[Figure]:
    """Yield the alleles that each filter removes."""
    filters = variants["filters"]
    if not filters:
        return
    alone = [values["alone"] for values in filters.values()]
    more = [values["alleles"] - values["alone"] for values in filters.values()]
    alt = Words("필터별로 빠진 대립유전자", "Alleles that each filter removes")
    with plot("filters", alt=alt, height=0.95 + 0.25 * len(filters)) as drawn:
        drawn.bars(
            [same(name) for name in filters],
            [
                (Words("이 필터만", "this filter alone"), alone, STYLES[0]),
                (Words("다른 필터도", "others too"), more, STYLES[1]),
            ],
        )
        drawn.thousands(axis="x")
        drawn.label(x=ALLELES)
    yield Figure(
        title=Words("필터", "Filters"),
        meaning=Words(
            "필터마다 떨어진 대립유전자의 수. 여러 필터에 걸린 것은 각 필터에서 센다.",
            "Alleles that fail each filter. An allele that fails several counts at each of them.",
        ),
        svg=drawn.svg(),
    )


def _call_rate(counts: Sequence[int]) -> Iterator[Figure]:
    """Yield the alleles by call rate."""
    if not any(counts):
        return
    with plot("call-rate", alt=Words("호출률별 대립유전자", "Alleles by call rate")) as drawn:
        names = [same(f"{100 * place // RATES}") for place in range(RATES)]
        drawn.columns(names, [(ALLELES, counts, STYLES[0])])
        drawn.thousands()
        drawn.label(x=Words("호출률 (%, 5 %씩)", "call rate (%, steps of 5)"), y=ALLELES)
    yield Figure(
        title=Words("호출률", "Call rate"),
        meaning=Words(
            "그 자리에서 유전형이 정해진 참여자의 비율.",
            "The share of participants whose genotype is called at the position.",
        ),
        svg=drawn.svg(),
    )


def _hwe(counts: Sequence[int]) -> Iterator[Figure]:
    """Yield the passing alleles by the Hardy-Weinberg test."""
    if not any(counts):
        return
    with plot("hwe", alt=Words("하디-바인베르크 검정별 대립유전자", "Alleles by the Hardy-Weinberg test")) as drawn:
        names = [same(str(place) if place < TESTS - 1 else f"{place}+") for place in range(TESTS)]
        drawn.columns(names, [(ALLELES, counts, STYLES[0])])
        drawn.axes.set_yscale("symlog", linthresh=10)
        drawn.axes.set_ylim(bottom=0)
        drawn.thousands()
        drawn.label(x=Words("-log10 P", "-log10 P"), y=ALLELES)
    yield Figure(
        title=Words("하디-바인베르크 평형", "Hardy-Weinberg equilibrium"),
        meaning=Words(
            "통과한 대립유전자의 정확 검정. 큰 값이 많으면 호출 오류나 집단 구조를 뜻한다.",
            "The exact test of passing alleles. Many large values mean errors of calling, or a structured population.",
        ),
        svg=drawn.svg(),
    )


def _distribution(measure: str, values: Numbers) -> Iterator[Figure]:
    """Yield the distribution of a measure over participants; parts of few people are left out."""
    parts = [part for part in values["distribution"] if part["participants"]]
    if not parts:
        return
    title = MEASURE_WORDS[measure]
    with plot(measure.replace("_", "-"), alt=title) as drawn:
        drawn.axes.bar(
            [part["from"] for part in parts],
            [part["participants"] for part in parts],
            width=[part["to"] - part["from"] for part in parts],
            align="edge",
            color=STYLES[0].colour,
            edgecolor="white",
            linewidth=0.4,
            zorder=3,
        )
        if values["p50"] is not None:
            drawn.axes.axvline(
                *(values["p50"],),
                color=STYLES[5].colour,
                linestyle="--",
                linewidth=1.2,
                label=drawn.text(Words(f"중앙값 {values['p50']:,g}", f"median {values['p50']:,g}")),
                zorder=4,
            )
        drawn.thousands(axis="x")
        drawn.whole_numbers(axis="y")
        drawn.label(x=title, y=PARTICIPANTS)
    yield Figure(title=title, meaning=MEASURE_MEANINGS[measure], svg=drawn.svg())


def flag_words(measure: str) -> Words:
    """Return the name of a measure that flags a batch."""
    return MEASURE_WORDS.get(measure) or wording.metric_name(measure)


def _joined(names: Iterable[Words]) -> Words:
    return Words(*(", ".join(texts) for texts in zip(*names, strict=True)))


def _places(batches: Sequence[Numbers]) -> Iterator[Figure]:
    """Yield the batches by the principal components of their medians."""
    placed = [batch for batch in batches if batch["pc1"] is not None]
    if not placed:
        return
    groups: tuple[tuple[bool, Words, Style], ...] = (
        (False, Words("보통", "as usual"), VERDICT_STYLES["accept"]),
        (True, Words("표시됨", "flagged"), VERDICT_STYLES["reject"]),
    )
    with plot(
        "batches", alt=Words("중앙값의 주성분으로 본 배치", "Batches by the components of their medians")
    ) as drawn:
        for is_flagged, name, style in groups:
            own: list[dict[str, Any]] = [batch for batch in placed if bool(batch["flags"]) is is_flagged]
            drawn.points([batch["pc1"] for batch in own], [batch["pc2"] for batch in own], name=name, style=style)
        drawn.label(x=Words("주성분 1", "component 1"), y=Words("주성분 2", "component 2"))
    flagged = [(batch["batch"], _joined(map(flag_words, batch["flags"]))) for batch in placed if batch["flags"]]
    yield Figure(
        title=Words("배치 효과", "Batch effects"),
        meaning=Words(
            "점은 배치이다. 어떤 중앙값이 모든 배치의 중앙값에서 편차(중앙절대편차)의 5배 이상 벗어나면 표시한다.",
            "Each point is a batch. It is flagged where one of its medians is 5 scaled median absolute deviations or "
            "more from that of all batches.",
        ),
        svg=drawn.svg(),
        listed=tuple(flagged[:12]),
        more=max(0, len(flagged) - 12),
    )
