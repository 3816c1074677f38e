"""Whatever is sent, a project keeps the contract that it publishes: thousands of requests."""

import json
from pathlib import Path

import pytest

from demo.snapshot import environment
from demo.up import up
from tests.conftest import STAGES, Render, check_nothing_left_behind
from tests.published import Publish
from tests.service import Caller, Service

pytestmark = [pytest.mark.deploy, pytest.mark.full]

CASES = 2_000  # at least, for each stage


@pytest.mark.parametrize("stage", STAGES[1:])
def test_whatever_is_sent_the_contract_is_kept(
    render: Render, temporary: Path, tmp_path: Path, publish: Publish, stage: int
) -> None:
    project = render(stage)
    with up(project.folder, environment()) as running:
        running.wait_until_ready()
        service = Service(project, running)
        customer = service.sign_in("ann@example.com") if stage == 5 else Caller(service.url)
        document, report = tmp_path / "contract.json", tmp_path / "report.json"
        printed = project.tox("-qqe", "python", "--", "-m", "tools.openapi")
        document.write_text(printed[printed.index("{") :])  # what is installed is said before it
        # One of them, GET /health, can be asked in one way only.
        operations = sum(map(len, json.loads(document.read_text())["paths"].values())) - 1
        said = project.tox(
            *("-qqe", "python", "--", "-m", "schemathesis.cli", "run", str(document)),
            f"--url={service.url}",
            *(f"--header={name}: {value}" for name, value in customer.headers.items()),
            "--phases=examples,coverage,fuzzing",
            f"--max-examples={CASES // operations}",
            # Of all checks, one does not hold: what is written well may still mean nothing, as
            # a page token that nobody has handed out, or a key that was used before.
            *("--checks=all", "--exclude-checks=positive_data_acceptance"),
            *("--workers=2", "--continue-on-failure", "--request-timeout=60", "--seed=1"),
            *("--report=json", f"--report-json-path={report}"),
            check=False,
        )
        found = json.loads(report.read_text()) if report.exists() else pytest.fail(said)
    cases = found["test_cases"]
    assert (found["exit_code"], found["errors"], found["failures"]) == (0, [], []), said
    assert (cases["with_failures"], cases["errored"]) == (0, 0)
    assert cases["generated"] >= CASES, said
    publish("proofs.md", "fuzz", str(stage), f"{cases['generated']:,}", "0")
    check_nothing_left_behind(temporary)
