"""The small test genome, end to end: two deliveries from intake to tables, against the truth."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pysam
import pytest
import truth
import yaml
from baekman.registry.records import open_registry
from baekman.tables.files import table_path
from baekman.verdicts import read_verdicts
from support import PROJECT
from support.pages import Reader

DELIVERIES = {"first": "HANBIT", "second": "SAEBYEOK"}

# the pages that show the demo, with the number of answers that each shows; their IDs are those of one demo
PAGES = {"start.md": 10, "own-delivery.md": 14, "results.md": 59, "how-it-works.md": 11, "cluster.md": 1}
PAGE_DELIVERIES = {"first": "DSKY21NZ2WQRNH", "second": "DRVST3FGG3WMVD"}
PAGE_IDS = {
    "HB25-20417-G": ("SJK1MVYJRZW31H", "PPQ2M4C766J4ED"),
    "HB25-20418-G": ("S6KFNWDCGG5684", "PG37HREEFW07J9"),
    "HB25-20419-G": ("S9A3117HXKFQEC", "PEFYWJCE3TR7DD"),
    "HB25-20533-G": ("SKWCZXXP634H50", "PX5N341DN42A5T"),
    "HB25-20541-G": ("SVBQK8W2548F83", "P6PV8Y65PGT1V6"),
    "HB25-20550-G": ("S4HRS3N0EJ4EVP", "P9MX00ECPE3V08"),
    "HB25-20562-G": ("S0BBB5YBWBN7JG", "P1G32FPMDP7SJ3"),
    "HB25-20601-G": ("S7ARDSBKQKE2GJ", "PA2M4XHJAW197R"),
    "HB25-20607-G": ("S6MVWYR1V5ABW6", "PZNB75035XPVN5"),
    "HB25-20614-G": ("S69ZHN92KHVR1G", "PKQY0TTKXNVBYT"),
    "HB25-20622-G": ("S82JTEBCBF953P", "PA5FEEJCK4A4DB"),
    "HB25-20630-G": ("SG4SRFG58EF197", "PG7PJNN6EG1RX2"),
    "HB25-20638-G": ("SY3XMYZFR9P1A1", "PCXDKXMJS3QMK4"),
    "HB25-20645-G": ("S1YTGCW6MAGKQN", ""),
    "HB25-20651-G": ("S727A00WBV3F8B", "PDZRPP52W84MF8"),
    "SBK.310024": ("S5ZJWH71HEPGF4", "P9BATZVZG64YCB"),
    "SBK.310025": ("SFSFTMEHGBYWZG", "PPPPZ74W4Z7WDW"),
    "SBK.310026": ("SQD2MM1T8811AF", "P3XHNV0S2BK874"),
    "SBK.310042": ("SDMX9MY12H5D46", "PH6P4639C1N3V8"),
    "SBK.310057": ("SDG65R14MY2SQB", "PR76KSRKDQ5RBS"),
}

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Demo:
    """The test genome, the workspace that it went through, and the ID of each delivery."""

    genome: Path
    workspace: Path
    deliveries: dict[str, str]
    printed: str  # by the delivery "first", on stdout and stderr

    def expected(self) -> list[dict[str, str]]:
        """Return the expected verdict of each specimen."""
        with (self.genome / "expected.tsv").open(encoding="utf-8") as lines:
            return list(csv.DictReader(lines, delimiter="\t"))

    def accepted(self) -> list[dict[str, str]]:
        """Return the specimens that have to be accepted."""
        return [row for row in self.expected() if row["verdict"] == "accept"]

    def participant(self, row: dict[str, str]) -> str:
        """Return the participant ID of a specimen of ``expected``."""
        record = open_registry(self.workspace).specimen(DELIVERIES[row["delivery"]], row["specimen_id"])
        assert record is not None
        return record.participant_id

    def table(self, participant: str) -> Path:
        """Return the table of a participant."""
        return table_path(self.workspace / "tables", participant)


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a Python program with arguments; raise AssertionError when it fails."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if not key.startswith("BAEKMAN_")},
    )
    assert done.returncode == 0, done.stderr
    return done


def baekman(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return run(Path(sys.executable).parent / "baekman", *words)


def deliver(genome: Path, name: str, workspace: Path) -> subprocess.CompletedProcess[str]:
    """Run ``baekman deliver`` for a delivery of the test genome."""
    config = ("--config", genome / "demo_config.yaml")
    return baekman("deliver", genome / "deliveries" / name, "--workspace", workspace, *config)


def sam(cram: Path, genome: Path) -> str:
    """Return the header and every alignment as SAM."""
    text = pysam.view("--no-PG", "-h", "-T", str(genome / "reference.fa"), str(cram))
    assert isinstance(text, str)
    return text


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Make the test genome and send it through ``deliver`` and ``watch``, once for every test of this file."""
    folder = tmp_path_factory.mktemp("demo")
    genome, workspace = folder / "genome", folder / "workspace"
    workspace.mkdir()
    run(PROJECT / "scripts" / "make_test_genome.py", "--output", genome)
    baekman("registry", "init", "--workspace", workspace)
    baekman("registry", "import", genome / "registration.tsv", "--workspace", workspace)
    first = deliver(genome, "first", workspace)
    # the inbox holds both: the first one was delivered
    looked = ("--once", "--quiet-seconds", "0", "--workspace", workspace, "--config", genome / "demo_config.yaml")
    second = baekman("watch", genome / "deliveries", *looked).stdout.strip()
    deliveries = {"first": first.stdout.strip(), "second": second}
    return Demo(genome=genome, workspace=workspace, deliveries=deliveries, printed=first.stdout + first.stderr)


@pytest.fixture(scope="session")
def page_names(demo: Demo) -> dict[str, str]:
    """Return the IDs and places of the demo in the pages of the documentation, with those of this demo."""
    ids = {PAGE_DELIVERIES[name]: delivery for name, delivery in demo.deliveries.items()}
    registry = open_registry(demo.workspace)
    for row in demo.expected():
        specimen, participant = PAGE_IDS[row["specimen_id"]]
        record = registry.specimen(DELIVERIES[row["delivery"]], row["specimen_id"])
        if record is not None:
            ids |= {specimen: record.specimen_id, participant: record.participant_id}
        else:
            ids[specimen] = re.findall(r"(S[0-9A-Z]{13})  reject  intake  not_registered", demo.printed)[0]
    buckets = {f"{shown[1:3]}/{shown}": f"{here[1:3]}/{here}" for shown, here in ids.items()}
    return {"demo/genome": str(demo.genome)} | buckets | ids


def copy_with_settings(demo: Demo, workspace: Path) -> None:
    """Copy the workspace of the demo, and write the settings that ``make demo`` writes into it."""
    shutil.copytree(demo.workspace, workspace)
    settings = yaml.safe_load((demo.genome / "demo_config.yaml").read_text(encoding="utf-8"))
    paths = {key: str(demo.genome / value) for key, value in settings.items() if (demo.genome / str(value)).is_file()}
    (workspace / "config.yaml").write_text(yaml.safe_dump(settings | paths), encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_prints_what_the_page_shows(
    demo: Demo, page_names: dict[str, str], page: str, tmp_path: Path
) -> None:
    copy_with_settings(demo, tmp_path / "copy")  # a page may decide on specimens
    names = page_names | {"demo/workspace": str(tmp_path / "copy")}
    done = {"make demo": demo.printed.replace(str(demo.workspace), str(tmp_path / "copy")), ". .venv/bin/activate": ""}
    reader = Reader(folder=tmp_path, names=names, done=done)
    reader.read(page)
    assert reader.compared >= PAGES[page]


@pytest.mark.cluster
def test_the_deliveries_of_the_page_on_an_own_delivery_print_what_it_shows(
    demo: Demo, page_names: dict[str, str], tmp_path: Path
) -> None:
    copy_with_settings(demo, tmp_path / "copy")
    names = page_names | {"demo/workspace": str(tmp_path / "copy")}
    reader = Reader(folder=tmp_path, names=names, has_time=True)
    reader.read("own-delivery.md")  # with its blocks of "baekman deliver"
    assert reader.compared == PAGES["own-delivery.md"] + 3


# commands that a test of the page in another workspace runs
OF_OTHERS = (
    "cohort replace --cohort W/cohort --batch D1-again --gvcfs list.tsv",
    "tables --cohort W/cohort --output W/tables",
)
# pages that call the workspace W, with the number of answers and the beginning of the blocks that the demo can run
PAGES_OF_W = {"operating.md": (7, ""), "../README.md": (3, "baekman ")}


@pytest.mark.parametrize("page", PAGES_OF_W)
def test_every_command_of_a_page_on_any_workspace_runs(
    demo: Demo, page_names: dict[str, str], page: str, tmp_path: Path
) -> None:
    copy_with_settings(demo, tmp_path / "W")
    shutil.copy(demo.genome / "registration.tsv", tmp_path)
    (tmp_path / "inbox").symlink_to(demo.genome / "deliveries")
    ran = ("init --workspace W", "import registration.tsv --workspace W")  # by the demo
    done = dict.fromkeys(
        [
            *(f"baekman registry {words}" for words in ran),
            'echo "reference: /data/GRCh38.fa" > W/config.yaml',
            *(f"baekman {words}" for words in OF_OTHERS),
            "baekman deliver inbox/2026-11 --workspace W",
            "baekman watch inbox --workspace W",
        ],
        "",
    )
    names = page_names | {"S…": page_names["SY3XMYZFR9P1A1"], "TEXT": "'the registered sex was corrected'"}
    names["demo/workspace"] = "W"
    reader = Reader(folder=tmp_path, names=names if page == "../README.md" else page_names, done=done)
    least, only = PAGES_OF_W[page]
    reader.read(page, only=only)
    assert reader.compared >= least


def test_a_watch_delivers_each_delivery_of_the_inbox_once(demo: Demo) -> None:
    assert re.fullmatch("D[0-9A-Z]{13}", demo.deliveries["second"])
    assert demo.deliveries["second"] != demo.deliveries["first"]
    assert all(
        (demo.workspace / "deliveries" / delivery / "batch.json").is_file() for delivery in demo.deliveries.values()
    )


def test_every_planted_fault_gets_its_own_reason_and_nobody_else_is_stopped(demo: Demo) -> None:
    registry = open_registry(demo.workspace)
    verdicts = {
        name: {
            gate: {
                verdict.specimen_id: verdict
                for verdict in read_verdicts(demo.workspace / "deliveries" / delivery / "verdicts" / f"{gate}.json")
            }
            for gate in ("intake", "qc")
        }
        for name, delivery in demo.deliveries.items()
    }
    wrong = []
    unregistered = 0
    for row in demo.expected():
        record = registry.specimen(DELIVERIES[row["delivery"]], row["specimen_id"])
        at_gate = verdicts[row["delivery"]][row["gate"]]
        if record is None:
            unregistered += 1
            (verdict,) = [verdict for verdict in at_gate.values() if verdict.participant_id is None]
        else:
            verdict = at_gate[record.specimen_id]
        codes = {reason.code for reason in verdict.reasons if reason.severity != "note"}
        if verdict.verdict != row["verdict"] or codes != ({row["reason"]} - {""}):
            wrong.append((row["specimen_id"], row["verdict"], row["reason"], verdict.verdict, sorted(codes)))
    assert wrong == []
    assert unregistered == 1


def test_the_return_reports_name_every_specimen_with_its_verdict(demo: Demo) -> None:
    verdicts = {}
    for file in (demo.workspace / "return").rglob("*.json"):
        for specimen in json.loads(file.read_text(encoding="utf-8"))["specimens"]:
            verdicts[specimen["specimen"]] = specimen["verdict"]
    assert verdicts == {row["specimen_id"]: row["verdict"] for row in demo.expected()}


def test_tables_are_of_the_accepted_participants_and_hold_their_id_alone(demo: Demo) -> None:
    accepted = {demo.participant(row) for row in demo.accepted()}
    files = [*(demo.workspace / "tables").rglob("*.parquet")]
    assert {file.name.split(".")[0] for file in files} == accepted
    assert len(files) == 2 * len(accepted)
    for file in files:
        ids = pl.read_parquet(file, columns=["participant_id"])["participant_id"].unique().to_list()
        assert ids == [file.name.split(".")[0]]


def test_tables_reach_the_truth_in_confident_regions(demo: Demo) -> None:
    confident = truth.Regions.of_bed(demo.genome / "truth" / "confident.bed")
    reference = demo.genome / "reference.fa"
    short = []
    for row in demo.accepted():
        true = truth.read_alleles(
            truth.CallSet(path=demo.genome / "truth" / f"{row['participant']}.vcf.gz"), reference=reference
        )
        carried = pl.read_parquet(demo.table(demo.participant(row))).filter(pl.col("joint_copies") > 0)
        calls = [
            truth.Allele(contig, pos, ref, alt, 2 if ploidy == 1 else copies)
            for contig, pos, ref, alt, ploidy, copies in carried.select(
                "contig", "pos", "ref", "alt", "ploidy", "joint_copies"
            ).iter_rows()
        ]
        result = truth.compare_alleles(
            true,
            sorted(calls, key=lambda allele: (allele.contig, allele.pos)),
            reference=reference,
            confident=confident,
        )
        for kind, least in (("snv", 0.99), ("indel", 0.95)):
            if not result.counts[kind].f1 >= least:
                short.append((row["participant"], kind, result.counts[kind]))
    assert short == []


@dataclass(frozen=True)
class Again:
    """What ``make demo`` does where both deliveries are done: it releases the data of the accepted participants."""

    package: Path
    messages: str  # on stderr
    tables: dict[Path, int]  # the time of each, before


@pytest.fixture(scope="session")
def again(demo: Demo) -> Again:
    """Run the script of ``make demo`` on the demo."""
    tables = {file: file.stat().st_mtime_ns for file in (demo.workspace / "tables").rglob("*.parquet")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "BAEKMAN_DEMO": str(demo.workspace.parent)}
    script = PROJECT / "scripts" / "demo.sh"
    done = subprocess.run(script, capture_output=True, text=True, check=False, env=environment, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    (demo.workspace / "config.yaml").chmod(0o640)
    *_, last = done.stdout.splitlines()
    verified = re.fullmatch(r"verified: release (R[0-9A-Z]{13}), .* signed by key [0-9a-f]+", last)
    assert verified, done.stdout
    return Again(demo.workspace / "releases" / verified[1] / "package", done.stderr, tables)


@pytest.fixture(scope="session")
def released(again: Again) -> Path:
    """Return the package of the release."""
    return again.package


def test_a_release_has_the_records_of_codes_of_eleven_and_the_allele_counts_of_the_tables(
    demo: Demo, released: Path
) -> None:
    ids = pl.read_parquet(released / "participants.parquet")["project_id"]
    assert len(ids) == len(demo.accepted()) == 11
    people = pl.read_parquet(released / "records" / "*.parquet").group_by("code").agg(pl.col("project_id").n_unique())
    assert people.height >= 3 and people["project_id"].min() == 11
    allele = ["contig", "pos", "ref", "alt"]
    sites = pl.read_parquet(released / "sites" / "*.parquet").filter(pl.col("ac") > 0)
    (contig,) = sites["contig"].unique()
    tables = pl.concat(pl.read_parquet(demo.table(demo.participant(row))) for row in demo.accepted())
    called = tables.filter(pl.col("called") & (pl.col("copies") > 0) & (pl.col("contig") == contig))
    counted = called.group_by(allele).agg(pl.col("copies").cast(pl.Int64).sum().alias("ac"))
    assert sites.select(*allele, "ac").sort(allele).equals(counted.sort(allele))


def test_no_confidential_value_is_anywhere_but_in_return_and_registry(demo: Demo, released: Path) -> None:
    assert released.is_dir()
    with (demo.genome / "registration.tsv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    columns = ("specimen_id", "participant", "name", "resident_registration_number", "institution")
    secrets = {row[column] for row in rows for column in columns if row[column]}
    secrets |= {row["specimen_id"] for row in demo.expected()} | {str(demo.genome / "deliveries")}
    pattern = re.compile("|".join(re.escape(secret) for secret in sorted(secrets)).encode())
    leaks = []
    for file in demo.workspace.rglob("*"):
        place = file.relative_to(demo.workspace)
        if place.parts[0] in ("return", "registry"):
            continue
        if pattern.search(str(place).encode()):
            leaks.append(f"name of {place}")
        if file.is_file() and not file.is_symlink() and pattern.search(_content(file)):
            leaks.append(f"content of {place}")
    assert leaks == []


def test_staged_reads_are_gone_when_they_were_used(demo: Demo) -> None:
    left = [file for file in demo.workspace.glob("deliveries/*/staged/*/*") if "fastq" in file.name]
    assert left == []


def test_a_second_run_does_nothing_and_says_so(demo: Demo, again: Again) -> None:
    assert again.messages.count("nothing to do") == len(demo.deliveries)
    assert again.tables == {file: file.stat().st_mtime_ns for file in (demo.workspace / "tables").rglob("*.parquet")}


def test_a_lost_alignment_is_made_again_from_the_same_delivery_and_changes_no_table(demo: Demo) -> None:
    row = next(row for row in demo.accepted() if (row["delivery"], row["entry"]) == ("second", "fastq"))
    lost = demo.workspace / "participants" / demo.participant(row) / "aligned.cram"
    calls = [*demo.workspace.glob("participants/*/calls.g.vcf.gz"), *(demo.workspace / "tables").rglob("*.parquet")]
    before = {file: file.read_bytes() for file in calls}
    others = set(demo.workspace.glob("participants/*/aligned.cram")) - {lost}
    times = {file: file.stat().st_mtime_ns for file in others}
    alignments = sam(lost, demo.genome)
    lost.unlink()
    deliver(demo.genome, "second", demo.workspace)
    # not the bytes: htslib's threads choose the codecs of a CRAM differently each time
    assert sam(lost, demo.genome) == alignments
    assert {file: file.read_bytes() for file in calls} == before
    assert {file: file.stat().st_mtime_ns for file in others} == times
    assert not list(demo.workspace.glob("deliveries/*/staged/*/*"))


def test_the_manifest_says_how_the_results_were_made(demo: Demo) -> None:
    folder = demo.workspace / "deliveries" / demo.deliveries["second"] / "report"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["snapshot"] == 2
    assert manifest["versions"]["bcftools"] and manifest["versions"]["baekman"]
    assert manifest["verdicts"]["qc"] == {"accept": 4, "hold": 1, "reject": 0}
    assert re.fullmatch("[0-9a-f]{64}", manifest["config_hash"])
    assert len(manifest["inputs"]["gvcfs"]) == manifest["participants"] == 4
    assert {file.name for file in folder.iterdir()} >= {"multiqc.html", "verdicts.html", "report.html", "report.json"}


def test_no_result_can_be_read_by_everybody(demo: Demo) -> None:
    """Files of the command, of Snakemake and of the tools."""
    ours = [path for path in demo.workspace.rglob("*") if not path.is_symlink()]
    assert [path for path in ours if path.stat().st_mode & 0o007] == []


def test_no_button_of_the_multiqc_page_sends_anything_to_a_service(demo: Demo) -> None:
    for delivery in demo.deliveries.values():
        page = (demo.workspace / "deliveries" / delivery / "report" / "multiqc.html").read_text(encoding="utf-8")
        assert "Summarize report" not in page


def test_the_multiqc_page_does_not_name_the_folder_of_the_workspace(demo: Demo) -> None:
    for delivery in demo.deliveries.values():
        page = (demo.workspace / "deliveries" / delivery / "report" / "multiqc.html").read_text(encoding="utf-8")
        assert delivery in page and str(demo.workspace) not in page


def _content(file: Path) -> bytes:
    """Return the bytes of a file, decompressed if it is compressed as a whole."""
    if file.suffix in (".gz", ".bgz"):
        return gzip.decompress(file.read_bytes())
    return file.read_bytes()
