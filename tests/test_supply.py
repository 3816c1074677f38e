"""What comes from others: its hashes, its known vulnerabilities, and the list of it."""

import contextlib
import hashlib
import json
import os
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.conftest import Project, Render

pytestmark = pytest.mark.xdist_group("supply")


@pytest.fixture(scope="module")
def first(render: Render) -> tuple[Project, str]:
    """A project at stage 2 whose ``tox -e audit`` has run, and what that said."""
    project = render(2)
    with advisories(osls="low") as address:
        return project, project.tox("-e", "audit", environ=asking(project, address))


@pytest.fixture
def project(first: tuple[Project, str]) -> Project:
    """That project."""
    return first[0]


@contextlib.contextmanager
def advisories(*, flask: str = "", osls: str = "") -> Iterator[str]:
    """The address of a database of advisories, as osv.dev and npm have it; about nothing else.

    Args:
        flask: The id of an advisory about Flask.
        osls: How severe one about osls is.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/query":
                self.answer(osv(json.loads(body)["package"]["name"]))
            else:
                self.answer(npm())

        def do_GET(self) -> None:
            """Tell npm of the versions of osls."""
            self.answer({"name": "osls", "versions": {"4.3.1": {"version": "4.3.1"}}})

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

    def npm() -> object:
        found = {"id": 1, "url": "https://example.com/1", "title": "Bad.", "severity": osls}
        return {"osls": [found | {"vulnerable_versions": "<99"}]} if osls else {}

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


def test_what_is_vulnerable_is_named_with_its_file_and_what_to_do(project: Project) -> None:
    with advisories(flask="GHSA-1", osls="high") as address:
        said = project.tox("-e", "audit", environ=asking(project, address), check=False)
        assert re.search(r"flask \S+ \(requirements/api.txt\): GHSA-1, mended in 99.0", said)
        assert "osls (npm): high" in said
        assert "Error: Known vulnerabilities: 2." in said
        assert said.count("Next:") == 1

        ignoring = ("-e", "audit", "--", "--ignore-vuln", "GHSA-1")
        said = project.tox(*ignoring, environ=asking(project, address), check=False)
        assert "Error: Known vulnerabilities: 1." in said


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
    assert "a file that has not the hash that is pinned" in said
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
