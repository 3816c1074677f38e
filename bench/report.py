"""What was found, and the report of it as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.bars import BARS

DOCUMENT = Path(__file__).parent.parent / "docs" / "bench.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass
class Table:
    """A table of the report: a heading, how it was measured, columns, and rows of cells."""

    heading: str
    method: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Findings:
    """``values`` have the names of ``bars.BARS`` and their units; tables show the rest."""

    values: dict[str, float] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)

    def add(self, more: "Findings") -> None:
        """Take in what another measure has found."""
        self.values.update(more.values)
        self.tables += more.tables


def missed(findings: Findings) -> list[str]:
    """The names of the bars that ours did not keep."""
    return [name for name, value in findings.values.items() if value > BARS[name].limit]


def markdown(findings: Findings, machine: str) -> str:
    """The whole report: what was promised, then all that was found."""
    failed = missed(findings)
    rows = [
        [
            name,
            amount(findings.values[name], bar.unit),
            amount(bar.limit, bar.unit),
            "**missed**" if name in failed else "kept",
        ]
        for name, bar in BARS.items()
        if name in findings.values
    ]
    promises = Table("Bars", machine, ["ours", "measured", "at most", ""], rows)
    return "\n".join(map(table, [promises, *findings.tables]))


def table(of: Table) -> str:
    """A heading, how it was measured, and the table."""
    lines = [f"## {of.heading}", "", of.method, ""]
    lines += [line(of.columns), line(["---"] * len(of.columns))]
    lines += [line(row) for row in of.rows]
    return "\n".join(lines) + "\n"


def line(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def amount(value: float, unit: str) -> str:
    """A value with its unit; ratios have none."""
    places = 3 if unit == "ratio" else 2
    number = f"{value:.{places}f}".rstrip("0").rstrip(".")
    return number if unit == "ratio" else f"{number} {unit}"


def write(text: str) -> None:
    """Put the report into the document, between its two markers."""
    document = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")
