"""How long it takes from the deploy command to the first answer, and to deploy no change."""

import re
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import emulator, shell
from bench.pairs import alternate, ratio, spread
from bench.report import Findings, Table
from bench.rivals import Rivals
from bench.shell import step
from bench.workshop import Workshop, remove

ROUNDS = 5

OURS = "ours"
CAR = "ours, the car"
ZAPPA = "Zappa"

# The rivals print where AWS would serve the API, such as
# https://abc123.execute-api.ap-northeast-1.amazonaws.com/api; ours prints the emulator's own
# address, http://127.0.0.1:4566/_aws/execute-api/abc123/$default.
PRINTED = re.compile(
    r"(?:https://|/_aws/execute-api/)(?P<api>\w+)"
    r"(?:\.execute-api\.[^/\s]+(?:/(?P<stage>\w+))?|/\$default)"
)


class Deployer(NamedTuple):
    """How to deploy a project, and which folders a first deployment does not have yet."""

    folder: Path
    commands: Sequence[Sequence[str]]
    environ: Mapping[str, str]
    left_by_earlier: Sequence[str]


def measure(workshop: Workshop, rivals: Rivals) -> Findings:
    """Deploy all of them, in turns, to one emulator that forgets everything in between."""
    with emulator.running(workshop) as endpoint:
        found = deployers(workshop, rivals, endpoint)
        redeploys: list[Redeploy] = []

        def first(name: str) -> float:
            seconds = first_deploy(found[name], endpoint)
            if name == OURS:
                redeploys.append(redeploy(found[name]))
            return seconds

        measures = {name: partial(first, name) for name in found}
        with step("Deploying each once, to warm the caches"):
            alternate(1, measures)
        redeploys.clear()
        with step("First deploys, to the first answer with status 200"):
            taken = alternate(ROUNDS, measures)
    return report(taken, redeploys)


def deployers(workshop: Workshop, rivals: Rivals, endpoint: str) -> dict[str, Deployer]:
    """Ours and the rivals, by name."""
    flask = rivals.make_with_osls("flask")
    zappa = rivals.make("zappa")
    chalice = rivals.make("chalice")
    ours = {
        name: Deployer(
            workshop.project(stage),
            [[sys.executable, "-m", "tox", "-e", "deploy", "--", "--stage", "bench"]],
            shell.environment(endpoint),
            [".build", ".serverless"],
        )
        for name, stage in ((OURS, 2), (CAR, 5))
    }
    return {
        **ours,
        ZAPPA: Deployer(
            zappa.folder,
            [["zappa", "deploy", "bench"]],
            rivals.environment(zappa, endpoint),
            [],
        ),
        "Flask, usual osls plugins": Deployer(
            flask.folder,
            [["node_modules/.bin/osls", "deploy", "--stage", "bench"]],
            rivals.environment(flask, endpoint),
            [".serverless"],
        ),
        "Chalice, through CloudFormation": Deployer(
            chalice.folder,
            [["chalice", "package", "out"], ["python", "deploy.py", "out"]],
            rivals.environment(chalice, endpoint),
            ["out", ".chalice/deployments"],
        ),
    }


def first_deploy(deployer: Deployer, endpoint: str) -> float:
    """Seconds from the first command to the first answer, on an emulator that is empty."""
    emulator.reset(endpoint)
    remove(*(deployer.folder / name for name in deployer.left_by_earlier))
    start = time.monotonic()
    output = deploy(deployer)
    found = PRINTED.search(output)
    if not found:
        raise shell.ProgramError(f"{deployer.commands[-1]} printed no address.\n{output}")
    stage = found["stage"] or "$default"
    emulator.wait_for_200(f"{endpoint}/_aws/execute-api/{found['api']}/{stage}/health")
    return time.monotonic() - start


def deploy(deployer: Deployer) -> str:
    """Deploy, and give what was printed."""
    return "".join(
        shell.run(*command, cwd=deployer.folder, environ=deployer.environ)[1]
        for command in deployer.commands
    )


class Redeploy(NamedTuple):
    """A deployment of what is deployed already."""

    seconds: float
    skipped: bool


def redeploy(deployer: Deployer) -> Redeploy:
    """Deploy again, with nothing changed."""
    start = time.monotonic()
    output = deploy(deployer)
    return Redeploy(time.monotonic() - start, "No changes to deploy" in output)


def report(taken: dict[str, list[float]], redeploys: list[Redeploy]) -> Findings:
    """Put it together."""
    compared = {name: ratio(taken[OURS], taken[name]) for name in taken if name not in (OURS, CAR)}
    skipped = sum(redeploy.skipped for redeploy in redeploys)
    again = spread([redeploy.seconds for redeploy in redeploys])
    return Findings(
        {
            "first deploy to first 200": statistics.median(taken[OURS]),
            "first deploy of the car to first 200": statistics.median(taken[CAR]),
            "first deploy by Zappa's": compared[ZAPPA].median,
            "redeploys that did not see that nothing changed": len(redeploys) - skipped,
        },
        [
            Table(
                "First deploy to first answer",
                f"Whole processes, {ROUNDS} rounds in alternating order after one to warm the"
                " caches, on one emulator that forgets everything before each deployment (`POST"
                " /_ministack/reset`), to the first 200 of `GET /health`. Ours is the scooter,"
                " by `tox -e deploy`, as is the car;"
                " the rivals go without tox. Each polls as often as it does by itself. Zappa"
                " does not touch the API (it would look for it at amazonaws.com), nor ask the"
                " package index about each package. Chalice's own `deploy` does not serve on this"
                " emulator: it is `chalice package` and CloudFormation, polled ten times a second."
                " Medians, least and most; ratios with quartiles.",
                ["deployed by", "seconds", "ours by theirs"],
                [[name, spread(taken[name]), str(compared.get(name, ""))] for name in taken],
            ),
            Table(
                "Deploying again without a change",
                "Right after each first deployment of ours, the same command once more.",
                ["said that there is nothing to deploy", "seconds"],
                [[f"{skipped} of {len(redeploys)}", again]],
            ),
        ],
    )
