"""Reports as text and as JSON."""

from __future__ import annotations

from typing import Any, Final

from tubepost_importer.report import Line, Report, Verdict
from tubepost_importer.source import printable

_SIGNS: Final = {
    Verdict.CONVERTED: "=",
    Verdict.NO_COUNTERPART: "-",
    Verdict.BY_HAND: "!",
    Verdict.NOT_READ: "x",
}
_WIDEST: Final = 100


def as_text(report: Report) -> str:
    """Every line with what became of it, then errors, Secrets, and a summary."""
    blocks = [_legend()]
    blocks += [_line(line) for line in report.lines]
    if report.faults:
        blocks.append("\nErrors:\n" + "\n".join(fault.pretty() for fault in report.faults))
    if report.problems:
        blocks.append("\nThe manifests would not be valid:\n" + "\n".join(f"  {p}" for p in report.problems))
    if report.secrets:
        blocks.append("\nSecrets that the manifests name, and how to make them:")
        for secret in report.secrets:
            blocks.append(f"  {printable(secret.command)}")
            if secret.note:
                blocks.append(f"    ({secret.note})")
        blocks.append("  (as a file for `tubepost run -f`: add --dry-run=client -o yaml)")
    blocks += [f"\nNote: {printable(note)}" for note in report.notes]
    return "\n".join([*blocks, "", summary(report), ""])


def summary(report: Report) -> str:
    """How many lines of each verdict."""
    counts = [
        f"{report.count(Verdict.CONVERTED)} converted",
        f"{report.count(Verdict.NO_COUNTERPART)} without counterpart",
        f"{report.count(Verdict.BY_HAND)} to look at by hand",
        f"{report.count(Verdict.NOT_READ)} not read",
    ]
    return f"Statements: {len(report.lines)}, of these {', '.join(counts)}. Errors: {len(report.faults)}."


def _legend() -> str:
    return "= converted   - no counterpart   ! needs a hand   x not read\n"


def _line(line: Line) -> str:
    where = f"{line.file}:{line.first}"
    source = printable(line.source)
    source = source if len(source) <= _WIDEST else source[: _WIDEST - 3] + "..."
    texts = [f"{_SIGNS[line.verdict]} {printable(where)}: {source}"]
    texts += [f"      {field}" for field in line.fields]
    texts += [f"      ({printable(note)})" for note in line.notes if note]
    return "\n".join(texts)


def as_document(report: Report) -> dict[str, Any]:
    """The same as a document, for JSON. Lines and columns count from 1."""
    return {
        "lines": [
            {
                "file": line.file,
                "line": line.first,
                "lastLine": line.last,
                "source": line.source,
                "verdict": line.verdict,
                "fields": [
                    {"kind": f.kind, "name": f.name, "field": f.path, "value": f.value} for f in line.fields
                ],
                "notes": [note for note in line.notes if note],
            }
            for line in report.lines
        ],
        "errors": [
            {
                "file": fault.place.file,
                "line": fault.place.line,
                "column": fault.place.column,
                "message": fault.message,
                "remedy": fault.remedy,
            }
            for fault in report.faults
        ],
        "problems": list(report.problems),
        "secrets": [
            {"name": s.name, "keys": dict(s.keys), "command": s.command, "note": s.note}
            for s in report.secrets
        ],
        "notes": list(report.notes),
        "summary": {verdict: report.count(verdict) for verdict in Verdict},
    }
