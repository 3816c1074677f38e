"""Run the service on this machine until Ctrl-C: emulator, deployment, logs."""

import argparse
import contextlib
import os
import time

from botocore.exceptions import BotoCoreError, ClientError

from tools import emulator, osls
from tools.console import clear_errors, say
from tools.stack import Stack, remember, remembered

POLL_SECONDS = 0.5


def follow_logs(stack: Stack, running: emulator.Emulator) -> None:
    """Print what the functions log, for as long as the emulator and tox live.

    It reads no file that people edit. Where a deployment in another terminal has made another
    stack of the service, it follows that one.

    Raises:
        Stop: the emulator has died.
        KeyboardInterrupt: tox has died, and could tell nobody (it was killed, say).
    """
    started_by = os.getppid()
    seen: set[tuple[str, int, str]] = set()
    since: dict[str, int] = {}  # milliseconds
    gone = False
    whole = True
    while running.alive:
        stack.resolved = remembered(stack.deployment) or stack.resolved
        if not emulator.ADDRESS.exists():  # after `git clean -fdx`, say
            with contextlib.suppress(OSError):
                remember(stack.resolved)
        # A function that is just being made or removed has no log group; and the emulator may be
        # too busy to answer.
        with contextlib.suppress(BotoCoreError, ClientError):
            functions = stack.functions()
            if not functions and not gone:
                say(f"No function of {stack.name} is there. To deploy it again:")
                say("  tox -e deploy -- --stage local")
            gone = not functions
            for function in functions:
                for event in stack.log(function, since.get(function, 0)):
                    since[function] = event["timestamp"]
                    key = (event["logStreamName"], event["timestamp"], event["message"])
                    if key not in seen:
                        seen.add(key)
                        say(f"{function} | {event['message'].rstrip()}")
        if whole and not emulator.python().exists():
            say()
            say("The folder .tox was removed. What is stored here is still here, but no function")
            say("can start. To mend it, in a second terminal:  tox -e deploy -- --stage local")
            say()
        whole = emulator.python().exists()
        if os.getppid() != started_by:
            raise KeyboardInterrupt
        time.sleep(POLL_SECONDS)
    raise running.death()


def up(port: int | None) -> None:
    """Run until interrupted.

    Raises:
        Stop: it runs already, something could not be started or ended, or the emulator has died.
    """
    emulator.point_environment_at(emulator.NOWHERE)  # osls asks AWS nothing
    region = osls.region("local")
    with emulator.only_one(), emulator.running(region, port) as running:
        emulator.point_environment_at(running.endpoint, region)
        stack = Stack("local")
        stack.deploy()
        remember(stack.resolved)
        say("It runs. Try it in a second terminal, in this folder:")
        stack.show()
        say("After a change there:  tox -e deploy -- --stage local")
        say("To end: Ctrl-C here. What is stored here is gone then, and the address changes.")
        say("What the functions log follows.")
        say()
        follow_logs(stack, running)


def main() -> None:
    """Run, on a given port or a free one."""
    parser = argparse.ArgumentParser(prog="tox -e up --", description=__doc__)
    parser.add_argument("--port", type=int, help="port of the emulator (default: a free one)")
    arguments = parser.parse_args()
    with clear_errors():
        try:
            up(arguments.port)
        except KeyboardInterrupt:
            say("\nStopped; nothing is left running.")


if __name__ == "__main__":
    main()
