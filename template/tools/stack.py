"""A deployed stack, on AWS or on an emulator: wherever the AWS environment points."""

import argparse
import json
import os
import re
from collections.abc import Iterator
from functools import cached_property
from textwrap import indent
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tools import emulator, osls
from tools.console import Stop, clear_errors, say, step
from tools.install import ROOT

# The commands that a lesson in docs/ marks as to be tried on a deployed stack.
TO_TRY = re.compile(r"^```sh try\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Stack:
    """The service as deployed under a name, such as ``local`` or ``dev``."""

    def __init__(self, deployment: str) -> None:
        self.deployment = deployment

    @cached_property
    def resolved(self) -> osls.Resolved:
        """What osls makes of serverless.yml for this deployment.

        If ``tox -e up`` runs it, its last deployment counts, and not what the file says by now.
        """
        return remembered(self.deployment) or osls.resolve(self.deployment)

    @property
    def name(self) -> str:
        """The name of the stack in CloudFormation."""
        return self.resolved.stack

    @property
    def region(self) -> str:
        """The AWS region that the stack is in."""
        return self.resolved.region

    def deploy(self) -> None:
        """Deploy what lies in the project now, over what is there.

        Raises:
            Stop: osls could not.
        """
        with step(f"Deploying the service as {self.deployment}"):
            resolved = osls.run("deploy", "--stage", self.deployment)
        self.resolved = resolved or osls.resolve(self.deployment)

    def client(self, service: str) -> Any:
        """A boto3 client in the stack's region, such as ``client("lambda")``."""
        return boto3.client(service, region_name=self.region)

    def outputs(self) -> dict[str, str]:
        """The outputs of the stack, by name; addresses are such that they can be called."""
        stacks = self.client("cloudformation").describe_stacks(StackName=self.name)
        outputs = stacks["Stacks"][0].get("Outputs", [])
        return {output["OutputKey"]: emulator.address(output["OutputValue"]) for output in outputs}

    def check_deployed(self) -> None:
        """Make sure that it is there.

        Raises:
            Stop: it is not.
        """
        try:
            self.outputs()
        except ClientError as error:
            if not no_stack(error):
                raise
            raise Stop(
                f"There is no stack {self.name} in {self.region}.",
                "it was never deployed where the AWS environment points, or it was removed.",
                f"tox -e deploy -- --stage {self.deployment}",
            ) from None

    def functions(self) -> list[str]:
        """The full names of the stack's Lambda functions; none where there is no stack."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        try:
            return [
                resource["PhysicalResourceId"]
                for page in pages.paginate(StackName=self.name)
                for resource in page["StackResourceSummaries"]
                if resource["ResourceType"] == "AWS::Lambda::Function"
            ]
        except ClientError as error:
            if not no_stack(error):
                raise
            return []

    def full_name(self, function: str) -> str:
        """Return a function's name in AWS, as in ``full_name("quote")``; a full one is kept."""
        return self.resolved.functions.get(function, function)

    def log(self, function: str, since: int = 0) -> Iterator[dict[str, Any]]:
        """What a function has logged since a time in milliseconds.

        An event has a ``message``, a ``timestamp`` in milliseconds and a ``logStreamName``.

        Raises:
            ResourceNotFoundException: it has no log group.
        """
        group = f"/aws/lambda/{self.full_name(function)}"
        pages = self.client("logs").get_paginator("filter_log_events")
        for page in pages.paginate(logGroupName=group, startTime=since):
            yield from page["events"]

    def invoke(self, function: str, event: object) -> Any:
        """Invoke a function, as in ``invoke("quote", {...})``, and give its answer.

        The answer to a function error has an ``errorMessage``.
        """
        answer = self.client("lambda").invoke(
            FunctionName=self.full_name(function), Payload=json.dumps(event)
        )
        return json.load(answer["Payload"])

    def show(self) -> None:
        """Print the stack's outputs, and what the newest lesson suggests to try with them."""
        outputs = [
            f"{name}='{value}'"
            for name, value in sorted(self.outputs().items())
            if not name.startswith("Serverless")  # osls's own
        ]
        lessons = [file.read_text("utf-8") for file in sorted((ROOT / "docs").glob("*.md"))]
        found = [blocks for lesson in lessons if (blocks := TO_TRY.findall(lesson))]
        to_try = [block.rstrip() for block in (found[-1] if found else [])]
        for block in ["\n".join(outputs), *to_try]:
            if block:
                say()
                say(indent(self._here(block), "  "))
        say()

    def _here(self, example: str) -> str:
        """An example of a lesson, for this deployment; on AWS, no password that all can read."""
        if self.deployment == "local":
            return example
        here = example.replace("--stage local", f"--stage {self.deployment}")
        return re.sub(r" --password '[^']*'", "", here)


def no_stack(error: ClientError) -> bool:
    """Whether CloudFormation has answered that there is no such stack."""
    return bool(error.response["Error"]["Code"] == "ValidationError")


def remember(resolved: osls.Resolved) -> None:
    """Leave word of what runs in ``tox -e up``, and where, for commands in other terminals."""
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    new = emulator.ADDRESS.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps({"endpoint": endpoint, **resolved._asdict()}))
    new.replace(emulator.ADDRESS)  # nobody reads half of it


def remembered(deployment: str) -> osls.Resolved | None:
    """What was last deployed as ``local`` to the ``tox -e up`` that the environment points at."""
    try:
        known = json.loads(emulator.ADDRESS.read_text())
        if deployment == "local" and known.pop("endpoint") == os.environ.get("AWS_ENDPOINT_URL"):
            return osls.Resolved(**known)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # `up` does not run, or is of an older release
    return None


def reach(deployment: str) -> None:
    """Make sure that AWS, or the emulator of `tox -e up`, will answer for a deployment.

    Raises:
        Stop: it cannot have this name, no emulator runs, or there are no credentials.
    """
    osls.check_deployment_name(deployment)
    if deployment == "local":
        emulator.reach_running()
    check_credentials()


def check_credentials() -> None:
    """Make sure that AWS will know who is asking.

    Raises:
        Stop: there are no credentials.
        BotoCoreError: they are no longer valid, or a setting is wrong.
    """
    # All clients share this session: a person who must type a code types it once.
    boto3.setup_default_session()
    credentials = boto3.DEFAULT_SESSION.get_credentials()
    if credentials is None:
        raise Stop(
            "There are no AWS credentials.",
            "the command is for an AWS account, and AWS must know who asks.",
            "aws sso login --profile NAME, then AWS_PROFILE=NAME before the same command;"
            " or, without AWS: tox -e up, where the deployment is called local.",
        )
    credentials.get_frozen_credentials()  # fails here if they have expired, before any work


def main() -> None:
    """Run the osls command on the command line; ``local`` is the stack of ``tox -e up``."""
    parser = argparse.ArgumentParser(prog="tox -e deploy (or osls) --")
    parser.add_argument("command", help=argparse.SUPPRESS)
    parser.add_argument(
        "--stage",
        "-s",
        metavar="NAME",
        help="the name of the deployment: local, dev, prod, pr-12, ...",
    )
    known, more = parser.parse_known_args()
    with clear_errors():
        if known.stage is None:
            raise Stop(
                "It is not said where: --stage NAME is missing.",
                "the same service may be deployed many times, and each deployment has a name.",
                "add --stage local for what `tox -e up` runs here, or --stage dev for AWS.",
            )
        reach(known.stage)
        stack = Stack(known.stage)
        here = remembered(known.stage)  # whether `tox -e up` runs it
        resolved = osls.run(known.command, *more, "--stage", known.stage)
        if resolved and known.command == "deploy" and not (more and more[0].isalpha()):
            stack.resolved = resolved
            if here and here != resolved:
                remember(resolved)
            stack.show()


if __name__ == "__main__":
    main()
