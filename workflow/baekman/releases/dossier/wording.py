"""The wording of the dossier in Korean and English: checks, verdicts, tiers and numbers."""

from __future__ import annotations

from baekman.verdicts import Scalar

Words = tuple[str, str]  # Korean, English

VERDICTS: dict[str, Words] = {
    "pass": ("통과", "passes"),
    "told": ("심의 필요", "for you to decide"),
    "fail": ("불합격", "fails"),
}
TIERS: dict[str, Words] = {
    "open": ("공개: 집계값만", "open: counts only"),
    "low_risk": ("저위험: 1인 1행, 내려받기 가능", "low risk: one row a participant, may be downloaded"),
    "room": ("분석실: 개인 단위, 분석실 안에서만", "room: individual level, stays in the analysis room"),
    "transfer": ("이전: 한 수신자에게 암호화 전달", "transfer: encrypted, to one recipient"),
}
# code -> what is observed, in both languages; the limit follows
CHECKS: dict[str, Words] = {
    "consent": ("동의가 유효하지 않은 참여자 수", "members without consent in force"),
    "purpose": ("연구 목적(DUO)", "purpose of the project (DUO)"),
    "members": ("참여자 수", "number of members"),
    "decisions": ("IRB와 자료심의위원회의 결정", "decisions of IRB and data review board"),
    "columns": ("사전에 없거나 등급·범위를 벗어난 코드 수", "codes not in the dictionary, or beyond tier and scopes"),
    "k": ("모든 열이 같은 행의 최소 수(k)", "fewest rows that are equal in every column (k)"),
    "rare_codes": ("가장 드문 코드의 참여자 수", "members of the rarest released code"),
    "ends": (
        "신청서가 정한 수치의 하한·상한 밖 또는 그 값인 참여자의 최소 수",
        "fewest members at or beyond the bounds of a number that the request states",
    ),
    "birth_years": ("출생 연도 구간의 폭(년)", "width of the bands of birth years"),
    "birth_band": ("가장 작은 출생 구간의 참여자 수", "members of the smallest band of birth years"),
    "offsets": (
        "실제 관찰 기간을 아는 사람이 구별할 수 없는 날짜 이동량의 최소 수",
        "fewest offsets of dates that fit a member's coverage, for who knows the true days",
    ),
    "difference": (
        "이전 공개·저위험 배포와 다른 참여자의 최소 수",
        "fewest members by which an earlier open or low-risk release differs",
    ),
    "relatives": ("참여자가 둘 이상인 가족 수", "families with several members"),
    "linkage": (
        "다른 과제의 자료와 내용만으로 연결되는 참여자 비율",
        "share of members who can be joined with another project's release by content",
    ),
    "sequencing": ("오늘의 품질 기준을 통과하지 못한 참여자 수", "members with sequencing below today's thresholds"),
    "leak_scan": ("완성된 꾸러미의 식별자 검사", "scan of the finished package for our IDs"),
}
# code -> what the limit is: at least, at most, or the limit itself
AT_LEAST = frozenset({"members", "k", "rare_codes", "ends", "birth_years", "birth_band", "offsets", "difference"})
AT_MOST = frozenset({"consent", "columns", "relatives", "linkage", "sequencing"})
COUNTS: dict[str, Words] = {
    "rows": ("배포되는 기록 행", "rows of records"),
    "coverage_rows": ("관찰 기간 행", "rows of coverage"),
    "coverage_rows_too_short": (
        "너무 짧아 배포하지 않는 관찰 기간 행",
        "rows of coverage that are too short to be released",
    ),
    "rows_rolled_up": ("상위 코드로 배포되는 행", "rows that are released as a code above"),
    "rows_dropped": ("드문 코드여서 배포하지 않는 행", "rows of rare codes that are not released"),
    "values_bottom_coded": ("하한으로 바꾼 값", "values bottom-coded"),
    "values_top_coded": ("상한으로 바꾼 값", "values top-coded"),
    "values_missing": ("결측으로 바꾼 수치", "numbers set to missing"),
    "categories_missing": ("결측으로 바꾼 범주", "categories set to missing"),
    "births_90_or_more": ("90세 이상(90세로 표시)", "members of 90 years and more, shown as 90"),
    "codes_outside_tier_or_scope": ("등급·범위 밖이어서 뺀 코드", "codes left out: beyond tier or scopes"),
    "members_without_genome": ("유전체 동의가 없는 참여자", "members without consent to the genome"),
    "members_without_clinical": ("임상 기록 동의가 없는 참여자", "members without consent to clinical records"),
    "members_without_lifestyle": ("생활습관 동의가 없는 참여자", "members without consent to lifestyle records"),
    "members_without_public_record_linkage": (
        "공공 기록 연계 동의가 없는 참여자",
        "members without consent to linkage of public records",
    ),
}
NOT_ASKED: Words = ("해당 없음", "does not apply")
NOT_YET: Words = ("아직 없음", "not yet")
LATER: Words = ("만들 때 평가", "when it is built")  # the verdict of a check that is no part of a plan
LIMITS_LATER: dict[str, Words] = {
    "decisions": ("IRB와 자료심의위원회의 승인", "an approval by each of both"),
    "leak_scan": ("식별자 없음", "no ID of ours"),
}
RELEASED: Words = ("배포", "released")
NOT_RELEASED: Words = ("배포하지 않음", "not released")
STORES = {"records": "기록 시점", "cohort": "유전체 시점"}  # store of a snapshot
KEYS = {  # key of a request, for the changes
    "below_qc": "품질 기준 미달",
    "codes": "코드",
    "generalise": "일반화",
    "genotypes": "유전자형",
    "pgen": "pgen 파일",
    "project": "과제",
    "recipient": "수신자",
    "regions": "유전체 영역",
    "shape": "형식",
    "snapshots": "시점",
    "tier": "등급",
    "who": "대상 조건",
    "why": "이유",
}


def check(code: str) -> Words:
    """Return what a check observes."""
    return CHECKS.get(code, (code, code.replace("_", " ")))


def count(name: str) -> Words:
    """Return what a number of the plan counts."""
    if name.startswith("missing "):
        column = name.removeprefix("missing ")
        return f"결측으로 바꾼 칸: {column}", f"cells set to missing: {column}"
    return COUNTS.get(name, (name, name.replace("_", " ")))


def observed(code: str, value: Scalar) -> Words:
    """Return an observed value as people read it; shares are percentages."""
    if value is None:
        return ("없음", "none") if code == "difference" else NOT_ASKED
    if code == "linkage" and isinstance(value, float):
        return (f"{value:.2%}",) * 2
    if value == "not known":
        return "알려지지 않음", "not known"
    text = number(value)
    return text, text


def limit(code: str, value: Scalar) -> Words:
    """Return the limit of a check with its direction."""
    text = number(value)
    if code in AT_LEAST:
        return f"{text} 이상", f"at least {text}"
    if code in AT_MOST:
        return f"{text} 이하", f"at most {text}"
    return text, text


def number(value: Scalar) -> str:
    """Return a number with its thousands apart, and any other value as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}"
