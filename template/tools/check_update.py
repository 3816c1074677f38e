"""Check that the last update of the template is finished, and took back no change of yours.

`copier update` ends well even if it could not keep a change. ``tox -e lint`` runs this check.
``python3 tools/check_update.py --install`` lets git run it before each commit, too.
"""

from __future__ import annotations  # git may run this with an older Python than tox does

import itertools
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # git runs this file by its path

from tools.console import Stop, clear_errors, say  # noqa: E402

# A branch may be older than this file, and a folder of hooks may serve several repositories.
HOOK = """#!/bin/sh
test ! -f {file} || exec python3 {file}
"""

# A hook looks at the index, which is what git will commit. git names it for the hook's own folder.
ENVIRON = os.environ | {"LC_ALL": "C"}
for variable in ("GIT_DIR", "GIT_PREFIX", "GIT_WORK_TREE"):
    ENVIRON.pop(variable, None)
if IN_HOOK := "GIT_INDEX_FILE" in ENVIRON:
    ENVIRON["GIT_INDEX_FILE"] = str(Path(ENVIRON["GIT_INDEX_FILE"]).absolute())
# Without an option git looks into tracked files, and with this one it leaves out ignored ones.
WHERE = [["--cached"]] if IN_HOOK else [[], ["--untracked"]]

NOTHING_THERE = re.compile(rb"not a git repository|invalid object name|does not exist|not in ")
# A whole conflict, or what is left of one of Copier's.
CONFLICT = re.compile(
    rb"^<{7} (?:.*\n)*?>{7} |^<{7} before updating$|^>{7} after updating$", re.MULTILINE
)
FENCED = re.compile(rb"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?^ {0,3}\1[ \r]*$", re.MULTILINE | re.DOTALL)
STAGE = re.compile(rb"^(stage|was): .*\n", re.MULTILINE)  # in the answers file
# Settings of whoever runs this do not change what git answers.
NO_SETTINGS = (
    *("color.ui=never", "grep.patternType=basic", "grep.fullName=false", "submodule.recurse=false"),
    *("blame.ignoreRevsFile=", "log.showSignature=false", f"diff.orderFile={os.devnull}"),
)
GIT = ["git", *(word for setting in NO_SETTINGS for word in ("-c", setting))]
DIFF = ("diff", "--name-only", "-z", "--relative", "--no-renames", "--ignore-submodules=all")

UNDO = "git reset . && git stash push --include-untracked ."
NOT_INSTALLED = "The check was not put before each commit."


def git(*arguments: str, given: bytes = b"") -> bytes:
    """Return what git prints; nothing without git, a repository, or what was asked for.

    Raises:
        Stop: git refuses to look at the repository.
    """
    try:
        done = subprocess.run(
            [*GIT, *arguments], cwd=ROOT, env=ENVIRON, input=given, capture_output=True
        )
    except FileNotFoundError:
        return b""
    if done.returncode > 1 and not NOTHING_THERE.search(done.stderr):
        raise Stop(
            "It is not known whether an update is unfinished.",
            f"git says: {done.stderr.decode(errors='replace').strip()}",
            "do what git says, then try again.",
        )
    return done.stdout


def names(*arguments: str) -> list[str]:
    """Return the names that git lists, without the columns before them."""
    return [os.fsdecode(line.split(b"\t")[-1]) for line in git(*arguments).split(b"\0") if line]


def shown(name: str) -> str:
    """Return a name, in whatever encoding it is, so that it can be printed."""
    return os.fsencode(name).decode(errors="replace")


def quoted(name: str) -> str:
    """Return a name as a shell takes it."""
    return shlex.quote(shown(name))


def unfinished() -> Iterator[str]:
    """Find what waits for a decision, such as ``README.md, line 12``."""
    unmerged = set(names("ls-files", "-z", "--unmerged"))
    ours = [".", ":(exclude,attr:conflict-marker-size=32)"]
    ours += [f":(exclude,literal){name}" for name in untracked() if not is_small(name)]
    found = [names("grep", "-Ilz", "-e", "^[<>]\\{7\\} ", *where, "--", *ours) for where in WHERE]
    for name in sorted({*unmerged, *itertools.chain(*found)}):
        text = version("" if IN_HOOK else None, name)
        if name.endswith(".md") and name not in in_conflict():  # a fence shows an example
            text = FENCED.sub(lambda fenced: b"\n" * fenced[0].count(b"\n"), text)
        marks = [text.count(b"\n", 0, mark.start()) + 1 for mark in CONFLICT.finditer(text)]
        yield from (f"{shown(name)}, line {line}" for line in marks)
        if name in unmerged and not marks:
            yield f"{shown(name)}: no marks are in it; if it is right: git add {quoted(name)}"
    for name in filter(is_rejected, names("ls-files", "-z")):
        yield f"{shown(name)}.rej: what could not be put into {shown(name)}"


def is_rejected(name: str) -> bool:
    """Return whether git could not put all of an update into a file."""
    rejected = ROOT / f"{name}.rej"  # many people let git ignore these
    return rejected.is_file() and b"(rejected hunks)" in rejected.read_bytes().split(b"\n")[0]


def in_conflict() -> set[str]:
    """Return the files that had a conflict since the last commit."""
    return {
        name
        for kind in ("unmerged", "resolve-undo")
        for name in names("ls-files", "-z", f"--{kind}")
    }


def untracked() -> list[str]:
    """Return the files that git does not know, and is not told to ignore."""
    return names("ls-files", "-z", "--others", "--exclude-standard")


def is_small(name: str) -> bool:
    """Return whether a file has the size of a text that people write."""
    return (ROOT / name).is_file() and (ROOT / name).stat().st_size < 2**20


def version(at: str | None, name: str) -> bytes:
    """Return a file at a commit, in the index (""), or as it is here (None); b"" if it is gone."""
    if at is not None:
        return git("show", f"{at}:./{name}")
    return (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""


class Update(NamedTuple):
    """An update: the commit before it, and where to find it, as in ``version``."""

    before: str
    now: str | None

    def files(self, changes: str = "MDT", only: str = ".") -> list[str]:
        """Return the files that it has changed (``M``, ``T``), deleted (``D``) or added (``A``)."""
        sides = {None: [self.before], "": ["--cached", self.before]}
        to = sides.get(self.now, [self.before, f"{self.now}"])
        return names(*DIFF, f"--diff-filter={changes}", *to, "--", only)


def last_update(answers: str) -> Update | None:
    """Find the last update: one that is not committed yet, or the newest that is."""
    if Update("HEAD", "").files(only=answers):
        return Update("HEAD", "")
    if IN_HOOK:
        return None
    if Update("HEAD", None).files(only=answers):
        return Update("HEAD", None)
    commit = git("log", "-1", "--format=%H", "--", answers).decode().strip()
    parent = git("rev-parse", "--short", "--verify", "--quiet", f"{commit}^").decode().strip()
    return Update(parent, commit) if parent else None


def taken_back() -> Iterator[str]:
    """Find changes of yours that the last update did not keep, each with what brings it back."""
    for answers in names("grep", "-lz", "-e", "^_src_path: ", "--", ":(glob)*"):
        update = last_update(answers)
        former = version(update.before, answers) if update else b""
        if not update or not former:
            continue
        latter = version(update.now, answers)
        if STAGE.sub(b"", former) != STAGE.sub(b"", latter):
            found = by_release(update, answers)
        elif stage(former) < stage(latter):
            found = by_step(update)
        else:
            continue  # the way back, by git revert
        later = names(*DIFF, update.now) if update.now else []
        log = git("log", "--format=%B", f"{update.before}..HEAD").decode(errors="replace")
        for name, why in found:
            kept = rf"^\W*Keep {re.escape(shown(name))}\s*$"  # a merge on the web adds a star
            if name not in {answers, *later} and not re.search(kept, log, re.MULTILINE):
                yield f"{shown(name)}: {why}\n    {bring_back(update, name)}"


def stage(answers: bytes) -> int:
    """Return the stage in an answers file; 0 if there is none."""
    found = re.search(rb"^stage: (\d+)", answers, re.MULTILINE)
    return int(found[1]) if found else 0


def bring_back(update: Update, name: str) -> str:
    """Return the command that brings a file back; as long as it can be undone, so that it is."""
    if update.now or not (ROOT / name).is_file():
        return f"git checkout {update.before} -- {quoted(name)}"
    return f"git stash push -- {quoted(name)}"


def by_step(update: Update) -> Iterator[tuple[str, str]]:
    """Find the files that a step has changed, although it only adds files.

    In the index, and in a commit, there may be changes of yours as well. A file that has only got
    more lines is one of these, unless it is as it was once before.
    """
    if update.now is None:
        for name in sorted({*names(*DIFF)} & {*update.files()} - in_conflict()):
            yield name, "changed, but a step only adds files"
        return
    for name in update.files():
        before, now = version(update.before, name), version(update.now, name)
        blob = git("rev-parse", "--verify", "--quiet", f"{update.now}:./{name}").decode().strip()
        once = blob and git("log", "-1", "--format=%h", f"--find-object={blob}", update.before)
        if once or Counter(before.splitlines()) - Counter(now.splitlines()):
            yield name, "lines are gone, but a step only adds files"


def by_release(update: Update, answers: str) -> Iterator[tuple[str, str]]:
    """Find the files that have lost lines of yours: lines that no update has brought.

    Who settles a conflict may drop some. After the commit git no longer tells where one was: then
    a file counts if it is gone, or has lost all of them, and what they had replaced is back.
    """
    updates = git("log", "--follow", "--format=%H", update.before, "--", answers).split()
    for name in sorted({*update.files()} - (set() if update.now else in_conflict())):
        now = lines(update.now, name)
        mine, commit = [], b""
        for line in git("blame", "--line-porcelain", update.before, "--", name).split(b"\n"):
            if begins := re.match(rb"([0-9a-f]{40,64}) \d+ \d+", line):
                commit = begins[1]
            elif line.startswith(b"\t") and line.strip() and commit not in updates:
                mine.append(line[1:].rstrip(b"\r"))
        gone = [line for line in mine if line not in now]
        if update.now and now:
            replaced = lines(os.fsdecode(updates[0]), name) - lines(update.before, name)
            if len(gone) < len(mine) or (replaced and not replaced & now):
                continue
        if gone and not is_rejected(name):
            example = gone[0].decode(errors="replace").strip()
            yield name, f"lines of yours are gone, such as: {example}{moved_to(update, name)}"


def lines(at: str | None, name: str) -> set[bytes]:
    """Return the lines of a file, whatever ends them, without empty ones."""
    return {line.rstrip(b"\r") for line in version(at, name).split(b"\n") if line.strip()}


def moved_to(update: Update, name: str) -> str:
    """Return a hint at the new file that has most lines of a file that is gone, if there is one."""
    if version(update.now, name):
        return ""
    was = lines(update.before, name)
    here = [other for other in untracked() if is_small(other)] if update.now is None else []
    for other in [*update.files("A"), *here]:
        if 2 * len(was & lines(update.now, other)) > len(was):
            return f"\n    most of its text is now in {shown(other)}: put your lines there, too"
    return ""


def hidden() -> Iterator[str]:
    """Find files of the project that git is told to ignore, each with the rule that says so.

    .gitignore lists after ``!`` what belongs to the project. Only a rule that hides the folder of
    the whole project, in a larger repository for instance, is stronger.
    """
    rules = version(None, ".gitignore").splitlines()
    ours = [f":(glob){os.fsdecode(rule[2:])}" for rule in rules if re.fullmatch(b"!/.*[^/]", rule)]
    there = git("ls-files", "-z", "--cached", "--others", "--", *ours) if ours else b""
    asked = ("check-ignore", "-z", "--verbose", "--no-index", "--stdin")
    fields = [shown(os.fsdecode(field)) for field in git(*asked, given=there).split(b"\0")]
    for start in range(0, len(fields) - 3, 4):
        file, line, rule, name = fields[start : start + 4]
        if not rule.startswith("!"):
            yield f"{name} ({file}, line {line}: {rule})"


def check() -> None:
    """Make sure that the last update is finished, and that git knows all files.

    Raises:
        Stop: something waits for a decision, was taken back, or is hidden from git.
    """
    if found := list(unfinished()):
        say("\n".join(f"  {place}" for place in found))
        raise Stop(
            f"The last update is not finished: {len(found)} to decide, listed above.",
            "you and the template have changed the same lines, and only you know what they"
            " should be.",
            "open each file. After <<<<<<< is what you have, after ======= what the template"
            " brings. Write what fits both, delete the lines of marks, and git add the file."
            " From a .rej file, take over by hand what it says, then delete it. At the end: tox."
            f" To go back to before the update instead, here: {UNDO} (nothing is lost: git stash"
            " pop brings it all back). A text that only shows marks says so in .gitattributes:"
            " FILE conflict-marker-size=32",
        )
    if found := list(taken_back()):
        say("\n".join(f"  {place}" for place in found))
        raise Stop(
            f"The last update has changed files of yours: {len(found)}, listed above.",
            "an update must keep your changes. Either git could not put them back (because of a"
            " setting of yours, such as apply.whitespace, or a file that is not UTF-8), or you have"
            " changed these files yourself since.",
            "to have a file back as it was, type the command below it (git stash pop undoes a"
            " stash). If the change is yours, commit it by itself: git commit -m 'My change' --"
            " FILE. If it is committed with the update already: git commit --allow-empty"
            " -m 'Keep FILE'",
        )
    if found := list(hidden()):
        say("\n".join(f"  {place}" for place in found))
        raise Stop(
            f"Git ignores files of this project: {len(found)}, listed above with the rule.",
            "the rule hides the whole folder. So new files never reach a commit, and an update"
            " may take your changes back.",
            "take the rule out, or make it narrower; then: git add .",
        )


def install() -> None:
    """Let git run the check before each commit.

    Raises:
        Stop: there is another such hook, no repository, or a folder for many of them.
    """

    def path(*asked: str) -> Path:
        return ROOT / os.fsdecode(git("rev-parse", *asked).removesuffix(b"\n"))

    if not git("rev-parse", "--git-dir"):
        raise Stop(NOT_INSTALLED, "this is no git repository.", "git init")
    top = path("--show-toplevel")
    folder, common = path("--git-path", "hooks"), path("--git-common-dir")
    file = shlex.quote(Path(__file__).resolve().relative_to(top).as_posix())
    hook, text = folder / "pre-commit", HOOK.format(file=file)
    by_hand = f"add to it: python3 {file} || exit 1"
    if hook.exists() and hook.read_bytes() != text.encode():
        raise Stop(NOT_INSTALLED, f"{hook} is there already.", by_hand)
    if not any(folder.resolve().is_relative_to(mine.resolve()) for mine in (top, common)):
        raise Stop(
            NOT_INSTALLED,
            f"git looks for hooks in {folder}, for other repositories, too (core.hooksPath).",
            f"make {hook} yourself, or, if it is there, {by_hand}",
        )
    hook.parent.mkdir(parents=True, exist_ok=True)
    hook.write_text(text, encoding="utf-8")
    hook.chmod(0o755)
    say("git now looks for an unfinished update before each commit.")


if __name__ == "__main__":
    with clear_errors():
        install() if "--install" in sys.argv[1:] else check()
