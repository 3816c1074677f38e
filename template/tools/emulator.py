"""An AWS of our own, for as long as it takes: ministack, on this machine's loopback.

This is the one place that knows which emulator it is. It lives alone in an environment of
its own, because it runs the functions with its own interpreter and packages: whatever
else were installed there would hide that a package lacks something.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from tools.console import Stop, say, step
from tools.install import PINS, PYPROJECT, ROOT, Stamp, environment, failure
from tools.keeper import GENTLY_SECONDS, MARK, end
from tools.lock import held
from tools.package import uv

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
HOME = ROOT / ".tox" / f"emulator-{VERSION}"
GUARD = ROOT / "tools" / "ministack_guard.py"
KEEPER = ROOT / "tools" / "keeper.py"

# Where `tox -e up` leaves the address, for commands in other terminals.
ADDRESS = ROOT / ".emulator.json"

# Those that this very program runs.
OWN: list["Emulator"] = []

# An address of this machine where nothing can listen.
NOWHERE = "http://127.0.0.1:9"

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOG = "emulator.log"
START_SECONDS = 60


class Emulator:
    """A running emulator; ``endpoint`` is its address, ``log`` what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.log = folder / LOG
        self._process = process

    @property
    def alive(self) -> bool:
        """Whether the process that was started still runs."""
        return self._process.poll() is None

    def end(self) -> None:
        """End the process that was started; those that it has started are for the keeper."""
        ignore_endings()
        self._process.terminate()
        try:
            self._process.wait(GENTLY_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def death(self) -> Stop:
        """What to say of an emulator that is no longer alive."""
        last = self.log.read_text(errors="replace").splitlines()[-15:]
        return Stop(
            f"The emulator at {self.endpoint} has died (exit code {self._process.poll()}).",
            "its last lines:\n" + "\n".join(f"    | {line}" for line in last),
            "run the same command again.",
        )


def point_environment_at(endpoint: str, region: str | None = None) -> None:
    """Let every AWS tool and library of this process reach the emulator, and never AWS.

    No AWS setting of the person who runs it is left. A proxy is: the package registries
    may lie behind it, but this machine does not. The region is for code that names none.
    """
    for name in list(os.environ):
        if name.startswith("AWS_"):
            del os.environ[name]
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"]))
    os.environ.update(
        NO_PROXY=direct,
        no_proxy=direct,
        AWS_ENDPOINT_URL=endpoint,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",  # noqa: S106 - the emulator's own
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
    )
    if region:
        os.environ.update(AWS_REGION=region, AWS_DEFAULT_REGION=region)


@contextlib.contextmanager
def running(region: str, port: int | None = None) -> Iterator[Emulator]:
    """Run an emulator on a port of the loopback, a free one unless told.

    Raises:
        Stop: it cannot be installed, started or ended, or the port is taken.
    """
    install()
    if port:
        check_port(port)
    port = port or free_port()
    for ending in ENDINGS:
        signal.signal(ending, interrupt_once)
    folder = Path(tempfile.mkdtemp(prefix="emulator-"))
    with kept(folder), contextlib.ExitStack() as cleanup:
        with step("Starting the emulator"):
            emulator = Emulator(start(port, region, folder), port, folder)
            cleanup.callback(emulator.end)
            wait_until_ready(emulator)
        OWN.append(emulator)
        try:
            yield emulator
        finally:
            OWN.remove(emulator)


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[None]:
    """End all that runs with this folder, and remove it: at the end, or when we are killed.

    Raises:
        Stop: that was not possible.
    """
    keeper = subprocess.Popen(
        [sys.executable, "-I", KEEPER, folder],
        stdin=subprocess.PIPE,  # its end is the sign
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is ours to handle
    )
    try:
        yield
    finally:
        ignore_endings()
        said, _ = keeper.communicate()
        if keeper.returncode != 0:  # somebody has killed it
            said = end(folder)
        if said:
            left = Stop(*said.splitlines())
            if isinstance(sys.exc_info()[1], Stop):
                say(f"{left}")  # the other one says why all this ends
            else:
                raise left


def interrupt_once(_signal: int, _frame: FrameType | None) -> None:
    """End as after Ctrl-C, and let nothing disturb what cleans up.

    A terminal sends Ctrl-C to tox and to us, and tox sends it on to us.
    """
    ignore_endings()
    raise KeyboardInterrupt


def ignore_endings() -> None:
    """Go on, whatever would end the program."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)


def start(port: int, region: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start the emulator's process; it writes to this folder alone."""
    with (folder / LOG).open("wb") as log:
        return subprocess.Popen(
            # -P: what lies beside the program is not on its path, and can hide no library.
            [python(), "-P", GUARD],
            # Nothing is inherited: it hands its environment on to the functions.
            env={
                "PATH": f"{HOME / 'bin'}:/usr/bin:/bin",
                "HOME": str(folder),
                "TMPDIR": str(folder),
                MARK: str(folder),
                "GATEWAY_PORT": str(port),
                "BIND_HOST": "127.0.0.1",
                "IOT_MTLS_ENABLED": "0",  # it would listen on all interfaces
                "AUTH": "true",  # roles are enforced
                "MINISTACK_REGION": region,
                "AWS_DEFAULT_REGION": region,
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours to handle
        )


def python() -> Path:
    """The Python of the emulator's own environment."""
    return HOME / "bin" / "python"


def install() -> None:
    """Bring the emulator's own environment up to date.

    Raises:
        Stop: uv could not.
    """
    stamp = Stamp(HOME / ".installed", PYPROJECT, PINS)
    # --clear: what is there may belong to a Python that is gone.
    new = uv("venv", "--quiet", "--clear", f"--python={sys.executable}", str(HOME))
    fill = uv("pip", "install", "--quiet", f"--python={python()}", "--group=emulator")
    fill += [f"--constraint={PINS}"]
    with held("the environment of the emulator"):
        if stamp.valid and python().exists():
            return
        stamp.invalidate()
        with step("Installing the emulator"):
            for command in [fill] if python().exists() else [new, fill]:
                if subprocess.run(command, cwd=ROOT, env=environment()).returncode != 0:
                    raise failure(
                        "The emulator could not be installed.",
                        "uv",
                        "mostly the package index is out of reach, or hashes are required, which"
                        " tools/pins.txt does not have.",
                        "check the network (behind a proxy: HTTPS_PROXY), then again.",
                    )
        stamp.write()


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_port(port: int) -> None:
    """Make sure that the emulator can have this port.

    Raises:
        Stop: something listens on it, or there is no such port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OverflowError:
            raise Stop(
                f"{port} is not a port.",
                "ports go from 1 to 65535.",
                "tox -e up, which takes a free one.",
            ) from None
        except OSError as error:
            raise Stop(
                f"Port {port} is taken.",
                f"another program listens on it ({error.strerror}).",
                "tox -e up, which takes a free one; or stop that program.",
            ) from None


def wait_until_ready(emulator: Emulator) -> None:
    """Wait until this emulator, and not another process on its port, answers.

    Raises:
        Stop: it died, or took too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not emulator.alive:
            raise emulator.death()
        # Its own log tells that it is the one that listens: an answer would not.
        if "Running on " in emulator.log.read_text(errors="replace"):
            with contextlib.suppress(OSError):
                health(emulator.endpoint)
                return
        time.sleep(0.05)
    raise Stop(
        f"The emulator did not answer within {START_SECONDS} s.",
        "the machine may be very busy.",
        "run the same command again.",
    )


def health(endpoint: str) -> None:
    """Ask an emulator whether it is up.

    Raises:
        OSError: it does not answer.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    direct.open(f"{endpoint}/_ministack/health", timeout=2).close()


def address(output: str) -> str:
    """Where to call an API that AWS would serve at ``output``; all else stays as it is."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    found = re.match(r"https://(\w+)\.execute-api\.[^/]+", output)
    if not endpoint or not found:
        return output
    return f"{endpoint}/_aws/execute-api/{found[1]}/$default{output[found.end() :]}"


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Let no second ``tox -e up`` of this project take the place of a running one.

    Raises:
        Stop: one is running.
    """

    def busy() -> Stop:
        endpoint = address_of_up().get("endpoint", "it is just starting")
        return Stop(
            f"tox -e up is running for this project already ({endpoint}).",
            "there is one for each project, which commands in other terminals find.",
            "tox -e deploy -- --stage local, to use it; or end it with Ctrl-C in its"
            " terminal, then the same command again.",
        )

    with held("tox -e up", busy=busy):
        ADDRESS.unlink(missing_ok=True)  # what a killed one has left
        try:
            yield
        finally:
            if address_of_up().get("endpoint") == os.environ.get("AWS_ENDPOINT_URL"):
                ADDRESS.unlink(missing_ok=True)


def address_of_up() -> dict[str, str]:
    """What ``tox -e up`` has written down for other terminals, if it has."""
    with contextlib.suppress(OSError, ValueError):
        known: dict[str, str] = json.loads(ADDRESS.read_text())
        return known
    return {}


def reach_running() -> None:
    """Point the environment at the emulator that ``tox -e up`` runs in another terminal.

    Where this very program runs one, that one is meant. Where there is none but
    ``AWS_ENDPOINT_URL`` is set, that address is meant.

    Raises:
        Stop: there is none.
    """
    if OWN:
        return
    try:
        address = json.loads(ADDRESS.read_text())
        health(address["endpoint"])
    except (OSError, ValueError, KeyError):
        if os.environ.get("AWS_ENDPOINT_URL"):
            return
        raise Stop(
            "No emulator is running for this project.",
            "the deployment `local` is the one that `tox -e up` keeps in its terminal.",
            "tox -e up, and leave it running; then the same command again.",
        ) from None
    if not python().exists():
        install()  # somebody has removed .tox: no function could start any more
    point_environment_at(address["endpoint"], address["region"])
