"""How long a cold start takes: importing the handler, and answering the first request."""

import os
import statistics
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from bench import shell
from bench.measure_package import modified
from bench.packages import FLOOR, USUAL, Package, Packages
from bench.pairs import Measure, alternate, ratio
from bench.report import Findings, Table
from bench.shell import step

PAIRS = 21
PROBE = Path(__file__).with_name("probe.py")
EVENTS = Path(__file__).with_name("events.json")

# What Lambda sets, as far as one of the handlers reads it, and what infra/api.yml does.
ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_NAME": "rival",
    "AWS_DEFAULT_REGION": shell.REGION,
    "AWS_REGION": shell.REGION,
    "LANG": "C.UTF-8",
    "STRIP_STAGE_PATH": "yes",
    "TZ": "UTC",
}


def measure(packages: Packages, folder: Path) -> Findings:
    """Compare our cold start with each other one, in pairs."""
    findings = Findings()
    rows = []
    ours = cold_start(packages.ours(2), folder)
    for name, package in packages.others().items():
        with step(f"Cold starts: ours and {name}"):
            taken = alternate(PAIRS, {"ours": ours, "theirs": cold_start(package, folder)})
        compared = ratio(taken["ours"], taken["theirs"])
        milliseconds = [f"{statistics.median(taken[who]) * 1000:.0f} ms" for who in taken]
        rows.append([name, *milliseconds, str(compared)])
        if name == FLOOR:
            findings.values["cold start by bare Flask's"] = compared.median
        if name == USUAL:
            findings.values["cold start by usual Flask's"] = compared.median
    findings.tables = [
        Table(
            "Cold import and first request",
            f"A fresh Python process each time, {PAIRS} alternating pairs; medians, and the median"
            " of the pairs' ratios with its quartiles. Only the unpacked package and the standard"
            " library can be imported, and nothing compiled is kept, as on Lambda. `GET /health`"
            " as an event of an HTTP API (payload 2.0), for Chalice of a REST API.",
            ["beside", "ours", "theirs", "ours by theirs"],
            rows,
        )
    ]
    return findings


def cold_start(
    package: Package, folder: Path, environ: Mapping[str, str] = ENVIRONMENT, *beside: Path
) -> Measure:
    """Unpack a package; the measure then gives the seconds of one cold start."""
    unpacked = Path(tempfile.mkdtemp(prefix="task-", dir=folder))
    unpack(package.zip, unpacked)
    command: list[str | Path] = [sys.executable, "-I", "-S", "-B", PROBE]
    command += [":".join(map(str, (unpacked, *beside)))]
    command += [package.module, package.function, EVENTS, package.event]

    def seconds() -> float:
        _, output = shell.run(*command, cwd=unpacked, environ=environ)
        return float(output.rpartition("SECONDS")[2])

    seconds()  # the first one finds nothing in the cache of the disk
    return seconds


def unpack(package: Path, folder: Path) -> None:
    """Unpack as Lambda does, times included: they decide whether a .pyc is used."""
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
        for entry in archive.infolist():
            os.utime(folder / entry.filename, (modified(entry), modified(entry)))
