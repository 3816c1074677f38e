"""An update that is killed, wherever, is undone like any other, and takes nothing along."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo.snapshot import ROOT, environment
from tests.conftest import Project
from tests.newer import copied, release, twin

UPDATE = ("update", "--defaults", "--data=stage=4")
IGNORED = (".env", ".build/mine")
SOME = 3
MANY = 24


def undo(project: Project) -> None:
    """What the README says that takes a step back."""
    readme = project.run("git", "show", "HEAD:./README.md").stdout
    [command] = re.findall(r"To take a step back: `(.*?)`", readme)
    project.run("sh", "-ec", command)


def everything(project: Project) -> dict[str, bytes]:
    """All files, but for what git itself keeps."""
    folder = project.folder
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] != ".git"
    }


@pytest.fixture(scope="module")
def old(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that people have worked in, and that a newer release conflicts with."""
    releases, project = copied(template, tmp_path_factory.mktemp("old"), stage=2)
    project.edit("README.md", "## Find your way", "## Where things are")
    project.edit("service/pricing.py", "8_000", "7_500")
    project.write("service/own_tax.py", "RATE = 10\n")
    (project.folder / "docs/1-skateboard.md").unlink()
    project.commit()
    for name in IGNORED:
        project.write(name, "mine\n")
    release(releases, "README.md.jinja", "## Find your way", "## What is where")
    return project


def update(project: Project, log: Path, point: str) -> int:
    """Update, until killed at a point; give the exit status. See ``tests.stopped``."""
    temporary = log.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.stopped",
        project.folder,
        log,
        point,
        *UPDATE,
    ]
    return subprocess.run(
        [*command, project.folder],
        cwd=ROOT,
        env=environment() | {"TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ).returncode


@pytest.fixture(scope="module")
def course(old: Project, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """All that an update does, in its order, when nobody kills it."""
    folder = tmp_path_factory.mktemp("course")
    project = twin(old, folder)
    assert update(project, folder / "log", "") == 0
    assert "UU README.md" in project.run("git", "status", "--porcelain").stdout
    return (folder / "log").read_text().splitlines()


def points(course: list[str]) -> list[int]:
    """Where to kill, the most telling points first: all from the first change on."""
    changes = [number for number, what in enumerate(course) if not what.startswith("subprocess.")]
    [answers] = [n for n in changes if course[n].endswith("open .copier-answers.yml")]
    [applied] = [n for n, what in enumerate(course) if " apply --reject" in what]
    [unmerged] = [n for n, what in enumerate(course) if " update-index " in what]
    telling = [answers + 1, applied + 1, unmerged, changes[1], unmerged + 1, answers, applied]
    rest = len(course) - changes[0]
    spread = [changes[0] + rest * part // MANY for part in range(MANY)]
    return list(dict.fromkeys([*telling, *spread]))[:MANY]


def kill_and_undo(old: Project, folder: Path, point: str) -> None:
    project = twin(old, folder)
    before = everything(project)
    head = project.run("git", "rev-parse", "HEAD").stdout
    assert update(project, folder / "log", point) == -signal.SIGKILL
    assert {name: everything(project)[name] for name in IGNORED} == {
        name: before[name] for name in IGNORED
    }
    undo(project)
    assert everything(project) == before
    assert project.run("git", "status", "--porcelain").stdout == ""
    assert project.run("git", "rev-parse", "HEAD").stdout == head
    project.run("git", "fsck", "--strict")


@pytest.mark.parametrize("which", range(SOME))
def test_an_update_that_was_killed_is_undone(
    old: Project, course: list[str], tmp_path: Path, which: int
) -> None:
    kill_and_undo(old, tmp_path, str(points(course)[which]))


@pytest.mark.full
@pytest.mark.parametrize("which", range(SOME, MANY))
@pytest.mark.parametrize("moment", ["", "+"], ids=["at", "just-after"])
def test_an_update_that_was_killed_anywhere_is_undone(
    old: Project, course: list[str], tmp_path: Path, which: int, moment: str
) -> None:
    kill_and_undo(old, tmp_path, f"{points(course)[which]}{moment}")


def test_a_killed_update_has_left_something_to_undo(
    old: Project, course: list[str], tmp_path: Path
) -> None:
    """Otherwise the tests above would show nothing."""
    project = twin(old, tmp_path)
    before = everything(project)
    update(project, tmp_path / "log", str(points(course)[1]))
    assert everything(project) != before
    assert list((tmp_path / "tmp").glob("copier.*"))  # Copier's own, outside of the project
