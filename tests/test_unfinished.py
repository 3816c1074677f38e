"""An update that waits for a decision is told of, loudly, until it is finished."""

import sys
from pathlib import Path

import pytest

from tests.conftest import Project, Render, copier, run

MARKED = "one\n<<<<<<< before updating\nours\n=======\ntheirs\n>>>>>>> after updating\n"


@pytest.fixture
def project(render: Render) -> Project:
    return render(1)


def check(project: Project, *arguments: str) -> str:
    """What the project says of an unfinished update, or "" when there is none."""
    command = (sys.executable, "tools/check_update.py", *arguments)
    done = project.run(*command, check=False)
    assert "Traceback" not in done.stdout
    return done.stdout if done.returncode else ""


@pytest.fixture
def conflicting(template: Path, tmp_path: Path) -> Project:
    """A project whose owner and whose template have changed the same line."""
    releases = tmp_path / "template"
    run("git", "clone", "--quiet", template, releases, cwd=tmp_path)
    copier("copy", "--quiet", "--defaults", releases, "project", cwd=tmp_path)
    project = Project(tmp_path / "project")
    project.run("git", "init", "--quiet")
    project.edit("README.md", "## Find your way", "## Where things are")
    project.commit()
    readme = releases / "template" / "README.md.jinja"
    readme.write_text(readme.read_text().replace("## Find your way", "## What is where"))
    run("git", "commit", "--quiet", "--all", "--message=newer", cwd=releases)
    run("git", "tag", "v1000.0.0", cwd=releases)
    return project


@pytest.mark.parametrize("way", ["inline", "rej"])
def test_a_conflict_is_told_until_it_is_decided(conflicting: Project, way: str) -> None:
    copier("update", "--defaults", f"--conflict={way}", cwd=conflicting.folder)
    said = check(conflicting)
    assert "The last update is not finished: " in said
    assert ("README.md.rej: " if way == "rej" else "README.md, line ") in said
    assert "Next: open each file." in said

    readme = conflicting.folder / "README.md"
    if way == "rej":
        (conflicting.folder / "README.md.rej").unlink()
    else:
        lines = readme.read_text().splitlines(keepends=True)
        readme.write_text("".join(x for x in lines if x[:7] not in ("<" * 7, "=" * 7, ">" * 7)))
        assert "git add README.md" in check(conflicting)  # git does not know yet
    conflicting.run("git", "add", "--all")
    assert check(conflicting) == ""


def test_marks_that_were_added_to_git_are_still_told(project: Project) -> None:
    project.write("service/pricing.py", MARKED)
    project.run("git", "add", "--all")
    assert "service/pricing.py, line 2" in check(project)


def test_marks_with_crlf_are_told(project: Project) -> None:
    (project.folder / "notes.txt").write_bytes(MARKED.replace("\n", "\r\n").encode())
    assert "notes.txt, line 2" in check(project)


@pytest.mark.parametrize(
    "text",
    [
        f"# How to merge\n\n```\n{MARKED}```\n",
        "# How to merge\n\n" + "".join(f"    {line}\n" for line in MARKED.splitlines()),
        "A title\n=======\n",
        "<<<<<<< only one mark\n",
    ],
)
def test_a_text_that_shows_marks_is_no_conflict(project: Project, text: str) -> None:
    project.write("docs/own-merging.md", text)
    assert check(project) == ""


def test_git_refuses_to_commit_an_unfinished_update_when_asked_to(project: Project) -> None:
    assert check(project, "--install") == ""
    assert check(project, "--install") == ""  # once more does no harm
    project.commit()
    project.write("notes.txt", MARKED)
    project.run("git", "add", "--all")
    done = project.run("git", "commit", "--message=unfinished", check=False)
    assert done.returncode != 0
    assert "notes.txt, line 2" in done.stdout


def test_another_hook_is_left_alone(project: Project) -> None:
    hook = project.folder / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n")
    assert "add to it: python3 tools/check_update.py" in check(project, "--install")
    assert hook.read_text() == "#!/bin/sh\n"


def test_without_a_repository_there_is_nothing_to_finish(project: Project) -> None:
    (project.folder / ".git").rename(project.folder / "no-git")
    assert check(project) == ""
    assert "git init" in check(project, "--install")
