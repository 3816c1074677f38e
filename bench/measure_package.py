"""How large the packages are, and how much of them Python would compile again."""

from bench.archive import Contents, contents
from bench.findings import Findings, Table
from bench.packages import Packages

KIB, MIB = 2**10, 2**20


def measure(packages: Packages) -> Findings:
    """Look into all packages."""
    ours = {f"ours, stage {stage}": contents(packages.ours(stage).zip) for stage in (1, 2)}
    others = {name: contents(package.zip) for name, package in packages.others().items()}
    one, two = ours.values()
    return Findings(
        {
            "package, stage 1": one.size / KIB,
            "package, stage 2": two.size / MIB,
            "stale .pyc in packages of ours": one.stale + two.stale,
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
