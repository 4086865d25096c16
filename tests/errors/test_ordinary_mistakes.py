"""Some ninety mistakes that everybody makes, each with the exact message: the likely mistake, and the next step.

A message never repeats the path of a delivery, which may name an institution.
"""

from __future__ import annotations

import gzip
import shlex
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from baekman.cli import app
from baekman.cli.options import CORES
from baekman.cli.shared import groups
from baekman.cohort.store import create_store
from baekman.errors import EXIT_REFUSED, InputRefused
from baekman.registry.importing import import_registrations
from baekman.registry.records import create_registry, open_registry
from support import PROJECT
from support.delivery_builder import registration, simple_delivery, write_reference, write_registrations
from support.example_workspace import PARTICIPANTS, example_workspace
from typer.testing import CliRunner

ONE, _ = PARTICIPANTS
SPECIMEN, DELIVERY, MISTYPED = "S7ARDSBKQKE2GJ", "DRVST3FGG3WMVD", "P000000000001J"
LIST_IDS = '`--sql "SELECT participant_id FROM participants"` lists those that it has'
A_LIST = "give a text file with a line for each gVCF: participant_id, tab, path of the gVCF"
MAKE_ONE = "correct --workspace (or BAEKMAN_WORKSPACE); `baekman registry init` makes one"
CONTIGS = "--region: expected a contig of the store's reference (chr20), or contig:start-end"
SECOND_NAME = "cohort.contig_aliases of the configuration gives contigs a second name"


class Mistake(NamedTuple):
    """A command line, and the last lines that it prints on stderr; refused input unless ``code`` says more."""

    command: str
    message: str
    code: int = 3


# in the folder `ground`: W is a whole workspace, NEW one without a cohort, inbox/HB-Kim a delivery
MISTAKES = {
    "a word of other programs": Mistake(
        "help", "Error: No such command 'help'. Did you mean `baekman --help`?", code=2
    ),
    "a word of another group": Mistake(
        "audit list", "Error: No such command 'list'. Commands: verify, head, show, restart", code=2
    ),
    "a specimen without a command": Mistake(
        f"hold {SPECIMEN}", f"Error: No such command '{SPECIMEN}'. Did you mean `baekman hold show {SPECIMEN}`?", code=2
    ),
    "an ID as delivery": Mistake(
        f"deliver {DELIVERY} --workspace W",
        "Error: Invalid value for 'DELIVERY': expected a folder, found the ID of a delivery; the same command as "
        "before, with its folder, goes on with it",
        code=2,
    ),
    "another registry of types": Mistake(
        "cohort report --workspace W --types --registry elsewhere --output page.html",
        "registry: expected an initialised registry, found none; run `baekman registry init` with the same --workspace "
        "and --registry",
    ),
    "a folder of deliveries": Mistake(
        "deliver inbox --workspace W",
        "DELIVERY: expected the folder of one delivery, found a folder of deliveries; give one of them, or all to "
        "`baekman watch INBOX`",
    ),
    "a workspace as delivery": Mistake(
        "receive W --workspace W",
        "DELIVERY: expected the folder of one delivery, found a workspace; give the folder that an institution sent, "
        "with delivery.yaml",
    ),
    "records as delivery": Mistake(
        "deliver emr --workspace W",
        "DELIVERY: expected the folder of one delivery, found a delivery of records; `baekman records receive` takes "
        "it",
    ),
    "a delivery as records": Mistake(
        "records receive inbox/HB-Kim --workspace W",
        "DELIVERY: expected the folder of one delivery, found a delivery of sequencing data; `baekman deliver` takes "
        "it",
    ),
    "no such delivery": Mistake(
        "deliver inbox/HB-Lee --workspace W", "Error: Invalid value for 'DELIVERY': no such folder", code=2
    ),
    "a delivery as inbox": Mistake(
        "watch inbox/HB-Kim --workspace W --once",
        "INBOX: expected a folder of deliveries, found a delivery; give the folder around it; `baekman deliver` takes "
        "one delivery",
    ),
    "a delivery as workspace": Mistake(
        "deliver inbox/HB-Kim --workspace inbox/HB-Kim",
        f"--workspace: expected a workspace, found a delivery; {MAKE_ONE}",
    ),
    "no workspace here": Mistake(
        "status",
        "--workspace: of the current directory: expected a workspace, found another folder; say --workspace DIR or set "
        "BAEKMAN_WORKSPACE; `baekman registry init --workspace DIR` makes a workspace",
    ),
    "a part of a workspace": Mistake(
        "status --workspace W/cohort",
        "--workspace: expected a workspace, found a cohort store; its workspace is a folder above it: --workspace W",
    ),
    "a workspace that is not there": Mistake(
        "registry show --workspace V", f"--workspace: expected a workspace, found no such folder; {MAKE_ONE}"
    ),
    "a workspace as argument": Mistake(
        "verify W", "Error: Got unexpected extra argument(s) (W). Did you mean --workspace DIR?", code=2
    ),
    "an ID as argument": Mistake(
        f"status {DELIVERY} --workspace W",
        f"Error: Got unexpected extra argument(s) ({DELIVERY}). Did you mean --delivery ID?",
        code=2,
    ),
    "a watch in a workspace that is not there": Mistake(
        "watch inbox --workspace V --once", f"--workspace: expected a workspace, found no such folder; {MAKE_ONE}"
    ),
    "a freeze as workspace": Mistake(
        "query --workspace frozen --region chr20:1",
        "--workspace: expected a workspace, found a freeze; a freeze is given as --cohort DIR to `baekman query`, and "
        "as --freeze DIR to `baekman verify`",
    ),
    "a command without its group": Mistake(
        "annotate --workspace W", "Error: No such command 'annotate'. Did you mean `baekman cohort annotate`?", code=2
    ),
    "a word too many": Mistake(
        "hold show SPECIMEN S0 --workspace W", "Error: Got unexpected extra argument(s) (S0)", code=2
    ),
    "a freeze over other files": Mistake(
        "cohort freeze --workspace W --output small",
        "--output: expected a new folder, or one with a freeze of this snapshot, found a folder with other files; "
        "choose another folder: a freeze is never overwritten",
    ),
    "a file of IDs without @": Mistake(
        "export --workspace W --format vcf --participants registration.tsv --output x.vcf",
        "--participants: expected IDs of participants of snapshot 1, found 1 of 1 others: number 1; "
        '`baekman query --sql "SELECT participant_id FROM participants"` lists them; a file of IDs is @FILE',
    ),
    "no cohort yet": Mistake(
        "cohort snapshots --workspace NEW",
        "cohort: expected a cohort store, found a workspace without a cohort yet; `baekman deliver` makes it, or "
        "`baekman cohort init --workspace DIR --reference REF.fa`",
    ),
    "tables as cohort": Mistake(
        "cohort snapshots --cohort W/tables",
        "tables: expected a cohort store, found a folder of tables; say --workspace DIR instead, the workspace around "
        "it",
    ),
    "a package as cohort": Mistake(
        "query --cohort package --region chr1",
        "package: expected a cohort store, found the package of a release; open its Parquet files with DuckDB, Polars "
        "or pandas (docs/releases.md); README.md in it has the columns",
    ),
    "a region as BED": Mistake(
        "export --workspace W --format vcf --output x.vcf --regions chr1:1-2000",
        "--regions: expected a BED file, found no such file: chr1:1-2000; a region itself, such as chr1:1-2000, is "
        "given to --region",
    ),
    "a freeze to change": Mistake(
        "cohort add --cohort frozen --batch b --gvcfs first.tsv",
        "frozen: expected a cohort store, found a freeze; this command needs the cohort that the freeze was made of: "
        "say --workspace DIR",
    ),
    "tables as freeze": Mistake(
        "cohort verify --workspace W --freeze W/tables",
        "--freeze: expected a freeze, found a folder of tables; give the folder that `baekman cohort freeze` wrote",
    ),
    "other names of contigs": Mistake(
        "query --workspace W --region 20:1-1000", f"{CONTIGS}, found '20:1-1000'; did you mean chr20? {SECOND_NAME}"
    ),
    "a contig of another reference": Mistake(
        "query --workspace W --region chr21", f"{CONTIGS}, found 'chr21'; e.g. chr20:1000-2000"
    ),
    "a gVCF with other names of contigs": Mistake(
        "cohort add --workspace W --batch b --gvcfs other_names.tsv",
        "gVCF of PX: line 27 (record 1): expected a contig of the store's reference, found 20, which the reference "
        'lacks; in the configuration, give its name in the reference (cohort.contig_aliases: {"20": "chr20"}) or leave '
        'it out (cohort.ignore_contigs: ["20"])',
    ),
    "a gVCF in the place of the list": Mistake(
        "cohort add --workspace W --batch b --gvcfs PX.g.vcf.gz",
        f"PX.g.vcf.gz: expected UTF-8 text, found a gVCF; {A_LIST}",
    ),
    "a plain gVCF in the place of the list": Mistake(
        "cohort add --workspace W --batch b --gvcfs PX.g.vcf",
        f"PX.g.vcf: expected a list of gVCFs, found a gVCF; {A_LIST}",
    ),
    "a list with names of columns": Mistake(
        "cohort add --workspace W --batch b --gvcfs header.tsv",
        "header.tsv: line 1: expected no header, or one that begins with participant_id, found names of columns",
    ),
    "a list with spaces": Mistake(
        "cohort add --workspace W --batch b --gvcfs spaces.tsv",
        "spaces.tsv: line 1: expected participant_id, path and optionally sex, separated by tabs, found columns "
        "separated by spaces",
    ),
    "a mistyped participant": Mistake(
        f"query --workspace W --participant {MISTYPED}",
        "--participant: expected a participant of the cohort, found an ID with a wrong check character: it is "
        f"mistyped; {LIST_IDS}",
    ),
    "a delivery as participant": Mistake(
        f"query --workspace W --participant {DELIVERY}",
        f"--participant: expected a participant of the cohort, found the ID of a delivery; {LIST_IDS}",
    ),
    "an ID in small letters": Mistake(
        f"tables --workspace W --output more --participants {ONE.lower()}",
        f"--participants: {ONE.lower()}: expected a participant of the cohort, found an ID in small letters",
    ),
    "a participant as specimen": Mistake(
        f"hold show {ONE} --workspace W",
        "SPECIMEN: argument 1: expected the pseudonymous ID of a specimen, S…, found the ID of a participant; "
        "`baekman hold list` lists the specimens that wait",
    ),
    "a specimen as delivery": Mistake(
        f"status --delivery {SPECIMEN} --workspace W",
        "--delivery: expected the ID of a delivery of this workspace, found the ID of a specimen; `baekman status` "
        "lists them; the receipt in the return report has the ID too",
    ),
    "a withdrawal of a mistyped participant": Mistake(
        f"withdraw {MISTYPED} --workspace W",
        "participant identifier: expected P, 12 characters of 0123456789ABCDEFGHJKMNPQRSTVWXYZ and a check character, "
        "found a wrong check character; copy it again from where it was issued",
    ),
    "a registry that was not imported": Mistake(
        "deliver inbox/HB-Kim --workspace NEW",
        "delivery.yaml: institution: expected an institution that has registered participants, under the name of its "
        "registration table, found a registry without any participant; import a registration table; then give the same "
        "delivery again",
    ),
    "an unknown institution": Mistake(
        "deliver inbox/HB-Kim --workspace W",
        "delivery.yaml: institution: expected an institution that has registered participants, under the name of its "
        "registration table, found one that has registered nobody; correct the name, or import its registration first; "
        "then give the same delivery again",
    ),
    "a misspelt key": Mistake(
        "receive inbox/HB-Kim --workspace NEW --config misspelt.yaml",
        "misspelt.yaml: cohort: expected one of the keys min_gq, min_dp, min_het_percent, gq_bands, max_contradicting, "
        "min_batch, contig_aliases, ignore_contigs, found min_gp; did you mean min_gq?",
    ),
    "a misspelt value": Mistake(
        "receive inbox/HB-Kim --workspace NEW --config value.yaml",
        "value.yaml: aligner: expected one of bwa, bwa-mem2, minimap2, found 'bwamem2'; did you mean bwa-mem2?",
    ),
    "no configuration": Mistake(
        "receive inbox/HB-Kim --workspace fresh",
        "config.yaml: expected a configuration in the workspace, or one given by --config, found none; write "
        "`reference: PATH` into config.yaml of the workspace, or correct --workspace",
    ),
    "a reference that is not there": Mistake(
        "cohort init --cohort c2 --reference GRCh38.fa", "GRCh38.fa: expected a reference FASTA, found no such file"
    ),
    "a reference that cannot be indexed": Mistake(
        "cohort init --cohort c2 --reference gzipped.fa.gz",
        "gzipped.fa.gz: expected a FASTA that samtools faidx can index, found one that it cannot; compress with bgzip, "
        "not gzip, or leave it plain",
    ),
    "another ending": Mistake(
        "export --workspace W --format vcf --output x.bcf",
        "--output: expected a name that ends in .vcf or .vcf.gz for --format vcf, found 'x.bcf'",
    ),
    "a snapshot that is not there": Mistake(
        "query --workspace W --region chr20 --snapshot 9",
        "--snapshot: expected one of the cohort's snapshots (1), found 9",
    ),
    "a misspelt purpose": Mistake(
        "query --workspace W --region chr20 --purpose comercial",
        "--purpose: expected research, commercial, overseas, or several with commas, found another word; name a "
        "project in BAEKMAN_PURPOSE",
    ),
    "a misspelt command": Mistake("querry", "Error: No such command 'querry'. Did you mean 'query'?", code=2),
    "an option before the command": Mistake(
        "--workspace W status", "Error: No such option: --workspace. Put it after the command", code=2
    ),
    "an option before the command of a group": Mistake(
        "audit --workspace W head", "Error: No such option: --workspace. Put it after the command", code=2
    ),
    "an option without its value": Mistake(
        f"query --workspace W --tables --participant {ONE}",
        "Error: Invalid value for --tables: expected a value, found the option --participant",
        code=2,
    ),
    "a reason that asks for help": Mistake(
        f"hold accept {SPECIMEN} --workspace W --reason --help",
        "Error: Invalid value for --reason: expected a value, found the option --help",
        code=2,
    ),
    "JSON of a query": Mistake(
        "query --workspace W --region chr20 --json",
        "Error: No such option: --json (Possible options: --format json)",
        code=2,
    ),
    "a format of snapshots": Mistake(
        "cohort snapshots --workspace W --format json", "Error: No such option: --format (Possible options: --json)", 2
    ),
    "threads": Mistake(
        "export --workspace W --format bcf --output x.bcf --threads 4",
        "Error: No such option: --threads (Possible options: --workers)",
        code=2,
    ),
    "the samples of bcftools": Mistake(
        "export --workspace W --format bcf --output x.bcf -s P1",
        "Error: No such option: -s (Possible options: --participants)",
        code=2,
    ),
    "jobs of a delivery": Mistake(
        "deliver inbox/HB-Kim --workspace W -j 2", "Error: No such option: -j (Possible options: --cores)", code=2
    ),
    "a region as argument": Mistake(
        "query --workspace W chr20:1,001",
        "Error: Got unexpected extra argument(s) (chr20:1,001). Did you mean --region chr20:1,001?",
        code=2,
    ),
    "an allele as argument": Mistake(
        "query --workspace W chr20:1001:A:T",
        "Error: Got unexpected extra argument(s) (chr20:1001:A:T). Did you mean --carriers chr20:1001:A:T?",
        code=2,
    ),
    "an rsID as argument": Mistake(
        "query --workspace W rs334",
        "Error: Got unexpected extra argument(s) (rs334). Did you mean --rsid rs334?",
        code=2,
    ),
    "a region next to SQL": Mistake(
        "query --workspace W --sql 'FROM sites' --region chr20",
        "Error: Invalid value: --sql goes without other questions: give --region, --participant, --gene, --rsid or "
        "several of them, or else --carriers, or --sql",
        code=2,
    ),
    "carriers in groups": Mistake(
        "query --workspace W --region chr20 --carriers --by sex",
        "Error: Invalid value for --by: goes with --region, --gene and --rsid, not with --carriers",
        code=2,
    ),
    "several participants": Mistake(
        f"query --workspace W --participant {ONE},{ONE}",
        f"--participant: expected a participant of the cohort, found several IDs; {LIST_IDS}",
    ),
    "a region from right to left": Mistake(
        "query --workspace W --region chr20:900-100",
        "--region: expected a start of at least 1 and an end at or after it, found 900-100; e.g. chr20:1000-2000",
    ),
    "a spreadsheet": Mistake(
        "query --workspace W --region chr20 --output sites.xlsx",
        "--output: expected a name that ends in .tsv, .csv, .json, .parquet, or --format, found .xlsx; CSV opens in a "
        "spreadsheet",
    ),
    "a folder as answer": Mistake(
        "query --workspace W --region chr20 --output small",
        "--output: expected a file, found a folder; add a name",
    ),
    "a table of SQL that is none": Mistake(
        "query --workspace W --sql 'FROM site'",
        "--sql: expected SQL over the views sites, calls, reference and participants, found Catalog Error: Table with "
        'name site does not exist! Did you mean "sites"?',
    ),
    "a name that is near an internal table": Mistake(
        "query --workspace W --sql 'FROM members2'",
        "--sql: expected SQL over the views sites, calls, reference and participants, found Catalog Error: Table with "
        "name members2 does not exist!",
    ),
    "an empty table of one's own": Mistake(
        "query --workspace W --with empty.csv --sql 'FROM empty'",
        "empty.csv: expected a column participant_id, or contig and pos, found an empty file; name the column of IDs "
        "participant_id",
    ),
    "a table of one's own in Korean letters of Windows": Mistake(
        "query --workspace W --with cp949.csv --sql 'FROM cp949'",
        "cp949.csv: line 2: expected a table in CSV, TSV or Parquet: UTF-8, a header, the same columns in each line, "
        "found other content; save it again as CSV in UTF-8",
    ),
    "compressed VCF": Mistake(
        "export --workspace W --format vcf.gz --output x.vcf.gz",
        "--format: expected one of vcf, bcf, pgen, zarr, found 'vcf.gz'; did you mean vcf?",
    ),
    "a format of plink": Mistake(
        "export --workspace W --format bed --output x.bed",
        "--format: expected one of vcf, bcf, pgen, zarr, found 'bed'; did you mean pgen?",
    ),
    "tables into the workspace": Mistake(
        "tables --workspace W --output W",
        "--output: expected a new folder, or a folder of tables, found a workspace; add a name: the tables of a "
        "workspace are in its folder tables",
    ),
    "tables into a freeze": Mistake(
        "tables --workspace W --output frozen",
        "--output: expected a new folder, or a folder of tables, found a freeze",
    ),
    "a freeze into the cohort": Mistake(
        "cohort freeze --workspace W --output W/cohort",
        "--output: expected a new folder, or one with a freeze of this snapshot, found the cohort store itself, or "
        "another; choose another folder: a freeze is never overwritten",
    ),
    "a freeze into a freeze": Mistake(
        "cohort freeze --workspace W --output frozen/again",
        "--output: expected a new folder, or one with a freeze of this snapshot, found a folder inside of a freeze; "
        "choose another folder: a freeze is never overwritten",
    ),
    "a freeze that is not there": Mistake(
        "verify --freeze nowhere",
        "--freeze: expected a freeze, found no such folder; give the folder that `baekman cohort freeze` wrote",
    ),
    "a workspace as freeze": Mistake(
        "verify --freeze W",
        "--freeze: expected a freeze, found a workspace; give the folder that `baekman cohort freeze` wrote",
    ),
    "a freeze without its cohort": Mistake(
        "cohort verify --freeze frozen",
        "--workspace: expected the workspace, or --cohort, that the freeze is of, found none; `baekman verify --freeze "
        "DIR` verifies a freeze that stands alone",
    ),
    "a report as PDF": Mistake(
        "cohort report --workspace W --output report.pdf",
        "Error: Invalid value for '--output' / '-o': expected a name that ends in .html: a browser prints the page as "
        "PDF",
        code=2,
    ),
    "the sheet of a delivery": Mistake(
        "deliver inbox/HB-Kim/delivery.yaml --workspace W",
        "Error: Invalid value for 'DELIVERY': expected a folder, found a file; give the folder that it lies in",
        code=2,
    ),
    "a folder as registration table": Mistake(
        "registry import small --workspace W", "small: expected a file, found a folder; give the table in it"
    ),
    "a workspace in a workspace": Mistake(
        "registry init --workspace W/registry/new",
        "--workspace: expected a folder outside of other workspaces, found one inside of a workspace; its workspace is "
        "a folder above it: --workspace W",
    ),
    "a tab in a configuration": Mistake(
        "receive inbox/HB-Kim --workspace NEW --config tab.yaml",
        "tab.yaml: line 1, column 8: expected YAML, found character '\\t' that cannot start any token",
    ),
    "a report on an empty cohort": Mistake(
        "cohort report --cohort void --output page.html",
        "cohort: expected a snapshot, found none; add a batch with `baekman cohort add`",
    ),
    "an audit log of nothing": Mistake(
        "audit verify --workspace V", f"--workspace: expected a workspace, found no such folder; {MAKE_ONE}"
    ),
}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the mistakes are made."""
    ground = tmp_path_factory.mktemp("ground")
    workspace = example_workspace(ground)
    small = write_reference(ground / "small")
    for place, reference in ((workspace, ground / "ref.fa"), (ground / "NEW", small)):
        create_registry(place)
        (place / "config.yaml").write_text(f"reference: {reference}\nreference_name: {small.stem}\n")
    (ground / "package").mkdir()
    (ground / "package" / "manifest.dsse.json").touch()
    table = write_registrations(ground / "registration.tsv", [registration("L-1", 1, institution="Hanbit")])
    import_registrations(open_registry(workspace), [table])
    simple_delivery(ground / "inbox" / "HB-Kim", small, "L-1")
    for folder in ("emr", "fresh", "frozen/sites", "frozen/tables"):
        (ground / folder).mkdir(parents=True)
    (ground / "emr" / "records.yaml").write_text("delivery: R-1\n")
    text = next(ground.glob(f"{ONE}.g.vcf")).read_text()
    (ground / "PX.g.vcf").write_text(text.replace("chr20", "20"))
    (ground / "PX.g.vcf.gz").write_bytes(gzip.compress(text.encode()))
    (ground / "gzipped.fa.gz").write_bytes(gzip.compress(b">c\nACGT\n"))
    (ground / "other_names.tsv").write_text("PX\tPX.g.vcf\n")
    (ground / "header.tsv").write_text("sample\tpath\nPX\tPX.g.vcf\n")
    (ground / "spaces.tsv").write_text("PX PX.g.vcf\n")
    (ground / "empty.csv").touch()
    (ground / "tab.yaml").write_text("cohort:\tmin_gq\n")
    create_store(ground / "void", reference=small)
    (ground / "cp949.csv").write_bytes(f"participant_id,diagnosis\n{ONE},당뇨\n".encode("cp949"))
    (ground / "misspelt.yaml").write_text("reference: small/tiny.fa\ncohort: {min_gp: 20}\n")
    (ground / "value.yaml").write_text("reference: small/tiny.fa\naligner: bwamem2\n")
    return ground


def run(ground: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    """Run a command in this process as ``cli.main`` does; return its exit code, stdout and stderr."""
    monkeypatch.chdir(ground)
    monkeypatch.delenv("BAEKMAN_WORKSPACE", raising=False)
    groups.register(app)
    result = CliRunner().invoke(app, shlex.split(command))
    if isinstance(result.exception, InputRefused):
        return EXIT_REFUSED, result.stdout, "".join(f"refused: {each}\n" for each in result.exception.problems)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("name", MISTAKES)
def test_an_ordinary_mistake_is_named_first(ground: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command, message, code = MISTAKES[name]
    exit_code, stdout, stderr = run(ground, command, monkeypatch)
    assert (exit_code, stdout) == (code, "")
    if code == 2:
        assert stderr.splitlines()[-1] == message
    else:
        assert stderr == f"refused: {message}\n"
    assert "HB-" not in stderr


def test_more_cores_than_there_are_are_noted(ground: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, stderr = run(ground, "watch inbox --workspace NEW --once --cores 4096", monkeypatch)
    assert stderr.splitlines()[0] == (
        f"note: --cores 4096, and this machine has {CORES}: jobs share them; without --cores all are used"
    )


def test_an_old_python_is_named(tmp_path: Path) -> None:
    python = tmp_path / "python3.9"
    python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    python.chmod(0o755)
    done = subprocess.run(
        [PROJECT / "scripts" / "setup_venv.sh", python, tmp_path / "venv"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Python 3.11 or newer is needed; {python} is Python 3.9.2\n"
        "Name one that is: make PYTHON=/path/to/python3.11 ...\n"
    )
    assert not (tmp_path / "venv").exists()
