"""Where everything is made: a temporary folder with the template and projects of it."""

import datetime
import json
import os
import platform
import re
import shutil
import sys
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path

from bench import shell
from bench.shell import step
from demo.snapshot import snapshot

STAGES = (1, 2, 3, 4, 5)
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


class Workshop:
    """Makes each thing once, when it is first asked for, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def template(self) -> Path:
        """The template as it lies here, in a git repository of its own, with a version."""
        folder = self.folder / "template"
        folder.mkdir()
        snapshot(folder)
        return folder

    @cache  # noqa: B019 - there is one workshop, and it lives as long as the program
    def project(self, stage: int) -> Path:
        """A generated project, committed."""
        folder = self.folder / f"stage-{stage}"
        with step(f"Generating a project of stage {stage}"):
            shell.run(
                *(sys.executable, "-m", "copier", "copy", "--quiet", "--defaults"),
                *(f"--data=stage={stage}", self.template, folder),
                cwd=self.folder,
            )
            commit(folder)
        return folder

    @cached_property
    def python(self) -> Path:
        """The Python of a project's tox environment, which has all of its tools."""
        project = self.project(2)
        with step("Installing the project's tools"):
            shell.run(sys.executable, "-m", "tox", "-e", "deploy", "--", "--help", cwd=project)
        return project / ".tox" / "deploy" / "bin" / "python"

    @cached_property
    def boto3(self) -> Path:
        """A folder with boto3, compiled: Lambda has it beside every package."""
        folder = self.folder / "boto3"
        pins = self.project(2) / "tools" / "pins.txt"
        with step("Installing boto3, as Lambda has it"):
            options = ("--quiet", "--compile-bytecode", f"--constraint={pins}")
            shell.run(
                *(sys.executable, "-m", "uv", "pip", "install", f"--target={folder}"),
                *(*options, "boto3"),
                cwd=self.folder,
            )
        return folder

    def build(self, project: Path) -> Path:
        """Let a project build its package, for this Python on this machine."""
        with step(f"Building the package of {project.name}"):
            target = ("--runtime", f"python{VERSION}", "--architecture", "x86_64")
            shell.run(self.python, "-m", "tools.package", *target, cwd=project)
        return project / ".build" / "service.zip"

    def machine(self) -> str:
        """The day, the machine, and the versions of what is used."""
        _, node = shell.run("node", "--version", cwd=self.folder)
        versions = {
            "Python": platform.python_version(),
            "Node": node.strip().removeprefix("v"),
            "Copier": version("copier"),
            **self._versions(),
        }
        today = datetime.datetime.now(datetime.UTC).date()
        system = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
        used = ", ".join(f"{name} {number}" for name, number in versions.items())
        return f"Measured on {today}: {system}, {used}."

    def _versions(self) -> dict[str, str]:
        """Which osls and which emulator the projects of this template use."""
        project = self.project(2)
        tools = json.loads((project / "package.json").read_text(encoding="utf-8"))
        pins = (project / "tools" / "pins.txt").read_text(encoding="utf-8")
        found = re.search(r"^ministack==(\S+)", pins, re.MULTILINE)
        assert found
        return {"osls": tools["devDependencies"]["osls"], "ministack": found[1]}


def commit(folder: Path, tag: str | None = None) -> None:
    """Make a folder a git repository, with all that is in it; tag the commit, if told."""
    shell.run("git", "init", "--quiet", cwd=folder)
    shell.run("git", "add", "--all", cwd=folder)
    shell.run("git", "commit", "--quiet", "--message=generated", cwd=folder)
    if tag:
        shell.run("git", "tag", tag, cwd=folder)


# What tools make in a project that has been used; it is not generated.
MADE = {".git", ".tox", ".build", ".serverless", "node_modules", "__pycache__"}
MADE |= {".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"}


def files(project: Path) -> list[Path]:
    """All files that were generated, relative to the project."""
    return sorted(
        path.relative_to(project)
        for path in project.rglob("*")
        if path.is_file() and not MADE.intersection(path.relative_to(project).parts)
    )


def remove(*paths: Path) -> None:
    """Remove files and folders, whether they are there or not."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
