"""Files that come with the package: schemas, templates, default settings, PAR tables and the workflow."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

_FOLDER = Path(str(resources.files(__name__)))
_CHECKOUT = _FOLDER.parents[2]


def path(name: str) -> Path:
    """Return the path of the package's file or folder ``name`` (``config.yaml``, ``schemas/config.schema.json``)."""
    return _FOLDER / name


def text(name: str) -> str:
    """Return the text of the package's file ``name``."""
    return path(name).read_text(encoding="utf-8")


def workflow_folder() -> Path:
    """Return the folder of ``Snakefile``, ``rules/``, ``envs/`` and ``profiles/``.

    An installed package has its own copy, which ``setup.py`` makes. In a checkout it is the repository itself.
    """
    installed = path("workflow")
    return installed if installed.is_dir() else _CHECKOUT


def user_file(name: str) -> Path:
    """Return the path of ``config/<name>`` of the checkout, which users may edit, else of the package's default."""
    edited = workflow_folder() / "config" / name
    return edited if edited.is_file() else path(name)
