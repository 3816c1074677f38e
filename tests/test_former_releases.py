"""Projects of former releases, in which people have worked, come to this one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.snapshot import ROOT, VERSION, snapshot
from tests.conftest import Project, copier, run
from tests.edits import EDITS, Edit, Tree, edit_folder
from tests.published import Publish

pytestmark = pytest.mark.full

# The last commit of each release, and the stages that it has.
FORMER = {
    "v0.1.0": ("180f5f1", (1, 2)),
    "v0.2.0": ("d59180b", (1, 3, 5)),
    "v0.3.0": ("26f2692", (1, 3, 5)),
    "v0.3.1": ("bb8328d", (1, 3, 5)),
    "v0.3.2": ("b468cfc", (1, 3, 5)),
}
# Another style for all files conflicts with each line that a release changes.
STYLES = {
    "all files formatted with longer lines",
    "all files saved with the line ends of Windows",
    "imports sorted another way",
}
UPDATE = ("update", "--defaults", f"--vcs-ref={VERSION}", "--context-lines=1000")


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository with a tag for each former release, and the template as it is now."""
    clone = tmp_path_factory.mktemp("releases") / "template"
    run("git", "clone", "--quiet", "--no-tags", ROOT, clone, cwd=clone.parent)
    for version, (commit, _) in FORMER.items():
        done = run("git", "tag", version, commit, cwd=clone, check=False)
        if done.returncode:
            pytest.skip(f"{version} is not in this clone of the repository")
    run("git", "rm", "-rq", ".", cwd=clone)
    snapshot(clone)
    return clone


def fitting(tree: Tree) -> Iterator[Edit]:
    """The edits that this project takes, one after the other."""
    for edit in EDITS:
        try:
            if edit.name not in STYLES and edit.fits(tree):
                tree = edit.made(tree)
                yield edit
        except AssertionError:
            continue  # the text that it changes was another one then


def settled(project: Project, name: str) -> None:
    """Keep one's own side of each conflict in a file."""
    lines, mine = [], True
    for line in (project.folder / name).read_text().splitlines(keepends=True):
        if line.startswith(("<<<<<<< ", ">>>>>>> ")):
            mine = True
        elif line.startswith(("||||||| ", "=======\n")):
            mine = False
        elif mine:
            lines.append(line)
    (project.folder / name).write_text("".join(lines))


def check(project: Project) -> str:
    command = (sys.executable, "-B", "tools/check_update.py")
    return project.run(*command, check=False).stdout


@pytest.mark.parametrize(
    ("version", "stage"), [(each, stage) for each, (_, all_) in FORMER.items() for stage in all_]
)
def test_a_project_with_many_changes_comes_through(
    releases: Path, tmp_path: Path, publish: Publish, version: str, stage: int
) -> None:
    data = (f"--data=stage={stage}", f"--vcs-ref={version}")
    copier("copy", "--quiet", "--defaults", *data, releases, "project", cwd=tmp_path)
    project = Project(tmp_path / "project")
    project.run("git", "init", "--quiet")
    project.commit()
    before = project.files()
    edits = list(fitting({name: text.decode() for name, text in before.items()}))
    edit_folder(edits, project.folder, before)
    project.commit()
    copier(*UPDATE, cwd=project.folder)

    unmerged = project.run("git", "ls-files", "-z", "--unmerged").stdout.split("\0")
    conflicts = sorted({line.split("\t")[1] for line in unmerged if line})
    said = check(project)
    assert ("is not finished" in said) == bool(conflicts), said
    for name in conflicts:
        assert name in said
        settled(project, name)
    project.run("git", "add", "--", *conflicts)
    assert check(project) == ""
    project.commit()
    assert check(project) == ""
    shown = ", ".join(f"`{name}`" for name in conflicts) or "none"
    publish("merges.md", "former", f"{version}, stage {stage}", str(len(edits)), shown)
