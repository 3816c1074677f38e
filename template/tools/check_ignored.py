"""Find what git passes over, although it belongs to the project.

.gitignore lists, after `!`, what belongs to it. No other rule can hide that, except one that hides
the project's whole folder, in a larger repository for instance. New files of the template then
never reach a commit, and an update may take your edits back.
"""

import os
import subprocess
from pathlib import Path

from tools.console import Stop, say

ROOT = Path(__file__).parent.parent

# In a hook, git names the repository in ways that hold for the hook's own folder alone.
OF_A_HOOK = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_WORK_TREE")


def check() -> None:
    """Make sure that git passes over no file of the project.

    Raises:
        Stop: it does.
    """
    if found := passed_over():
        for name, rule in found.items():
            say(f"  {name} ({rule})")
        raise Stop(
            f"Git passes over {len(found)} files of this project, listed above with the rule.",
            "the rule hides the whole folder, so new files never reach a commit, and an update may"
            " take your edits back.",
            "take the rule out, or make it narrower; then: git add .",
        )


def passed_over(root: Path = ROOT) -> dict[str, str]:
    """Name the files that git passes over, each with the rule that says so.

    Returns:
        For instance ``{"docs/1-skateboard.md": ".gitignore, line 2: services/"}``.
    """
    rules = (root / ".gitignore").read_text(encoding="utf-8").splitlines()
    files = [rule[2:] for rule in rules if rule.startswith("!/") and not rule.endswith("/")]
    if not files:
        return {}
    belongs = [f":(glob){file}" for file in files]
    there = _git(root, "ls-files", "-z", "--cached", "--others", "--", *belongs)
    command = ("check-ignore", "-z", "--verbose", "--no-index", "--stdin")
    fields = _git(root, *command, given=there).decode(errors="replace").split("\0")
    found = zip(fields[::4], fields[1::4], fields[2::4], fields[3::4], strict=False)
    return {
        name: f"{file}, line {line}: {rule}"
        for file, line, rule, name in found
        if not rule.startswith("!")
    }


def _git(root: Path, *arguments: str, given: bytes = b"") -> bytes:
    """What git prints; nothing where there is no repository."""
    environ = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
    command = ["git", *arguments]
    return subprocess.run(command, cwd=root, env=environ, input=given, capture_output=True).stdout
