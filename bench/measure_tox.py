"""How long a generated project's own tests take."""

import statistics
import sys

from bench import shell
from bench.pairs import spread
from bench.report import Findings, Table
from bench.shell import say, step
from bench.workshop import Workshop

RUNS = {"tox -e unit": 5, "tox": 3}


def measure(workshop: Workshop) -> Findings:
    """Run them as a user would, in environments that are there already."""
    project = workshop.project(2)
    with step("Running tox once, to make its environments"):
        shell.run(sys.executable, "-m", "tox", cwd=project)
    taken: dict[str, list[float]] = {}
    for command, runs in RUNS.items():
        with step(f"{command}, {runs} times"):
            arguments = command.split()[1:]
            taken[command] = [
                shell.run(sys.executable, "-m", "tox", *arguments, cwd=project)[0]
                for _ in range(runs)
            ]
            say("  " + ", ".join(f"{seconds:.1f} s" for seconds in taken[command]))
    return Findings(
        {f"{command}, stage 2": statistics.median(taken[command]) for command in taken},
        [
            Table(
                "The tests of a generated project",
                "Stage 2, whole processes, after one run that makes the environments. `tox` is"
                " lint, types, house rules, unit tests, and the journeys on an emulator of"
                " their own. Medians, least and most.",
                ["command", "seconds"],
                [[f"`{command}`", spread(seconds)] for command, seconds in taken.items()],
            )
        ],
    )
