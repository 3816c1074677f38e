"""Measure, print the tables, and end with 1 when a bar is missed."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import (
    measure_cold,
    measure_copier,
    measure_deploy,
    measure_package,
    measure_stages,
    measure_tox,
    report,
)
from bench.packages import Packages
from bench.report import Findings
from bench.rivals import Rivals
from bench.shell import ProgramError, clean_up_when_ended, say
from bench.workshop import Workshop

MEASURES = ("files", "stages", "package", "cold", "deploy", "copier", "tox")


def measures(workshop: Workshop) -> dict[str, Callable[[], Findings]]:
    """What there is to measure, in the order of ``MEASURES``."""
    rivals = Rivals(workshop)
    packages = Packages(workshop, rivals)
    return {
        "files": lambda: measure_copier.count(workshop),
        "stages": lambda: measure_stages.measure(workshop, packages),
        "package": lambda: measure_package.measure(packages),
        "cold": lambda: measure_cold.measure(packages, workshop.folder),
        "deploy": lambda: measure_deploy.measure(workshop, rivals),
        "copier": lambda: measure_copier.measure(workshop),
        "tox": lambda: measure_tox.measure(workshop),
    }


def arguments() -> argparse.Namespace:
    """What the command line says; ``only`` becomes a list of names."""
    parser = argparse.ArgumentParser(prog="tox -e bench --", description=__doc__)
    parser.add_argument("--only", metavar="NAME,...", help=f"measure a part: {', '.join(MEASURES)}")
    parser.add_argument(
        "--write", action="store_true", help="write the tables into docs/bench.md as well"
    )
    parsed = parser.parse_args()
    if parsed.only and parsed.write:
        parser.error("docs/bench.md is written from all measures: --write goes without --only")
    parsed.only = parsed.only.split(",") if parsed.only else MEASURES
    for name in parsed.only:
        if name not in MEASURES:
            parser.error(f"there is no measure {name!r}: choose from {', '.join(MEASURES)}")
    return parsed


def main() -> int:
    """Measure in a temporary folder, of which nothing is left at the end."""
    chosen = arguments()
    clean_up_when_ended()
    start = time.monotonic()
    findings = Findings()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            os.environ["TMPDIR"] = name  # what programs leave there goes with it
            workshop = Workshop(Path(name))
            say(f"Everything is made in {name}, and removed at the end.")
            for name, measure in measures(workshop).items():
                if name in chosen.only:
                    say(f"\n== {name} ({time.monotonic() - start:.0f} s since the start)")
                    findings.add(measure())
            text = report.markdown(findings, workshop.machine())
    except ProgramError as failure:
        print(f"\nError: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing is left.", file=sys.stderr)
        return 130
    say(f"\nDone in {time.monotonic() - start:.0f} s.\n")
    say(text)
    if chosen.write:
        report.write(text)
    for name in report.missed(findings):
        say(f"MISSED: {name}")
    return 1 if report.missed(findings) else 0


if __name__ == "__main__":
    sys.exit(main())
