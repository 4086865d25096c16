"""The command line that others call: every command is there and shows an example."""

from __future__ import annotations

import ast
import stat
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
import typer
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.cli.shared.opening import BARE
from baekman.cohort.store import create_store
from support.store_tools import baekman, write_reference
from typer.testing import CliRunner

COMMANDS = (
    "deliver", "receive", "watch", "tables", "export", "query", "leakscan", "withdraw",
    "registry init", "registry import", "registry show", "registry consent", "registry withdraw",
    "cohort init", "cohort add", "cohort snapshots", "cohort verify", "cohort withdraw", "cohort compact",
    "cohort freeze", "audit verify",
)  # fmt: skip


@pytest.fixture(scope="module")
def runner() -> CliRunner:
    groups.register(app)
    return CliRunner()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there_and_has_an_example(runner: CliRunner, command: str) -> None:
    result = runner.invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0, result.output
    assert "Example" in result.output


def test_help_lists_every_command_once_under_a_head(runner: CliRunner) -> None:
    shown = runner.invoke(app, ["--help"]).output
    names = [line.split()[0] for line in shown.partition("Options:")[2].splitlines() if line.startswith("  ")][2:]
    heads = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")][1:]
    assert heads == [f"{head}:" for head in groups.HEADS]
    expected = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert sorted(names) == sorted(expected)
    assert expected == {name for head in groups.HEADS.values() for name in head}


def test_every_command_can_be_quiet_except_those_of_jobs(runner: CliRunner) -> None:
    for command in COMMANDS:
        assert "-q, --quiet" in runner.invoke(app, [*command.split(), "--help"]).output, command
    assert "--quiet" not in runner.invoke(app, ["step", "tables", "--help"]).output


@pytest.mark.parametrize(("options", "notes"), [((), [BARE]), (("--quiet",), [])])
def test_quiet_prints_only_results(tmp_path: Path, options: tuple[str, ...], notes: list[str]) -> None:
    cohort = create_store(tmp_path / "cohort", reference=write_reference(tmp_path / "ref.fa", {"c": "ACGT"})).path
    done = baekman("cohort", "verify", "--cohort", cohort, *options)
    assert (done.stdout, done.stderr.splitlines()) == ("", notes)


@pytest.mark.parametrize("command", ["deliver", "watch"])
def test_a_missing_profile_is_refused_before_any_work(runner: CliRunner, command: str, tmp_path: Path) -> None:
    result = runner.invoke(app, [command, str(tmp_path), "--workspace", str(tmp_path / "w"), "--profile", "slrum"])
    assert result.exit_code == 2 and "no such folder, nor one of ci, default, slurm" in " ".join(result.output.split())
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("scheduler", ["slurm", "slurm:", "slurm:0", "slurm:x", "slurm 4"])
def test_a_slip_in_the_scheduler_is_refused_before_any_work(runner: CliRunner, scheduler: str, tmp_path: Path) -> None:
    arguments = ["--cohort", str(tmp_path / "cohort"), "--batch", "b", "--gvcfs", "list.tsv", "--scheduler", scheduler]
    result = runner.invoke(app, ["cohort", "add", *arguments])
    assert result.exit_code == 2
    assert "expected slurm:N, N workers from 1 to 99999, as in slurm:40" in " ".join(result.output.split())


def test_only_the_group_of_the_command_is_loaded() -> None:
    """Each of a workflow's hundred jobs starts the command line again."""
    program = (
        "import sys; from baekman.cli import app; from baekman.cli.shared import groups;"
        "groups.register(app, first='step');"
        "print(sorted(name for name in sys.modules if name.startswith('baekman.cli.')), 'pysam' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert (
        done.stdout
        == "['baekman.cli.options', 'baekman.cli.shared', 'baekman.cli.shared.groups', 'baekman.cli.step'] False\n"
    )


def test_a_batch_is_added_without_packages_that_load_slowly(tmp_path: Path) -> None:
    (tmp_path / "ref.fa").write_text(">c\nACGTACGTAC\n")
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS\n"
    row = "c\t3\t.\tG\tT,<NON_REF>\t50\t.\t.\tGT:AD:DP:GQ:PL\t0/1:9,9,0:18:60:60,0,70,80,90,99\n"
    (tmp_path / "A.g.vcf").write_text(head + row)
    program = (
        "import sys; from baekman.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'pandas', 'duckdb', 'dask', 'pysam', 'rich', 'scipy', 'polars', 'sqlalchemy'}"
        " & set(sys.modules)))"
    )

    def run(*arguments: str) -> str:
        command = [sys.executable, "-c", program, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]

    cohort = str(tmp_path / "cohort")
    run("cohort", "init", "--cohort", cohort, "--reference", str(tmp_path / "ref.fa"))
    for name in "PQ":  # the first sites, and sites added to them
        (tmp_path / "list.tsv").write_text(f"{name}\tA.g.vcf\n")
        added = run("cohort", "add", "--cohort", cohort, "--batch", name, "--gvcfs", str(tmp_path / "list.tsv"))
        assert added == "[]"
    bcf = str(tmp_path / "all.bcf")
    exported = run("export", "--cohort", cohort, "--format", "bcf", "--output", bcf)
    assert not {"duckdb", "dask", "scipy", "polars", "sqlalchemy"} & set(ast.literal_eval(exported))


def test_tables_of_chosen_participants_hold_their_rows(tmp_path: Path) -> None:
    (tmp_path / "ref.fa").write_text(">c\nACGTACGTAC\n")
    head = "##fileformat=VCFv4.2\n##contig=<ID=c,length=10>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS\n"
    for name in "AB":
        (tmp_path / f"{name}.g.vcf").write_text(
            head + "c\t3\t.\tG\tT,<NON_REF>\t50\t.\t.\tGT:AD:DP:GQ:PL\t0/1:9,9,0:18:60:60,0,70,80,90,99\n"
        )
    (tmp_path / "list.tsv").write_text("PA\tA.g.vcf\nPB\tB.g.vcf\n")
    cohort = str(tmp_path / "cohort")

    def baekman(*arguments: str) -> str:
        command = [str(Path(sys.executable).parent / "baekman"), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    baekman("cohort", "init", "--cohort", cohort, "--reference", str(tmp_path / "ref.fa"))
    baekman("cohort", "add", "--cohort", cohort, "--batch", "b", "--gvcfs", str(tmp_path / "list.tsv"))
    stdout = baekman("tables", "--cohort", cohort, "--output", str(tmp_path / "t"), "--participants", "PB")
    assert stdout == "1\n"
    names = sorted(path.relative_to(tmp_path / "t").as_posix() for path in (tmp_path / "t").rglob("*.parquet"))
    assert names == ["reference/B_/PB.parquet", "variants/B_/PB.parquet"]
    table = pl.from_arrow(pq.read_table(tmp_path / "t" / "variants" / "B_" / "PB.parquet"))
    assert isinstance(table, pl.DataFrame)
    assert table.select("participant_id", "contig", "pos", "ref", "alt", "copies").rows() == [
        ("PB", "c", 3, "G", "T", 1)
    ]


def test_an_interrupted_command_shows_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "ref.fa").write_text(">c\nACGTACGTAC\n")
    code = (
        # a background job ignores the signal
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from baekman.cohort import store;"
        "store.create_store = lambda *_a, **_k: signal.raise_signal(signal.SIGINT);"
        "from baekman.cli import main; main()"
    )
    arguments = ["cohort", "init", "--cohort", str(tmp_path / "cohort"), "--reference", str(tmp_path / "ref.fa")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted: run the same command again to go on\n"


def test_a_refusal_by_the_system_is_reported_in_its_words_with_the_path_as_typed(tmp_path: Path) -> None:
    (tmp_path / "ref.fa").write_text(">c\nACGTACGTAC\n")
    (tmp_path / "file").touch()
    command = [str(Path(sys.executable).parent / "baekman"), "cohort", "init"]
    options = ["--cohort", "file/cohort", "--reference", "ref.fa"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "failed: FileExistsError: File exists: file (set BAEKMAN_TRACEBACK=1 to see where)\n"


@pytest.mark.parametrize(("before", "file", "folder"), [(0o022, 0o640, 0o750), (0o077, 0o600, 0o700)])
def test_files_are_readable_for_the_owner_and_the_group_only(
    tmp_path: Path, before: int, file: int, folder: int
) -> None:
    (tmp_path / "ref.fa").write_text(">c\nACGTACGTAC\n")
    command = [str(Path(sys.executable).parent / "baekman"), "cohort", "init"]
    subprocess.run([*command, "--cohort", "c", "--reference", "ref.fa"], check=True, cwd=tmp_path, umask=before)
    modes = {
        path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "c", *(tmp_path / "c").rglob("*")]
    }
    assert modes == {True: folder, False: file}
