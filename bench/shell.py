"""Running programs, out of reach of AWS and with nothing of them left; saying what is done."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

from demo.snapshot import GIT

# Nothing listens there; that it is set tells our build that it builds for this machine.
NOWHERE = "http://127.0.0.1:9"
REGION = "ap-northeast-1"

STOP_SECONDS = 40
SHOWN_LINES = 30

# Settings of whoever measures, and of the tox around this, that would change what is measured.
FOREIGN = ("AWS_", "GIT_", "PYTHON", "SLS_", "TOX_", "VIRTUAL_ENV")


def say(text: str = "", end: str = "\n") -> None:
    """Print at once, also into a pipe."""
    print(text, end=end, flush=True)


@contextlib.contextmanager
def step(doing: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    say(f"> {doing} ...")
    start = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - start:.1f} s")


class ProgramError(Exception):
    """A program failed; the text has its command and its last lines."""


def environment(endpoint: str = NOWHERE, venv: Path = Path(sys.prefix)) -> dict[str, str]:
    """An environment for a program of ``venv``, with an emulator for its AWS."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    loopback = f"{os.environ.get('NO_PROXY', '')},127.0.0.1,localhost".lstrip(",")
    return (
        ours
        | GIT
        | {
            "PATH": os.pathsep.join([str(venv / "bin"), os.environ.get("PATH", os.defpath)]),
            "VIRTUAL_ENV": str(venv),
            "NO_PROXY": loopback,
            "no_proxy": loopback,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    )


def run(
    *command: str | Path, cwd: Path, environ: Mapping[str, str] | None = None
) -> tuple[float, str]:
    """Run a program, and give the seconds it took and what it printed.

    Raises:
        ProgramError: it did not end with 0.
    """
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment() if environ is None else environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that all it starts can be ended with it
    )
    with ending(process):
        output, _ = process.communicate()
    seconds = time.monotonic() - start
    if process.returncode != 0:
        last = "\n".join(f"    | {line}" for line in output.splitlines()[-SHOWN_LINES:])
        shown = " ".join(map(str, command))
        raise ProgramError(f"{shown}\n  in {cwd} ended with {process.returncode}:\n{last}")
    return seconds, output


@contextlib.contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process and its children when something, such as Ctrl-C, interrupts its use."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=STOP_SECONDS)
        kill(process)
        raise


def kill(process: subprocess.Popen[str]) -> None:
    """End what is left of a process and its children, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Let every way to end the program clean up once, and undisturbed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def clean_up_when_ended() -> None:
    """Treat a hang-up and a request to end like Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
