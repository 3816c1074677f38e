"""What people change survives every step, and every kind of release, of the template."""

import contextlib
import itertools
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path, PurePath
from typing import NamedTuple

import pytest

from tests.conftest import STAGES, Project, Render, copier, run
from tests.edits import EDITS, RESERVED, Edit, Tree, after, edit_folder, read_folder
from tests.merging import (
    DEFAULT_CONTEXT,
    WHOLE_FILE,
    Merged,
    as_git_keeps,
    changed_by_step,
    lost,
    merge,
    update,
)
from tests.published import Publish
from tests.releases import RELEASES, write_release

STEPS = list(itertools.combinations(STAGES, 2))

# Where a user and a release have changed the very same line, only a person can decide.
SAME_LINES = {
    ("the body of a handler rewritten", "a line fixed in a handler"): "both rewrite the line",
    ("all comments of serverless.yml deleted", "a comment corrected"): "the comment is deleted",
}

CLEAN, CONFLICT, NOT_THERE = "clean", "**conflict**", ""


class Case(NamedTuple):
    """An update: of what, by whom changed, into what."""

    old: Tree
    ours: Tree
    new: Tree


class Workshop:
    """Projects at all stages, in memory, with the edits made in them."""

    def __init__(self, fresh: Callable[[int], Project], folder: Path) -> None:
        self.folder = folder
        self.fresh = fresh
        self.tree = cache(self._tree)
        self.edited = cache(self._edited)
        self.checked: dict[object, str] = {}

    def _tree(self, stage: int) -> Tree:
        return {name: data.decode() for name, data in self.fresh(stage).files().items()}

    def _edited(self, name: str, stage: int) -> Tree:
        [edit] = [edit for edit in EDITS + RESERVED if edit.name == name]
        return edit.made(self.tree(stage))

    def step(self, edit: Edit, start: int, end: int) -> Case | None:
        """A step of a project with an edit; None where the edit cannot be made."""
        if not edit.fits(self.tree(start)):
            return None
        return Case(self.tree(start), self.edited(edit.name, start), self.tree(end))

    def release(self, edit: Edit, release: Edit, stage: int) -> Case | None:
        """A release for a project with an edit; None where there is nothing to change."""
        old = self.tree(stage)
        if not (edit.fits(old) and release.fits(old)):
            return None
        return Case(old, self.edited(edit.name, stage), release.made(old))

    def merged(self, case: Case, context: int = WHOLE_FILE) -> Merged:
        """What the update gives, which must be right; a conflict is none of its faults."""
        merged = update(*case, self.folder, context)
        assert lost(*case, merged) == []
        return merged

    def green(self, tree: Tree, *commands: tuple[str | Path, ...]) -> str:
        """Write a tree and run commands in it; give what the first to fail has printed, or ""."""
        key = (tuple(sorted(tree.items())), commands)
        if key not in self.checked:
            self.checked[key] = self._run(tree, commands)
        return self.checked[key]

    def _run(self, tree: Tree, commands: tuple[tuple[str | Path, ...], ...]) -> str:
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            for name, text in tree.items():
                (Path(temporary) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(temporary) / name).write_bytes(text.encode())
            for command in commands:
                done = run(*command, cwd=Path(temporary), check=False)
                if done.returncode:
                    return done.stdout
        return ""


@pytest.fixture(scope="module")
def workshop(fresh: Callable[[int], Project], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(fresh, tmp_path_factory.mktemp("merge"))


def all_together(tree: Tree) -> list[Edit]:
    """All edits that can be made here, one after the other."""
    taken = []
    for edit in EDITS:
        if edit.fits(tree):
            taken.append(edit)
            tree = edit.made(tree)
    return taken


# --- The library


@pytest.mark.parametrize("stage", STAGES)
def test_every_edit_changes_something_and_all_fit_together(workshop: Workshop, stage: int) -> None:
    tree = workshop.tree(stage)
    for edit in EDITS + RESERVED:
        if edit.fits(tree):
            assert workshop.edited(edit.name, stage) != tree, edit.name
    fitting = [edit for edit in EDITS if edit.fits(tree)]
    assert len(fitting) >= 30
    assert all_together(tree) == fitting


def test_the_edits_are_of_all_kinds() -> None:
    kinds = [edit.kind for edit in EDITS]
    assert len(EDITS) >= 32
    assert min(kinds.count(kind) for kind in ("insertion", "replacement", "deletion", "move")) >= 7
    assert len({edit.name for edit in EDITS + RESERVED}) == len(EDITS + RESERVED)


# --- Steps and releases


def step_outcome(workshop: Workshop, edit: Edit, start: int, end: int) -> str:
    """How a step goes: only a file of one's own at a path of the stage's may conflict."""
    case = workshop.step(edit, start, end)
    if case is None:
        return NOT_THERE
    merged = workshop.merged(case)
    ours = as_git_keeps(case.ours)
    both = {name for name in ours.keys() & case.new.keys() if name not in case.old}
    assert merged.conflicts == both, edit.name
    assert not both or edit in RESERVED, edit.name
    assert {name: ours[name] for name in ours.keys() - both}.items() <= merged.files.items()
    return CONFLICT if both else CLEAN


def release_outcome(workshop: Workshop, edit: Edit, release: Edit, stage: int) -> str:
    """How a release goes: only edits of the very same lines may conflict."""
    case = workshop.release(edit, release, stage)
    if case is None:
        return NOT_THERE
    merged = workshop.merged(case)
    ours = as_git_keeps(case.ours)
    for name in case.old.keys() & case.new.keys() & ours.keys():
        texts = (case.old[name], ours[name], case.new[name])
        if len(set(texts)) == 3:
            assert merged.files[name] == merge(*texts, workshop.folder), "not as git does it"
    assert bool(merged.conflicts) == ((edit.name, release.name) in SAME_LINES), (
        edit.name,
        release.name,
        [merged.files[name] for name in merged.conflicts],
    )
    return CONFLICT if merged.conflicts else CLEAN


@pytest.mark.parametrize(("start", "end"), STEPS)
def test_every_edit_survives_every_step(workshop: Workshop, start: int, end: int) -> None:
    outcomes = [step_outcome(workshop, edit, start, end) for edit in EDITS + RESERVED]
    assert outcomes.count(CLEAN) >= 30


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_every_edit_survives_every_release(workshop: Workshop, release: Edit) -> None:
    outcomes = [release_outcome(workshop, edit, release, STAGES[-1]) for edit in EDITS]
    assert outcomes.count(CLEAN) >= 30


# --- The same with Copier


@pytest.fixture(scope="module")
def released(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with a tag for each kind of release; none has the change of another."""
    clone = tmp_path_factory.mktemp("released") / "template"
    run("git", "clone", "--quiet", template, clone, cwd=clone.parent)
    for number, release in enumerate(RELEASES):
        run("git", "checkout", "--quiet", "v999.0.0", cwd=clone)
        write_release(release, clone / "template")
        run("git", "add", "--all", cwd=clone)
        run("git", "commit", "--quiet", f"--message={release.name}", cwd=clone)
        run("git", "tag", version(number), cwd=clone)
    return clone


def version(number: int) -> str:
    return f"v1000.0.{number}"


@contextlib.contextmanager
def project_with(workshop: Workshop, stage: int, *edits: Edit) -> Iterator[Project]:
    """A real project with edits, committed."""
    made = workshop.fresh(stage)
    with tempfile.TemporaryDirectory(dir=workshop.folder) as temporary:
        project = Project(Path(temporary) / "project")
        shutil.copytree(made.folder, project.folder)
        edit_folder(edits, project.folder, made.files())
        project.commit()
        yield project


def check_same(project: Project, merged: Merged) -> None:
    """Make sure that a real update has given what we have made of it, byte for byte."""
    files = {name: data.decode() for name, data in project.files().items()}
    assert as_git_keeps(files) == merged.files
    unmerged = project.run("git", "ls-files", "--unmerged").stdout.splitlines()
    assert {line.split("\t")[1] for line in unmerged} == merged.conflicts


def take_step(workshop: Workshop, edits: list[Edit], start: int, end: int) -> None:
    """Take a step with Copier, and without it."""
    with project_with(workshop, start, *edits) as project:
        ours = {name: data.decode() for name, data in project.files().items()}
        project.advance(end)
        case = Case(workshop.tree(start), ours, workshop.tree(end))
        check_same(project, workshop.merged(case, DEFAULT_CONTEXT))


def take_release(
    workshop: Workshop, edits: list[Edit], number: int, stage: int, released: Path
) -> None:
    """Take a release with Copier, and without it."""
    with project_with(workshop, stage, *edits) as project:
        ours = {name: data.decode() for name, data in project.files().items()}
        answers = project.folder / ".copier-answers.yml"
        answers.write_text(
            re.sub(r"(?m)^_src_path: .*", f"_src_path: {released}", answers.read_text())
        )
        project.commit()
        ref = f"--vcs-ref={version(number)}"
        copier("update", "--defaults", ref, f"--context-lines={WHOLE_FILE}", cwd=project.folder)
        old = workshop.tree(stage)
        case = Case(old, ours, RELEASES[number].made(old))
        check_same(project, workshop.merged(case))


@pytest.mark.parametrize(
    ("start", "end"),
    [step if step == (3, 5) else pytest.param(*step, marks=pytest.mark.full) for step in STEPS],
)
def test_copier_takes_a_step_with_all_edits_together(
    workshop: Workshop, start: int, end: int
) -> None:
    take_step(workshop, all_together(workshop.tree(start)), start, end)


def test_copier_merges_a_release_with_all_edits_together(
    workshop: Workshop, released: Path
) -> None:
    number = [release.name for release in RELEASES].index("a rule added")
    take_release(workshop, all_together(workshop.tree(5)), number, 5, released)


def test_copier_leaves_marks_where_both_changed_a_line(workshop: Workshop, released: Path) -> None:
    edit, release = next(iter(SAME_LINES))
    number = [release.name for release in RELEASES].index(release)
    [mine] = [one for one in EDITS if one.name == edit]
    take_release(workshop, [mine], number, 1, released)


# --- Twins: a patch with three lines of context may fit in more than one place


def twins(text: str, context: int) -> list[int]:
    """The lines before which an insertion, as a patch, would fit in another place as well."""
    lines = text.splitlines()
    found = []
    # At its very ends, git applies a patch nowhere else.
    for at in range(1, len(lines)):
        start = max(at - context, 0)
        around = lines[start : at + context]
        others = range(len(lines) - len(around) + 1) if start else ()
        if any(lines[other:][: len(around)] == around for other in others if other != start):
            found.append(at + 1)
    return found


def test_no_insertion_into_our_files_has_a_twin(workshop: Workshop) -> None:
    """So nobody's edit moves, even without ``--context-lines``. (The lock is changed by npm.)"""
    tree = workshop.tree(STAGES[-1])
    found = {name: twins(tree[name], DEFAULT_CONTEXT) for name in tree}
    del found["package-lock.json"]
    assert {name: lines for name, lines in found.items() if lines} == {}


TWINS = """\
/boats:
  get:
    security:
      - accessToken: []
    responses:
      "401":
        $ref: Unauthorized
/trains:
  get:
    security:
      - accessToken: []
    responses:
      "401":
        $ref: Unauthorized
"""


def test_an_edit_moves_to_a_twin_unless_the_whole_file_is_compared(
    template: Path, tmp_path: Path
) -> None:
    """Somebody adds a line to the second block; a release changes a line close by."""
    first, second = TWINS.split("/trains")
    released = first + "/trains" + second.replace('"401"', '"403"')
    edited = first + "/trains" + second.replace(": []\n", ": []\n      - ours: []\n")
    case = Case({"twins.yml": TWINS}, {"twins.yml": edited}, {"twins.yml": released})
    assert twins(TWINS, DEFAULT_CONTEXT)

    clone = tmp_path / "template"
    run("git", "clone", "--quiet", template, clone, cwd=tmp_path)
    for tag, text in (("v1000.0.0", TWINS), ("v1001.0.0", released)):
        (clone / "template/twins.yml").write_text(text)
        run("git", "add", "--all", cwd=clone)
        run("git", "commit", "--quiet", f"--message={tag}", cwd=clone)
        run("git", "tag", tag, cwd=clone)
    ref = "--vcs-ref=v1000.0.0"
    copier("copy", "--quiet", "--defaults", ref, clone, "project", cwd=tmp_path)
    project = Project(tmp_path / "project")
    project.run("git", "init", "--quiet")
    project.write("twins.yml", edited)
    project.commit()

    for context in (DEFAULT_CONTEXT, WHOLE_FILE):
        project.run("git", "reset", "--quiet", "--hard")
        copier("update", "--defaults", f"--context-lines={context}", cwd=project.folder)
        result = (project.folder / "twins.yml").read_text()
        merged = update(*case, tmp_path, context)
        assert merged == Merged({"twins.yml": result}, set())
        moved = result.index("ours") < result.index("/trains")
        assert moved == (context == DEFAULT_CONTEXT)
        assert bool(lost(*case, merged)) == moved, "a move is seen"


# --- A bad seam


def test_a_list_that_a_stage_appends_to_is_caught(template: Path, tmp_path: Path) -> None:
    """What it would cost, too: whoever has appended to the list gets a conflict."""
    clone = tmp_path / "template"
    run("git", "clone", "--quiet", template, clone, cwd=tmp_path)
    [line] = re.findall("(?m)^  - ./tools/osls-plugin.js.*\n", read(clone / SERVERLESS))
    more = line + "{% if stage >= 3 %}\n  - ./tools/queue-plugin.js\n{% endif %}\n"
    (clone / SERVERLESS).write_text(read(clone / SERVERLESS).replace(line, more))
    trees = []
    for stage in (2, 3):
        project = Project(tmp_path / f"stage-{stage}")
        data = f"--data=stage={stage}"
        arguments = ("--quiet", "--defaults", "--vcs-ref=HEAD", data, clone, project.folder)
        copier("copy", *arguments, cwd=tmp_path)
        project.run("git", "init", "--quiet")
        trees.append(read_folder(project.folder, project.files()))
    old, new = trees
    assert changed_by_step(old, new) == ["serverless.yml"]

    edit = after("serverless.yml", line, "  - ./tools/own-plugin.js\n")
    ours = Edit("insertion", "a plugin added", (edit,)).made(old)
    merged = update(old, ours, new, tmp_path, DEFAULT_CONTEXT)
    assert merged.conflicts == {"serverless.yml"}
    assert lost(old, ours, new, merged) == []


SERVERLESS = "template/serverless.yml.jinja"


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# --- What holds after a merge


def cases(workshop: Workshop) -> Iterator[tuple[Edit, Case]]:
    """All steps and releases, for each edit; a release at the first stage and at the last."""
    for edit in EDITS:
        for step in STEPS:
            if case := workshop.step(edit, *step):
                yield edit, case
        for release in RELEASES:
            usable = [stage for stage in STAGES if workshop.release(edit, release, stage)]
            for stage in {*usable[:1], *usable[-1:]}:
                if case := workshop.release(edit, release, stage):
                    yield edit, case


def only(tree: Tree, *names: str) -> Tree:
    """The files of a tree whose names match."""
    return {name: tree[name] for name in sorted(tree) if any(map(PurePath(name).match, names))}


CHECKS = (("ruff", "format", "--check"), ("ruff", "check"))
MENDING = (("ruff", "check", "--fix", "--exit-zero"), ("ruff", "format"))


def check_lint(workshop: Workshop, edit: Edit, case: Case, merged: Merged) -> bool:
    """Make sure that what was clean is clean; True where ``tox -e format`` has to see to it."""
    parts = ("*.py", "pyproject.toml", ".gitignore")
    assert workshop.green(only(as_git_keeps(case.ours), *parts), *CHECKS) == ""
    tree = only(merged.files, *parts)
    if workshop.green(tree, *CHECKS) == "":
        return False
    assert edit.restyles, edit.name
    assert workshop.green(tree, *MENDING, *CHECKS) == ""
    return True


def test_lint_stays_clean_after_a_step(workshop: Workshop) -> None:
    """Only who has chosen another style has the new files formatted, with ``tox -e format``."""
    to_format = set()
    for edit in EDITS:
        case = workshop.step(edit, 4, 5)
        if case and check_lint(workshop, edit, case, workshop.merged(case)):
            to_format.add(edit.name)
    assert to_format == {edit.name for edit in EDITS if edit.restyles}


@pytest.mark.full
def test_all_pairs_and_their_tables(workshop: Workshop, publish: Publish) -> None:
    counted = Counter[str]()
    for edit in EDITS + RESERVED:
        outcomes = [step_outcome(workshop, edit, *step) for step in STEPS]
        counted.update(outcomes)
        publish("merges.md", "steps", edit.name, *outcomes)
    publish("merges.md", "sum", "steps", *totals(counted))
    counted = Counter()
    for edit in EDITS:
        row = []
        for release in RELEASES:
            outcomes = [release_outcome(workshop, edit, release, stage) for stage in STAGES]
            counted.update(outcomes)
            row.append(CONFLICT if CONFLICT in outcomes else max(outcomes))
        publish("merges.md", "releases", edit.name, *row)
    publish("merges.md", "sum", "releases", *totals(counted))


def totals(counted: Counter[str]) -> tuple[str, str, str]:
    """How many updates, and how many of them are clean and not."""
    clean, conflicts = counted[CLEAN], counted[CONFLICT]
    return f"{clean + conflicts:,}", f"{clean:,}", f"{conflicts:,}"


@pytest.mark.full
def test_lint_stays_clean_and_unit_tests_green(workshop: Workshop, render: Render) -> None:
    """Each tree that differs in what the checks read is checked once."""
    car = render(STAGES[-1])
    car.tox("-qq", "-e", "unit")
    python = car.folder / ".tox/unit/bin/python"
    units = (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit")
    failed = {}
    for edit, case in cases(workshop):
        merged = workshop.merged(case)
        if merged.conflicts:
            continue
        check_lint(workshop, edit, case, merged)
        tree = only(merged.files, "service/**/*.py", "service/*.py", "tests/unit/*.py")
        tree["pyproject.toml"] = case.old["pyproject.toml"]
        if said := workshop.green(tree, units):
            failed[edit.name] = said
    assert failed == {}


@pytest.mark.full
@pytest.mark.parametrize("end", STAGES[1:])
def test_types_stay_right_with_all_edits_together(
    workshop: Workshop, render: Render, end: int
) -> None:
    old, new = workshop.tree(1), render(end)
    new.tox("-qq", "-e", "unit")
    ours = old
    for edit in all_together(old):
        ours = edit.made(ours)
    merged = workshop.merged(Case(old, ours, workshop.tree(end)))
    mypy = (new.folder / ".tox/unit/bin/python", "-m", "mypy")
    assert workshop.green(merged.files, mypy) == ""


# One in ten: each edit meets other steps and releases than the one before it.
SOME = [
    (edit, step)
    for number, (edit, step) in enumerate(itertools.product(EDITS + RESERVED, STEPS))
    if (number // len(STEPS) * 3 + number) % 10 == 0
]
OTHERS = [
    (edit, release)
    for number, (edit, release) in enumerate(itertools.product(EDITS, range(len(RELEASES))))
    if (number // len(RELEASES) * 3 + number) % 10 == 0
]


@pytest.mark.full
@pytest.mark.parametrize("stage", STAGES[:-1])
def test_copier_takes_one_step_in_ten(workshop: Workshop, publish: Publish, stage: int) -> None:
    taken = 0
    for edit, (start, end) in SOME:
        if start == stage and edit.fits(workshop.tree(start)):
            take_step(workshop, [edit], start, end)
            taken += 1
    publish("merges.md", "copier", f"steps from stage {stage}", str(taken))


@pytest.mark.full
@pytest.mark.parametrize("stage", STAGES)
def test_copier_merges_one_release_in_ten(
    workshop: Workshop, released: Path, publish: Publish, stage: int
) -> None:
    """Each pair at one of the stages where it is possible."""
    taken = 0
    for number, (edit, release) in enumerate(OTHERS):
        usable = [stage for stage in STAGES if workshop.release(edit, RELEASES[release], stage)]
        if usable and usable[number % len(usable)] == stage:
            take_release(workshop, [edit], release, stage, released)
            taken += 1
    publish("merges.md", "copier", f"releases at stage {stage}", str(taken))
