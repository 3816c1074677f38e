"""An update that waits for a decision is told of, loudly, until it is finished."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.snapshot import environment
from tests.conftest import Project, copier
from tests.newer import copied, release, twin

MARKED = "one\n<<<<<<< before updating\nours\n=======\ntheirs\n>>>>>>> after updating\n"
DIFF3 = MARKED.replace("=======\n", "||||||| last update\nformer\n=======\n")
FENCED = f"# How to merge\n\n```\n{MARKED}```\n"


@pytest.fixture
def project(fresh: Callable[[int], Project], tmp_path: Path) -> Project:
    return twin(fresh(1), tmp_path)


def check(project: Project, *arguments: str) -> str:
    """What the project says of an unfinished update, or "" when there is none."""
    command = (sys.executable, "-B", "tools/check_update.py", *arguments)
    done = project.run(*command, check=False)
    assert "Traceback" not in done.stdout
    return done.stdout if done.returncode else ""


@pytest.fixture(scope="module", params=["inline"])
def conflict(
    template: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Project:
    """An update, after its owner and its template have changed the same line."""
    releases, project = copied(template, tmp_path_factory.mktemp("conflict"))
    project.edit("README.md", "## Find your way", "## Where things are")
    project.commit()
    release(releases, "README.md.jinja", "## Find your way", "## What is where")
    copier("update", "--defaults", f"--conflict={request.param}", cwd=project.folder)
    return project


@pytest.fixture
def conflicting(conflict: Project, tmp_path: Path) -> Project:
    return twin(conflict, tmp_path)


def settle(project: Project, name: str) -> None:
    """Keep both sides, as who decides might."""
    path = project.folder / name
    marks = ("<" * 7, "=" * 7, ">" * 7)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if line[:7] not in marks))


def test_a_conflict_is_told_until_it_is_decided(conflicting: Project) -> None:
    said = check(conflicting)
    assert "The last update is not finished: 1 to decide" in said
    assert "README.md, line " in said
    assert "Next: open each file." in said
    settle(conflicting, "README.md")
    assert "git add README.md" in check(conflicting)  # git does not know yet
    conflicting.run("git", "add", "--all")
    assert check(conflicting) == ""


@pytest.mark.parametrize("conflict", ["rej"], indirect=True)
def test_what_was_rejected_is_told_until_it_is_gone(conflicting: Project) -> None:
    assert "README.md.rej: " in check(conflicting)
    conflicting.write(".git/info/exclude", "*.rej\n")
    assert "README.md.rej: " in check(conflicting)  # what git ignores, too
    (conflicting.folder / ".git/info/exclude").unlink()
    conflicting.commit()
    assert "README.md.rej: " in check(conflicting)
    (conflicting.folder / "README.md.rej").unlink()
    assert check(conflicting) == ""


@pytest.mark.parametrize("name", ["x.rej", "README.md.rej"])
def test_a_file_of_ones_own_may_end_in_rej(project: Project, name: str) -> None:
    project.write(name, "what was rejected\n")
    assert check(project) == ""
    project.commit()
    assert check(project) == ""


def test_a_conflict_in_an_example_is_told_after_it_was_added_too(
    template: Path, tmp_path: Path
) -> None:
    """Not only while git lists the file as unmerged: "git add ." is what people type."""
    lesson, command = "docs/1-skateboard.md", "```sh try\n"
    releases, project = copied(template, tmp_path)
    project.edit(lesson, command, f"{command}# ours\n")
    project.commit()
    release(releases, lesson, command, f"{command}# theirs\n")
    copier("update", "--defaults", cwd=project.folder)
    project.commit()
    assert f"{lesson}, line " in check(project)
    settle(project, lesson)
    assert check(project) == ""


def test_a_conflict_that_was_deleted_is_told_until_git_knows(conflicting: Project) -> None:
    (conflicting.folder / "README.md").unlink()
    assert "git add README.md" in check(conflicting)
    conflicting.run("git", "add", "README.md")
    assert check(conflicting) == ""


def test_marks_that_were_added_to_git_are_still_told(project: Project) -> None:
    project.write("service/pricing.py", MARKED)
    project.run("git", "add", "--all")
    assert "service/pricing.py, line 2" in check(project)


def test_each_conflict_is_told(project: Project) -> None:
    project.write("notes.txt", MARKED + DIFF3)
    said = check(project)
    assert "notes.txt, line 2\n" in said
    assert "notes.txt, line 8\n" in said
    assert "2 to decide" in said


@pytest.mark.parametrize(
    "content",
    [
        MARKED.replace("\n", "\r\n").encode(),
        DIFF3.encode(),
        b"one\n<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> 1a2b3c4 (theirs)\n",
        MARKED.replace("ours", "Größe").encode("latin-1"),
        MARKED.replace("ours", "価格").encode("shift-jis"),
        b"one\n<<<<<<< before updating\nthe other marks were deleted\n",
        b"one\n>>>>>>> after updating\nthe other marks were deleted\n",
    ],
    ids=["crlf", "diff3", "of-git", "latin-1", "shift-jis", "only-the-first", "only-the-last"],
)
def test_marks_are_told_whatever_they_look_like(project: Project, content: bytes) -> None:
    (project.folder / "notes.txt").write_bytes(content)
    assert "notes.txt, line 2" in check(project)


def test_marks_around_the_fences_of_a_text_are_told(project: Project) -> None:
    sides = "<<<<<<< before updating\n```sh\nours\n=======\n```sh\ntheirs\n>>>>>>> after updating\n"
    project.write("docs/own-notes.md", f"one\n{sides}```\n")
    assert "docs/own-notes.md, line 2" in check(project)


@pytest.mark.parametrize(
    "text",
    [
        FENCED,
        FENCED.replace("```", "~~~~"),
        FENCED.replace(MARKED, DIFF3),
        "# How to merge\n\n" + "".join(f"    {line}\n" for line in MARKED.splitlines()),
        "A title\n=======\n",
        "<<<<<<< only one mark\n",
    ],
)
def test_a_text_that_shows_marks_is_no_conflict(project: Project, text: str) -> None:
    project.write("docs/own-merging.md", text)
    assert check(project) == ""


def test_a_file_can_be_declared_to_show_marks(project: Project) -> None:
    project.write("tests/own_marks.txt", MARKED)
    assert "FILE conflict-marker-size=32" in check(project)
    project.write("tests/.gitattributes", "own_marks.txt conflict-marker-size=32\n")
    assert check(project) == ""


def test_what_is_no_text_is_passed_over(project: Project) -> None:
    large = project.folder / "large.bin"
    large.write_bytes(b"\0")
    with large.open("r+b") as file:
        file.truncate(100 * 2**30)  # 100 GiB, with nothing in them: only a glance is possible
    project.write("vendored/file", "of another repository\n")
    vendored = Project(project.folder / "vendored")
    vendored.run("git", "init", "--quiet")
    vendored.commit()
    project.run("git", "-c", "advice.addEmbeddedRepo=false", "add", "vendored")  # a submodule
    (project.folder / "nowhere").symlink_to("missing")
    (project.folder / "folder").symlink_to("service")
    assert check(project) == ""


def test_a_name_in_any_encoding_is_told(project: Project) -> None:
    for name in ("価格 1.txt".encode(), b"Gr\xf6\xdfe.txt"):
        Path(bytes(project.folder).decode(), name.decode(errors="surrogateescape")).write_text(
            MARKED
        )
    said = check(project)
    assert "価格 1.txt, line 2" in said
    assert "2 to decide" in said


def test_a_repository_that_git_will_not_read_is_not_taken_for_finished(project: Project) -> None:
    (project.folder / ".git/index").write_bytes(b"broken")
    said = check(project)
    assert "It is not known whether an update is unfinished" in said
    assert "git says: " in said


def test_the_advice_drops_nothing(conflicting: Project) -> None:
    """What it says of going back loses neither committed work nor what was typed since."""
    conflicting.write("notes.txt", "written since\n")
    said = check(conflicting)
    for dangerous in ("reset --hard", "clean", "--theirs", "--ours", "checkout"):
        assert dangerous not in said
    conflicting.run("sh", "-c", said.split("update instead, here: ")[1].split(" (nothing")[0])
    assert conflicting.run("git", "status", "--porcelain", "--ignored").stdout == ""
    conflicting.run("git", "stash", "pop")
    assert (conflicting.folder / "notes.txt").read_text() == "written since\n"
    assert "<<<<<<<" in (conflicting.folder / "README.md").read_text()


def commit(project: Project) -> str:
    """What git says when it refuses to commit everything, or "" when it does not."""
    project.run("git", "add", "--all")
    done = project.run("git", "commit", "--allow-empty", "--message=unfinished", check=False)
    return done.stdout if done.returncode else ""


def test_git_refuses_to_commit_an_unfinished_update_when_asked_to(project: Project) -> None:
    assert check(project, "--install") == ""
    assert check(project, "--install") == ""  # once more does no harm
    project.commit()
    project.write("notes.txt", MARKED)
    assert "notes.txt, line 2" in commit(project)


def test_the_hook_looks_at_what_is_committed(project: Project) -> None:
    check(project, "--install")
    project.write("notes.txt", MARKED)
    project.run("git", "add", "notes.txt")
    project.write("notes.txt", "mended, but not added\n")
    done = project.run("git", "commit", "--message=marks", check=False)
    assert done.returncode != 0
    assert "notes.txt, line 2" in done.stdout
    project.run("git", "commit", "--message=mended", "notes.txt")
    project.write("notes.txt", MARKED)
    project.run("git", "commit", "--allow-empty", "--message=nothing of it")


def test_a_decided_conflict_can_be_committed_in_one_go(conflicting: Project) -> None:
    check(conflicting, "--install")
    assert "README.md, line " in commit(conflicting)
    settle(conflicting, "README.md")
    conflicting.run("git", "commit", "--all", "--message=finished")


def test_the_hook_works_in_a_worktree(project: Project) -> None:
    look = Project(project.folder.parent / "look")
    project.run("git", "worktree", "add", "--detach", str(look.folder))
    assert check(look, "--install") == ""
    for each in (project, look):
        each.write("notes.txt", MARKED)
        assert "notes.txt, line 2" in commit(each)


def test_the_hook_works_where_the_project_is_a_folder_of_a_repository(
    project: Project,
) -> None:
    (project.folder / ".git").rename(project.folder.parent / ".git")
    whole = Project(project.folder.parent)
    whole.commit()
    assert check(project, "--install") == ""
    assert commit(whole) == ""
    project.write("notes.txt", MARKED)
    assert "notes.txt, line 2" in commit(whole)


def test_the_hook_lets_a_branch_be_that_has_no_such_check(project: Project) -> None:
    assert check(project, "--install") == ""
    project.run("git", "rm", "--quiet", "tools/check_update.py")
    assert commit(project) == ""


def test_the_hook_goes_where_git_looks_for_it(project: Project) -> None:
    project.run("git", "config", "core.hooksPath", "githooks")
    assert check(project, "--install") == ""
    assert (project.folder / "githooks/pre-commit").exists()
    project.write("notes.txt", MARKED)
    assert "notes.txt, line 2" in commit(project)


def test_hooks_of_other_repositories_are_left_alone(project: Project, tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    project.run("git", "config", "core.hooksPath", str(hooks))
    said = check(project, "--install")
    assert f"git looks for hooks in {hooks}, for other repositories, too" in said
    assert not hooks.exists()


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


def test_without_git_there_is_nothing_to_finish(project: Project, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "tools/check_update.py"],
        cwd=project.folder,
        env=environment() | {"PATH": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    assert done.stdout == b""
