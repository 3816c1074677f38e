"""Journeys use the service as its clients do, deployed for real.

Fixtures may lie in files of their own, in a folder ``fixtures`` beside this file. They are
read in the order of their names: a later one may build on an earlier one.
"""

import contextlib
from collections.abc import Generator, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from tools import emulator, osls
from tools.console import Stop, aws_errors_explained
from tools.install import pieces
from tools.stack import Stack, check_credentials

running = pytest.StashKey[emulator.Emulator]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stack",
        metavar="NAME",
        help="use the deployment NAME, where the AWS environment points, and deploy nothing",
    )


def pytest_configure(config: pytest.Config) -> None:
    # tox names this folder, so that --stack is known. Who names files as well means only those.
    here = Path(__file__).resolve().parent
    if len(config.args) > 1 and Path(config.args[0]).resolve() == here:
        del config.args[0]
    if not config.getoption("--stack"):
        # Until the emulator runs, AWS is nowhere: no test may reach a real account.
        emulator.point_environment_at(emulator.NOWHERE)
    with one_message():
        files = pieces("tests/journey/fixtures", ".py")
    for file in files:
        spec = spec_from_file_location(f"journey_fixtures_{file.stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        config.pluginmanager.register(module, spec.name)


@contextlib.contextmanager
def one_message() -> Iterator[None]:
    """End all with the message of a ``Stop``: every journey would fail for the same reason."""
    try:
        with aws_errors_explained():
            yield
    except Stop as stop:
        pytest.exit(f"Error: {stop}", returncode=1)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack to use: on an emulator, deployed just now, unless --stack names one."""
    if deployment := request.config.getoption("--stack"):
        with one_message():
            if deployment == "local":
                emulator.reach_running()
            check_credentials()
            stack = Stack(deployment)
            stack.check_deployed()
        yield stack
        return
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with contextlib.ExitStack() as ending:
        # What happens shall be seen.
        with one_message(), capture.global_and_fixture_disabled():
            region = osls.region("local")
            started = ending.enter_context(emulator.running(region))
            emulator.point_environment_at(started.endpoint, region)
            stack = Stack("local")
            stack.deploy()
        request.config.stash[running] = started
        yield stack
        del request.config.stash[running]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say so when the emulator has died: every later failure comes from that."""
    report = yield
    started = item.config.stash.get(running, None)
    if started and not started.alive:
        report.sections.append(("emulator", str(started.death())))
    return report
