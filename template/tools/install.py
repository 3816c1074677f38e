"""Install what the tools and the tests need into the running environment.

tox runs this before each command. It takes the dependency group ``tools`` of
pyproject.toml, tools/requirements-*.txt, and what the service imports: requirements/*.txt. More
dependency groups may be named on the command line.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

from tools.console import Stop, clear_errors, step

ROOT = Path(__file__).parent.parent
PYPROJECT = ROOT / "pyproject.toml"
PINS = ROOT / "tools" / "pins.txt"


class Stamp:
    """Remembers, in a file, what an installation was made from."""

    def __init__(self, file: Path, *inputs: Path) -> None:
        self._file = file
        contents = [f"{path.name}\n".encode() + path.read_bytes() for path in inputs]
        self._digest = hashlib.sha256(b"\0".join(contents)).hexdigest()

    @property
    def valid(self) -> bool:
        """Whether the installation was made from what the inputs hold now."""
        return self._file.exists() and self._file.read_text() == self._digest

    def remove(self) -> None:
        """Forget them: what was made from them is about to go."""
        self._file.unlink(missing_ok=True)

    def write(self) -> None:
        """Remember the inputs as they are."""
        self._file.write_text(self._digest)


def requirements() -> list[Path]:
    """The files with pins of single pieces."""
    return sorted(ROOT.glob("tools/requirements-*.txt")) + sorted(ROOT.glob("requirements/*.txt"))


def install(*groups: str) -> None:
    """Install everything, unless it was installed from the very same files.

    Raises:
        Stop: pip or uv could not.
    """
    files = requirements()
    stamp = Stamp(Path(sys.prefix, ".installed"), PYPROJECT, PINS, *files)
    if stamp.valid:
        return
    # pip brings uv, in the pinned version, and uv the rest: it is many times faster.
    pip = ["pip", "install", "--quiet", f"--constraint={PINS}", "uv"]
    uv = ["uv", "pip", "install", "--quiet", f"--constraint={PINS}"]
    uv += [f"--group={group}" for group in ("tools", *groups)]
    uv += [f"--python={sys.executable}", *(f"--requirement={file}" for file in files)]
    with step("Installing the tools"):
        for command in (pip, uv):
            if subprocess.run([sys.executable, "-m", *command], cwd=ROOT).returncode != 0:
                raise Stop(
                    "The tools could not be installed.",
                    f"{command[0]} says it above: mostly the package index is out of reach,"
                    " or two pins contradict.",
                    "check the network. Behind a proxy, set HTTPS_PROXY; with an index of your"
                    " own, PIP_INDEX_URL and UV_DEFAULT_INDEX. Then the same command again.",
                )
    stamp.write()


if __name__ == "__main__":
    with clear_errors():
        install(*sys.argv[1:])
