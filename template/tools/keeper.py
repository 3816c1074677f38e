"""End the emulator when the program that has started it ends, however that was.

tools/emulator.py starts this program beside the emulator. Its standard input ends with the other
program, also when that was killed: then it ends all that the emulator has started, and removes
their folder. What it prints could not be done.

A process belongs to the emulator when its environment names that folder. Nothing else tells: a
process may be in a session of its own, and a process number may have been given away again.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

GENTLY_SECONDS = 3  # then they are killed
SECONDS = 15  # then it gives up


def processes(folder: Path) -> list[int]:
    """The processes that were started with this folder as their TMPDIR."""
    if not Path("/proc/self/environ").exists():  # macOS
        command = ["ps", "-axEww", "-o", "pid=,command="]
        shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace").stdout
        lines = [f"{line} " for line in shown.splitlines()]
        return [int(line.split()[0]) for line in lines if f" TMPDIR={folder} " in line]
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:  # it is somebody else's, or has ended
            continue
        if f"TMPDIR={folder}".encode() in environment.split(b"\0"):
            found.append(int(process.name))
    return found


def end(folder: Path) -> str:
    """End all processes of an emulator, remove its folder, and say what could not be done."""
    start = time.monotonic()
    sent: set[tuple[int, int]] = set()
    while (seconds := time.monotonic() - start) < SECONDS:
        how = signal.SIGTERM if seconds < GENTLY_SECONDS else signal.SIGKILL
        left = processes(folder)
        for process in left:
            if (process, how) not in sent:
                sent.add((process, how))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, how)
        if not left:  # nobody writes there any more
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                return ""
        time.sleep(0.05)
    if left:
        return f"These processes of the emulator do not end: {left}. Next: kill -9 them."
    return f"The emulator's folder cannot be removed. Next: rm -r {folder}"


if __name__ == "__main__":
    sys.stdin.read()
    print(end(Path(sys.argv[1])), end="")
