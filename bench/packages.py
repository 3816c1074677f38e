"""The packages to compare: ours, the floor under it, and the rivals'."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench import shell
from bench.rivals import SOURCES, Rivals, write
from bench.shell import step
from bench.workshop import Workshop

# The names of events.json.
HTTP_API, REST_API = "http-api-2.0", "rest-api-1.0"
ORDER = "http-api-2.0, order"

FLOOR = "bare Flask + serverless-wsgi, our build"
USUAL = "Flask + serverless-wsgi, usual build"
CHALICE = "Chalice"
ZAPPA = "Zappa"
FASTAPI = "FastAPI + Mangum, usual build"


class Package(NamedTuple):
    """A zip for Lambda, its handler as ``module`` and ``function``, and what it is sent."""

    zip: Path
    module: str
    function: str
    event: str


class Packages:
    """Builds each package once."""

    def __init__(self, workshop: Workshop, rivals: Rivals) -> None:
        self._workshop = workshop
        self._rivals = rivals
        self._builders: dict[str, Callable[[], Package]] = {
            FLOOR: self._floor,
            USUAL: lambda: self._with_osls("flask", "wsgi_handler"),
            CHALICE: self._chalice,
            ZAPPA: self._zappa,
            FASTAPI: lambda: self._with_osls("fastapi", "app"),
        }

    @cache  # noqa: B019 - there is one, and it lives as long as the program
    def ours(self, stage: int) -> Package:
        """What a generated project builds; stage 1 does not answer the event."""
        built = self._workshop.build(self._workshop.project(stage))
        return Package(built, "service.api", "handler", HTTP_API)

    @cache  # noqa: B019
    def others(self) -> dict[str, Package]:
        """All packages that are not ours, by name."""
        return {name: build() for name, build in self._builders.items()}

    @cache  # noqa: B019
    def bare_orders(self) -> Package:
        """What accepts an order with Flask and a boto3 client, and nothing else."""
        return self._bare("flask-orders", ORDER)

    def _floor(self) -> Package:
        return self._bare("flask", HTTP_API)

    def _bare(self, name: str, event: str) -> Package:
        project = self._workshop.folder / f"bare-{name}"
        left_out = shutil.ignore_patterns(".git", ".tox", ".build", "node_modules")
        shutil.copytree(self._workshop.project(2), project, ignore=left_out)
        shutil.rmtree(project / "service")
        write({"__init__.py": "", "app.py": SOURCES[name]["app.py"]}, project / "service")
        return Package(self._workshop.build(project), "service.app", "handler", event)

    def _with_osls(self, name: str, module: str) -> Package:
        rival = self._rivals.make_with_osls(name)
        with step(f"Packaging {name} with osls"):
            self._run(name, "node_modules/.bin/osls", "package")
        return Package(rival.folder / ".serverless" / "rival.zip", module, "handler", HTTP_API)

    def _zappa(self) -> Package:
        built = self._workshop.folder / "zappa.zip"
        with step("Packaging zappa"):
            self._run("zappa", "zappa", "package", "bench", "--output", str(built))
        return Package(built, "handler", "lambda_handler", HTTP_API)

    def _chalice(self) -> Package:
        built = self._workshop.folder / "chalice-package"
        with step("Packaging chalice"):
            self._run("chalice", "chalice", "package", str(built))
        return Package(built / "deployment.zip", "app", "app", REST_API)

    def _run(self, name: str, *command: str) -> None:
        rival = self._rivals.make(name)
        shell.run(*command, cwd=rival.folder, environ=self._rivals.environment(rival))
