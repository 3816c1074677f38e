"""Run a generated project's emulator until the standard input ends.

Run by the Python of a project's tools, with the project first on its path:
``python hold.py FOLDER REQUIREMENTS``. The emulator gets an environment in FOLDER of its
own, with REQUIREMENTS beside it. That input ends with whoever holds the other end, however
they end: no emulator is left behind.
"""

import subprocess
import sys
from pathlib import Path

from tools import emulator, osls  # type: ignore[import-not-found,unused-ignore]


def main() -> None:
    """Print the address as ``ENDPOINT http://...`` once it listens."""
    folder, requirements = sys.argv[1:]
    emulator.HOME = Path(folder)
    emulator.install()
    python = emulator.HOME / "bin" / "python"
    add = ["pip", "install", "--quiet", f"--python={python}", f"--requirement={requirements}"]
    subprocess.run([sys.executable, "-m", "uv", *add], check=True)
    with emulator.running(osls.region("local")) as running:
        print("ENDPOINT", running.endpoint, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
