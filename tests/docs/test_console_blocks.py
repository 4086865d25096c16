"""Every console block of every page is run by a test: here, or where its commands take minutes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import create_store
from baekman.projects.project import add_project
from baekman.projects.release_key import public_file
from baekman.registry.records import create_registry
from baekman.releases.checks.order import NUMBERS
from baekman.releases.package.build import build_release
from baekman.releases.plan import Check, Plan, write_plan
from support import PROJECT
from support.delivery_builder import make_workspace, registration, simple_delivery, write_reference
from support.example_workspace import example_workspace
from support.pages import Block, Reader, blocks
from support.projects import RELEASE
from support.small_release import small_release
from support.store_tools import block, gvcf_text, line
from support.store_tools import write_reference as write_bases
from support.transfers import make_keys, recipient

PAGES = sorted(
    [
        *("../README.md", "../CONTRIBUTING.md", "../config/README.md"),
        *(path.name for path in (PROJECT / "docs").glob("*.md")),
    ]
)
# pages that the test of the demo reads
OF_DEMO = re.findall(
    r'"([\w./-]+\.md)"', (PROJECT / "tests" / "e2e" / "test_demo_genome.py").read_text(encoding="utf-8")
)
# the beginnings of the blocks that take minutes, by page, and the test that reads them
IN_MINUTES = {
    ("own-delivery.md", ("baekman deliver",)): "e2e/test_demo_genome.py",
    (
        "operating.md",
        ("baekman hold show S… --workspace W\nbaekman hold accept S… --merge",),
    ): "e2e/test_reads_again.py",
    (
        "cluster.md",
        ("baekman deliver", "snakemake", "export BAEKMAN_SCHEDULER", "baekman status", "baekman release build"),
    ): "cluster/test_pages.py",
}
PROGRAMS = re.compile(r"^\s*(?:\$ )?(?:baekman|snakemake|make|python|pip|export|plink2|bcftools) ", re.MULTILINE)
BASES = "ACGTACGTTGCA" * 200_000


def text_of(page: str) -> str:
    return (PROJECT / "docs" / page).read_text(encoding="utf-8")


def bare_store(folder: Path) -> Reader:
    """Make the store ``cohort``, of no workspace, with one participant, and the workspace of the session of Python."""
    example_workspace(folder)
    store = create_store(folder / "cohort", reference=write_bases(folder / "chr20.fa", {"chr20": BASES}))
    calls = [
        block(1, 999_999, "A", contig="chr20"),
        line(1_000_001, BASES[1_000_000], "T,<NON_REF>", "0/1:50:30:14,16,0:250,0,300,400,400,400", contig="chr20"),
    ]
    (folder / "one.g.vcf").write_text(gvcf_text(calls, contigs={"chr20": len(BASES)}))
    add_batch(store, batch="b", members=[Member(participant_id="P0123456789ABX", gvcf=str(folder / "one.g.vcf"))])
    (folder / "ids.txt").write_text("P0123456789ABX\n")
    (folder / "exome.bed").write_text("chr20\t1000000\t1000100\n")
    (folder / "pheno.csv").write_text("participant_id,smokes\nP0123456789ABX,no\n")
    return Reader(folder)


def registered(folder: Path) -> Reader:
    """Make the registration table of a page, and the folders that a leak scan reads."""
    (folder / "W").mkdir()
    for name in ("participants", "tables", "logs"):
        (folder / "W" / name).mkdir()
    rows = ("institution\tspecimen_id\tparticipant\tparticipant_type\tregistered_sex\tconsent\tconsent_from",
            "Hanbit Hospital\tHB-B-0001\tHB-0001\tgeneral\tfemale\tgranted\t2024-01-01")  # fmt: skip
    (folder / "registration.tsv").write_text("\n".join(rows) + "\n")
    return Reader(folder)


def delivered(folder: Path) -> Reader:
    """Make a workspace with a registered specimen, and its delivery in ``inbox``."""
    reference = write_reference(folder / "reference")
    make_workspace(folder / "W", reference, [registration("A-1", 1)])
    simple_delivery(folder / "inbox" / "HB-2026-03", reference, "A-1", name="HB-2026-03")
    return Reader(folder)


def proposed(folder: Path) -> Reader:
    """Make a workspace with the project of the page, and a release that is proposed for it."""
    create_registry(folder / "W")
    described = next(each for each in blocks(text_of("releases.md")) if each.file == "project.yaml")
    (folder / "project.yaml").write_text(described.text, encoding="utf-8")
    project, _ = add_project(folder / "W", folder / "project.yaml")
    home = folder / "W" / "releases" / RELEASE
    home.mkdir(parents=True)
    request = {"project": project.id, "tier": "room"}
    passed = tuple(Check(code=code, observed=20, limit=11, verdict="pass") for code in NUMBERS)
    write_plan(home, Plan(request=request, request_hash="", snapshots={}, members=20, members_hash="", checks=passed))
    done = {"baekman project add project.yaml --workspace W": f"{project.id}\n"}
    return Reader(folder, names={"J…": project.id, "R…": RELEASE}, done=done)


def approved(folder: Path) -> Reader:
    """Make a workspace with an approved release, and the copy of its package that a researcher has."""
    made = small_release(folder)
    home = made.approve(made.propose())
    names = {
        "R…": home.id,
        "P…": made.participants[0],
        "DIR": f"W/releases/{home.id}/package",
        "--workers 8": "--workers 1",
    }
    build_release(made.workspace, home.id, registry=made.registry)
    shutil.copytree(home.package, folder / "package")
    shutil.copy(folder / "W" / "projects" / "release.pub", folder)
    (folder / "later-manifests").mkdir()
    return Reader(folder, names=names)


def encrypted(folder: Path) -> Reader:
    """Make the package of a transfer, next to the keys of its recipient and the public key of the workspace."""
    (folder / "recipient").mkdir()
    key = make_keys(folder / "recipient" / "KEY")
    made = small_release(folder / "made", people=12)
    home = made.approve(made.propose(tier="transfer", recipient=recipient(key)))
    build_release(made.workspace, home.id, registry=made.registry).rename(folder / "recipient" / "DIR")
    shutil.copy(public_file(made.workspace), folder / "recipient" / "release.pub")
    return Reader(folder / "recipient")


def replaced(folder: Path) -> Reader:
    """Make a workspace, and a list with another gVCF of a participant."""
    example_workspace(folder)
    return Reader(folder, names={"list.tsv": "better.tsv"})


def empty(folder: Path) -> Reader:
    """Use an empty folder: the page makes all that it needs."""
    return Reader(folder, names={"inbox/emr-2026-11": "inbox/emr-2026-03"})


# the place that each page needs, and the beginning of the blocks that are read there
OF_RECIPIENT = ("sed ", "baekman release verify DIR ")
OF_RELEASE = ("baekman release build", "baekman release verify package")
PLACES: dict[str, tuple[Callable[[Path], Reader], list[tuple[str, str | tuple[str, ...]]]]] = {
    "store": (bare_store, [("exports.md", ""), ("cohort-format.md", "")]),
    "records": (empty, [("records.md", "")]),
    "registry": (registered, [("privacy.md", "")]),
    "delivery": (delivered, [("deliveries.md", "")]),
    "project": (proposed, [("releases.md", "baekman project")]),
    "release": (approved, [("releases.md", OF_RELEASE)]),
    "transfer": (encrypted, [("releases.md", OF_RECIPIENT)]),
    "replacement": (replaced, [("operating.md", "baekman cohort replace")]),
}
# pages with blocks of targets of make: test_make.py reads them
OF_MAKE = ("../README.md", "../CONTRIBUTING.md")
# the beginning of the blocks that the demo reads, where not all
DEMO_ONLY = {"../README.md": "baekman "}


@pytest.mark.parametrize("place", PLACES)
def test_every_command_runs_and_prints_what_the_page_shows(place: str, tmp_path: Path) -> None:
    ground, pages = PLACES[place]
    reader = ground(tmp_path)
    for page, only in pages:
        reader.read(page, only=only)


def console(page: str) -> list[Block]:
    return [each for each in blocks(text_of(page)) if each.language == "console"]


def test_each_console_block_is_run_by_a_test() -> None:
    read = {(page, only) for _, pages in PLACES.values() for page, only in pages}
    read |= {(page, DEMO_ONLY.get(page, "")) for page in OF_DEMO}
    read |= {(page, "make ") for page in OF_MAKE}
    left = [
        (page, each.line)
        for page in PAGES
        for each in console(page)
        if each.mark is None and not any(page == of and each.text.startswith(only) for of, only in read)
    ]
    assert left == []


def test_blocks_of_minutes_are_read() -> None:
    of_cluster = {each.text for each in console("cluster.md")}
    marked = [(page, each) for page in PAGES for each in console(page) if each.mark == "minutes"]
    left = [
        (page, each.line)
        for page, each in marked
        if (page == "cluster.md" or each.text not in of_cluster)  # README shows a block of that page
        and not any(of == page and each.text.startswith(only) for of, only in IN_MINUTES)
    ]
    assert left == []
    for (page, beginnings), test in IN_MINUTES.items():
        text = (PROJECT / "tests" / test).read_text(encoding="utf-8")
        assert f'.read("{page}"' in text and "has_time=True" in text and "mark.cluster" in text
        assert [words for words in beginnings if json.dumps(words, ensure_ascii=False)[1:-1] not in text] == []


def test_commands_stand_in_console_blocks() -> None:
    others = [
        (page, each.line)
        for page in PAGES
        for each in blocks(text_of(page))
        if each.language in ("", "sh", "bash", "shell") and PROGRAMS.search(each.text)
    ]
    assert others == []
