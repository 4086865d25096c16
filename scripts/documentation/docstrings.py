"""An extension of griffe, which reads docstrings for the site: examples of one command are examples too."""

from __future__ import annotations

import re
from typing import Any

import griffe

_HEADING = re.compile(r"^(\s*)(?:Example|The examples of the methods go on from this one):$", re.MULTILINE)


class ExamplesAreCode(griffe.Extension):
    """Make ``Example:`` of a docstring the section ``Examples:``, the only one that griffe reads as code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the heading in the docstring of ``obj``."""
        if obj.docstring:
            obj.docstring.value = _HEADING.sub(r"\1Examples:", obj.docstring.value)
