"""Projects under other versions of Python than the one that runs these tests."""

from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conftest import STAGES, Render, run

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.full,
    pytest.mark.usefixtures("nothing_left_behind"),
]


@pytest.mark.parametrize(
    ("python", "stage"), [("3.12", STAGES[-1]), *(("3.13", stage) for stage in STAGES)]
)
def test_a_stage_passes_its_own_tox_under(
    render: Render, tmp_path: Path, python: str, stage: int
) -> None:
    project = render(stage, python_version=python)
    tox = tox_of(python, tmp_path / "venv")
    said = project.run(str(tox)).stdout
    for name in ("lint", "unit", "journey"):
        assert f"{name}: OK" in said
    # The Python that runs tox runs all the rest too, the emulator and the functions in it.
    for folder in ("lint", "unit", "journey", f"emulator-{python}"):
        [config] = project.folder.glob(f".tox/{folder}/pyvenv.cfg")
        assert f"version_info = {python}." in config.read_text()
    assert project.run("git", "status", "--porcelain").stdout == ""


def tox_of(python: str, folder: Path) -> Path:
    """Our tox, installed for this version of Python; skips where the machine has no such Python."""
    # pyenv puts a python3.13 on PATH that works only when that version is chosen.
    command = ("virtualenv", "--quiet", f"--python={python}", folder)
    environ = {"PYENV_VERSION": python}
    made = run(*command, cwd=folder.parent, check=False, environ=environ)
    if made.returncode != 0:
        pytest.skip(f"there is no Python {python} on this machine: {made.stdout.strip()}")
    pip = folder / "bin" / "pip"
    run(pip, "install", "--quiet", f"tox=={version('tox')}", cwd=folder.parent)
    return folder / "bin" / "tox"
