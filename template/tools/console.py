"""What the tools say to the person at the terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stop(Exception):
    """The work cannot go on: ``what`` happened, ``why``, and what to do ``then``."""

    def __init__(self, what: str, why: str, then: str) -> None:
        super().__init__(f"{what}\n  Why:  {why}\n  Next: {then}")


def say(text: str = "") -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


@contextmanager
def step(doing: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    say(f"> {doing} ...")
    start = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - start:.1f} s")


@contextmanager
def clear_errors() -> Iterator[None]:
    """End the program with the message, not the traceback, of a ``Stop`` or a Ctrl-C."""
    try:
        yield
    except Stop as stop:
        # Where all else goes: tox would mix two streams in any order.
        say()
        say(f"Error: {stop}")
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
