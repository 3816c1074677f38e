"""Least privilege, tried: each permission is taken away once, and a journey must notice.

On an emulator of its own, which enforces the roles, journeys run again and again: without one
permission, and then with the same action on another resource instead. A journey has noticed when it
fails each time with the change, and passes without it: one that fails now and then is not believed.
What Lambda itself does with a role, no emulator checks: that is listed, and not tried.
"""

import contextlib
import json
import signal
import time
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import pytest

import house_rules
from house_rules import listed
from tools import emulator, osls
from tools.check_stack import LOCK, compile_stack
from tools.console import Stop, clear_errors, say
from tools.install import ROOT
from tools.lock import held
from tools.stack import Stack

REMOVED, ELSEWHERE = "taken away", "given elsewhere"

# Seconds. A journey that waits for what never comes is ended after three times what it takes with
# all permissions, or SHORTEST. One that takes longer than LONGEST with all of them is of no use.
SHORTEST, LONGEST = 3.0, 30.0
TIMES = 3

# How often a journey that has failed must fail again to be believed; once, where it takes too long.
REPEATS = 3


class Change(NamedTuple):
    """A permission, and ``how`` it is changed: REMOVED, or ELSEWHERE for another resource."""

    grant: house_rules.Grant
    how: str


class Trials:
    """A pytest plugin that runs journeys without one permission after the other.

    ``unnoticed`` counts the changes that nobody noticed. Unless ``finished``, there were others
    to be made; ``error`` may say why they were not. ``unsteady`` names the journeys that failed and
    then passed with nothing changed in between.
    """

    def __init__(self, stack: Stack, changes: list[Change]) -> None:
        self.unnoticed = 0
        self.unsteady: list[str] = []
        self.finished = False
        self.error: BaseException | None = None
        self._stack = stack
        self._changes = changes
        self._journeys: list[pytest.Item] = []
        self._seconds: dict[pytest.Item, float] = {}  # that a journey takes with all permissions
        self._limit = LONGEST
        self._failed = self._late = False

    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Try each permission, in place of running each journey."""
        if session.testsfailed:
            return None  # a journey could not be loaded: pytest itself ends here
        capture = session.config.pluginmanager.getplugin("capturemanager")
        # The newest journeys first: they use the most of the service.
        self._journeys = sorted(session.items, key=lambda item: item.path, reverse=True)
        try:
            for change, line in zip(self._changes, lines(self._changes), strict=True):
                start = time.monotonic()
                noticed = self._first_to_notice(change)
                self.unnoticed += noticed is None
                who = short(noticed) if noticed else "NOBODY"
                with capture.global_and_fixture_disabled():
                    say(f"{line}  {who} ({time.monotonic() - start:.1f} s)")
            # All has been given back, or these would fail.
            for journey in list(self._seconds):
                self._measure(journey)
            self.finished = True
        except Stop as stop:
            self.error = stop
        return True

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remember a Ctrl-C, but no end that pytest has come to by itself."""
        if excinfo.type is KeyboardInterrupt:
            self.error = excinfo.value

    def _first_to_notice(self, change: Change) -> pytest.Item | None:
        for journey in list(self._journeys):
            if self._notices(change, journey):
                # Who has noticed once will often notice again.
                self._journeys.remove(journey)
                self._journeys.insert(0, journey)
                return journey
        return None

    def _notices(self, change: Change, journey: pytest.Item) -> bool:
        """Return whether a journey fails each time with the change, and passes without it."""
        if self._passes_despite(change, journey):
            return False
        late = self._late
        if journey not in self._seconds and not self._measure(journey):
            return False
        limit = self._longest(journey)
        for _ in range(1 if late else REPEATS):
            if self._passes_despite(change, journey):
                if not late:
                    self._distrust(journey)
                return False
        if not self._measure(journey):
            return False
        # It may have failed because the machine is slow now: then once more, with more time.
        return self._seconds[journey] <= limit or self._notices(change, journey)

    def _passes_despite(self, change: Change, journey: pytest.Item) -> bool:
        with made(change, self._stack):
            return self._passes(journey, self._longest(journey))

    def _longest(self, journey: pytest.Item) -> float:
        return max(SHORTEST, TIMES * self._seconds.get(journey, 0))

    def _measure(self, journey: pytest.Item) -> bool:
        """Run a journey with all permissions, to know its time, and return whether it passes.

        Raises:
            Stop: it fails each time.
        """
        start = time.monotonic()
        if self._passes(journey, LONGEST):
            self._seconds[journey] = time.monotonic() - start
            return True
        if self._late and journey not in self._seconds:
            self._journeys.remove(journey)  # too slow to be of use
        elif any(self._passes(journey, LONGEST) for _ in range(REPEATS)):
            self._distrust(journey)
        else:
            raise fails_anyhow(journey)
        return False

    def _distrust(self, journey: pytest.Item) -> None:
        self.unsteady.append(short(journey))
        self._seconds.pop(journey, None)
        self._journeys.remove(journey)

    def _passes(self, journey: pytest.Item, limit: float) -> bool:
        self._limit = limit
        self._failed = self._late = False
        # With the session for the next one, what all journeys share stays as it is.
        journey.ihook.pytest_runtest_protocol(item=journey, nextitem=journey.session)
        return not self._failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember whether a journey has failed."""
        self._failed |= report.failed

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """End a journey that takes too long."""

        def end(_signal: int, _frame: object) -> None:
            self._late = True
            raise TimeoutError

        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, self._limit)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def short(journey: pytest.Item) -> str:
    """Return the name of a journey, without its folders."""
    return journey.nodeid.split("/")[-1]


def fails_anyhow(journey: pytest.Item) -> Stop:
    """What to say of a journey that fails with all permissions, too."""
    return Stop(
        f"{journey.nodeid} fails with all permissions, too.",
        "only a journey that passes with them can tell that one is missing.",
        "tox -e journey, which says why it fails; then again: tox -e iam",
    )


@contextlib.contextmanager
def made(change: Change, stack: Stack) -> Iterator[None]:
    """Change a permission for a while.

    The emulator reads the policies anew at each call, also when the function is warm.
    """
    iam = stack.client("iam")
    role = stack.client("cloudformation").describe_stack_resource(
        StackName=stack.name, LogicalResourceId=change.grant.role
    )["StackResourceDetail"]["PhysicalResourceId"]
    policy = {"RoleName": role, "PolicyName": change.grant.policy}
    document = iam.get_role_policy(**policy)["PolicyDocument"]
    statements = list(with_change(change, document["Statement"]))
    try:
        if statements:
            put = json.dumps({**document, "Statement": statements})
            iam.put_role_policy(**policy, PolicyDocument=put)
        else:
            iam.delete_role_policy(**policy)
        yield
    finally:
        iam.put_role_policy(**policy, PolicyDocument=json.dumps(document))


def with_change(change: Change, statements: Any) -> Iterator[dict[str, Any]]:
    """The statements of the policy; only the one permission is another."""
    where, which = change.grant.place
    for number, statement in enumerate(listed(statements)):
        if number != where:
            yield statement
            continue
        if others := [each for each in listed(statement["Action"]) if each != change.grant.action]:
            yield {**statement, "Action": others}
        resources = list(listed(statement["Resource"]))
        arn = resources.pop(which)
        if change.how == ELSEWHERE:
            # Where there is a wildcard: only what it stands for when it stands for nothing.
            resources.append(arn.replace("*", "") if "*" in arn else f"{arn}-other")
        if resources:
            yield {**statement, "Action": change.grant.action, "Resource": resources}


def lines(changes: list[Change]) -> list[str]:
    """What is changed, in columns."""
    rows = [(*names(change.grant), change.how) for change in changes]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        for row in rows
    ]


def names(grant: house_rules.Grant) -> tuple[str, str, str]:
    """What people call a permission: role, action, resource."""
    return grant.role, grant.action, grant.resource


def run_trials(changes: list[Change]) -> None:
    """Deploy, then make one change after the other.

    Raises:
        Stop: nobody noticed a change, or the trials could not be made.
    """
    region = osls.region("local")
    with emulator.running(region) as running:
        emulator.point_environment_at(running.endpoint, region)
        stack = Stack("local")
        stack.deploy()
        trials = Trials(stack, changes)
        say("Role, action, resource, what is done to it, and which journey notices:")
        options = ["--stack=local", "-p", "no:terminal", "-p", "no:cacheprovider"]
        code = pytest.main([str(ROOT / "tests" / "journey"), *options], plugins=[trials])
        if not running.alive:
            raise running.death()
    if trials.error:
        raise trials.error
    if not trials.finished:
        raise Stop(
            f"The journeys could not be run (pytest: {code}).",
            "one of them cannot be loaded, or has no stack to use.",
            "tox -e journey, which says why; then again: tox -e iam",
        )
    for journey in trials.unsteady:
        say(f"Not believed: {journey} failed, and then passed with nothing changed.")
    if trials.unnoticed:
        raise Stop(
            f"Changes that nobody noticed: {trials.unnoticed}.",
            "nobody needs this permission. It would only help somebody who has stolen the role.",
            "take it out of its file in infra/; or write the journey that needs it, in"
            " tests/journey/; or, if Lambda itself uses it, list it in house_rules.py. Then again:"
            " tox -e iam",
        )


def main() -> None:
    """List what is not tried, and try the rest."""
    with clear_errors():
        with held(LOCK):
            compiled = compile_stack()
        own = [grant for grant in compiled.grants() if compiled.done_by_lambda(grant)]
        say("Lambda's own, not tried:")
        for grant in own:
            say("  " + "  ".join(names(grant)))
        changes = [
            Change(grant, how)
            for grant in compiled.grants()
            if grant not in own
            for how in (REMOVED, ELSEWHERE)
        ]
        if not changes:
            say("The service itself calls nothing in AWS: there is nothing to try.")
            return
        run_trials(changes)
        say(f"{len(changes)} changes tried, and each was noticed.")


if __name__ == "__main__":
    main()
