"""Check that no update of the template is left unfinished.

Where your change and the template's touch the same lines, `copier update` leaves both in the
file, between marks, and goes on. ``tox -e lint`` finds what still has to be decided.
``python3 tools/check_update.py --install`` lets git look before each commit, too.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # git runs this file by its path

from tools.console import Stop, clear_errors, say  # noqa: E402

# A branch may be older than this file, and a folder of hooks may serve several repositories.
HOOK = """#!/bin/sh
test ! -f {file} || exec python3 {file}
"""

UNDO = "git reset . && git stash push --include-untracked ."
NOT_INSTALLED = "The check was not put before each commit."

MARK = re.compile(rb"<{7} |={7}\r?$|>{7} ")
COPIERS_OWN = (b"<<<<<<< before updating", b">>>>>>> after updating")
FENCE = re.compile(rb" {0,3}(`{3,}|~{3,})")
# In a hook, git names the repository in ways that hold for the hook's own folder alone.
OF_A_HOOK = ("GIT_DIR", "GIT_PREFIX", "GIT_WORK_TREE")


def git(*arguments: str, cwd: Path = ROOT) -> list[str]:
    """What git lists; nothing where there is no git, or no repository.

    Raises:
        Stop: git refuses to look at the repository.
    """
    environ = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
    if not Path(environ.get("GIT_INDEX_FILE", "/")).is_absolute():
        del environ["GIT_INDEX_FILE"]
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=cwd, env=environ | {"LC_ALL": "C"}, capture_output=True
        )
    except FileNotFoundError:
        return []
    if done.returncode and b"not a git repository" not in done.stderr:
        raise Stop(
            "It is not known whether an update is unfinished.",
            f"git says: {done.stderr.decode(errors='replace').strip()}",
            "do what git says, then try again.",
        )
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def unfinished() -> list[str]:
    """The places that wait for a decision, such as ``README.md, line 12``."""
    undecided = {line.split("\t", 1)[1] for line in git("ls-files", "-z", "--unmerged")}
    added = {line.split("\t", 1)[1] for line in git("ls-files", "-z", "--resolve-undo")}
    names = {*undecided, *git("ls-files", "-z", "--cached", "--others", "--exclude-standard")}
    names |= {f"{name}.rej" for name in names}  # many people let git ignore *.rej
    places = []
    for name in sorted(names):
        shown = os.fsencode(name).decode(errors="replace")
        file = ROOT / name
        if not file.is_file() or is_binary(file):
            found = []
        elif name.endswith(".rej") and is_rejected(file):
            places.append(f"{shown}: what could not be put into {shown.removesuffix('.rej')}")
            continue
        else:
            # A fence in a text shows an example, but not where the update met a conflict.
            fenced = name.endswith(".md") and name not in undecided | added
            found = conflicts(file, fenced)
        if found and not shows_marks(name):
            places += [f"{shown}, line {line}" for line in found]
        elif name in undecided:
            places.append(
                f"{shown}: no marks in it; if it is as it shall be, git add {shlex.quote(shown)}"
            )
    return places


def conflicts(file: Path, fenced: bool) -> list[int]:
    """The lines where conflicts begin, and where a mark of Copier's was forgotten.

    Args:
        file: Any text, in whatever encoding, and of any size.
        fenced: What is within one fence of a Markdown text is an example.
    """
    marks = []  # line, mark, and the line of the fence that is open there, or 0
    opened, fence = 0, b""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if fenced and (found := FENCE.match(line)):
                if not opened:
                    opened, fence = number, found[1]
                elif line.strip().startswith(fence) and line.strip() == found[1]:
                    opened = 0
            if MARK.match(line):
                marks.append((number, line.rstrip(), opened))
    places = []
    # As git and Copier write it: <, yours, =, the template's, >. A text may have more of =.
    for run in re.finditer("<=+>|<|>", "".join(chr(mark[0]) for _, mark, _ in marks)):
        (number, mark, begins), (_, _, ends) = marks[run.start()], marks[run.end() - 1]
        whole = len(run[0]) > 1
        if (whole or mark in COPIERS_OWN) and not (begins and begins == ends):
            places.append(number)
    return places


def is_binary(file: Path) -> bool:
    """Whether git would take it for one; conflicts are never written into those."""
    with file.open("rb") as content:
        return b"\0" in content.read(8000)


def is_rejected(file: Path) -> bool:
    """Whether git wrote this ``.rej`` file; one of another kind is none of our business."""
    with file.open("rb") as content:
        return content.readline().rstrip().endswith(b"(rejected hunks)")


def shows_marks(name: str) -> bool:
    """Whether .gitattributes says that seven characters are no mark in this file."""
    [*_, size] = git("check-attr", "-z", "conflict-marker-size", "--", name) or ["7"]
    return size.isdigit() and size != "7"


def check() -> None:
    """Make sure that nothing waits for a decision.

    Raises:
        Stop: something does.
    """
    if places := unfinished():
        for place in places:
            say(f"  {place}")
        raise Stop(
            f"The last update is not finished: {len(places)} to decide, listed above.",
            "you and the template have changed the same lines, and only you know what they"
            " shall be.",
            "open each file. After <<<<<<< is what you have, after ======= what the template"
            " brings (after |||||||, if that is there, what both began with). Write what fits"
            " both, delete the lines of marks, and git add the file. From a .rej file, take over"
            " by hand what it says, then delete it. At the end: tox. To go back to before the"
            f" update instead, here: {UNDO} (nothing is lost: git stash pop brings it all back)."
            " A text that only shows marks says so in .gitattributes: FILE"
            " conflict-marker-size=32",
        )


def install() -> None:
    """Let git run the check before each commit.

    Raises:
        Stop: there is another such hook, no repository, or a folder for many of them.
    """
    if not (found := git("rev-parse", "--show-toplevel")):
        raise Stop(NOT_INSTALLED, "this is no git repository.", "git init")
    top = Path(found[0].removesuffix("\n"))
    [folder, common] = (
        top / git("rev-parse", *asked, cwd=top)[0].removesuffix("\n")
        for asked in (("--git-path", "hooks"), ("--git-common-dir",))
    )
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
