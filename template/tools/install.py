"""Install what the tools and the tests need into the running environment.

tox runs this before each command. It takes the dependency group ``tools`` of
pyproject.toml, tools/requirements-*.txt, and what the service imports: requirements/*.txt. More
dependency groups may be named on the command line.
"""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tools.console import Stop, clear_errors, say, step
from tools.lock import held

ROOT = Path(__file__).parent.parent
PYPROJECT = ROOT / "pyproject.toml"
PINS = ROOT / "tools" / "pins.txt"

# Settings of a person's own pip and uv that do not fit here: where to install, and how.
NOT_OURS = {
    *("PIP_DRY_RUN", "PIP_PREFIX", "PIP_PYTHON", "PIP_ROOT", "PIP_TARGET", "PIP_USER"),
    *("UV_COMPILE_BYTECODE", "UV_ENV_FILE", "UV_PROJECT", "UV_WORKING_DIR"),
}


class Stamp:
    """Remembers, in a file, what an installation was made from."""

    def __init__(self, file: Path, *inputs: Path) -> None:
        self._file = file
        contents = [f"{path.name}\n".encode() + path.read_bytes() for path in inputs]
        self._digest = hashlib.sha256(b"\0".join(contents)).hexdigest()

    @property
    def known(self) -> bool:
        """Whether anything was installed."""
        return self._file.exists()

    @property
    def valid(self) -> bool:
        """Whether the installation was made from what the inputs hold now."""
        return self.known and self._file.read_text() == self._digest

    def invalidate(self) -> None:
        """Let what is installed no longer count, because it is about to change."""
        if self.known:
            self._file.write_text("")

    def remove(self) -> None:
        """Forget them: what was made from them is about to go."""
        self._file.unlink(missing_ok=True)

    def write(self) -> None:
        """Remember the inputs as they are."""
        self._file.write_text(self._digest)


def pieces(folder: str, *suffixes: str, prefix: str = "") -> list[Path]:
    """List the files of a folder that have one of these suffixes, in the order of their names.

    With a ``prefix``, it looks at no file whose name begins otherwise.

    Raises:
        Stop: a name is nearly right, or there is no file behind it.
    """
    # Windows likes to add .txt. A hidden file, such as .#own.yml, is an editor's.
    alike = re.compile(rf"[^.].*({'|'.join(map(re.escape, suffixes))})(\.txt)?", re.I | re.S)
    files = sorted((ROOT / folder).glob(f"{prefix}*"))
    found = [path for path in files if alike.fullmatch(path.name)]
    for path in found:
        if path.suffix not in suffixes or not path.is_file():
            raise Stop(
                f"{path.relative_to(ROOT)} cannot be read.",
                f"a piece there is a file whose name ends in {suffixes[0]}, in small letters.",
                "rename it, or move it to another folder; then the same command again.",
            )
    return found


def requirements() -> list[Path]:
    """The files with pins of single pieces."""
    return pieces("tools", ".txt", prefix="requirements-") + pieces("requirements", ".txt")


def environment() -> dict[str, str]:
    """The environment of pip and uv: index, proxy and policies as they are set here."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
    return kept | {"PIP_USER": "0"}  # also where pip.conf says otherwise


def failure(what: str, program: str, mostly: str, then: str) -> Stop:
    """What to say when pip or uv could not install; ``mostly`` is the usual reason.

    What is set on this machine may be the reason as well. It is named, but its value is not:
    that may hold a password.
    """
    why = f"{program} says it above: {mostly}"
    prefix = f"{program.upper()}_"
    if obeyed := sorted(n for n in os.environ if n.startswith(prefix) and n not in NOT_OURS):
        why += f" Or a setting stands in the way: {program} obeys {', '.join(obeyed)}."
        then += " To try without one of your settings: env -u NAME in front of the command."
    return Stop(what, why, then)


@contextmanager
def explain_files() -> Iterator[None]:
    """Say in one message which file could not be read or written, and why.

    Raises:
        Stop: there is such a file.
    """
    try:
        yield
    except OSError as error:
        raise Stop(
            f"{error.filename or 'A file'}: {error.strerror or error}.",
            "the project needs this path, and the system does not allow it.",
            "look what is there; git status tells what you have changed. What is in .build and"
            " .tox can be deleted: it is made again. Then the same command again.",
        ) from error


def moved() -> bool:
    """Whether programs here would run another Python: somebody has moved or copied the folder.

    The first line of a program such as pytest holds the full path of its Python.
    """
    with suppress(OSError):  # the old path may be gone, or may be somebody else's
        program = os.fsdecode(Path(sys.prefix, "bin", "pytest").read_bytes())
        found = re.search("(/.*)/bin/python", program)
        return found is not None and not Path(found[1]).samefile(sys.prefix)
    return True


@explain_files()
def install(*groups: str) -> None:
    """Install everything, unless it was installed from the very same files.

    Raises:
        Stop: pip or uv could not.
    """
    files = requirements()
    stamp = Stamp(Path(sys.prefix, ".installed"), PYPROJECT, PINS, *files)
    # pip brings uv, in the pinned version, and uv the rest: it is many times faster.
    pip = ["pip", "install", "--quiet", f"--constraint={PINS}", "uv"]
    uv = ["uv", "pip", "install", "--quiet", f"--constraint={PINS}"]
    uv += [f"--group={group}" for group in ("tools", *groups)]
    uv += [f"--python={sys.executable}", *(f"--requirement={file}" for file in files)]
    with held(f"the tools of {Path(sys.prefix).name}"):
        again = stamp.known and moved()
        if stamp.valid and not again:
            return
        if again:
            say("This project was moved: its tools are installed again.")
            uv += ["--reinstall", "--no-refresh"]
        stamp.invalidate()
        with step("Installing the tools"):
            for command in (pip, uv):
                run = [sys.executable, "-m", *command]
                if subprocess.run(run, cwd=ROOT, env=environment()).returncode != 0:
                    raise failure(
                        "The tools could not be installed.",
                        command[0],
                        "mostly the package index is out of reach, two pins contradict, or hashes"
                        " are required, which tools/pins.txt does not have.",
                        "check the network. Behind a proxy, set HTTPS_PROXY; with an index of your"
                        " own, PIP_INDEX_URL and UV_DEFAULT_INDEX. Then the same command again.",
                    )
        stamp.write()


if __name__ == "__main__":
    with clear_errors():
        install(*sys.argv[1:])
