"""The command line that others call: every command is there and shows an example."""

from __future__ import annotations

import ast
import json
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
from baekman.registry.records import create_registry
from support.store_tools import baekman, gvcf_text, line, write_list, write_reference
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
        "names = {name for name in sys.modules if name.startswith('baekman.cli.')};"
        "print(sorted(name for name in names if '.step' not in name), 'pysam' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "['baekman.cli.options', 'baekman.cli.shared', 'baekman.cli.shared.groups'] False\n"


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


def test_cohort_commands_print_json(tmp_path: Path) -> None:
    contigs = {"c": "ACGTACGTAC"}
    call = line(3, "G", "T,<NON_REF>", "0/1:60:18:9,9,0:60,0,70,80,90,99", contig="c")
    (tmp_path / "A.g.vcf").write_text(gvcf_text([call], contigs={"c": 10}))
    listed = write_list(tmp_path / "list.tsv", [("PA", tmp_path / "A.g.vcf")])
    cohort = create_store(tmp_path / "cohort", reference=write_reference(tmp_path / "ref.fa", contigs)).path

    def answer(*words: str | Path) -> object:
        return json.loads(baekman("cohort", *words, "--cohort", cohort, "--json").stdout)

    added = {"snapshot": 1, "participants": 1, "batch": "b", "waiting": 0}
    assert answer("add", "--batch", "b", "--gvcfs", listed) == added
    (listed_snapshot,) = answer("snapshots")  # type: ignore[misc]
    del listed_snapshot["content"]
    assert listed_snapshot == {"snapshot": 1, "participants": 1, "batches": ["b"]}
    frozen = {"snapshot": 1, "participants": 1, "output": str(tmp_path / "f")}
    assert answer("freeze", "--output", tmp_path / "f") == frozen
    assert answer("verify") == {"is_whole": True, "findings": []}
    assert answer("withdraw", "PA", "PB") == {
        "snapshot": 2, "participants": 0, "withdrawn": ["PA"], "not_in_cohort": ["PB"],
    }  # fmt: skip
    (cohort / "shards.tsv").unlink()
    done = baekman("cohort", "verify", "--cohort", cohort, "--json", check=False)
    assert done.returncode == 3 and done.stdout == ""


def test_a_whole_workspace_and_the_doctor_print_json(runner: CliRunner, tmp_path: Path) -> None:
    create_registry(tmp_path)
    whole = runner.invoke(app, ["verify", "--workspace", str(tmp_path), "--json"])
    parts = json.loads(whole.stdout)
    assert whole.exit_code == 0 and {part["state"] for part in parts} == {"whole"}
    assert {"workspace", "registry", "audit log"} <= {part["part"] for part in parts}
    (tmp_path / "audit" / "events.jsonl").write_text("{}\n")
    damaged = runner.invoke(app, ["verify", "--workspace", str(tmp_path), "--json"])
    (log,) = (part for part in json.loads(damaged.stdout) if part["part"] == "audit log")
    assert damaged.exit_code in (1, 3) and log["state"] != "whole" and log["findings"]
    done = runner.invoke(app, ["doctor", "--workspace", str(tmp_path), "--json"])
    checks = {check["check"]: check for check in json.loads(done.stdout)}
    assert done.exit_code == 1 and checks["configuration"]["state"] == "bad"
    assert set(checks["configuration"]) == {"check", "state", "found", "remedy"}


def complete(typed: str, **environment: str) -> list[str]:
    """Return the words that bash shows for the last word of ``typed``."""
    words = typed.split(" ")
    asked = {"_BAEKMAN_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (asked | environment).items():
            patch.setenv(name, value)
        return baekman(check=False).stdout.split()


def test_a_shell_completes_commands_options_and_ids_of_deliveries(tmp_path: Path) -> None:
    for name in ("D000000000001X", "D000000000002X"):
        (tmp_path / "deliveries" / name).mkdir(parents=True)
    assert complete("baekman wi") == ["withdraw"]
    assert complete("baekman cohort com") == ["compact"]
    assert complete("baekman cohort add --wo") == ["--workers", "--workspace"]
    in_workspace = {"BAEKMAN_WORKSPACE": str(tmp_path)}
    assert complete("baekman status --delivery ", **in_workspace) == ["D000000000001X", "D000000000002X"]
    assert complete(f"baekman hold list --workspace {tmp_path} --delivery D000000000002") == ["D000000000002X"]
    assert complete("baekman return-report D", BAEKMAN_WORKSPACE=str(tmp_path / "none")) == []
    assert "complete -o default -F _baekman_completion baekman" in baekman("completion", "bash").stdout
    of_zsh = baekman("completion", "zsh").stdout.splitlines()  # `compdef` is there in a new ~/.zshrc too
    assert of_zsh[:2] == ["#compdef baekman", "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }"]
