"""A deployed stack, on AWS or on an emulator: wherever the AWS environment points."""

import argparse
import json
import re
from collections.abc import Iterator
from textwrap import indent
from typing import Any

import boto3
import yaml
from botocore.exceptions import ClientError

from tools import emulator, osls
from tools.console import Stop, clear_errors, say, step
from tools.install import ROOT

# The commands that a lesson in docs/ marks as to be tried on a deployed stack.
TO_TRY = re.compile(r"^```sh try\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def settings() -> dict[str, Any]:
    """What serverless.yml says, as it is written there."""
    text = (ROOT / "serverless.yml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def region() -> str:
    """The AWS region that the service lives in."""
    name: str = settings()["provider"]["region"]
    return name


class Stack:
    """The service as deployed under a name, such as ``local`` or ``dev``."""

    def __init__(self, deployment: str) -> None:
        self.deployment = deployment
        self.name = f"{settings()['service']}-{deployment}"

    def deploy(self) -> None:
        """Deploy what lies in the project now, over what is there.

        Raises:
            Stop: osls could not.
        """
        with step(f"Deploying {self.name}"):
            osls.run("deploy", "--stage", self.deployment)

    def client(self, service: str) -> Any:
        """A boto3 client in the stack's region, such as ``client("lambda")``."""
        return boto3.client(service, region_name=region())

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
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise Stop(
                f"There is no stack {self.name} in {region()}.",
                "it was never deployed where the AWS environment points, or it was removed.",
                f"tox -e deploy -- --stage {self.deployment}",
            ) from None

    def functions(self) -> list[str]:
        """The full names of the stack's Lambda functions."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        return [
            resource["PhysicalResourceId"]
            for page in pages.paginate(StackName=self.name)
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == "AWS::Lambda::Function"
        ]

    def log(self, function: str, since: int = 0) -> Iterator[dict[str, Any]]:
        """What a function, by its full name, has logged since a time in milliseconds.

        An event has a ``message``, a ``timestamp`` in milliseconds and a ``logStreamName``.

        Raises:
            ResourceNotFoundException: it has no log group.
        """
        pages = self.client("logs").get_paginator("filter_log_events")
        for page in pages.paginate(logGroupName=f"/aws/lambda/{function}", startTime=since):
            yield from page["events"]

    def invoke(self, function: str, event: object) -> Any:
        """Invoke a function, as in ``invoke("quote", {...})``, and give its answer.

        The answer to a function error has an ``errorMessage``.
        """
        answer = self.client("lambda").invoke(
            FunctionName=f"{self.name}-{function}", Payload=json.dumps(event)
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
    """
    if boto3.Session().get_credentials() is None:
        raise Stop(
            "There are no AWS credentials.",
            "the command is for an AWS account, and AWS must know who asks.",
            "aws sso login --profile NAME, then AWS_PROFILE=NAME before the same command;"
            " or, without AWS: tox -e up, where the deployment is called local.",
        )


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
        osls.run(known.command, "--stage", known.stage, *more)
        if known.command == "deploy":
            Stack(known.stage).show()


if __name__ == "__main__":
    main()
