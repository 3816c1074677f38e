"""A step only adds files, by whatever way it is taken, and keeps what people did."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import STAGES, Project, Render, copier, run
from tests.edits import EDITS, edit_folder, read_folder
from tests.merging import as_git_keeps, changed_by_step

# Every step, and the ladder rung by rung. As each step ends in what a copy is, down to the
# answers, every other way ends there too.
WAYS = [*itertools.combinations(STAGES, 2), STAGES]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way)))
def test_growing_gives_what_copying_gives(
    render: Render, fresh: Callable[[int], Project], way: tuple[int, ...]
) -> None:
    grown, copied = render(way[0]), fresh(way[-1])
    for stage in way[1:]:
        before = read_folder(grown.folder, grown.files())
        grown.advance(stage)
        assert changed_by_step(before, read_folder(grown.folder, grown.files())) == []
        grown.commit()
    assert grown.files() == copied.files()
    answers = (grown.folder / ".copier-answers.yml").read_text()
    assert answers == (copied.folder / ".copier-answers.yml").read_text()


def test_a_second_update_changes_nothing(render: Render) -> None:
    project = render(1)
    project.advance(2)
    project.commit()
    project.advance(2)
    assert project.run("git", "status", "--porcelain").stdout == ""


def test_everybodys_edits_are_kept(render: Render) -> None:
    """Step by step, with all edits of the library that can be made at the first stage."""
    project = render(1)
    made = [edit for edit in EDITS if edit.fits(read_folder(project.folder, project.files()))]
    edit_folder(made, project.folder, project.files())
    project.commit()
    for stage in STAGES[1:]:
        before = as_git_keeps(read_folder(project.folder, project.files()))
        project.advance(stage)
        assert project.run("git", "ls-files", "--unmerged").stdout == ""
        after = as_git_keeps(read_folder(project.folder, project.files()))
        assert changed_by_step(before, after) == []
        assert "docs/1-skateboard.md" not in after
        project.commit()


def test_a_file_at_a_path_of_the_next_stage_conflicts_loudly(render: Render) -> None:
    project = render(1)
    project.write("service/api.py", "mine = 1\n")
    project.commit()
    project.advance(2)
    assert "service/api.py" in project.run("git", "ls-files", "--unmerged").stdout
    assert "mine = 1" in (project.folder / "service/api.py").read_text()


@pytest.fixture
def releases(template: Path, tmp_path: Path) -> Path:
    """A template with a newer release, which rewords a line of the README."""
    folder = tmp_path / "template"
    run("git", "clone", "--quiet", template, folder, cwd=tmp_path)
    return folder


def release(folder: Path, version: str) -> None:
    readme = folder / "template" / "README.md.jinja"
    readme.write_text(readme.read_text().replace("## Run it", f"## Run it ({version})"))
    run("git", "commit", "--quiet", "--all", f"--message={version}", cwd=folder)
    run("git", "tag", version, cwd=folder)


def test_a_step_keeps_the_release_and_an_update_keeps_the_stage(
    releases: Path, tmp_path: Path
) -> None:
    copier("copy", "--quiet", "--defaults", releases, "project", cwd=tmp_path)
    project = Project(tmp_path / "project")
    project.run("git", "init", "--quiet")
    project.commit()
    release(releases, "v1000.0.0")

    project.advance(2)
    project.commit()
    assert "v1000.0.0" not in (project.folder / "README.md").read_text()

    copier("update", "--defaults", cwd=project.folder)
    assert "v1000.0.0" in (project.folder / "README.md").read_text()
    assert (project.folder / "infra/api.yml").exists()


def test_a_step_can_be_looked_at_beside_the_project(render: Render) -> None:
    project = render(1)
    before = project.files()
    look = Project(project.folder.parent / "look")
    project.run("git", "worktree", "add", "--detach", str(look.folder))
    look.advance(2)
    assert look.files() == render(2).files()
    project.run("git", "worktree", "remove", "--force", str(look.folder))
    assert project.files() == before
    assert project.run("git", "status", "--porcelain").stdout == ""


def test_a_step_can_be_undone(render: Render) -> None:
    project = render(1)
    project.edit("service/pricing.py", "8_000", "7_500")
    project.commit()
    before = project.files()
    project.advance(2)
    project.run("git", "reset", "--hard")
    project.run("git", "clean", "-fd")
    assert project.files() == before
