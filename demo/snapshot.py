"""The template as it lies here, with a version, so that Copier can update from it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSION = "v999.0.0"

# Git as if nobody had set it up: the same on every machine.
GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Rider",
    "GIT_AUTHOR_EMAIL": "rider@example.com",
    "GIT_COMMITTER_NAME": "Rider",
    "GIT_COMMITTER_EMAIL": "rider@example.com",
}


def environment() -> dict[str, str]:
    """The environment of a user: no settings of AWS, and none of the tox that runs us."""
    hidden = ("AWS_", "TOX_", "PYTEST_", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return kept | GIT | {"PATH": path}


def git(*arguments: str, cwd: Path) -> str:
    """Run git, and give what it printed.

    Raises:
        CalledProcessError: git failed.
    """
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment(), check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def snapshot(folder: Path) -> None:
    """Copy this repository, uncommitted changes included, and tag the copy very high."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git("init", "--quiet", cwd=folder)
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "--allow-empty", "--message=template", cwd=folder)
    git("tag", VERSION, cwd=folder)
