"""Locks: what several commands use, one of them has at a time; who must wait is told.

A lock is a file in .locks/, locked by the operating system: it is free again as soon as the
program that holds it ends, however that was. The file stays. Were it removed, a second program
could lock a new file of that name while the first one still holds the old one.

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
        Stop: the lock is taken, and ``busy`` was given.
    """
    path = FOLDER / re.sub(r"[^\w.-]+", "-", name)
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        FOLDER.mkdir(exist_ok=True)
        with path.open("a+", encoding="utf-8") as file:
            if not lock(file, how | fcntl.LOCK_NB):
                if busy:
                    raise busy()
                file.seek(0)
                holder = file.read() or "another command"
                with step(f"Waiting until {holder} is done with {name}"):
                    lock(file, how)
            if is_same(path, file.fileno()):
                file.truncate(0)
                file.write(myself())
                file.flush()
                yield
                return


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
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        # Some network folders have no locks: there, go on as if alone.
    return True


def is_same(path: Path, opened: int) -> bool:
    """Whether what was opened is still at its path; somebody may have removed it."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(opened))
    return False


def myself() -> str:
    """What those who wait are told about this program."""
    environment = os.environ.get("TOX_ENV_NAME")
    command = f"`tox -e {environment}`" if environment else "another command"
    return f"{command} (ps -fp {os.getpid()} shows it)"


def main() -> None:
    """Hold the locks on the command line for as long as the standard input lasts."""
    with clear_errors(), contextlib.ExitStack() as locks:
        for name in sys.argv[1:]:
            locks.enter_context(held(name))
        os.write(3, b"\n")
        sys.stdin.read()


if __name__ == "__main__":
    main()
