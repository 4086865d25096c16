"""The tables of the reference on settings, reasons and exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from baekman import errors
from baekman.call import gate as call_gate
from baekman.config.schema_errors import read_schema
from baekman.intake.reasons import REASON_KINDS
from baekman.qc import gate as qc_gate
from baekman.qc.thresholds import load_thresholds
from baekman.records.intake import reasons as records_reasons
from baekman.verdicts import PROCESS_AGAIN
from baekman.workspace.runs import failures
from documentation.markdown import code, table

_TYPES = {"string": "text", "boolean": "truth value", "array": "list", "object": "mapping"}
_LIMITS = {
    "hold_below": "hold below {}",
    "hold_from": "hold from {}",
    "reject_below": "reject below {}",
    "reject_above": "reject above {}",
}
_EFFECTS = {"row": "the row is left out", "participant": "nothing of the participant is taken"}


def settings(rules: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the dotted key and the rule of each setting of ``rules``, the properties of a schema."""
    for key, rule in rules.items():
        if "properties" in rule:
            yield from settings(rule["properties"], f"{prefix}{key}.")
        elif not key.startswith("$"):
            yield prefix + key, rule


def _type(rule: Mapping[str, Any]) -> str:
    """Return the values that ``rule`` allows, in words."""
    if "enum" in rule:
        return ", ".join(code(value) for value in rule["enum"])
    types = [rule["type"]] if isinstance(rule["type"], str) else list(rule["type"])
    words = " or ".join(_TYPES.get(name, name) for name in types)
    least, most = rule.get("minimum"), rule.get("maximum")
    if least is not None and most is not None:
        return f"{words}, {least} to {most}"
    return f"{words}, at least {least}" if least is not None else words


def _default(rule: Mapping[str, Any]) -> str:
    if "default" not in rule:
        return "none"
    value = rule["default"]
    return code(value if isinstance(value, str) else json.dumps(value))


def _link(target: str) -> str:
    """Return the link to ``target``, a path in the repository, from config/README.md."""
    path, _, anchor = target.partition("#")
    words = anchor.replace("-", " ") or path
    return f"[{words}]({'#' + anchor if path == 'config/README.md' else '../' + target})"


def configuration_table() -> str:
    """Return the table of the settings of the configuration, for config/README.md."""
    rows = []
    for key, rule in settings(read_schema("config")["properties"]):
        more = f" See {_link(rule['see'])}." if "see" in rule else ""
        meaning = rule["description"] + more
        rows.append((code(key), _default(rule), rule["applies"], _type(rule), meaning, rule.get("source", "")))
    return table(["Key", "Default", "Applies", "Values", "Meaning", "Source of the default"], rows)


def exit_codes_table() -> str:
    """Return the table of exit codes."""
    rows = [(", ".join(map(str, codes)), *texts) for codes, texts in errors.EXIT_CODES.items()]
    return table(["Exit code", "Meaning", "What to do"], rows)


def intake_table() -> str:
    """Return the table of the reasons of the intake gate."""
    rows = [(code(name), kind.severity, kind.meaning, kind.action or "nothing") for name, kind in REASON_KINDS.items()]
    return table(["Code", "Severity", "Found", "Next step"], rows)


def records_table() -> str:
    """Return the table of the reasons to refuse a row of records."""
    every = {column for _, column in records_reasons.FAULTS}
    rows = []
    for name, kind in records_reasons.REASON_KINDS.items():
        columns = [column for reason, column in records_reasons.FAULTS if reason == name]
        shown = "all" if set(columns) | {"unit"} == every else code(" ".join(columns))
        rows.append((code(name), shown, _EFFECTS[kind.effect], kind.meaning, kind.action))
    return table(["Reason", "Columns", "Effect", "Found", "What to do"], rows)


def qc_table() -> str:
    """Return the table of the reasons of the QC gate, with the limits of the package."""
    thresholds = load_thresholds()
    limits: dict[str, list[str]] = {}
    actions: dict[str, list[str]] = {}
    for metric, values in thresholds.metrics.items():
        name, action = qc_gate.CODES.get(metric, qc_gate.BREADTH)
        words = [_LIMITS[key].format(f"{value:g}") for key, value in values.items() if value is not None]
        limits.setdefault(name, []).append(f"{code(metric)}: {', '.join(words) or 'off'}")
        actions.setdefault(name, []).append(action)
    rows = []
    for name, meaning in qc_gate.MEANINGS.items():
        severity = thresholds.findings.get(name, "hold" if name.endswith("_lost") else "note")
        advice = [PROCESS_AGAIN] if name.endswith("_lost") else [qc_gate.ACTIONS.get(name, "nothing")]
        shown = "; ".join(dict.fromkeys(actions.get(name, advice)))
        rows.append((code(name), "; ".join(limits.get(name, [severity])), meaning, shown))
    rows.append((code(failures.NOT_PROCESSED), "hold", failures.MEANING, PROCESS_AGAIN))
    return table(["Code", "Severity", "Found", "Next step"], rows)


def call_table() -> str:
    """Return the table of the reasons of the gate of calling."""
    meanings = call_gate.MEANINGS | {failures.NOT_PROCESSED: failures.MEANING}
    return table(
        ["Code", "Severity", "Found", "Next step"],
        [
            (code(name), "hold", meaning, call_gate.ACTIONS.get(name, PROCESS_AGAIN))
            for name, meaning in meanings.items()
        ],
    )


def regions() -> dict[str, str]:
    """Return the tables of this module in hand-written pages, by the name of their region."""
    return {
        "configuration": configuration_table(),
        "exit codes": exit_codes_table(),
        "reasons of intake": intake_table(),
        "reasons of records": records_table(),
    }


def reasons_page() -> str:
    """Return the page of reason codes and exit codes."""
    parts = [
        "# Reason codes and exit codes\n",
        "A verdict of a gate is the worst severity of its reasons: `note` (accept), `hold` or `reject`. Verdicts are\n"
        "in `deliveries/D…/report/verdicts.html` and `.tsv`, those for the institution in the return report. A person\n"
        "may decide on a held specimen ([operating](../operating.md#decisions-on-held-specimens)).\n",
        "## Intake\n",
        intake_table(),
        "## QC\n",
        "Limits are those of the package ([the file](../../config/qc_thresholds.yaml) names the origin of each);\n"
        "`qc_thresholds` of the [configuration](../../config/README.md) sets others. A reason that follows from\n"
        "another one is a note: a specimen fails for one reason.\n",
        qc_table(),
        "## Calling\n",
        call_table(),
        "## Records\n",
        records_table(),
        "## Exit codes\n",
        "Of every command. `snakemake` alone has 0 and 1 only.\n",
        exit_codes_table(),
    ]
    return "\n".join(parts)
