"""The emulator of the generated project, for ours and the rivals alike."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import shell
from bench.rivals import SOURCES
from bench.shell import step
from bench.workshop import Workshop

HOLD = Path(__file__).with_name("hold.py")

ANSWER_SECONDS = 60
LOOK_SECONDS = 0.02

# No proxy is between this program and its own machine.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def running(workshop: Workshop) -> Iterator[str]:
    """Run it, with what Chalice's template needs beside it, and give its address.

    Raises:
        ProgramError: it did not start.
    """
    project = workshop.project(2)
    home = workshop.folder / "emulator-venv"
    requirements = workshop.folder / "emulator.txt"
    requirements.write_text(SOURCES["chalice"]["emulator.txt"], encoding="utf-8")
    command = [workshop.python, HOLD, home, requirements]
    process = subprocess.Popen(
        command,
        cwd=project,
        env=shell.environment() | {"PYTHONPATH": str(project)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is ours to handle
    )
    try:
        with step("Installing and starting the emulator"):
            endpoint = read_endpoint(process)
        yield endpoint
    finally:
        try:
            process.communicate(timeout=shell.STOP_SECONDS)  # ends its input, and so itself
        finally:
            shell.kill(process)


def read_endpoint(process: subprocess.Popen[str]) -> str:
    """The address that it prints.

    Raises:
        ProgramError: it ended instead.
    """
    assert process.stdout
    said = []
    for line in process.stdout:
        if line.startswith("ENDPOINT "):
            return line.split()[1]
        said.append(line)
    raise shell.ProgramError("The emulator did not start:\n" + "".join(said))


def reset(endpoint: str) -> None:
    """Forget everything: stacks, functions, buckets and running workers."""
    request = urllib.request.Request(f"{endpoint}/_ministack/reset", method="POST")
    assert json.load(direct.open(request, timeout=ANSWER_SECONDS))["reset"] == "ok"


def wait_for_200(url: str) -> None:
    """Ask until the answer has status 200.

    Raises:
        ProgramError: it took too long.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    last: object = None
    while time.monotonic() < deadline:
        try:
            with direct.open(url, timeout=ANSWER_SECONDS) as answer:
                if answer.status == 200:
                    return
                last = answer.status
        except OSError as error:  # urllib's own are of this kind
            last = error
        time.sleep(LOOK_SECONDS)
    raise shell.ProgramError(f"{url} did not answer with 200 within {ANSWER_SECONDS} s: {last}")
