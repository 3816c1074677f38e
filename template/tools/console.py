"""What the tools say to the person at the terminal."""

from __future__ import annotations  # tools/check_update.py may run with an older Python

import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb

# Errors of the code that calls botocore. Their traceback helps, and is shown.
OUR_FAULT = {"ParamValidationError", "DataNotFoundError"}

# What to do after an error: by the name of its class in botocore, or by the code of AWS.
CHECK_SETTINGS = (
    "check the settings for AWS (`env | grep AWS_`, ~/.aws/config), then the same command again."
)
SIGN_IN = "aws sso login (or however you sign in to AWS), then the same command again."
NEXT = [
    (
        {"ProfileNotFound"},
        "name a profile that ~/.aws/config has, as in AWS_PROFILE=NAME, or none: unset AWS_PROFILE."
        " Then the same command again.",
    ),
    (
        {
            *("SSOError", "TokenRetrievalError", "CredentialRetrievalError", "LoginError"),
            *("NoCredentialsError", "ExpiredToken", "ExpiredTokenException", "RequestExpired"),
            *("InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"),
        },
        SIGN_IN,
    ),
    (
        {"HTTPClientError", "ConnectionError"},
        "check the network and the region in serverless.yml (behind a proxy: HTTPS_PROXY), and"
        " whether AWS_ENDPOINT_URL is meant. Then the same command again.",
    ),
    (
        {"AccessDenied", "AccessDeniedException"},
        "ask whoever manages the AWS account for this permission, or use another profile.",
    ),
]


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
def aws_errors_explained() -> Iterator[None]:
    """Let an error of AWS, or of a person's settings for it, become a ``Stop``.

    Raises:
        Stop: there was one.
    """
    try:
        yield
    except Exception as error:
        if stop := explained(error):
            raise stop from error
        raise


def explained(error: Exception) -> Stop | None:
    """Say what to do about an error of AWS or botocore; None if it is another error."""
    # The classes are known by name, because not every Python that runs the tools has botocore.
    kinds = {
        kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith("botocore")
    }
    if not (kinds or is_bad_setting(error)) or kinds & OUR_FAULT:
        return None
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    then = next((then for names, then in NEXT if {*kinds, code} & names), CHECK_SETTINGS)
    return Stop("AWS could not be asked, or it refused.", str(error), then)


def is_bad_setting(error: Exception) -> bool:
    """Whether botocore has stumbled over a setting, such as ``AWS_MAX_ATTEMPTS=many``."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    modules = [str(frame.f_globals.get("__name__")) for frame in frames]
    return isinstance(error, (OSError, ValueError)) and any(
        module.startswith("botocore.") for module in modules
    )


@contextmanager
def clear_errors() -> Iterator[None]:
    """End the program with the message, not the traceback, of a ``Stop`` or a Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not every terminal can show every name
            stream.reconfigure(errors="backslashreplace")
    try:
        with aws_errors_explained():
            yield
    except Stop as stop:
        # Where all else goes: tox would mix two streams in any order.
        say()
        say(f"Error: {stop}")
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
