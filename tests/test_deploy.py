"""What needs the emulator: each stage as it is, and growing while it runs."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from demo.snapshot import environment
from demo.up import Up, up
from tests.conftest import NOTHING, STAGES, Environ, Project, Render, emulators
from tests.service import Service

pytestmark = [pytest.mark.deploy, pytest.mark.usefixtures("nothing_left_behind")]

# What a person's environment may hold: none of it may change anything.
REAL_LOOKING = {
    "AWS_PROFILE": "production",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "token",
    "AWS_ENDPOINT_URL": "http://192.0.2.1",
    "AWS_ENDPOINT_URL_LAMBDA": "http://192.0.2.1",
    "AWS_REGION": "us-east-1",
}
PROXY = dict.fromkeys(
    ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"
)


REQUEST = {"item": "skateboard", "quantity": 2}


def post(url: str, body: object) -> Any:
    """What a ``POST`` answers."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=30) as response:
        return json.load(response)


@pytest.fixture(scope="module")
def growing(render: Render) -> Project:
    """A project that grows from test to test, so that its tools are installed once."""
    return render(1)


@pytest.mark.xdist_group("growing")
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_passes_its_own_tox(growing: Project, stage: int) -> None:
    project = growing
    if stage > 1:
        project.advance(stage)
        project.commit()
    said = project.tox()
    for name in ("lint", "unit", "journey"):
        assert f"{name}: OK" in said
    assert project.run("git", "status", "--porcelain").stdout == ""
    if stage == 2:
        # Once more, with all that a company's machine may have set: the result is the same.
        said = project.tox(environ=REAL_LOOKING | PROXY)
        assert "congratulations" in said


OWN_PIECE = """functions:
  own:
    handler: service.own.handler
    role: OwnRole

resources:
  Resources:
    OwnRole:
      Type: AWS::IAM::Role
      Properties:
        AssumeRolePolicyDocument:
          Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Principal:
                Service: lambda.amazonaws.com
              Action: sts:AssumeRole
  Outputs:
    Own:
      Value: here
"""
OWN_FUNCTION = '''"""A function of our own."""

import humanize


def handler(event: object, context: object) -> str:
    """Say how much it is."""
    return humanize.intcomma(1_000_000)
'''
OWN_ROUTE = '''"""A route of our own."""

from flask import Flask


def attach(app: Flask) -> None:
    """Add it."""
    app.add_url_rule("/own", view_func=lambda: {"own": True})
'''
OWN_CONTRACT = """paths:
  /own:
    get:
      responses:
        "200":
          description: It is.
"""
OWN_STEP = '''"""A step of our own."""

from service.orders import Order


def fulfil(order: Order) -> None:
    """Say so."""
    print(f"own step: {order['id']}")
'''
OWN_FIXTURE = '''"""A fixture of our own, on top of theirs."""

import httpx
import pytest


@pytest.fixture
def own(api: httpx.Client) -> object:
    return api.get("/own").json()
'''
OWN_JOURNEY = """from collections.abc import Callable
from typing import Any

import httpx

from tools.openapi import contract
from tools.stack import Stack


def test_own_pieces_work_beside_theirs(
    stack: Stack, own: object, customer: httpx.Client, wait_until: Callable[..., Any]
) -> None:
    order = customer.post("/orders", json={"item": "car", "quantity": 1}).json()["id"]
    line = f"own step: {order}"
    log = f"{stack.name}-worker"
    wait_until(lambda: line in [event["message"].strip() for event in stack.log(log)])
    assert own == {"own": True}
    assert stack.invoke("own", {}) == "1,000,000"
    assert stack.outputs()["Own"] == "here"
    assert {"/own", "/quotes"} <= contract()["paths"].keys()
"""


@pytest.mark.xdist_group("growing")
def test_own_pieces_are_found_beside_ours(growing: Project) -> None:
    project = growing
    project.advance(STAGES[-1])
    project.write("infra/own-piece.yml", OWN_PIECE)
    project.write("service/own.py", OWN_FUNCTION)
    project.write("service/routes/own.py", OWN_ROUTE)
    project.write("service/fulfilment/own.py", OWN_STEP)
    project.write("requirements/own.txt", "humanize==4.12.3\n")
    project.write("openapi/own.yml", OWN_CONTRACT)
    project.write("tests/journey/fixtures/own.py", OWN_FIXTURE)
    project.write("tests/journey/test_own.py", OWN_JOURNEY)
    project.commit()
    assert "congratulations" in project.tox("-e", "lint,unit")
    # The journey of our own, and what the contract of our own lets be asked.
    said = project.tox("-e", "journey", "--", "-k", "test_own or /own")
    assert "2 passed" in said


@pytest.fixture(scope="module")
def ready(render: Render) -> Project:
    """A project at stage 1 that has run before: what it needs is installed."""
    return run_before(render(1))


def run_before(project: Project) -> Project:
    project.tox("-e", "journey")
    return project


def invoke(project: Project, environ: Environ = NOTHING) -> str:
    command = ("invoke", "--stage", "local", "--function", "quote", "--data", json.dumps(REQUEST))
    return project.tox("-qe", "osls", "--", *command, environ=environ)


def hashes(project: Project) -> dict[str, str]:
    """The tests of a project, each with a hash of its content."""
    return {
        name: hashlib.sha256(content).hexdigest()
        for name, content in project.files().items()
        if name.startswith("tests/")
    }


def deploy(project: Project) -> str:
    """Deploy over what runs, and give the address of the API."""
    said = project.tox("-e", "deploy", "--", "--stage", "local")
    assert "amazonaws.com" not in said  # osls prints such an address, and nobody can call it
    return next(line.split("'")[1] for line in said.splitlines() if "HttpApiUrl=" in line)


def test_the_ride_goes_on_from_stage_to_stage(render: Render) -> None:
    project = run_before(render(1))
    with up(project.folder, environment() | REAL_LOOKING) as running:
        running.wait_until_ready()
        assert "\n\n\n" not in running.output.split("It runs.")[1]
        assert '"total": 16000' in invoke(project, REAL_LOOKING)
        project.edit("service/pricing.py", '"skateboard": 8_000', '"skateboard": 7_500')
        project.commit()
        url = ""
        accepted: dict[int, list[str]] = {3: [], 4: []}
        for stage in STAGES[1:]:
            tests = hashes(project)
            project.advance(stage)
            project.commit()
            assert tests.items() <= hashes(project).items()
            # Some are still in the queue when the next deployment comes.
            if stage - 1 in accepted:
                accepted[stage - 1] += [order(url) for _ in range(20)]
            if stage == 3:
                assert "Error: vehicles-local has no queue." in redrive(project)
            if stage == 5:
                said = users(project, "add", "ann", PASSWORD)
                assert "Error: vehicles-local has no users." in said
            url = deploy(project)
            assert post(f"{url}/quotes", REQUEST)["total"] == 15_000
            assert '"total": 15000' in invoke(project)
            if stage in accepted:
                accepted[stage] += [order(url) for _ in range(20)]

        said = project.tox("-e", "journey", "--", "--stack", "local", "-v")
        for journey in (
            "test_1_skateboard.py::test_a_request_is_priced",
            "test_2_scooter.py::test_a_quote_over_http",
            "test_3_bicycle.py::test_an_accepted_order_is_fulfilled",
            "test_4_motorcycle.py::test_an_accepted_order_can_be_read_where_it_says",
            "test_5_car.py::test_each_user_sees_only_their_own_orders",
        ):
            assert f"{journey} PASSED" in said
        fulfilled = [line for line in running.output.splitlines() if '"Order fulfilled"' in line]
        for order_id in accepted[3] + accepted[4]:
            assert sum(order_id in line for line in fulfilled) == 1
        given = [orders_of_before(project, url, by) for by in given_at_once(project)]
        assert set(accepted[4]) <= set().union(*given)
        assert not set.intersection(*given)
        service = Service(project, running)
        complete_half_a_user(project, service)
        redrive_too_early(project, service)

        said = project.tox("-e", "deploy", "--", "--stage", "local")
        assert "No changes to deploy" in said
        assert running.process.poll() is None

        running.stop()  # tox's own exit code varies
        assert "Stopped; nothing is left running." in running.output
    assert "vehicles-local-quote | START" in running.output
    assert not (project.folder / ".emulator.json").exists()
    with pytest.raises(urllib.error.URLError):
        post(f"{url}/quotes", REQUEST)


def users(project: Project, what: str, name: str, *options: str) -> str:
    """What a command of ``tools/users.py`` says of a user."""
    command = ("-m", "tools.users", what, f"{name}@example.com", *options)
    return project.tox("-qqe", "python", "--", *command, "--stage", "local", check=False)


PASSWORD = "--password=Four-wheels-4"


def given_at_once(project: Project) -> list[str]:
    """Give two users, at the same time, the orders that were everybody's."""
    names = ["ann", "ben"]
    for name in names:
        assert "Next: give a password" in users(project, "add", name, "--password=short")
        assert "is user" in users(project, "add", name, PASSWORD)  # nothing was left of it
        assert "Next: get a token" in users(project, "add", name, PASSWORD)
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda name: users(project, "give", name), names))
    assert all("Orders that are now those of" in each for each in said)
    return names


def orders_of_before(project: Project, url: str, name: str) -> set[str]:
    """The ids of the orders that a user has been given, read with a token."""
    [token] = users(project, "token", name, PASSWORD).split()
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{url}/orders?limit=100", headers=headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=30) as response:
        page = json.load(response)
    return {each["id"] for each in page["orders"]}


def complete_half_a_user(project: Project, service: Service) -> None:
    """Add a user whom an earlier try has left without a password, as without a network."""
    user = {"UserPoolId": output(service, "UserPoolId"), "Username": "half@example.com"}
    cognito = service.client("cognito-idp")
    temporary = "Three-wheels-3"
    cognito.admin_create_user(**user, TemporaryPassword=temporary, MessageAction="SUPPRESS")
    said = users(project, "token", "half", f"--password={temporary}")
    assert "Error: token half@example.com: NEW_PASSWORD_REQUIRED." in said
    assert "Next: for a new password: add EMAIL." in said
    # A password that is refused takes nobody away who was there before.
    assert "Next: give a password" in users(project, "add", "half", "--password=short")
    assert cognito.admin_get_user(**user)["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    sub = cognito.admin_get_user(**user)["UserAttributes"][0]["Value"]
    assert f"half@example.com is user {sub}." in users(project, "add", "half", PASSWORD)
    assert len(users(project, "token", "half", PASSWORD).split()) == 1
    assert "Next: get a token" in users(project, "add", "half", PASSWORD)


def redrive_too_early(project: Project, service: Service) -> None:
    """Redrive, twice, what the worker still cannot fulfil: it is said where that is."""
    dead = output(service, "OrdersDeadLetterQueueUrl")
    service.client("sqs").send_message(QueueUrl=dead, MessageBody="no order")
    first, second = redrive(project), redrive(project)
    assert "Sent to the worker again: 1 message." in first
    assert "Sent to the worker again: 0 messages." in second
    assert "being tried, or waiting for the next try: 1" in second
    assert "in the dead-letter queue: 0, and 0 that were just read" in second
    assert "is tried 5 times, 12 s apart, and is then in the dead-letter queue again." in second
    # What somebody has read, to look at it, cannot be sent for a while.
    service.client("sqs").send_message(QueueUrl=dead, MessageBody="no order")
    service.client("sqs").receive_message(QueueUrl=dead)
    third = redrive(project)
    assert "Sent to the worker again: 0 messages." in third
    assert "in the dead-letter queue: 0, and 1 that were just read" in third


def redrive(project: Project) -> str:
    """What ``tools/redrive.py`` says."""
    command = ("-m", "tools.redrive", "--stage", "local")
    return project.tox("-qqe", "python", "--", *command, check=False)


def output(service: Service, name: str) -> str:
    """An output of the stack, as it is deployed now."""
    found = service.client("cloudformation").describe_stacks(StackName="vehicles-local")
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found["Stacks"][0]["Outputs"]}
    value: str = outputs[name]
    return value


def order(url: str) -> str:
    """Place an order, and give its id."""
    order_id: str = post(f"{url}/orders", REQUEST)["id"]
    return order_id


@pytest.fixture
def running(ready: Project) -> Iterator[Up]:
    with up(ready.folder, environment()) as started:
        started.wait_until_ready()
        yield started


@pytest.mark.xdist_group("ready")
def test_an_endpoint_in_the_environment_is_where_it_deploys_to(ready: Project, running: Up) -> None:
    address = json.loads((ready.folder / ".emulator.json").read_text())
    aws = {
        "AWS_ENDPOINT_URL": address["endpoint"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    assert running.process.poll() is None
    ready.tox("-e", "deploy", "--", "--stage", "pr-12", environ=aws)
    assert "passed" in ready.tox("-e", "journey", "--", "--stack", "pr-12", environ=aws)
    ready.tox("-e", "osls", "--", "remove", "--stage", "pr-12", environ=aws)
    said = ready.tox("-e", "journey", "--", "--stack", "pr-12", check=False, environ=aws)
    assert "There is no stack vehicles-pr-12 in ap-northeast-1." in said
    assert said.count("Next:") == 1


@pytest.mark.xdist_group("ready")
def test_a_second_up_leaves_the_first_one_alone(ready: Project) -> None:
    stale = '{"endpoint": "http://127.0.0.1:9", "region": "eu-west-1"}'
    ready.write(".emulator.json", stale)
    with up(ready.folder, environment()) as first:
        first.wait_until_ready()
        address = (ready.folder / ".emulator.json").read_text()
        said = ready.tox("-e", "up", check=False)
        assert "tox -e up is running for this project already" in said
        assert json.loads(address)["endpoint"] in said
        assert "Next: tox -e deploy -- --stage local" in said
        assert (ready.folder / ".emulator.json").read_text() == address
        (ready.folder / ".emulator.json").unlink()  # as `git clean -fdx` does
        wait_for(lambda: (ready.folder / ".emulator.json").exists())
        assert (ready.folder / ".emulator.json").read_text() == address
        assert first.process.poll() is None


@pytest.mark.xdist_group("ready")
def test_a_function_that_refuses_is_no_failure_of_osls(ready: Project, running: Up) -> None:
    request = '{"item": "skateboard", "quantity": 0}'
    command = ("invoke", "--stage", "local", "--function", "quote", "--data", request)
    assert running.process.poll() is None
    said = ready.tox("-qe", "osls", "--", *command, check=False)
    assert "quantity must be a whole number from 1 to 100" in said
    assert "If you invoked a function, its error may be" in said


WHERE = """resources:
  Outputs:
    Where:
      Value: !Ref AWS::Region
"""


@pytest.mark.xdist_group("ready")
def test_up_outlives_what_people_do_to_their_files_and_to_the_stack(
    ready: Project, running: Up
) -> None:
    file = ready.folder / "serverless.yml"
    written = file.read_text()

    def called() -> int:
        return running.output.count("vehicles-local-quote | START")

    with contextlib.ExitStack() as ending:
        ending.callback(file.write_text, written)
        for text in (
            f"{written}- a: [\n",
            f"{written}custom:\n  x: !Ref Nothing\n",
            written.replace("ap-northeast-1", "eu-west-1"),
            written.replace("service: vehicles", "service: ${param:other}"),
        ):
            file.unlink()  # as editors do
            time.sleep(0.6)  # longer than `up` sleeps
            file.write_text(text)
            time.sleep(0.6)
            assert running.process.poll() is None
    assert '"total": 16000' in invoke(ready)
    wait_for(lambda: called() == 1)

    ready.tox("-e", "osls", "--", "remove", "--stage", "local")
    wait_for(lambda: "No function of vehicles-local is there." in running.output)
    endpoint = json.loads((ready.folder / ".emulator.json").read_text())["endpoint"]
    post(f"{endpoint}/_ministack/reset", {})  # as if there had never been a stack
    time.sleep(0.6)
    assert running.process.poll() is None
    # Elsewhere, from now on: that is what is shown, followed, and used.
    with contextlib.ExitStack() as ending:
        ending.callback((ready.folder / "infra/own-where.yml").unlink)
        ready.write("infra/own-where.yml", WHERE)
        deploy = ("deploy", "--", "--stage", "local", "--region", "us-east-1")
        assert "Where='us-east-1'" in ready.tox("-e", *deploy)
        assert "passed" in ready.tox("-e", "journey", "--", "--stack", "local")
    wait_for(lambda: called() > 1)
    assert running.process.poll() is None


@pytest.mark.xdist_group("ready")
@pytest.mark.parametrize(
    "asked",
    [
        ["tests/journey/test_own.py"],
        ["tests/journey/test_own.py::test_own", "--stack", "local"],
        ["-k", "test_own"],
    ],
)
def test_one_journey_runs_alone(ready: Project, asked: list[str]) -> None:
    ready.write("tests/journey/test_own.py", "def test_own() -> None:\n    pass\n")
    with contextlib.ExitStack() as ending:
        ending.callback((ready.folder / "tests/journey/test_own.py").unlink)
        said = ready.tox("-e", "journey", "--", "-v", *asked)
    assert "test_own.py::test_own PASSED" in said
    assert "1 passed" in said
    assert "test_1_skateboard" not in said


@pytest.mark.xdist_group("ready")
def test_journeys_without_an_emulator_end_with_one_message(ready: Project) -> None:
    said = ready.tox("-e", "journey", "--", "--stack", "local", check=False)
    assert "No emulator is running for this project." in said
    assert "Traceback" not in said
    assert said.count("Next:") == 1


@pytest.mark.xdist_group("ready")
def test_an_emulator_that_dies_is_reported_with_its_log(ready: Project, running: Up) -> None:
    [process, *_] = emulators(ready.folder)
    os.kill(process, signal.SIGKILL)
    assert running.process.wait(60) == 1
    wait_for(lambda: "has died (exit code -9)" in running.output)
    assert "    | " in running.output
    assert "Next: run the same command again." in running.output
    assert not (ready.folder / ".emulator.json").exists()


@pytest.mark.parametrize("ending", ["terminal", "tox", "all"])
@pytest.mark.xdist_group("ready")
def test_an_end_from_outside_leaves_nothing(
    ready: Project, running: Up, temporary: Path, ending: str
) -> None:
    assert emulators(ready.folder)
    if ending == "terminal":
        os.killpg(running.process.pid, signal.SIGHUP)
    elif ending == "all":
        os.killpg(running.process.pid, signal.SIGKILL)  # tox and what it runs: nobody cleans up
    else:
        running.process.kill()  # it has no chance to tell what it has started
    running.process.wait(60)
    # tox is gone at once; what it ran takes a moment to clean up.
    if ending != "all":
        wait_for(lambda: not (ready.folder / ".emulator.json").exists())
    wait_for(lambda: emulators(ready.folder) == [])
    wait_for(lambda: not list(temporary.glob("emulator-*")))


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.xdist_group("ready")
def test_a_taken_port_is_said(ready: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = ready.tox("-e", "up", "--", "--port", port, check=False)
    assert f"Port {port} is taken." in said
    assert "Next: tox -e up, which takes a free one" in said


@pytest.mark.xdist_group("ready")
def test_a_journey_that_fails_leaves_nothing_and_tells_of_a_dead_emulator(
    ready: Project,
) -> None:
    ready.write(
        "tests/journey/test_own.py",
        "import os, signal, subprocess\n\n\n"
        "def test_dies(stack):\n"
        "    shown = subprocess.check_output(['ps', '-ewwo', 'pid=,args='], text=True)\n"
        "    mine = [x for x in shown.splitlines() if os.getcwd() in x]\n"
        "    [line] = [x for x in mine if 'ministack_guard' in x]\n"
        "    os.kill(int(line.split()[0]), signal.SIGKILL)\n"
        "    stack.outputs()\n",
    )
    with contextlib.ExitStack() as ending:
        ending.callback((ready.folder / "tests/journey/test_own.py").unlink)
        said = ready.tox("-e", "journey", "--", "tests/journey/test_own.py", check=False)
    assert "1 failed" in said
    assert "has died (exit code -9)" in said


@pytest.mark.xdist_group("ready")
def test_a_health_check_of_another_process_is_not_mistaken_for_ours(ready: Project) -> None:
    """The emulator cannot bind its port, and a stranger there answers every request."""
    program = (
        "import http.server, threading\n"
        "from tools import emulator\n"
        "from tools.console import clear_errors\n"
        "class Stranger(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_response(200); self.end_headers()\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), Stranger)\n"
        "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        "emulator.free_port = lambda: server.server_port\n"
        "with clear_errors(), emulator.running('eu-west-1'): print('mistaken')\n"
    )
    python = str(ready.folder / ".tox/journey/bin/python")
    said = ready.run(python, "-c", program, check=False)
    assert "mistaken" not in said.stdout
    assert "has died" in said.stdout
    assert "in use" in said.stdout


@pytest.mark.xdist_group("ready")
def test_up_goes_on_when_the_tools_are_removed(ready: Project, running: Up) -> None:
    """The last one with this project: what it takes is installed again."""
    shutil.rmtree(ready.folder / ".tox", ignore_errors=True)
    wait_for(lambda: "The folder .tox was removed." in running.output)
    ready.edit("service/pricing.py", '"skateboard": 8_000', '"skateboard": 7_500')
    said = ready.tox("-e", "deploy", "--", "--stage", "local")
    assert "Installing the emulator" in said
    python = str(ready.folder / ".tox/deploy/bin/python")  # one environment to install is enough
    command = ("invoke", "--stage", "local", "--function", "quote", "--data", json.dumps(REQUEST))
    said = ready.run(python, "-m", "tools.stack", *command).stdout
    assert '"total": 15000' in said  # from a function that has just started
    assert running.output.count("The folder .tox was removed.") == 1
    running.stop()
    assert "Stopped; nothing is left running." in running.output
