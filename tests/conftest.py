"""A template under test, and projects made from it."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.snapshot import ROOT, environment, snapshot
from tests.published import publish, pytest_addoption, pytest_terminal_summary

__all__ = ["publish", "pytest_addoption", "pytest_terminal_summary"]

QUESTIONS = {"service_name", "description", "team", "region", "python_version", "stage"}
STAGES = tuple(sorted(int(path.name[0]) for path in ROOT.glob("stages/[0-9]-*.yml")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: the groups, each on one worker, and then deployments."""

    def rank(item: pytest.Item) -> bool:
        return not (item.get_closest_marker("xdist_group") or item.get_closest_marker("deploy"))

    items.sort(key=rank)


Environ = Mapping[str, str]
NOTHING: Environ = {}


def run(
    *command: str | Path, cwd: Path, check: bool = True, environ: Environ = NOTHING
) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment; on failure, show what it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment() | dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return done


def copier(
    *arguments: str | Path, cwd: Path, check: bool = True, environ: Environ = NOTHING
) -> str:
    """Run Copier, never with --trust, and give what it printed."""
    return run("copier", *arguments, cwd=cwd, check=check, environ=environ).stdout


class Project:
    """A generated project in a git repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self, *command: str, check: bool = True, environ: Environ = NOTHING
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the project."""
        return run(*command, cwd=self.folder, check=check, environ=environ)

    def tox(self, *arguments: str, check: bool = True, environ: Environ = NOTHING) -> str:
        """Run the project's own tox, and give what it printed."""
        return self.run("tox", *arguments, check=check, environ=environ).stdout

    def commit(self) -> None:
        """Commit all that has changed."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message=step")

    def advance(self, to: int, check: bool = True) -> str:
        """Grow to a stage, at the same version of the template."""
        return copier(
            *("update", "--defaults", "--vcs-ref=:current:", f"--data=stage={to}"),
            cwd=self.folder,
            check=check,
        )

    def files(self) -> dict[str, bytes]:
        """All files that git would track, but for Copier's own, by path."""
        command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        return {
            name: (self.folder / name).read_bytes()
            for name in self.run(*command).stdout.split("\0")
            if name not in {"", ".copier-answers.yml"}
        }

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text, which must be there, in a file."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """Write a file, in a new folder if need be."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def compiled_stack(project: Project) -> Path:
    """The folder with the stack that the first lint of a project has compiled."""
    return project.folder.parent / "compiled"


Render = Callable[..., Project]
Linted = Callable[[int], Project]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it is now, uncommitted changes included, tagged with a version."""
    folder = tmp_path_factory.mktemp("template")
    snapshot(folder)
    return folder


@pytest.fixture(scope="session")
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Make a project: ``render(2, team="blue")``. An unknown answer is an error."""

    def render(stage: int, **answers: str) -> Project:
        assert answers.keys() < QUESTIONS, "Copier would pass over an unknown answer in silence"
        folder = tmp_path_factory.mktemp("project") / "project"
        data = [f"--data={name}={value}" for name, value in {**answers, "stage": stage}.items()]
        copier("copy", "--quiet", "--defaults", *data, template, folder, cwd=folder.parent)
        project = Project(folder)
        project.run("git", "init", "--quiet")
        project.commit()
        return project

    return render


@pytest.fixture(scope="session")
def fresh(render: Render) -> Callable[[int], Project]:
    """Projects to look at, one a stage: a test that changes one renders its own."""
    made: dict[int, Project] = {}

    def fresh(stage: int) -> Project:
        if stage not in made:
            made[stage] = render(stage)
        return made[stage]

    return fresh


@pytest.fixture(scope="session")
def linted(render: Render) -> Linted:
    """Projects whose ``tox -e lint`` has passed; their environments are there to be used."""
    made: dict[int, Project] = {}

    def linted(stage: int) -> Project:
        if stage not in made:
            made[stage] = render(stage)
            made[stage].tox("-e", "lint")
            # A test that changes the project may compile another one.
            shutil.copytree(made[stage].folder / ".build/stack", compiled_stack(made[stage]))
        return made[stage]

    return linted


@pytest.fixture
def scooter(linted: Linted) -> Project:
    """A project at stage 2; what a test changes in it is taken back before the next one."""
    project = linted(2)
    project.run("git", "reset", "--hard", "--quiet")
    project.run("git", "clean", "-d", "--force", "--quiet")
    return project


@pytest.fixture(scope="session")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder for temporary files of everything that the tests start."""
    folder = tmp_path_factory.mktemp("tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        yield folder


@pytest.fixture
def nothing_left_behind(temporary: Path) -> Iterator[None]:
    """No emulator runs after a test, and no folder of one is left."""
    yield
    check_nothing_left_behind(temporary)


def check_nothing_left_behind(temporary: Path) -> None:
    """Make sure that no emulator of ours runs, and that no folder of one is left."""
    assert emulators(temporary.parent) == []
    assert list(temporary.glob("emulator-*")) == []


def emulators(below: Path) -> list[int]:
    """The process ids of emulators, and of the functions in them, of projects in a folder."""
    shown = subprocess.run(
        ["ps", "-eww", "-o", "pid=,args="], check=True, capture_output=True, text=True
    ).stdout
    lines = [line for line in shown.splitlines() if "ministack" in line and str(below) in line]
    return [int(line.split()[0]) for line in lines]


def load(path: Path) -> Any:
    """The contents of a YAML or JSON file; CloudFormation's own tags are just kept."""

    class Loader(yaml.SafeLoader):
        pass

    def keep(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return {tag: loader.construct_scalar(node)}
        if isinstance(node, yaml.SequenceNode):
            return {tag: loader.construct_sequence(node, deep=True)}
        assert isinstance(node, yaml.MappingNode)
        return {tag: loader.construct_mapping(node, deep=True)}

    Loader.add_multi_constructor("!", keep)
    return yaml.load(path.read_text(encoding="utf-8"), Loader)
