"""Tables in ``docs/`` that are made by the tests themselves.

A test hands over rows with the fixture ``publish``. They are shown at the end of the run, and
``--write-docs`` puts them into their document, between two marks with the name of the table.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from demo.snapshot import ROOT

ROW = "published row"

Publish = Callable[..., None]
Table = tuple[str, str]  # document, name

# What docs/proofs.md sums up at its head: in words, the table, and its column of numbers. The last
# column of each of these tables has what was lost, let in, or failed.
PROVED = [
    ("orders under load", "load", 1),
    ("orders while there are faults", "faults", 1),
    ("faults while orders are sent", "faults", 2),
    ("requests while a step is deployed", "steps", 2),
    ("attacks", "attacks", 1),
    ("requests made from the contract", "fuzz", 1),
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-docs", action="store_true", help="put the tables that this run makes into docs/"
    )


@pytest.fixture
def publish(record_property: Callable[[str, object], None]) -> Publish:
    """Hand over a row: ``publish("proofs.md", "load", "stage 3", "1,000 orders", ...)``."""

    def publish(document: str, table: str, *cells: str) -> None:
        record_property(ROW, [document, table, *cells])

    return publish


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return  # only some of the tests have run here
    tables: dict[Table, list[list[str]]] = {}
    for document, table, *cells in rows(terminalreporter):
        tables.setdefault((document, table), []).append(cells)
    if all(("proofs.md", table) in tables for _, table, _ in PROVED):
        tables["proofs.md", "sums"] = sums(tables)
    for (document, table), found in tables.items():
        terminalreporter.section(f"docs/{document}: {table}")
        lines = [f"| {' | '.join(cells)} |" for cells in sorted(found)]
        terminalreporter.write_line("\n".join(lines))
        if config.getoption("--write-docs") and exitstatus == pytest.ExitCode.OK:
            write(document, table, lines)


def rows(terminalreporter: Any) -> Iterator[list[str]]:
    """All rows of tests that passed."""
    for report in terminalreporter.stats.get("passed", []):
        yield from (row for name, row in report.user_properties if name == ROW)


def sums(tables: dict[Table, list[list[str]]]) -> list[list[str]]:
    """The rows at the head of docs/proofs.md; what a table sums up itself is not counted twice."""
    found = []
    for what, table, column in PROVED:
        of = [row for row in tables["proofs.md", table] if not row[0].startswith("**")]
        found.append([what, *(f"{total(of, each):,}" for each in (column, -1))])
    return found


def total(of: list[list[str]], column: int) -> int:
    return sum(int(row[column].replace(",", "")) for row in of)


def write(document: str, table: str, lines: list[str]) -> None:
    """Replace the rows between the marks of a table; its head, the first two lines, stays."""
    path = ROOT / "docs" / document
    begin, end = f"<!-- {table}: begin -->\n\n", f"\n<!-- {table}: end -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    old, ended, after = rest.partition(end)
    assert found, f"{path} has no {begin.strip()}"
    assert ended, f"{path} has no {end.strip()}"
    text = "\n".join([*old.splitlines()[:2], *lines]) + "\n"
    path.write_text(before + begin + text + end + after, encoding="utf-8")
