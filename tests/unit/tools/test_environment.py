"""Jobs inherit no place of the user's command and no path of a delivery."""

from __future__ import annotations

from pathlib import Path

from baekman.tools.environment import forget_places


def test_places_and_paths_of_a_delivery_are_forgotten(tmp_path: Path) -> None:
    delivery, other = tmp_path / "in" / "d", tmp_path / "in" / "d-2"
    delivery.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    typed = tmp_path / "link" / "d"
    kept = {
        "HOME": str(tmp_path),
        "OTHER": f"{other}/x",
        "SUDO_UID": "1000",
        "SLURM_JOB_ID": "7",
        "BAEKMAN_REGISTRY": str(delivery / "registry"),
    }
    environment = {
        **kept,
        "PATH": f"/usr/bin:{delivery}/bin:/bin",
        "PWD": "/srv/hospital",
        "OLDPWD": "/srv",
        "_": "/usr/bin/env",
        "SUDO_COMMAND": "/usr/bin/baekman deliver 1",
        "SSH_CONNECTION": "10.0.0.1 2 10.0.0.2 22",
        "SLURM_SUBMIT_DIR": "/srv/hospital",
        "PBS_O_WORKDIR": "/srv/hospital",
        "A": str(delivery),
        "B": f"run {typed}/manifest.tsv now",
        "C": f"x={delivery}",
        "LD_LIBRARY_PATH": str(delivery),
    }
    forget_places(environment, typed)
    assert environment == {**kept, "PATH": "/usr/bin:/bin"}
    forget_places(environment)
    assert environment == {**kept, "PATH": "/usr/bin:/bin"}
