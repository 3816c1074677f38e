"""Tables in docs/ are written by runs that passed, and by the whole of them."""

import sys
from pathlib import Path

import pytest

from demo.snapshot import ROOT
from tests.conftest import run

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
