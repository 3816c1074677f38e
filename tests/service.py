"""A running service, as its callers and its operators reach it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import boto3

from demo.up import Up
from tests.conftest import Project

# No proxy and no other setting of the environment comes in between.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# Seconds for what is only waited for: no measure of speed.
PATIENCE = 240

PASSWORD = "Four-wheels-4"


class Answer(NamedTuple):
    """The status of an answer, and its JSON."""

    status: int
    body: Any


class Caller:
    """Somebody who calls the API: with a token, or as nobody in particular."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Answer:
        """What a ``GET`` answers, whatever its status."""
        return self._call(path, None, {})

    def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Answer:
        """What a ``POST`` answers, whatever its status."""
        more = {"Content-Type": "application/json", **(headers or {})}
        return self._call(path, json.dumps(body).encode(), more)

    def _call(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        request = urllib.request.Request(self.url + path, body, {**self.headers, **headers})
        try:
            with DIRECT.open(request, timeout=30) as response:
                return Answer(response.status, json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.load(error))


class Service:
    """The deployment ``local`` of a project whose ``tox -e up`` runs."""

    def __init__(self, project: Project, running: Up) -> None:
        self.project = project
        self.running = running
        address = json.loads((project.folder / ".emulator.json").read_text())
        self.endpoint: str = address["endpoint"]
        self.region: str = address["region"]

    @property
    def url(self) -> str:
        """The address of the API."""
        return self.running.value("HttpApiUrl")

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator, such as ``client("sqs")``."""
        session = boto3.Session("test", "test", region_name=self.region)
        return session.client(service, endpoint_url=self.endpoint)

    def log(self, function: str, since: int = 0) -> list[dict[str, Any]]:
        """The lines that the code of a function has logged since a time in ms, oldest first."""
        pages = self.client("logs").get_paginator("filter_log_events")
        group = f"/aws/lambda/vehicles-local-{function}"
        # The lines of Lambda itself, such as START, are not JSON.
        return [
            json.loads(event["message"])
            for page in pages.paginate(logGroupName=group, startTime=since)
            for event in page["events"]
            if event["message"].startswith("{")
        ]

    def rows(self) -> list[dict[str, Any]]:
        """All rows of the table of orders, with plain values."""
        pages = self.client("dynamodb").get_paginator("scan")
        return [
            {name: next(iter(value.values())) for name, value in item.items()}
            for page in pages.paginate(TableName=self.running.value("OrdersTableName"))
            for item in page["Items"]
        ]

    def sign_in(self, email: str) -> Caller:
        """Add a user, and let them sign in."""

        def users(what: str) -> str:
            command = ("-m", "tools.users", what, email, f"--password={PASSWORD}")
            return self.project.tox("-qqe", "python", "--", *command, "--stage=local")

        users("add")
        return Caller(self.url, users("token").split()[-1])


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    """Wait until something is true, and fail if it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true within {seconds:.0f} s"
        time.sleep(0.2)


def count(sqs: Any, queue: str) -> int:
    """How many messages a queue has, those included that are just being worked on."""
    asked = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
    answer = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=asked)
    return sum(int(answer["Attributes"][name]) for name in asked)
