"""Check that no update of the template is left unfinished.

Where your change and the template's touch the same lines, `copier update` leaves both in the
file, between marks, and goes on. ``tox -e lint`` finds what still has to be decided.
``python3 tools/check_update.py --install`` lets git look before each commit, too.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # git runs this file by its path

from tools.console import Stop, clear_errors, say  # noqa: E402

HOOK = """#!/bin/sh
exec python3 tools/check_update.py
"""

# A conflict as git and Copier write it: yours, the template's.
CONFLICT = re.compile(rb"^<{7} .*?^={7}\r?$.*?^>{7} ", re.MULTILINE | re.DOTALL)
# An example in a text shows marks, and has none.
EXAMPLE = re.compile(rb"^(`{3,}|~{3,}).*?^\1", re.MULTILINE | re.DOTALL)


def git(*arguments: str) -> list[str]:
    """What git lists; nothing where there is no git, or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return []
    return [name for name in done.stdout.split("\0") if name]


def unfinished() -> list[str]:
    """The places that wait for a decision, such as ``README.md, line 12``."""
    undecided = {line.split("\t", 1)[1] for line in git("ls-files", "-z", "--unmerged")}
    places = []
    for name in sorted({*git("ls-files", "-z", "--cached", "--others", "--exclude-standard")}):
        file = ROOT / name
        if not file.is_file():
            continue
        content = file.read_bytes()
        if name.endswith(".rej"):
            places.append(f"{name}: what could not be put into {name.removesuffix('.rej')}")
            continue
        if name.endswith(".md") and name not in undecided:
            content = EXAMPLE.sub(lambda found: b"\n" * found[0].count(b"\n"), content)
        found = [content.count(b"\n", 0, each.start()) for each in CONFLICT.finditer(content)]
        places += [f"{name}, line {lines_before + 1}" for lines_before in found]
        if name in undecided and not found:
            places.append(f"{name}: decided, it seems; tell git so, with: git add {name}")
    return places


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
            " brings. Write what fits both, delete the three lines of marks, and git add the"
            " file. From a .rej file, take over by hand what it says, then delete it. At the"
            " end: tox. To go back to before the update instead, with all that you had"
            " committed: git reset --hard && git clean -fd",
        )


def install() -> None:
    """Let git run the check before each commit.

    Raises:
        Stop: there is another such hook, or no repository.
    """
    [folder] = git("rev-parse", "--git-path", "hooks") or [""]
    hook = ROOT / folder.strip() / "pre-commit"
    if not folder or (hook.exists() and hook.read_text(encoding="utf-8") != HOOK):
        raise Stop(
            "The check was not put before each commit.",
            f"{hook} is there already." if folder else "this is no git repository.",
            "add to it: python3 tools/check_update.py" if folder else "git init",
        )
    hook.parent.mkdir(parents=True, exist_ok=True)
    hook.write_text(HOOK, encoding="utf-8")
    hook.chmod(0o755)
    say("git now looks for an unfinished update before each commit.")


if __name__ == "__main__":
    with clear_errors():
        install() if "--install" in sys.argv[1:] else check()
