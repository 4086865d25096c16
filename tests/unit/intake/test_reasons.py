"""The documentation lists every reason of the intake gate."""

from __future__ import annotations

import re

from baekman.intake.reasons import REASON_KINDS
from support import PROJECT

PAGE = PROJECT / "docs" / "deliveries.md"


def test_the_page_for_institutions_lists_every_reason_with_its_severity_and_action() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .+ \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(code, kind.severity, kind.action or "nothing") for code, kind in REASON_KINDS.items()]
