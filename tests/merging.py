"""``copier update``, without Copier: the same merge, thousands of times.

What Copier does to a file (copier/_main.py, ``_apply_update``): it writes the new version, and
applies to it, as a patch with some lines of context, what the user has changed since the old one.
Where the patch does not apply, it merges the three versions of the file instead. Tests compare
the outcome with that of real updates, byte for byte.
"""

import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from demo.snapshot import environment
from tests.edits import Tree

# What ``copier update`` does by itself, and what we recommend for releases: so many lines that
# the patch has the whole file. It then never applies to a file that the release changes as well,
# and so the three versions are merged, as git would.
DEFAULT_CONTEXT = 3
WHOLE_FILE = 1000

LABELS = ("before updating", "last update", "after updating")


class Merged(NamedTuple):
    """The files after an update, and those of them that have conflict marks."""

    files: Tree
    conflicts: set[str]


def as_git_keeps(tree: Tree) -> Tree:
    """The files as they are committed: .gitattributes says ``eol=lf``."""
    return {name: text.replace("\r\n", "\n") for name, text in tree.items()}


def update(old: Tree, ours: Tree, new: Tree, folder: Path, context: int) -> Merged:
    """What an update makes of a project.

    Args:
        old: what the template gave.
        ours: what the user has made of it.
        new: what the template gives now.
        folder: where files may be written.
        context: lines of context of the patch.
    """
    assert old.keys() <= new.keys(), "the template has lost a file"
    ours = as_git_keeps(ours)
    files = dict(ours)
    conflicts = set()
    for name in new:
        if name not in ours:
            if name not in old:
                files[name] = new[name]  # what the user has deleted stays away
        elif old.get(name) == ours[name]:
            files[name] = new[name]
        elif new[name] not in (old.get(name), ours[name]):
            versions = (old.get(name, ""), ours[name], new[name])
            applied = None if name not in old else apply(*versions, folder, context)
            files[name] = merge(*versions, folder) if applied is None else applied
            if f"<<<<<<< {LABELS[0]}\n" in files[name]:
                conflicts.add(name)
    return Merged(files, conflicts)


def apply(old: str, ours: str, new: str, folder: Path, context: int) -> str | None:
    """Apply the user's changes to the new version, as a patch; None where it does not apply."""
    _write(folder, old=old, ours=ours)
    options = (f"--unified={context}", "--inter-hunk-context=-1")
    patch = _git("diff", "--no-index", *options, "old", "ours", cwd=folder)
    _write(folder, ours=new)
    done = subprocess.run(
        ["git", "apply", "--reject", "-p0"],
        cwd=folder,
        env=environment(),
        input="--- ours\n+++ ours\n" + patch[patch.index("@@ ") :],
        text=True,
        capture_output=True,
    )
    if (folder / "ours.rej").exists():
        (folder / "ours.rej").unlink()
        return None
    assert done.returncode == 0, done.stderr
    return (folder / "ours").read_bytes().decode()


def merge(old: str, ours: str, new: str, folder: Path) -> str:
    """Merge three versions of a file as git does, with conflict marks where need be."""
    _write(folder, old=old, ours=ours, new=new)
    labels = [word for label in LABELS for word in ("-L", label)]
    return _git("merge-file", "-p", *labels, "ours", "old", "new", cwd=folder)


def _write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")


def _git(*arguments: str, cwd: Path) -> str:
    """What git prints, whatever it returns: 1 means that there are differences."""
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment(), text=True, capture_output=True)
    assert done.returncode < 128, done.stderr
    return done.stdout


# --- What must hold of a merge


def changed_by_step(before: Tree, after: Tree) -> list[str]:
    """The files that a step has changed or taken away, where it may only add some."""
    return sorted(name for name, text in before.items() if after.get(name) != text)


def lost(old: Tree, ours: Tree, new: Tree, merged: Merged) -> list[str]:
    """What is wrong with a merge, all of it: nothing, if all is well.

    Without a conflict, a merged file has each line as often as it had before, and more or fewer
    times only as both the user and the release have changed that. The lines of the user's file
    follow each other as before. With one, no line of the user's or the release's is missing.
    """
    ours = as_git_keeps(ours)
    wrong = []
    for name in ours.keys() | new.keys():
        if name not in merged.files:
            if name in ours:
                wrong.append(f"{name} is gone")
            continue
        if name not in ours or merged.files[name] == _only_change(name, old, ours, new):
            continue
        was, mine = old.get(name, "").splitlines(), ours[name].splitlines()
        theirs = new.get(name, old.get(name, "")).splitlines()
        now = merged.files[name].splitlines()
        if name in merged.conflicts:
            missing = (Counter(mine) - Counter(was)) + (Counter(theirs) - Counter(was))
            wrong += [f"{name}: lost {line!r}" for line in missing - Counter(now)]
            continue
        wanted = Counter(mine)
        wanted.update(theirs)
        wanted.subtract(was)
        if mine == theirs:
            wanted = Counter(mine)
        wrong += [f"{name}: lost {line!r}" for line in +wanted - Counter(now)]
        wrong += [f"{name}: {line!r} is too much" for line in Counter(now) - +wanted]
        if once(mine, now) != once(now, mine):
            wrong.append(f"{name}: lines have moved")
    return wrong


def _only_change(name: str, old: Tree, ours: Tree, new: Tree) -> str | None:
    """The file as the one side that has changed it left it; None where both have."""
    if old.get(name) == new.get(name):
        return ours[name]
    return new[name] if old.get(name) == ours[name] else None


def once(lines: list[str], others: list[str]) -> list[str]:
    """The lines, in order, that both have once."""
    counted, other = Counter(lines), Counter(others)
    return [line for line in lines if counted[line] == other[line] == 1]
