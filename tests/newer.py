"""Newer releases of a template, and projects that may take them."""

import shutil
from pathlib import Path

from tests.conftest import Project, copier, run


def copied(template: Path, folder: Path, stage: int = 1) -> tuple[Path, Project]:
    """A template that can have newer releases, and a project made from it, to be committed."""
    releases = folder / "template"
    run("git", "clone", "--quiet", template, releases, cwd=folder)
    copier("copy", "--quiet", "--defaults", f"--data=stage={stage}", releases, "p", cwd=folder)
    project = Project(folder / "p")
    project.run("git", "init", "--quiet")
    return releases, project


def release(releases: Path, name: str, old: str, new: str, version: str = "v1000.0.0") -> None:
    """Make a newer release, with another text in a file."""
    path = releases / "template" / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    run("git", "commit", "--quiet", "--all", f"--message={version}", cwd=releases)
    run("git", "tag", version, cwd=releases)


def twin(project: Project, folder: Path) -> Project:
    """A project just like another, to change."""
    shutil.copytree(project.folder, folder / "project", symlinks=True)
    return Project(folder / "project")
