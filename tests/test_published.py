"""Tables in docs/ are written by runs that passed, and by the whole of them."""

import re
import sys
from pathlib import Path

import pytest

from demo.snapshot import ROOT
from tests.conftest import run
from tests.published import PROVED, sums

CONFTEST = """
from pathlib import Path

from tests import published
from tests.published import publish, pytest_addoption, pytest_terminal_summary

published.ROOT = Path(__file__).parent
"""
TESTS = """
def test_a_row(publish):
    publish("proofs.md", "load", "stage 3", "1,000")

def test_another_row(publish):
    publish("proofs.md", "load", "stage 4", "2,000")

def test_more():
    assert {passes}
"""
HEAD = "<!-- load: begin -->\n\n| stage | orders |\n|---|---|\n"
END = "\n<!-- load: end -->\n"


@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_tables_are_written_by_a_run_that_passed(
    tmp_path: Path, passes: bool, workers: int
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_rows.py").write_text(TESTS.format(passes=passes))
    document = tmp_path / "docs/proofs.md"
    document.parent.mkdir()
    document.write_text(HEAD + "| stage 3 | 10 |\n" + END)
    done = run(
        *(sys.executable, "-m", "pytest", "--write-docs", f"--numprocesses={workers}"),
        *("--rootdir=.", "--override-ini=addopts=", "."),
        cwd=tmp_path,
        check=False,
        environ={"PYTHONPATH": str(ROOT)},
    )
    assert "| stage 4 | 2,000 |" in done.stdout
    new = "| stage 3 | 1,000 |\n| stage 4 | 2,000 |\n"
    assert document.read_text() == HEAD + (new if passes else "| stage 3 | 10 |\n") + END


def test_the_sums_count_each_row_once() -> None:
    tables = {
        ("proofs.md", table): [["one", "1,000", "20", "0"], ["other", "2", "3", "1"]]
        for _, table, _ in PROVED
    }
    tables["proofs.md", "faults"].append(["**in all**", "1,002", "23", "1"])
    found = {what: numbers for what, *numbers in sums(tables)}
    assert found["orders under load"] == ["1,002", "1"]
    assert found["orders while there are faults"] == ["1,002", "1"]
    assert found["faults while orders are sent"] == ["23", "1"]


def test_the_document_has_the_sums_of_its_tables() -> None:
    text = (ROOT / "docs/proofs.md").read_text(encoding="utf-8")
    tables = {}
    for table in ["sums", *(table for _, table, _ in PROVED)]:
        [body] = re.findall(rf"<!-- {table}: begin -->\n\n(.*?)\n\n<!--", text, re.DOTALL)
        rows = [line.strip("| ").split(" | ") for line in body.splitlines()[2:]]
        tables["proofs.md", table] = rows
    assert sorted(sums(tables)) == tables["proofs.md", "sums"]
