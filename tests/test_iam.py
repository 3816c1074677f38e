"""Least privilege: the project's own ``tox -e iam``, and what it finds."""

import re

import pytest

from demo.snapshot import environment
from demo.up import up
from tests.conftest import Project, Render

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.xdist_group("iam"),
    pytest.mark.usefixtures("nothing_left_behind"),
]

Grant = tuple[str, str, str]  # role, action, resource

# What the service itself does with its permissions, by the stage that brings it.
USED: dict[int, set[Grant]] = {
    3: {("ApiRole", "sqs:SendMessage", "OrdersQueue")},
    4: {
        ("ApiRole", "dynamodb:GetItem", "OrdersTable"),
        ("ApiRole", "dynamodb:Query", "OrdersTable/index/ByPlacedAt"),
        ("WorkerRole", "dynamodb:PutItem", "OrdersTable"),
    },
}


def trials(said: str) -> dict[tuple[Grant, str], str]:
    """Who noticed each change that ``tox -e iam`` tells of, a file of journeys or ``NOBODY``."""
    row = r"^  (\S+) +(\S+) +(\S+) +(taken away|given elsewhere) +(NOBODY|\w+\.py)"
    found = re.findall(row, said, re.MULTILINE)
    return {((role, action, on), how): who for role, action, on, how, who in found}


@pytest.mark.full
@pytest.mark.parametrize("stage", [3, 4, 5])
def test_a_journey_needs_every_permission_on_its_very_resource(render: Render, stage: int) -> None:
    said = render(stage).tox("-e", "iam")
    used = set().union(*(some for number, some in USED.items() if number <= stage))
    tried = trials(said)
    assert tried.keys() == {
        (grant, how) for grant in used for how in ("taken away", "given elsewhere")
    }
    assert "NOBODY" not in tried.values()
    assert f"{len(tried)} changes tried, and each was noticed." in said


PIECE = """functions:
  own:
    handler: service.own.handler
    role: OwnRole
    environment:
      BOX: !Ref OwnBox

resources:
  Resources:
    OwnBox:
      Type: AWS::SQS::Queue
    OwnRole:
      Type: AWS::IAM::Role
      Properties:
        AssumeRolePolicyDocument:
          Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Principal: {Service: lambda.amazonaws.com}
              Action: sts:AssumeRole
        Policies:
          - PolicyName: send
            PolicyDocument:
              Version: "2012-10-17"
              Statement:
                - Effect: Allow
                  Action: sqs:SendMessage
                  Resource: [!GetAtt OwnBox.Arn, "arn:aws:sqs:eu-west-1:1:too-wide"]
                - Effect: Allow
                  Action: [sqs:GetQueueAttributes, sqs:PurgeQueue]
                  Resource: !Join ["", [!GetAtt OwnBox.Arn, "*"]]
"""
FUNCTION = '''"""A function of our own."""

import os

import boto3


def handler(event: object, context: object) -> str:
    """Send a message, and see what is there."""
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=os.environ["BOX"], MessageBody="x")
    sqs.get_queue_attributes(QueueUrl=os.environ["BOX"], AttributeNames=["All"])
    return "sent"
'''
JOURNEY = """from tools.stack import Stack


def test_something_is_sent(stack: Stack) -> None:
    assert stack.invoke("own", {}) == "sent"
"""
# What fails now and then, and needs no permission.
UNSTEADY = """import itertools

SECOND, THIRD, FIRST = (itertools.count() for _ in range(3))


def test_every_second_run_fails() -> None:
    assert next(SECOND) % 2


def test_every_third_run_passes() -> None:
    assert next(THIRD) % 3 == 2


def test_the_first_run_fails() -> None:
    assert next(FIRST)
"""


@pytest.fixture(scope="module")
def own(render: Render) -> Project:
    """A project with a function of its own, whose role may do more than it needs.

    Some of its journeys are unsteady, and are tried first.
    """
    project = render(1)
    project.write("infra/own-piece.yml", PIECE)
    project.write("service/own.py", FUNCTION)
    project.write("tests/journey/test_own.py", JOURNEY)
    project.write("tests/journey/test_own_unsteady.py", UNSTEADY)
    return project


def test_what_no_journey_needs_is_found_and_so_is_a_resource_that_is_too_wide(
    own: Project,
) -> None:
    # It needs no other emulator than its own, and leaves that of `tox -e up` alone.
    with up(own.folder, environment()) as running:
        running.wait_until_ready()
        said = own.tox("-e", "iam", check=False)
        assert running.process.poll() is None
        assert "START RequestId" not in running.output
    tried = {(action, on, how): who for ((_, action, on), how), who in trials(said).items()}
    other = "arn:aws:sqs:eu-west-1:1:too-wide"
    assert tried == {
        ("sqs:SendMessage", "OwnBox", "taken away"): "test_own.py",
        ("sqs:SendMessage", "OwnBox", "given elsewhere"): "test_own.py",
        ("sqs:SendMessage", other, "taken away"): "NOBODY",
        ("sqs:SendMessage", other, "given elsewhere"): "NOBODY",
        ("sqs:GetQueueAttributes", "OwnBox*", "taken away"): "test_own.py",
        # It does as well without the wildcard.
        ("sqs:GetQueueAttributes", "OwnBox*", "given elsewhere"): "NOBODY",
        ("sqs:PurgeQueue", "OwnBox*", "taken away"): "NOBODY",
        ("sqs:PurgeQueue", "OwnBox*", "given elsewhere"): "NOBODY",
    }
    assert "Changes that nobody noticed: 5." in said
    unsteady = re.findall(r"^Not believed: \w+\.py::(\w+) failed, and then passed", said, re.M)
    assert sorted(unsteady) == sorted(re.findall(r"test_\w+", UNSTEADY))
    assert said.count("Next:") == 1


@pytest.mark.full
def test_a_journey_that_fails_anyhow_tells_nothing_of_permissions(own: Project) -> None:
    broken = "def test_broken(stack):\n    assert stack.invoke('own', {}) == 'received'\n"
    own.write("tests/journey/test_own_broken.py", broken)
    said = own.tox("-e", "iam", check=False)
    assert "test_own_broken.py::test_broken fails with all permissions, too." in said
    assert said.count("Next:") == 1


@pytest.mark.full
def test_a_journey_that_cannot_be_loaded_is_said(own: Project) -> None:
    own.write("tests/journey/test_own_broken.py", "import nothing_of_this_name\n")
    said = own.tox("-e", "iam", check=False)
    assert "The journeys could not be run" in said
    assert "Next: tox -e journey, which says why" in said
