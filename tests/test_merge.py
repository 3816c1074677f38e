"""What people change survives every step, and every kind of release, of the template."""

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import STAGES, Project
from tests.edits import EDITS, RESERVED, Edit, Tree
from tests.merging import WHOLE_FILE, Merged, as_git_keeps, lost, merge, update
from tests.releases import RELEASES

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
    assert bool(both) == (edit in RESERVED and bool(both)), edit.name
    assert {name: merged.files[name] for name in ours.keys() - both}.items() <= ours.items()
    return CONFLICT if both else CLEAN


def release_outcome(workshop: Workshop, edit: Edit, release: Edit, stage: int) -> str:
    """How a release goes: only edits of the very same lines may conflict."""
    case = workshop.release(edit, release, stage)
    if case is None:
        return NOT_THERE
    merged = workshop.merged(case)
    for name in merged.files.keys() & case.old.keys() & case.new.keys() & case.ours.keys():
        texts = (case.old[name], as_git_keeps(case.ours)[name], case.new[name])
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
