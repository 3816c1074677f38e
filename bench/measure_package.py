"""How large the packages are, and how much of them Python would compile again."""

import calendar
import importlib.util
import zipfile
from pathlib import Path
from typing import NamedTuple

from bench.packages import Packages
from bench.report import Findings, Table
from bench.workshop import STAGES

KIB, MIB = 2**10, 2**20
HEADER_BYTES = 16  # of a .pyc: magic, flags, then time and size of the source, or its hash
HASHED, CHECKED = 0b01, 0b10  # flags (PEP 552)


class Contents(NamedTuple):
    """``size`` is of the zip and ``compiled_size`` of its .pyc entries, in bytes."""

    size: int
    compiled_size: int
    compiled: int
    stale: int


def measure(packages: Packages) -> Findings:
    """Look into all packages."""
    ours = {f"ours, stage {stage}": contents(packages.ours(stage).zip) for stage in STAGES}
    others = {name: contents(package.zip) for name, package in packages.others().items()}
    one, two, *_, car = ours.values()
    return Findings(
        {
            "package, stage 1": one.size / KIB,
            "package, stage 2": two.size / MIB,
            "package, stage 5": car.size / MIB,
            "stale .pyc in packages of ours": sum(each.stale for each in ours.values()),
        },
        [
            Table(
                "What is uploaded",
                "Zip files for this machine and Python. A `.pyc` is stale when Python, where the"
                " zip is unpacked with the times that it records, would not use it (PEP 552).",
                ["package", "zip", "of it `.pyc`", "`.pyc` files", "of them stale"],
                [row(name, found) for name, found in {**ours, **others}.items()],
            )
        ],
    )


def row(name: str, found: Contents) -> list[str]:
    """A row of the table."""
    return [
        name,
        size(found.size),
        size(found.compiled_size),
        str(found.compiled),
        str(found.stale),
    ]


def size(of: int) -> str:
    """A number of bytes, readable."""
    return f"{of / MIB:.2f} MiB" if of >= MIB / 10 else f"{of / KIB:.1f} KiB"


def contents(package: Path) -> Contents:
    """Look into a package for this Python."""
    with zipfile.ZipFile(package) as archive:
        compiled = [entry for entry in archive.infolist() if entry.filename.endswith(".pyc")]
        return Contents(
            package.stat().st_size,
            sum(entry.compress_size for entry in compiled),
            len(compiled),
            sum(not is_used(archive, entry) for entry in compiled),
        )


def is_used(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    """Whether Python would take this .pyc, and not compile its source again."""
    code = archive.read(entry)
    header = code[:HEADER_BYTES]
    if len(header) < HEADER_BYTES or header[:4] != importlib.util.MAGIC_NUMBER:
        return False
    names = archive.NameToInfo
    folder, _, name = entry.filename.rpartition("/")
    if not folder.endswith("__pycache__"):
        return f"{entry.filename[:-1]}" not in names  # without its source, or never
    try:
        source = importlib.util.source_from_cache(entry.filename)
    except ValueError:
        return False
    # Only one name is looked for: cpython-313, say, and not one of optimised code.
    if source not in names or Path(importlib.util.cache_from_source(source)).name != name:
        return False
    flags = int.from_bytes(header[4:8], "little")
    if flags & HASHED:
        actual = importlib.util.source_hash(archive.read(source))
        return not flags & CHECKED or header[8:] == actual
    time, size = (int.from_bytes(header[at : at + 4], "little") for at in (8, 12))
    return (time, size) == (modified(names[source]), names[source].file_size)


def modified(entry: zipfile.ZipInfo) -> int:
    """When an entry was modified: a zip has no time zone, Lambda's is UTC."""
    return calendar.timegm((*entry.date_time, 0, 0, 0))
