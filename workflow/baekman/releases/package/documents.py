"""The documents of a package: README.md, dictionary.tsv and ro-crate-metadata.json."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from baekman.files.atomic import write_text
from baekman.records.dictionary import Dictionary, write_dictionary
from baekman.releases.package.about import COLUMNS, LICENCE, About
from baekman.releases.package.manifest import NAME
from baekman.releases.transfer.encryption import SUFFIX

README = "README.md"
DICTIONARY = "dictionary.tsv"
CRATE = "ro-crate-metadata.json"
CONFORMS = "https://w3id.org/ro/crate/1.1"
LOW_RISK = ("project_id", "sex", "birth")  # columns of participants.parquet in the tier, before those of codes
FIVE_SAFES = "https://w3id.org/5s-crate/0.4"

_TABLES = {
    "participants.parquet": ("One row a participant.", "참여자마다 한 행."),
    "records/": (
        "Events of clinical, lifestyle and linked records. A file is a bucket of participants.",
        "임상, 생활습관, 연계 기록의 사건. 파일 하나에 여러 참여자가 있습니다.",
    ),
    "coverage/": (
        "The days that each source has seen, up to 60 days shorter at each end, so that no offset of dates shows. A "
        "day outside of them says nothing: nothing is assumed to be absent.",
        "출처별로 관찰한 기간 (날짜 이동량이 드러나지 않도록 양끝을 최대 60일까지 줄임). 기간 밖의 날은 '없음'이 "
        "아니라 '모름'입니다.",
    ),
    "sites/": (
        "The alleles that participants carry, with counts of these participants.",
        "참여자가 가진 변이와 그 수.",
    ),
    "variants/": ("Genotypes in long form, raw and joint.", "긴 형식의 유전형 (원자료와 공동 유전형)."),
    "counts.parquet": ("Participants with each code.", "코드별 참여자 수."),
    "splits.parquet": (
        "`split`: families stay together. `without_institution_<n>`: institution n is `held_out`, relatives elsewhere "
        "`excluded`.",
        "`split`: 가족은 나뉘지 않음. `without_institution_<n>`: 기관 n은 `held_out`, 다른 기관의 가족은 `excluded`.",
    ),
    "meds/": (
        "The events in MEDS 0.4; `subject_id` is `sample`.",
        "MEDS 0.4 형식의 사건; `subject_id`는 `sample`입니다.",
    ),
    "dosages/": (
        "A matrix per region: a row per allele, the joint copies of all samples with `has_genotypes`; -1 is missing.",
        "구간마다 행렬 하나: 변이마다 한 행, `has_genotypes`인 모든 참여자의 공동 변이 수; -1은 결측.",
    ),
}


_PGEN = (
    "The joint genotypes of each region for plink2 (`--pfile`), samples by project ID in the order of `sample`.",
    "plink2에서 쓰는 구간별 공동 유전형; 표본은 과제 ID로, `sample` 순서입니다.",
)
# in the README of a transfer
_DECRYPTION = (
    "## Decrypt · 복호화",
    "",
    "A file `NAME.c4gh` is `NAME`, encrypted to the recipient's key (Crypt4GH). Decrypt it into another folder:",
    "각 `NAME.c4gh`는 수신자의 키로 암호화한 `NAME`입니다(Crypt4GH). 다른 폴더에 복호화하십시오:",
    "",
    "```sh",
    "find . -name '*.c4gh' | while read -r file; do",
    '  mkdir -p "../plain/$(dirname "$file")"',
    '  crypt4gh decrypt --sk KEY < "$file" > "../plain/${file%.c4gh}"',
    "done",
    "```",
    "",
    "`baekman release verify DIR --key release.pub --recipient-key KEY` also compares what the files decrypt to "
    "with the SHA-256 in the manifest.",
)


def write_readme(folder: Path, about: About) -> None:
    """Write README.md: what the tables are, and what to do with them, in English and Korean."""
    write_text(folder / README, "\n".join(_readme(folder, about)) + "\n")


def _readme(folder: Path, about: About) -> Iterator[str]:
    yield f"# {about.title}"
    yield ""
    yield f"Release {about.release} for project {about.project}, tier `{about.tier}`, {about.members} participants."
    yield f"배포본 {about.release}, 과제 {about.project}, 등급 `{about.tier}`, 참여자 {about.members}명."
    yield ""
    yield "## Rules · 지킬 것"
    yield ""
    yield "- Use it for the approved purpose only. Do not try to find out who a participant is."
    yield "- When a participant withdraws, the release is revoked: delete this folder and every copy at once."
    yield "- Dates are moved by one offset per participant; intervals are exact. IDs mean nothing outside this project."
    yield "- 승인된 목적으로만 쓰십시오. 참여자가 누구인지 알아내려 하지 마십시오."
    yield "- 참여자가 동의를 철회하면 배포본이 취소됩니다. 이 폴더와 모든 사본을 곧바로 지우십시오."
    yield "- 날짜는 참여자마다 같은 일수만큼 옮겼고 간격은 정확합니다. ID는 이 과제에서만 뜻이 있습니다."
    yield ""
    yield f"`baekman release verify DIR --key release.pub` compares every byte with `{NAME}`."
    if about.recipient_key:
        yield from ["", *_DECRYPTION]
    yield ""
    yield "## Tables · 표"
    for table, (english, korean) in _TABLES.items():
        files = {name: rows for name, rows in about.rows.items() if name.startswith(table)}
        if files:
            yield from ["", f"### `{table}`", "", f"{english} {korean}", f"{sum(files.values()):,} rows · 행", ""]
            yield from _column_lines(table, about)
    if (folder / "pgen").is_dir():
        yield from ["", "### `pgen/`", "", *_PGEN]
    yield ""
    yield "## Read it · 읽기"
    yield ""
    yield "```sql"
    yield "-- duckdb"
    yield "SELECT * FROM 'participants.parquet';"
    if any(name.startswith("records/") for name in about.rows):
        yield "SELECT code, count(DISTINCT project_id) FROM 'records/*.parquet' GROUP BY code;"
    yield "```"


def _column_lines(table: str, about: About) -> Iterator[str]:
    """Yield the table of the columns of ``table``."""
    columns = COLUMNS.get(table, {})
    if about.tier == "low_risk":
        columns = {name: meaning for name, meaning in columns.items() if name in LOW_RISK}
        columns["(code)"] = (
            "`yes`, category or band; null is not known, or not shown",
            "`yes`, 범주 또는 구간; 빈칸은 모름",
        )
    if columns:
        yield "| Column | Meaning | 뜻 |"
        yield "|---|---|---|"
        yield from (f"| `{name}` | {english} | {korean} |" for name, (english, korean) in columns.items())


def released_dictionary(dictionary: Dictionary, codes: Collection[str]) -> Dictionary:
    """Return the entries of ``codes``; a parent outside of them is left out."""
    entries = {code: entry for code in sorted(codes) if (entry := dictionary.entry(code)) is not None}
    return Dictionary.of(
        {code: entry if entry.parent in entries else replace(entry, parent=None) for code, entry in entries.items()}
    )


def write_released_dictionary(folder: Path, dictionary: Dictionary, codes: Collection[str]) -> None:
    """Write ``released_dictionary`` to dictionary.tsv."""
    write_dictionary(released_dictionary(dictionary, codes), folder / DICTIONARY)


def write_crate(folder: Path, about: About, files: Mapping[str, str]) -> None:
    """Write ro-crate-metadata.json: RO-Crate 1.1 with the review actions of the Five Safes profile.

    ``files``: SHA-256 (hex) of each file by its path.
    """
    graph = [*_crate(about, files)]
    text = json.dumps(
        {
            "@context": [f"{CONFORMS}/context", {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}],
            "@graph": graph,
        },
        indent=1,
        ensure_ascii=False,
    )
    write_text(folder / CRATE, text + "\n")


def _crate(about: About, files: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the entities of the crate."""
    reviews = [f"#review-{review.role}-{review.key[:16]}" for review in about.reviews]
    release = f"urn:baekman:release:{about.release}"
    yield {
        "@id": CRATE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": [{"@id": CONFORMS}],
    }
    yield {
        "@id": "./",
        "@type": "Dataset",
        "identifier": about.release,
        "name": about.title,
        "description": f"Release {about.release} for project {about.project}: tier {about.tier}, "
        f"{about.members} participants, plan {about.plan}.",
        "datePublished": about.day,
        "license": {"@id": LICENCE},
        "conformsTo": {"@id": FIVE_SAFES},
        "sourceOrganization": {"@id": "#project"},
        "mentions": [{"@id": review} for review in reviews],
        "hasPart": [{"@id": name} for name in sorted(files)],
    }
    yield {
        "@id": LICENCE,
        "@type": "CreativeWork",
        "name": "Terms of the approved project",
        "description": "No use but the approved one; no redistribution; deletion when the release is revoked.",
    }
    yield {
        "@id": "#project",
        "@type": "Project",
        "identifier": about.project,
        "name": about.title,
        "memberOf": {"@id": "#institution"},
        "keywords": sorted(about.purpose),
    }
    yield {"@id": "#institution", "@type": "Organization", "name": about.institution}
    yield from _review_actions(about, reviews, plan=release)
    yield {"@id": release, "@type": "CreativeWork", "name": f"Plan {about.plan}", "identifier": about.plan}
    for name in sorted(files):
        yield {
            "@id": name,
            "@type": "File",
            "name": name,
            "encodingFormat": _format(name),
            "sha256": files[name],
        }


def _review_actions(about: About, identifiers: list[str], *, plan: str) -> Iterator[dict[str, Any]]:
    """Yield the review action of each approval, and its reviewer, named by role and key."""
    for identifier, review in zip(identifiers, about.reviews, strict=True):
        yield {
            "@id": identifier,
            "@type": "AssessAction",
            "additionalType": {"@id": "https://w3id.org/shp#SignOff"},
            "name": f"Approval of the plan by the {review.role.upper()}",
            "actionStatus": "http://schema.org/CompletedActionStatus",
            "agent": {"@id": f"#key-{review.key[:16]}"},
            "object": {"@id": plan},
            "endTime": review.day,
            "expires": review.expires,
        }
        yield {"@id": f"#key-{review.key[:16]}", "@type": "Person", "name": f"Reviewer of the {review.role.upper()}"}


def _format(name: str) -> str:
    endings = {
        ".parquet": "application/vnd.apache.parquet",
        ".md": "text/markdown",
        ".tsv": "text/tab-separated-values",
        SUFFIX: "application/octet-stream",
    }
    return endings.get(Path(name).suffix, "application/json")
