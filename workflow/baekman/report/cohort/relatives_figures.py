"""The figures on relatives and components."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from baekman.report.cohort.relatives import Numbers
from baekman.report.figure import Figure
from baekman.report.plots import STYLES, Plot, plot
from baekman.report.words import Words, same

LISTED = 12
DEGREE_WORDS = {
    "duplicate or twin": Words("같은 사람 또는 쌍둥이", "duplicate or twin"),
    "first degree": Words("1차 (부모·자녀, 형제자매)", "first degree"),
    "second degree": Words("2차", "second degree"),
    "third degree": Words("3차", "third degree"),
}
GROUP_WORDS = {
    "female": Words("여", "female"),
    "male": Words("남", "male"),
    "unknown": Words("모름", "unknown"),
    "rare": Words("희귀질환", "rare disease"),
    "severe": Words("중증질환", "severe disease"),
    "general": Words("일반", "general"),
    "others": Words("그 밖", "others"),
}
BY_WORDS = {
    "delivery": Words("주성분: 배치별", "Components by delivery"),
    "sex": Words("주성분: 성별", "Components by sex"),
    "type": Words("주성분: 유형별", "Components by type"),
}
DOUBT_WORDS = {
    "variants": Words(
        "변이가 10,000개보다 적어 친족 차수가 불확실하다. 3차가 가장 그렇다.",
        "With fewer than 10,000 variants the degrees are uncertain, the third most of all.",
    ),
    "participants": Words(
        "참여자가 50명보다 적어 대립유전자 빈도가 불확실하다. 그래서 연관된 변이도 쓰고, 이상치를 정하지 않는다.",
        "With fewer than 50 participants allele frequencies are uncertain, so linked variants stay and nobody is "
        "called an outlier.",
    ),
}
OUTLIER_WORDS = {"inbreeding": Words("근교계수 F", "inbreeding F")}


def relatives_figures(numbers: Numbers | None) -> Iterator[Figure]:
    """Yield the figures of ``relatives_numbers``; none where the relatedness is not computed."""
    if numbers is None:
        return
    if numbers["pairs"]:
        yield _kinship(numbers["pairs"])
    for name, groups in numbers["places"].items():
        if groups:
            yield _components(name, groups, numbers)


def _kinship(pairs: Mapping[str, Sequence[tuple[float, float, int]]]) -> Figure:
    with plot("kinship", alt=Words("IBS0에 따른 혈연계수", "Kinship against IBS0")) as drawn:
        for place, (degree, words) in enumerate(DEGREE_WORDS.items()):
            _spots(drawn, pairs.get(degree, ()), name=words, style=place)
        for least in (0.3536, 0.1768, 0.0884):
            drawn.axes.axhline(least, color="#5b6875", linewidth=0.8, linestyle=":", zorder=2)
        drawn.axes.set_ylim(bottom=0)
        drawn.label(x=Words("IBS0 (반대 동형접합의 비율)", "IBS0"), y=Words("혈연계수", "kinship"))
    return Figure(
        title=Words("친족", "Relatives"),
        meaning=Words(
            "점은 3차 이내 친족의 쌍이다. 부모와 자녀는 IBS0이 0에 가깝고, 형제자매는 더 크다. 점선은 차수의 경계이다.",
            "Each point is a pair of the third degree or closer. IBS0 is near 0 for parent and child and larger for "
            "siblings. Dotted lines are the limits of degrees.",
        ),
        svg=drawn.svg(),
    )


def _components(by: str, groups: Mapping[str, Sequence[tuple[float, float, int]]], numbers: Numbers) -> Figure:
    with plot(f"components-{by}", alt=BY_WORDS[by]) as drawn:
        for place, (group, spots) in enumerate(groups.items()):
            _spots(drawn, spots, name=GROUP_WORDS.get(group, same(group)), style=place)
        drawn.margin = 7
        drawn.label(x=same("PC1"), y=same("PC2"))
    named = list(numbers["named"].items()) if by == "delivery" else []
    return Figure(
        title=BY_WORDS[by],
        meaning=Words(
            "점은 참여자, 큰 점은 여러 참여자이다. 조상 집단이 다르면 떨어져 있다. "
            "배치가 따로 모이면 배치 효과를 의심한다.",
            "Each point is a participant, and a larger one several. Ancestries lie apart. A delivery that lies apart "
            "may have an effect of its batch.",
        ),
        svg=drawn.svg(),
        listed=tuple((participant, _outlier_words(text)) for participant, text in named[:LISTED]),
        more=max(0, len(named) - LISTED),
    )


def _outlier_words(text: str) -> Words:
    """Return the measures of an outlier (``PC1;inbreeding``)."""
    named = [OUTLIER_WORDS.get(name, same(name)) for name in text.split(";")]
    return Words(", ".join(words.ko for words in named), ", ".join(words.en for words in named))


def _spots(drawn: Plot, spots: Sequence[tuple[float, float, int]], *, name: Words, style: int) -> None:
    """Add points with an area by their counts."""
    if not spots:
        return
    look = STYLES[style % len(STYLES)]
    x, y, counts = zip(*spots, strict=True)
    largest = max(counts)
    drawn.axes.scatter(
        *(x, y),
        s=[14.0 if largest == 1 else 10 + 70 * count / largest for count in counts],
        c=look.colour,
        marker=look.marker,
        alpha=0.75,
        linewidths=0.3,
        edgecolors="white",
        label=drawn.text(name),
        zorder=3,
    )
