"""The address of a scheduler: with TLS, or allowed by name."""

from __future__ import annotations

import json
from pathlib import Path

import dask.config
import pytest
from baekman.engine.local import Engine
from baekman.engine.scheduler_address import scheduler_address
from baekman.errors import InputRefused
from support.store_tools import baekman

REFUSAL = (
    "--scheduler: expected a scheduler with TLS (tls://…), found one without (tcp://…); start it with TLS "
    "(docs/operating.md), use slurm:N, or give --insecure (BAEKMAN_INSECURE=1) where only you can reach it"
)


def scheduler_file(folder: Path, address: str) -> str:
    file = folder / "scheduler.json"
    file.write_text(json.dumps({"type": "Scheduler", "address": address}))
    return str(file)


@pytest.mark.parametrize("address", ["tls://10.0.0.1:8786", "wss://node:8786", "slurm:40"])
def test_an_address_with_tls_and_slurm_need_no_permission(address: str, tmp_path: Path) -> None:
    assert scheduler_address(address) == address
    assert Engine(scheduler=address).scheduler == address
    if address.startswith(("tls", "wss")):
        assert scheduler_address(scheduler_file(tmp_path, address)) == address


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "tcp://node1:8786", "node1:8786"])
def test_an_address_without_tls_is_refused_unless_insecure(address: str, tmp_path: Path) -> None:
    plain = address if address.startswith("tcp://") else f"tcp://{address}"
    for scheduler in (address, scheduler_file(tmp_path, address)):
        with pytest.raises(InputRefused) as refused:
            Engine(scheduler=scheduler)
        assert str(refused.value) == REFUSAL
        assert scheduler_address(scheduler, insecure=True) == plain
        assert Engine(scheduler=scheduler, insecure=True).scheduler == scheduler


@pytest.mark.parametrize("address", ["ws://node:1", "ucx://node:1", "inproc://1/2/3", "TCP://node:1"])
def test_other_protocols_without_tls_are_refused_too(address: str) -> None:
    with pytest.raises(InputRefused, match="expected a scheduler with TLS"):
        scheduler_address(address)


def test_the_default_scheme_of_dask_counts_for_an_address_without_one() -> None:
    with dask.config.set({"distributed.comm.default-scheme": "tls"}):
        assert scheduler_address("node1:8786") == "tls://node1:8786"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"address": 1}'])
def test_a_scheduler_file_without_an_address_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(InputRefused, match="found a file without an address"):
        scheduler_address(str(tmp_path / "file"))


def test_a_path_without_a_file_is_refused() -> None:
    with pytest.raises(InputRefused, match="found none of them; check the path"):
        scheduler_address("no/such/scheduler.json")


@pytest.mark.parametrize(
    "scheduler",
    ["slurm", "slurm:", "slurm:0", "slurm:-1", "slurm:x", "slurm:100000", "Slurm:4", "slurm 4", "slurm4", " slurm:4"],
)
@pytest.mark.parametrize("insecure", [False, True])
def test_a_slip_in_slurm_is_no_address(scheduler: str, insecure: bool) -> None:
    with pytest.raises(
        InputRefused, match="expected slurm:N, N workers from 1 to 99999, as in slurm:40, found another"
    ):
        scheduler_address(scheduler, insecure=insecure)


@pytest.mark.parametrize("scheduler", ["slurm-head:8786", "slurm.example.org:8786"])
def test_a_machine_may_be_named_like_slurm(scheduler: str) -> None:
    assert scheduler_address(scheduler, insecure=True) == f"tcp://{scheduler}"


def test_tls_without_certificates_is_refused() -> None:
    with (
        pytest.raises(InputRefused, match="expected a certificate and a key for TLS"),
        Engine(scheduler="tls://127.0.0.1:9").open(),
    ):
        raise AssertionError("there is no cluster")


def test_commands_refuse_the_variable_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAEKMAN_SCHEDULER", "tcp://127.0.0.1:9")
    (tmp_path / "delivery").mkdir()
    for command in (
        ("cohort", "verify", "--cohort", tmp_path / "cohort"),
        ("cohort", "freeze", "--cohort", tmp_path / "cohort"),
        ("tables", "--cohort", tmp_path / "cohort", "--output", tmp_path / "tables"),
        ("deliver", tmp_path / "delivery", "--workspace", tmp_path),
        ("watch", tmp_path / "delivery", "--workspace", tmp_path, "--once"),
    ):
        done = baekman(*command, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (3, "", f"refused: {REFUSAL}\n")
