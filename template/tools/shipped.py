"""What of service/ is shipped: every file, but for what lies there by accident."""

import os
from fnmatch import fnmatchcase
from pathlib import Path

from tools.console import Stop
from tools.install import ROOT

# What editors, merges and systems leave in service/; nobody means to ship it. Small letters
# stand for capitals, too. Hidden files may hold secrets, such as .env.
LEAVINGS = (
    ".*",
    "*~",
    "#*#",
    "~$*",
    "*.py[!.a-z]*",  # copies of a module, such as own.py-old
    "*.bak",
    "*.old",
    "*.orig",
    "*.pyc",
    "*.rej",
    "*.save",
    "*.sw[op]",
    "*.tmp",
    "desktop.ini",
    "thumbs.db",
    "icon\r",
)


def sort_out(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files below a folder that belong in the package, and the paths that do not.

    Raises:
        Stop: it is not clear whether a file belongs in it.
    """
    files: list[Path] = []
    left_out: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name == "__pycache__":
            continue
        if any(fnmatchcase(path.name.lower(), leaving) for leaving in LEAVINGS):
            left_out.append(path)
            continue
        check_path(path)
        if path.is_dir():
            below = sort_out(path)
            files += below[0]
            left_out += below[1]
        elif path.is_file():
            files.append(path)
        else:  # a socket or a pipe
            left_out.append(path)
    return files, left_out


def check_path(path: Path) -> None:
    """Refuse a path that Lambda, or another machine, would not have.

    Raises:
        Stop: its name is not text, or it is a link to nothing, elsewhere, or around itself.
    """
    name = str(path.relative_to(ROOT))
    if os.fsencode(name).decode(errors="replace") != name:
        raise Stop(
            f"{name!a} is no name for a file in the package.",
            "names in a zip are UTF-8, and this one is not.",
            "give it another name, then again.",
        )
    if not path.is_symlink():
        return
    real = Path(os.path.realpath(path))
    if not path.exists():
        why = "it points to nothing, so that there is nothing to ship."
    elif not real.is_relative_to(ROOT.resolve()):
        why = f"it points to {real}, outside of this project; another machine may not have that."
    elif real in {parent.resolve() for parent in path.parents}:
        why = f"it points to {real}, in which it lies: this would have no end."
    else:
        return
    raise Stop(
        f"The link {name} cannot be shipped.",
        why,
        "put a copy of what you need in its place, or delete the link; then again.",
    )
