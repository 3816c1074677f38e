"""Two axes, stage and release; a look before each step, and a way back, from every stage."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import STAGES, Project, copier
from tests.newer import copied, release, twin
from tests.test_interrupted import everything, undo

Fresh = Callable[[int], Project]

OWN = {".env": "SECRET=1\n", ".build/mine": "mine\n", "service/__pycache__/mine.pyc": "mine\n"}


def lived_in(project: Project) -> Project:
    """A project with an edit of its owner's, and with files that git does not know."""
    project.edit("service/pricing.py", "8_000", "7_500")
    project.write("service/own_tax.py", "RATE = 10\n")
    project.commit()
    for name, text in OWN.items():
        project.write(name, text)
    return project


def documented(project: Project, pattern: str) -> str:
    """A command that the project's README gives."""
    readme = (project.folder / "README.md").read_text(encoding="utf-8")
    [command] = re.findall(pattern, re.sub(r"\n  (?=\S)", " ", readme))
    assert isinstance(command, str)
    return command


@pytest.mark.parametrize("stage", STAGES[:-1])
def test_a_step_is_looked_at_and_taken_back(fresh: Fresh, tmp_path: Path, stage: int) -> None:
    project = lived_in(twin(fresh(stage), tmp_path))
    before = everything(project)
    begin = documented(project, r"`(git worktree add [^`]*) && cd \.\./look`")
    end = documented(project, r"`(git worktree remove [^`]*)`")

    project.run(*begin.split())
    look = Project(tmp_path / "look")
    for name, text in OWN.items():
        look.write(name, text)
    here = everything(look)
    look.advance(stage + 1)
    assert {**fresh(stage + 1).files(), **project.files()}.items() <= look.files().items()
    assert everything(project) == before

    undo(look)
    assert everything(look) == here
    assert look.run("git", "status", "--porcelain").stdout == ""
    project.run(*end.split())
    assert everything(project) == before
    assert project.run("git", "status", "--porcelain").stdout == ""


def test_a_step_that_was_committed_is_reverted(fresh: Fresh, tmp_path: Path) -> None:
    project = lived_in(twin(fresh(1), tmp_path))
    before = everything(project)
    project.advance(2)
    project.commit()
    project.run(*documented(project, r"`(git revert HEAD)` after").split(), "--no-edit")
    assert everything(project) == before
    project.advance(2)  # and can be taken once more
    assert "infra/api.yml" in project.files()


def test_taking_a_step_back_keeps_what_copier_does_not_see(fresh: Fresh, tmp_path: Path) -> None:
    """Uncommitted work beside the project, in the same repository, and what git is told to hide."""
    (tmp_path / "whole").mkdir()
    whole = Project(tmp_path / "whole")
    project = lived_in(twin(fresh(1), whole.folder))
    (project.folder / ".git").rename(whole.folder / ".git")
    whole.write("beside.txt", "committed\n")
    whole.commit()
    whole.run("git", "config", "status.showUntrackedFiles", "no")
    whole.write("beside.txt", "not yet committed\n")
    project.write("notes.txt", "not yet added\n")
    before = everything(whole)

    project.advance(2)
    undo(project)
    assert everything(whole) == {
        name: text for name, text in before.items() if name != "project/notes.txt"
    }
    project.run("git", "stash", "pop")  # with the step, but it is there
    assert before.items() - everything(whole).items() == {
        ("project/.copier-answers.yml", before["project/.copier-answers.yml"])
    }


def test_copiers_pretending_tells_nothing(fresh: Fresh, tmp_path: Path) -> None:
    """The README says so; if it ever does tell, the README can say that instead."""
    project = twin(fresh(1), tmp_path)
    said = copier(
        *("update", "--defaults", "--pretend", "--vcs-ref=:current:", "--data=stage=2"),
        cwd=project.folder,
    )
    assert "infra/api.yml" not in said
    assert project.run("git", "status", "--porcelain").stdout == ""


RELEASES = {
    "v1000.0.0": ("README.md.jinja", "## Run it", "## How to run it"),
    "v1000.1.0": ("service/pricing.py", '"scooter"', '"kick scooter"'),
    "v1001.0.0": ("README.md.jinja", "## How to run it", "## Running it"),
}
NEWEST = {
    "README.md": ("## Run it", "## Running it"),
    "service/pricing.py": RELEASES["v1000.1.0"][1:],
}


def with_releases(template: Path, folder: Path, stage: int) -> Project:
    """A project of a stage, after which three releases were made."""
    releases, project = copied(template, folder, stage)
    project.commit()
    for version, change in RELEASES.items():
        release(releases, *change, version=version)
    return project


def test_the_next_stage_comes_without_the_newest_release(
    template: Path, fresh: Fresh, tmp_path: Path
) -> None:
    """From every stage."""
    project = with_releases(template, tmp_path, 1)
    for stage in STAGES[1:]:
        command = documented(project, r"copier (update \S+ --ask stage --vcs-ref=:current:)")
        said = copier(
            *command.replace("--ask stage", f"--data=stage={stage}").split(), cwd=project.folder
        )
        assert f"From stage {stage - 1} to stage {stage}: " in said
        assert project.files() == fresh(stage).files()
        project.commit()


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(stage, marks=() if stage in {1, STAGES[-1]} else pytest.mark.full)
        for stage in STAGES
    ],
)
def test_the_newest_release_comes_without_the_next_stage(
    template: Path, fresh: Fresh, tmp_path: Path, stage: int
) -> None:
    project = with_releases(template, tmp_path, stage)
    said = copier(
        *documented(project, r"    copier (update --defaults --context-lines 1000)\n").split(),
        cwd=project.folder,
    )
    assert f"Still at stage {stage}, " in said
    assert project.files() == {
        name: content.decode().replace(*NEWEST.get(name, ("\0", ""))).encode()
        for name, content in fresh(stage).files().items()
    }
    assert "_commit: v1001.0.0\n" in (project.folder / ".copier-answers.yml").read_text()
