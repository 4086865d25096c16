"""Check that every package of some requirements files is installed in exactly the pinned version."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def is_installed(requirement: str) -> bool:
    """Return whether ``name==version`` is installed."""
    name, wanted = requirement.split("==")
    try:
        return version(name) == wanted
    except PackageNotFoundError:
        return False


def main() -> int:
    """Return 0 when all packages are installed, else 1."""
    lines = [line for file in sys.argv[1:] for line in Path(file).read_text(encoding="utf-8").splitlines()]
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return 0 if all(is_installed(requirement) for requirement in wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
