"""End the emulator when the program that has started it ends, also when that was killed.

tools/emulator.py starts this program beside the emulator. Its standard input ends with the other
program. Then it ends all that the emulator has started, and removes their folder. It prints what
it could not do.

A process belongs to the emulator when its environment names that folder as SKATEBOARD_EMULATOR. A
function may have another TMPDIR, a process may be in a session of its own, and a process number may
have been given away again.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = "SKATEBOARD_EMULATOR"
GENTLY_SECONDS = 3  # then they are killed
SECONDS = 15  # then it gives up


def processes(folder: Path) -> list[int]:
    """The processes whose environment names this folder as the emulator's."""
    if not Path("/proc/self/environ").exists():  # macOS
        command = ["ps", "-axEww", "-o", "pid=,command="]
        shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace").stdout
        lines = [f"{line} " for line in shown.splitlines()]
        return [int(line.split()[0]) for line in lines if f" {MARK}={folder} " in line]
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:  # it is somebody else's, or has ended
            continue
        if f"{MARK}={folder}".encode() in environment.split(b"\0"):
            found.append(int(process.name))
    return found


def end(folder: Path) -> str:
    """End all processes of an emulator, and remove its folder.

    It returns what it could not do: three lines that say what, why, and what to do then.
    """
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
        numbers = " ".join(map(str, left))
        return (
            f"Something of the emulator still runs: the processes {numbers}.\n"
            "they did not end when they were told to, nor when they were killed.\n"
            f"ps -fp {numbers.replace(' ', ',')}, to see what they wait for; then kill -9 {numbers}"
        )
    return (
        "The emulator's folder cannot be removed.\n"
        "another program may write there.\n"
        f"rm -r {folder}"
    )


if __name__ == "__main__":
    sys.stdin.read()
    print(end(Path(sys.argv[1])), end="")
