"""What a measure has found."""

from collections.abc import Sequence
from dataclasses import dataclass, field


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
