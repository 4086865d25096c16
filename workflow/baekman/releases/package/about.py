"""The facts that the documents of a package say of it, and the columns of its tables in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LICENCE = "urn:baekman:release:licence"  # the terms of the approved project; data of participants has no open licence


@dataclass(frozen=True, kw_only=True)
class Review:
    """The approval of a reviewer: ``role`` irb or drb, the ID of the key, the day, and the last day that it counts."""

    role: str
    key: str
    day: str
    expires: str


@dataclass(frozen=True, kw_only=True)
class About:
    """The facts of a package.

    Attributes:
        release: ID of the release.
        project: ID of the project.
        title: Title of the project.
        institution: Institution of the project.
        purpose: Terms of the Data Use Ontology.
        tier: Tier of the release.
        plan: SHA-256 (hex) of the plan that was approved.
        members: Number of members.
        snapshots: Number of the snapshot of each store.
        counts: Numbers of the plan by name.
        reviews: The approvals, by role.
        rows: Number of rows of each Parquet file.
        recipient_key: SHA-256 (hex) of the key that a transfer is encrypted to; "" for every other tier.
    """

    release: str
    project: str
    title: str
    institution: str
    purpose: tuple[str, ...]
    tier: str
    plan: str
    members: int
    snapshots: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    reviews: Sequence[Review] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    recipient_key: str = ""

    @property
    def day(self) -> str:
        """Return the day of the last approval: packages of one plan have the same bytes, whenever they are made."""
        return max((review.day for review in self.reviews), default="1970-01-01")


# table -> column -> meaning in English and Korean; positions are 1-based
COLUMNS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "participants.parquet": {
        "sample": ("number of the participant in `variants/`, from 0", "`variants/`에서 참여자의 번호 (0부터)"),
        "project_id": ("ID of the participant in this project only", "이 과제에서만 쓰는 참여자 ID"),
        "sex": ("registered sex", "등록된 성별"),
        "birth": ("band of birth years, both included", "출생연도 구간 (양끝 포함)"),
        "has_genotypes": ("whether `variants/` may have rows of the participant", "`variants/`에 행이 있을 수 있는지"),
    },
    "records/": {
        "project_id": ("ID of the participant", "참여자 ID"),
        "time": ("begin; moved by one offset per participant", "시작; 참여자마다 같은 일수만큼 옮김"),
        "end": ("end, where there is one", "끝 (있는 경우)"),
        "code": ("a code of `dictionary.tsv`", "`dictionary.tsv`의 코드"),
        "value": ("number, in the unit of the dictionary", "수치 (사전의 단위)"),
        "category": ("category of the dictionary", "사전의 범주"),
        "source": ("kind of source", "출처의 종류"),
        "institution": ("number of the institution in this release", "이 배포본에서 기관의 번호"),
        "episode": ("number of the episode within the participant", "참여자 안에서 에피소드 번호"),
    },
    "coverage/": {
        "project_id": ("ID of the participant", "참여자 ID"),
        "source": ("kind of source", "출처의 종류"),
        "first": ("first day that the source has surely seen", "출처가 확실히 관찰한 첫날"),
        "last": ("last day, included", "마지막 날 (포함)"),
    },
    "sites/": {
        "contig": ("contig of the reference", "참조서열의 콘티그"),
        "pos": ("position, 1-based", "위치 (1부터)"),
        "ref": ("reference allele", "참조 대립유전자"),
        "alt": ("alternative allele", "변이 대립유전자"),
        "ac": ("copies in called genotypes of the participants", "호출된 유전형의 변이 수"),
        "an": ("alleles in called genotypes", "호출된 유전형의 대립유전자 수"),
        "af": ("ac / an", "ac / an"),
        "ac_raw": ("copies in all genotypes", "모든 유전형의 변이 수"),
        "an_raw": ("alleles in all genotypes", "모든 유전형의 대립유전자 수"),
        "af_raw": ("ac_raw / an_raw", "ac_raw / an_raw"),
        "ac_joint": ("copies in joint genotypes", "공동 유전형의 변이 수"),
        "an_joint": ("alleles in joint genotypes", "공동 유전형의 대립유전자 수"),
        "af_joint": ("ac_joint / an_joint", "ac_joint / an_joint"),
        "call_rate": ("called participants / participants with genotypes", "호출된 참여자 비율"),
    },
    "variants/": {
        "site": (
            "row of the allele in the file of `sites/` of the same name, from 0",
            "같은 이름의 `sites/` 행 (0부터)",
        ),
        "sample": ("`sample` of the participant", "참여자의 `sample`"),
        "state": (
            "0 no coverage, 1 uncalled, 2 reference, 3 other allele, 4 carrier",
            "0 서열 없음, 1 미호출, 2 참조형, 3 다른 변이, 4 보유자",
        ),
        "called": ("the genotype meets the thresholds", "유전형이 기준을 만족함"),
        "copies": ("copies of the allele in the caller's genotype", "호출 유전형의 변이 수"),
        "ploidy": ("ploidy of the caller", "호출기의 배수성"),
        "gq": ("genotype quality, phred", "유전형 품질 (phred)"),
        "dp": ("read depth", "리드 깊이"),
        "ad_ref": ("reads of the reference", "참조 리드 수"),
        "ad_alt": ("reads of the allele", "변이 리드 수"),
        "pl": ("phred likelihoods of 0, 1 (and 2) copies", "0, 1(, 2)개의 phred 우도"),
        "phase": ("bit 0: first haplotype carries, bit 1: second; 0 unphased", "비트 0: 첫째 일배체, 비트 1: 둘째"),
        "phase_set": ("phase set", "위상 집합"),
        "joint_copies": ("copies in the joint genotype", "공동 유전형의 변이 수"),
        "joint_gq": ("quality of the joint genotype, phred", "공동 유전형 품질 (phred)"),
        "joint_ploidy": ("ploidy of the participant", "참여자의 배수성"),
    },
}
