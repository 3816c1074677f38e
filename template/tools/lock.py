"""Locks: several commands use the same things.

A lock lets one use them at a time, and tells the others for whom they wait.

A lock is a file in .locks/, locked by the operating system: it is free again as soon as the
program that holds it ends, also when it was killed. The file stays. Were it removed, a second
program could lock a new file of that name while the first one still holds the old one.

As a program, it holds locks for tools/osls-plugin.js, because Node.js cannot. It takes those that
the command line names, writes to file descriptor 3, and waits for the end of its standard input.
"""

import contextlib
import errno
import fcntl
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from tools.console import Stop, clear_errors, step

FOLDER = Path(__file__).parent.parent / ".locks"


@contextlib.contextmanager
def held(
    name: str, *, shared: bool = False, busy: Callable[[], Stop] | None = None
) -> Iterator[None]:
    """Hold a lock, such as ``held("node_modules")``; wait while another program holds it.

    Those who ask for a lock ``shared`` hold it together. With ``busy``, nobody waits: it gives
    the reason.

    Raises:
        Stop: the lock is taken, and ``busy`` was given; or its file cannot be written.
    """
    path = FOLDER / re.sub(r"[^\w.-]+", "-", name)
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        with opened(path) as file:
            if not lock(file, how | fcntl.LOCK_NB):
                if busy:
                    raise busy()
                with step(f"Waiting until {holder(file)} is done with {name}"):
                    lock(file, how)
            if is_same(path, file.fileno()):
                with contextlib.suppress(OSError):  # it works without a name, too
                    os.ftruncate(file.fileno(), 0)
                    if not shared:  # those who share it may end in any order
                        os.write(file.fileno(), myself().encode())
                yield
                return


def opened(path: Path) -> IO[str]:
    """Open the file of a lock, which is made if need be.

    Raises:
        Stop: the system does not allow it.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise Stop(
            f"{path.parent.name}/{path.name} cannot be written: {error.strerror or error}.",
            "commands lock files there, so that they do not disturb each other. Perhaps they"
            " were made with sudo.",
            f"ls -la {path.parent.name}; whoever owns it deletes it (it is made again). Then the"
            " same command again.",
        ) from error


@contextlib.contextmanager
def intact(folder: Path) -> Iterator[None]:
    """Use a folder, which is made if need be; say so if it was removed meanwhile.

    Raises:
        Stop: it was: no lock keeps a person from that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    opened = os.open(folder, os.O_RDONLY)  # so that a new folder cannot be taken for this one
    gone = Stop(
        f"{folder.name} was removed while it was in use.",
        "another command has done it, or somebody by hand.",
        "run the same command again.",
    )
    try:
        yield
    except (OSError, Stop) as error:
        missing = str(error.filename) if isinstance(error, FileNotFoundError) else ""
        if not is_same(folder, opened) or Path(missing).is_relative_to(folder):
            raise gone from None
        raise
    else:
        if not is_same(folder, opened):
            raise gone
    finally:
        os.close(opened)


def lock(file: IO[str], how: int) -> bool:
    """Lock a file, and say whether that could be done without waiting."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP):
            raise
        # Some network folders have no locks: there, go on as if alone.
    return True


def is_same(path: Path, opened: int) -> bool:
    """Whether what was opened is still at its path; somebody may have removed it."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(opened))
    return False


def holder(file: IO[str]) -> str:
    """Say who holds a lock, as far as that is known and still true."""
    file.seek(0)
    written = file.read()
    with contextlib.suppress(ProcessLookupError):
        if found := re.search(r"ps -fp (\d+)", written):
            with contextlib.suppress(PermissionError):  # it lives, as somebody else's
                os.kill(int(found[1]), 0)
            return written
    return "another command"


def myself() -> str:
    """What those who wait are told about this program."""
    environment = os.environ.get("TOX_ENV_NAME")
    command = f"`tox -e {environment}`" if environment else "another command"
    return f"{command} (ps -fp {os.getpid()} shows it)"


def main() -> None:
    """Hold the locks on the command line for as long as the standard input lasts."""
    # Where nobody reads any more, osls was killed: there is nothing to hold a lock for.
    gone = contextlib.suppress(BrokenPipeError)
    with gone, clear_errors(), contextlib.ExitStack() as locks:
        for name in sys.argv[1:]:
            locks.enter_context(held(name))
        os.write(3, b"\n")
        sys.stdin.read()


if __name__ == "__main__":
    main()
