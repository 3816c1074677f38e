"""A generated project's ``tox -e up``, in the background."""

import contextlib
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

READY = "To end: Ctrl-C"
START_SECONDS = 300
STOP_SECONDS = 60


class Up:
    """What a running ``tox -e up`` has said so far."""

    def __init__(self, process: subprocess.Popen[str], echo: bool) -> None:
        self.process = process
        self.lines: list[str] = []
        self.echo = echo  # whether each line is shown as it comes
        self._ready: queue.Queue[bool] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if self.echo:
                print(f"    | {line.rstrip()}", flush=True)
            if READY in line:
                self._ready.put(True)
        self._ready.put(False)

    @property
    def output(self) -> str:
        """All lines."""
        return "\n".join(self.lines)

    def wait_until_ready(self) -> None:
        """Wait until the service runs.

        Raises:
            RuntimeError: it ended instead, or took too long.
        """
        try:
            if self._ready.get(timeout=START_SECONDS):
                return
        except queue.Empty:
            pass
        raise RuntimeError(f"tox -e up did not come up:\n{self.output}")

    def value(self, name: str) -> str:
        """A value that it printed, such as ``value("HttpApiUrl")``."""
        found = re.search(rf"^ +{name}='(.*)'$", self.output, re.MULTILINE)
        assert found, f"{name} is not in:\n{self.output}"
        return found[1]

    def stop(self) -> int:
        """End it as Ctrl-C in its terminal does, and give its exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        self._reader.join(STOP_SECONDS)
        return code


@contextlib.contextmanager
def up(
    project: Path, environ: Mapping[str, str], *arguments: str, echo: bool = False
) -> Iterator[Up]:
    """Run ``tox -e up`` in a project; it is stopped at the end, whatever happens."""
    process = subprocess.Popen(
        ["tox", "-e", "up", "--", *arguments],
        cwd=project,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a terminal of its own, for the Ctrl-C of its own
    )
    running = Up(process, echo)
    try:
        yield running
    finally:
        if process.poll() is None:
            running.stop()


def seconds(start: float) -> str:
    """How long it has taken since ``start``, for people."""
    return f"{time.monotonic() - start:.1f} s"
