"""The same service, one route, made and packaged as each project's own documentation says.

- ``flask``: Flask + serverless-wsgi, by osls with the npm plugins serverless-wsgi and
  serverless-python-requirements; and, as the floor, by our own build
- ``flask-orders``: Flask + serverless-wsgi + a boto3 client, by our own build
- ``fastapi``: FastAPI + Mangum, by osls with serverless-python-requirements
- ``zappa``: Flask on Zappa, by ``zappa package`` and ``zappa deploy``
- ``chalice``: Chalice, by ``chalice package``, then CloudFormation

Where there was a choice, it is in the rival's favour: Zappa does not ask the package index
about each package, and the stack of Chalice is looked at ten times a second.
"""

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from bench import shell
from bench.shell import step
from bench.workshop import VERSION, Workshop

# What is in each rival's folder, by name; those for osls share one node_modules.
SOURCES: dict[str, dict[str, str]] = yaml.safe_load(
    Path(__file__).with_name("rivals.yml").read_text(encoding="utf-8")
)


def write(sources: Mapping[str, str], folder: Path) -> None:
    """Write files into a new folder."""
    for name, text in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


class Rival(NamedTuple):
    """A project in ``folder``, and the environment that its commands want."""

    folder: Path
    venv: Path


class Rivals:
    """Makes each rival once, in a workshop."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop

    def environment(self, rival: Rival, endpoint: str = shell.NOWHERE) -> dict[str, str]:
        """The environment to run the commands of a rival in."""
        return shell.environment(endpoint, rival.venv) | {
            # Only rivals/*/serverless.yml read these.
            "RIVAL_RUNTIME": f"python{VERSION}",
            "RIVAL_PYTHON": str(rival.venv / "bin" / "python"),
            "RIVAL_CACHE": str(self.workshop.folder / "requirements-cache"),
        }

    @cache  # noqa: B019 - there is one, and it lives as long as the program
    def make(self, name: str) -> Rival:
        """Copy the sources of a rival, and make it a virtual environment."""
        folder = self.workshop.folder / name
        venv = self.workshop.folder / f"{name}-venv"
        with step(f"Preparing the rival {name}"):
            write(SOURCES[name], folder)
            # With pip, which some of them run; compiled, as pip would leave it.
            self.uv("venv", "--quiet", "--seed", f"--python={sys.executable}", str(venv))
            if (folder / "environment.txt").exists():
                self.uv(
                    *("pip", "install", "--quiet", "--compile-bytecode"),
                    *(f"--python={venv / 'bin' / 'python'}", "-r", str(folder / "environment.txt")),
                )
                (folder / "environment.txt").unlink()
        return Rival(folder, venv)

    @cache  # noqa: B019
    def make_with_osls(self, name: str) -> Rival:
        """The same, for one that osls and its npm plugins deploy."""
        rival = self.make(name)
        (rival.folder / "node_modules").symlink_to(self.node_modules())
        return rival

    @cache  # noqa: B019
    def node_modules(self) -> Path:
        """osls and the plugins of the rivals, installed."""
        folder = self.workshop.folder / "npm"
        write(SOURCES["osls"], folder)
        with step("Installing osls with the plugins of the rivals"):
            options = ("--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error")
            shell.run("npm", "install", *options, cwd=folder)
        return folder / "node_modules"

    def uv(self, *arguments: str) -> None:
        """Run uv."""
        shell.run(sys.executable, "-m", "uv", *arguments, cwd=self.workshop.folder)
