"""Copier, killed at a certain point: ``python -m tests.stopped FOLDER LOG POINT COPIER'S-OWN...``.

A point is what Copier does in the folder: a file opened to be written, a folder made, a file
removed, a program started. All of them go into the log, one a line. Just before the one with the
number POINT, or a moment after it for POINT+, this process and all that it has started are killed.
"""

import os
import signal
import sys
import threading
from typing import Any

from copier._cli import CopierApp

CHANGES = {"open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}


def main(folder: str, log: str, point: str, *arguments: str) -> None:
    """Run Copier; without a POINT to its end."""
    inside = f"{folder}/"
    here = int(point.rstrip("+") or -1)
    seen = 0
    record = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def kill() -> None:
        os.killpg(0, signal.SIGKILL)

    def watch(event: str, details: tuple[Any, ...]) -> None:
        nonlocal seen
        if event == "subprocess.Popen":
            what = " ".join(map(str, details[1]))
        elif event in CHANGES and str(details[0]).startswith(inside):
            if event == "open" and not details[2] & (os.O_WRONLY | os.O_RDWR):
                return
            what = str(details[0]).removeprefix(inside)
        else:
            return
        os.write(record, f"{event} {what}".replace("\n", " ").encode() + b"\n")
        if seen == here:
            if not point.endswith("+"):
                kill()
            threading.Timer(0.005, kill).start()
        seen += 1

    sys.addaudithook(watch)
    CopierApp.run(["copier", *arguments])


if __name__ == "__main__":
    main(*sys.argv[1:])
