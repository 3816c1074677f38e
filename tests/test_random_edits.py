"""Random edits, by random ways through stages and releases: nothing of the user's is lost.

Each leg of a way is merged twice: as Copier does it, and by ``git merge``. What Copier makes must
be the same to the byte, or better: where git has a conflict and Copier has none, everything that
either side put in is there, and nothing that either side took out.
"""

import hashlib
import itertools
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from demo.snapshot import environment
from tests.conftest import STAGES, Project, copier, run
from tests.newer import copied
from tests.test_render import FILES

Tree = dict[str, bytes]  # contents by path
Conflicts = set[str]

# What a release changes: in the template's file, this text for that.
RELEASE = [
    ("README.md.jinja", "It runs on AWS Lambda, and just as well on", "It runs on AWS and on"),
    ("README.md.jinja", "## Make it yours\n", "## Make it yours\n\nIt is yours.\n"),
    ("service/pricing.py", '"scooter": ', '"kick scooter": 100,\n    "scooter": '),
    ("service/quote.py", "return pricing.quote(event)", "return dict(pricing.quote(event))"),
    ("infra/quote.yml", "    role: QuoteRole\n", "    role: QuoteRole\n    timeout: 5\n"),
    ("infra/quote.yml", "    QuoteRole:\n", "    # Who the function is.\n    QuoteRole:\n"),
    ("serverless.yml.jinja", "  logRetentionInDays: 30\n", "  logRetentionInDays: 60\n"),
    ("pyproject.toml.jinja", '  "cfn-lint",\n', '  "cfn-lint>=1.58",\n'),
    ("tox.ini", "interrupt_timeout = 20", "interrupt_timeout = 30"),
    ("house_rules.py", "MIN_RECEIVE_COUNT = 5", "MIN_RECEIVE_COUNT = 6"),
    (
        ".github/workflows/ci.yml.jinja",
        "      - run: tox\n",
        "      - run: tox list\n      - run: tox\n",
    ),
    (".gitignore", ".venv/\n", ".venv/\n.coverage\n"),
    ("openapi/api.yml.jinja", "    Problem:\n", "    # One for all refusals.\n    Problem:\n"),
]
CHANGED = sorted({name.removesuffix(".jinja") for name, _, _ in RELEASE})
GENERATED = {"package-lock.json"}  # by npm, not by hand


@dataclass(frozen=True)
class Edit:
    """A change to the lines of a file; all numbers are taken modulo what is there."""

    file: int
    kind: str
    line: int
    lines: int


@dataclass(frozen=True)
class Way:
    """From a stage: edits, then a step (or the newest release), edits again, and so on."""

    stage: int
    legs: list[tuple[list[Edit], str]]


edits = st.builds(
    Edit,
    file=st.integers(0, 999),
    kind=st.sampled_from(["insert", "insert", "replace", "replace", "delete", "repeat", "drop"]),
    line=st.integers(0, 999),
    lines=st.integers(1, 4),
)
ways = st.builds(
    Way,
    stage=st.sampled_from(STAGES),
    legs=st.lists(
        st.tuples(
            st.lists(edits, min_size=1, max_size=8), st.sampled_from(["release", "release", "step"])
        ),
        min_size=1,
        max_size=3,
    ),
)


def edited(tree: Tree, edits: list[Edit], own: "itertools.count[int]") -> Tree:
    """A tree after edits. Each line that they write is there only once, in all files."""
    tree = dict(tree)
    for edit in edits:
        # Two of three in a file that the release changes, too.
        there = [name for name in (CHANGED if edit.file % 3 else sorted(tree)) if name in tree]
        names = [name for name in there if name not in GENERATED]
        name = names[edit.file % len(names)]
        if edit.kind == "drop":
            if edit.lines == 1:
                del tree[name]
            continue
        lines = tree[name].splitlines(keepends=True)
        begin = edit.line % (len(lines) + 1)
        end = begin + edit.lines
        indent = b" " * (edit.line % 3 * 2)
        written = [b"%sown line %d\n" % (indent, next(own)) for _ in range(edit.lines)]
        if edit.kind == "insert":
            lines[begin:begin] = written
        elif edit.kind == "replace":
            lines[begin:end] = written
        elif edit.kind == "delete":
            del lines[begin:end]
        elif edit.kind == "repeat":  # a block just like another
            lines[end:end] = [*lines[begin:end], written[0], *lines[begin:end]]
        tree[name] = b"".join(lines)
    return tree


def git(*arguments: str, cwd: Path, given: bytes = b"") -> bytes:
    """What git prints, whatever its exit status is."""
    return subprocess.run(
        ["git", *arguments], cwd=cwd, env=environment(), input=given, stdout=subprocess.PIPE
    ).stdout


def as_copier(base: Tree, mine: Tree, new: Tree, folder: Path) -> tuple[Tree, Conflicts]:
    """What `copier update` makes, and the files that it leaves in conflict.

    Copier puts the new files in place, applies to them as a patch what the user has changed, with
    three lines of context, and merges a file only if a part of its patch was rejected. That it
    does is seen by the tests with the real command.
    """
    result, conflicts = dict(mine), set()
    for name in new:
        before, ours, theirs = base.get(name), mine.get(name), new[name]
        if ours is None:
            if before is None:
                result[name] = theirs
            continue
        if theirs in (before, ours):
            continue
        result[name] = theirs
        if ours != before:
            result[name], conflict = patched(before or b"", ours, theirs, folder)
            conflicts |= {name} if conflict else set()
    return result, conflicts


def patched(before: bytes, ours: bytes, theirs: bytes, folder: Path) -> tuple[bytes, bool]:
    """Theirs with our changes, and whether there is a conflict."""
    for name, content in (("a", before), ("b", ours), ("file", theirs)):
        (folder / name).write_bytes(content)
    patch = git(
        *("diff", "--no-index", "--unified=3", "--inter-hunk-context=-1", "a", "b"), cwd=folder
    )
    for old in (b"a/a", b"b/b", b"a/b", b"b/a"):
        patch = patch.replace(old, old[:2] + b"file", 2)
    rejected = folder / "file.rej"
    rejected.unlink(missing_ok=True)
    git("apply", "--reject", "--quiet", cwd=folder, given=patch)
    if not rejected.exists():
        return (folder / "file").read_bytes(), False
    (folder / "file").write_bytes(theirs)
    labels = ("-L", "before updating", "-L", "last update", "-L", "after updating")
    merged = git("merge-file", "--stdout", *labels, "b", "a", "file", cwd=folder)
    return merged, b"<<<<<<< before updating" in merged


def as_git(base: Tree, mine: Tree, new: Tree, folder: Path) -> tuple[dict[str, str], Conflicts]:
    """The hashes of what `git merge` makes, by path, and the files that it leaves in conflict."""
    stream = []
    for branch, tree in (("base", base), ("mine", mine), ("new", new)):
        stream.append(
            b"commit refs/heads/%s\ncommitter R <r@example.com> 0 +0000\ndata 0\n" % branch.encode()
        )
        stream.append(b"deleteall\n" if branch == "base" else b"from refs/heads/base\ndeleteall\n")
        for name, content in tree.items():
            stream.append(
                b"M 644 inline %s\ndata %d\n%s\n" % (name.encode(), len(content), content)
            )
    git("fast-import", "--quiet", "--force", cwd=folder, given=b"".join(stream))
    merge = ("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", "mine", "new")
    tree_id, *conflicts = git(*merge, cwd=folder).decode().split("\0")
    listed = git("ls-tree", "-r", "-z", tree_id, cwd=folder).decode().split("\0")
    found = [line.split(" ")[2].split("\t") for line in listed if line]
    return {name: content for content, name in found}, {name for name in conflicts if name}


def hashed(content: bytes) -> str:
    """The name that git has for a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def count(content: bytes | None) -> Counter[bytes]:
    return Counter((content or b"").splitlines())


def check_leg(base: Tree, mine: Tree, new: Tree, folder: Path) -> tuple[Tree, Conflicts]:
    """Merge in both ways, and compare."""
    result, conflicts = as_copier(base, mine, new, folder)
    hashes, gits_conflicts = as_git(base, mine, new, folder)
    for name, content in result.items():
        own = Counter(line for line in count(mine.get(name)).elements() if b"own line" in line)
        assert own <= count(content), f"{name}: a line is lost"
        if name in conflicts:
            assert name in gits_conflicts, f"{name}: git merges it"
        elif name not in gits_conflicts:
            assert hashed(content) == hashes.get(name), f"{name}: not what git makes"
        else:  # better, if the two changes are both in
            both = count(mine.get(name))
            both.update(count(new.get(name)))
            both.subtract(count(base.get(name)))
            assert count(content) == +both, f"{name}: worse than a conflict"
    assert result.keys() | gits_conflicts >= hashes.keys()
    return result, conflicts


def settled(tree: Tree, conflicts: Conflicts) -> Tree:
    """A tree after someone took both sides of each conflict."""
    marks = (b"<<<<<<< ", b"=======", b">>>>>>> ")
    return {
        name: b"".join(x for x in content.splitlines(keepends=True) if not x.startswith(marks))
        if name in conflicts
        else content
        for name, content in tree.items()
    }


@dataclass(frozen=True)
class Lab:
    """The template's files at each release and stage, and a repository to merge in."""

    releases: Path
    trees: dict[tuple[str, int], Tree]
    folder: Path

    def ride(self, way: Way, leg: Callable[..., tuple[Tree, Conflicts]]) -> Counter[str]:
        """Take a way, and check each leg; give how often there was a conflict, or none."""
        release, stage, own = "old", way.stage, itertools.count()
        mine = self.trees[release, stage]
        seen: Counter[str] = Counter()
        for edits, move in way.legs:
            base = self.trees[release, stage]
            mine = edited(mine, edits, own)
            if move == "release":
                release = "new"
            else:
                stage = min(stage + 1, STAGES[-1])
            new = self.trees[release, stage]
            mine, conflicts = leg(base, mine, new, self.folder)
            seen["conflict" if conflicts else "clean"] += 1
            mine = settled(mine, conflicts)
        return seen


@pytest.fixture(scope="module")
def lab(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    releases, old = copied(template, folder, stage=STAGES[-1])
    for name, before, after in RELEASE:
        path = releases / "template" / name
        text = path.read_text(encoding="utf-8")
        assert before in text, f"{name} has no {before!r}"
        path.write_text(text.replace(before, after, 1), encoding="utf-8")
    run("git", "commit", "--quiet", "--all", "--message=newer", cwd=releases)
    run("git", "tag", "v1000.0.0", cwd=releases)
    copier(
        "copy", "--quiet", "--defaults", f"--data=stage={STAGES[-1]}", releases, "new", cwd=folder
    )
    new = Project(folder / "new")
    new.run("git", "init", "--quiet")
    trees = {
        (release, stage): {name: content for name, content in files.items() if name in FILES[stage]}
        for release, files in (("old", old.files()), ("new", new.files()))
        for stage in STAGES
    }
    merging = folder / "merging"
    merging.mkdir()
    run("git", "init", "--quiet", cwd=merging)
    return Lab(releases, trees, merging)


def ride_many(lab: Lab, number: int, leg: Callable[..., Any] = check_leg) -> Counter[str]:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=number,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(ways)
    def ride(way: Way) -> None:
        seen.update(lab.ride(way, leg))

    ride()
    return seen


def test_edits_survive_any_way(lab: Lab) -> None:
    seen = ride_many(lab, 40)
    # How many of each, depends on the version of Python.
    assert min(seen["clean"], seen["conflict"]) >= 1, seen


@pytest.mark.full
def test_many_edits_survive_any_way(lab: Lab) -> None:
    seen = ride_many(lab, 1000)
    assert min(seen["clean"], seen["conflict"]) >= 100, seen


def test_a_lost_line_is_found(lab: Lab) -> None:
    def careless(base: Tree, mine: Tree, new: Tree, folder: Path) -> tuple[Tree, Conflicts]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(
                globals(), "patched", lambda _before, _ours, theirs, _folder: (theirs, False)
            )
            return check_leg(base, mine, new, folder)

    with pytest.raises(AssertionError, match=r"a line is lost|not what git makes"):
        ride_many(lab, 40, careless)


def really(lab: Lab, folder: Path, release: str, mine: Tree, stage: int, to: int) -> Project:
    """Update a project with some files by the real command, to the newest release and a stage."""
    answers = f"--data=stage={stage}"
    version = {"old": "v999.0.0", "new": "v1000.0.0"}[release]
    copier(
        "copy",
        "--quiet",
        "--defaults",
        answers,
        f"--vcs-ref={version}",
        lab.releases,
        "p",
        cwd=folder,
    )
    project = Project(folder / "p")
    project.run("git", "init", "--quiet")
    for name in project.files().keys() - mine.keys():
        (project.folder / name).unlink()
    for name, content in mine.items():
        (project.folder / name).write_bytes(content)
    project.commit()
    copier("update", "--quiet", "--defaults", f"--data=stage={to}", cwd=project.folder)
    return project


def compare_with_the_real_command(lab: Lab, tmp_path: Path, number: int) -> None:
    examples: list[Way] = []

    def keep(way: Way) -> None:
        examples.append(way)

    settings(max_examples=number, derandomize=True, database=None, phases=[Phase.generate])(
        given(ways)(keep)
    )()
    conflicted = 0
    for index, way in enumerate(examples):
        to = min(way.stage + index % 2, STAGES[-1])
        edits = [edit for some, _ in way.legs for edit in some]
        base, new = lab.trees["old", way.stage], lab.trees["new", to]
        mine = edited(base, edits, itertools.count())
        (tmp_path / str(index)).mkdir()
        project = really(lab, tmp_path / str(index), "old", mine, way.stage, to)
        result, conflicts = as_copier(base, mine, new, lab.folder)
        assert project.files() == result
        unmerged = project.run("git", "diff", "--name-only", "--diff-filter=U").stdout
        assert set(unmerged.splitlines()) == conflicts
        conflicted += bool(conflicts)
    assert conflicted


def test_copier_does_as_supposed_here(lab: Lab, tmp_path: Path) -> None:
    compare_with_the_real_command(lab, tmp_path, 3)


@pytest.mark.full
def test_copier_does_as_supposed_here_with_many_edits(lab: Lab, tmp_path: Path) -> None:
    compare_with_the_real_command(lab, tmp_path, 20)
