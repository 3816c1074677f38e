"""Where and when it was measured."""

import datetime
import os
import platform
from importlib.metadata import version

from bench import shell
from bench.workshop import Workshop


def described(workshop: Workshop) -> str:
    """The day, the machine, and the versions of what was used."""
    _, node = shell.run("node", "--version", cwd=workshop.folder)
    versions = {
        "Python": platform.python_version(),
        "Node": node.strip().removeprefix("v"),
        "Copier": version("copier"),
        **workshop.versions(),
    }
    today = datetime.datetime.now(datetime.UTC).date()
    return (
        f"Measured on {today}: {os.cpu_count()} cores, {platform.system()} {platform.machine()},"
        f" {', '.join(f'{name} {number}' for name, number in versions.items())}."
    )
