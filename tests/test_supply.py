"""What comes from others: its hashes, its known vulnerabilities, and the list of it."""

import contextlib
import hashlib
import json
import os
import re
import threading
import urllib.parse
import zipfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import Project, Render

pytestmark = pytest.mark.xdist_group("supply")


@pytest.fixture(scope="module")
def first(render: Render) -> tuple[Project, str]:
    """A project at stage 2 whose ``tox -e audit`` has run, and what that said."""
    project = render(2)
    with advisories(npm={"osls": {"GHSA-2": "low"}}) as address:
        return project, project.tox("-e", "audit", environ=asking(project, address))


@pytest.fixture
def project(first: tuple[Project, str]) -> Project:
    """That project."""
    return first[0]


NONE: Mapping[str, Mapping[str, str]] = {}


@contextlib.contextmanager
def advisories(*, flask: str = "", npm: Mapping[str, Mapping[str, str]] = NONE) -> Iterator[str]:
    """Serve a database of advisories, as osv.dev and npm do, and give its address.

    Args:
        flask: The id of an advisory about Flask.
        npm: By package of npm, the ids of its advisories, each with its severity.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/query":
                self.answer(osv(json.loads(body)["package"]["name"]))
            else:
                self.answer({name: of_npm(found) for name, found in npm.items()})

        def do_GET(self) -> None:
            """Tell npm which versions of a package there are."""
            name = urllib.parse.unquote(self.path[1:])
            self.answer({"name": name, "versions": {"1.0.0": {"name": name, "version": "1.0.0"}}})

        def answer(self, document: object) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    def osv(name: str) -> object:
        fixed = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}
        affected = {"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [fixed]}
        found = {"id": flask, "summary": "Bad.", "affected": [affected]}
        return {"vulns": [found]} if flask and name == "flask" else {}

    def of_npm(found: Mapping[str, str]) -> list[object]:
        where = "https://github.com/advisories"
        return [
            {
                "id": int(one.removeprefix("GHSA-")),
                "url": f"{where}/{one}",
                "severity": severity,
                "vulnerable_versions": "<99",
            }
            for one, severity in found.items()
        ]

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def asking(project: Project, address: str) -> dict[str, str]:
    """The settings of the tools that ask: here, and nowhere else."""
    return {
        # npm remembers what it was told of an advisory.
        "NPM_CONFIG_CACHE": str(project.folder / f".build/npm-{address.split(':')[-1]}"),
        "PIP_AUDIT_OSV_URL": f"{address}/v1/query",
        "NPM_CONFIG_REGISTRY": address,
        "NPM_CONFIG_FETCH_RETRIES": "0",
    }


def test_nothing_serious_is_said(first: tuple[Project, str]) -> None:
    assert "No pinned package is known to be vulnerable." in first[1]


SERIOUS = {
    "osls": {"GHSA-2": "high", "GHSA-3": "moderate"},
    "js-yaml": {"GHSA-4": "critical", "GHSA-5": "high"},
    "semver": {"GHSA-4": "critical"},
}


def test_what_is_vulnerable_is_named_with_its_file_and_what_to_do(project: Project) -> None:
    with advisories(flask="GHSA-1", npm=SERIOUS) as address:
        # A person's own settings, with which npm would find nothing.
        blind = {"NPM_CONFIG_OMIT": "dev", "NPM_CONFIG_OFFLINE": "true", "NODE_ENV": "production"}
        environ = asking(project, address) | blind | {"NPM_CONFIG_PACKAGE_LOCK": "false"}
        said = project.tox("-e", "audit", environ=environ, check=False)
        assert re.search(r"flask \S+ \(requirements/api.txt\): GHSA-1, mended in 99.0", said)
        assert re.findall(r"(\S+) \(npm\): (\S+), (\w+)", said) == [
            ("js-yaml", "GHSA-4", "critical"),
            ("js-yaml", "GHSA-5", "high"),
            ("osls", "GHSA-2", "high"),
            ("semver", "GHSA-4", "critical"),
        ]
        assert "Error: Known vulnerabilities: 5." in said
        assert "tox -e audit -- --ignore-vuln ID" in said
        assert said.count("Next:") == 1

        ignoring = [f"--ignore-vuln={one}" for one in ("GHSA-1", "GHSA-4", "GHSA-5")]
        said = project.tox("-e", "audit", "--", *ignoring, environ=environ, check=False)
        assert re.findall(r"\): (GHSA-\d)", said) == ["GHSA-2"]
        assert "Error: Known vulnerabilities: 1." in said

        ignoring += ["--ignore-vuln", "GHSA-2"]
        said = project.tox("-e", "audit", "--", *ignoring, environ=environ)
        assert "No pinned package is known to be vulnerable." in said


NPM = """
import sys
from tools.audit import vulnerable_npm
from tools.console import clear_errors
with clear_errors():
    print(vulnerable_npm(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("", "nothing was said"),
        ("<html>\nProxy\n</html>", "</html>"),
        ("null", "null"),
        ("[]", "[]"),
        ("{}", "{}"),
        ('{"vulnerabilities": []}', "{"),
        ('{"vulnerabilities": ', "{"),
        ('{"message": "No way.", "error": {"summary": ""}}', "No way."),
        ('{"error": {"summary": "No lock file."}}', "No lock file."),
        ("\\377\\376", "\ufffd"),
    ],
)
def test_npm_that_does_not_answer_is_said(
    project: Project, tmp_path: Path, printed: str, reason: str
) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\nprintf '{printed}'\n")
    npm.chmod(0o755)
    said = ask_npm(project, f"{tmp_path}:/usr/bin:/bin")
    assert f"Error: There is no answer about package-lock.json: {reason}" in said
    assert "Next: check the network" in said


def test_without_npm_it_is_said_how_to_get_it(project: Project, tmp_path: Path) -> None:
    said = ask_npm(project, str(tmp_path))
    assert "Error: npm is not on this machine." in said
    assert "Next: tox -e audit" in said


def ask_npm(project: Project, path: str) -> str:
    """What is said of what a program called npm, in this PATH, answers."""
    python = str(project.folder / ".tox/audit/bin/python")
    done = project.run(python, "-c", NPM, check=False, environ={"PATH": path})
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    return done.stdout


@pytest.mark.parametrize(("reached", "file"), [("osv", "package-lock.json"), ("npm", "tools/")])
def test_no_answer_is_not_taken_for_a_good_one(project: Project, reached: str, file: str) -> None:
    nowhere = asking(project, "http://127.0.0.1:9")
    with advisories() as address:
        here = {
            name: value
            for name, value in asking(project, address).items()
            if reached in name.lower()
        }
        said = project.tox("-e", "audit", environ=nowhere | here, check=False)
    assert f"Error: There is no answer about {file}" in said
    assert "Next: check the network" in said
    assert "Traceback" not in said


def test_a_file_that_has_not_the_hash_that_is_pinned_is_refused(project: Project) -> None:
    """Also one that uv has in its cache already."""
    build(project)
    pins = (project.folder / "requirements/api.txt").read_text()
    with contextlib.ExitStack() as ending:
        ending.callback(project.write, "requirements/api.txt", pins)
        wrong = re.sub(r"(?<=sha256:)[0-9a-f]{8}", "01234567", pins)
        assert wrong != pins
        project.write("requirements/api.txt", wrong)
        said = build(project, check=False)
    assert "Hash mismatch" in said
    assert "Error: The requirements of the service could not be installed." in said
    assert "a file whose hash is not the pinned one" in said
    assert said.count("Next:") == 1

    # With the right hashes again, nothing is left of it.
    build(project)
    with zipfile.ZipFile(project.folder / ".build/service.zip") as package:
        assert "flask/__init__.py" in package.namelist()
        assert ".lock" not in package.namelist()


def build(project: Project, check: bool = True) -> str:
    """Build the package for this machine, and give what was said."""
    python = str(project.folder / ".tox/audit/bin/python")
    command = ("-m", "tools.package", "--runtime=python3.13", "--architecture=arm64")
    emulated = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    return project.run(python, *command, check=check, environ=emulated).stdout


def test_the_list_is_of_what_is_in_the_package(project: Project) -> None:
    package = project.folder / ".build/service.zip"
    package.unlink(missing_ok=True)
    said = project.tox("-e", "sbom", check=False)
    assert "Error: There is no package." in said
    assert said.count("Next:") == 1

    build(project)
    project.tox("-e", "sbom")
    listed = json.loads((project.folder / ".build/sbom.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    assert listed["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    pins = (project.folder / "requirements/api.txt").read_text()
    assert {each["purl"] for each in listed["components"]} == {
        f"pkg:pypi/{name}@{version}"
        for name, version in re.findall(r"^(\S+)==(\S+)", pins, re.MULTILINE)
    }


def test_tests_of_a_group_run_on_one_worker(request: pytest.FixtureRequest) -> None:
    """A pytest that pytest-xdist does not know yet spreads them, in silence."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("only one process runs the tests")
    assert request.node.nodeid.endswith("@supply")
