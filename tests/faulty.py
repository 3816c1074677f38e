"""A service whose calls of SQS and DynamoDB can be spoiled, and whose processes can be killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

from demo.snapshot import environment
from demo.up import up
from tests.conftest import Project
from tests.service import DIRECT, PATIENCE, Service, wait_until

# A piece of the project's own, as people may write it: so the service itself stays as it is.
PIECE = """functions:
  api:
    environment: &through-the-proxy
      AWS_ENDPOINT_URL_SQS: {proxy}
{table}  worker:
    environment: *through-the-proxy
"""
TABLE = "      AWS_ENDPOINT_URL_DYNAMODB: {proxy}\n"

Rule = dict[str, Any]  # as in microburst's README, "Rules"


class Proxy:
    """microburst between the functions and the emulator: it spoils what its rules tell."""

    def __init__(self, process: subprocess.Popen[bytes], address: str) -> None:
        self.process = process
        self.address = address

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask its control API."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        url = f"{self.address}/_microburst/{path}"
        request = urllib.request.Request(url, content, headers, method=method)
        with DIRECT.open(request, timeout=30) as response:
            return json.load(response)

    def answers(self) -> bool:
        """Whether it runs."""
        assert self.process.poll() is None, "microburst has died"
        with contextlib.suppress(OSError):
            return bool(self.ask("GET", "health"))
        return False

    def get_ready(self, region: str) -> None:
        """Let it load what it knows of the two services: that takes seconds, once."""
        session = boto3.Session("test", "test", region_name=region)
        session.client("sqs", endpoint_url=self.address).list_queues()
        session.client("dynamodb", endpoint_url=self.address).list_tables()

    def faults(self) -> int:
        """How many calls it has spoiled so far."""
        count: int = self.ask("GET", "stats")["requests"]["faulted"]
        return count

    @contextlib.contextmanager
    def rules(self, rules: list[Rule]) -> Iterator[None]:
        """Spoil calls for as long as it lasts."""
        self.ask("POST", "rules", rules)
        try:
            yield
        finally:
            self.ask("POST", "rules", [])


class Faulty:
    """A running service, the proxy behind it, and the folder of its emulator's processes."""

    def __init__(self, stage: int, service: Service, proxy: Proxy, temporary: Path) -> None:
        self.stage = stage
        self.service = service
        self.proxy = proxy
        self.temporary = temporary

    def kill(self, function: str) -> int:
        """Kill the processes in which a function runs, and say how many there were."""
        shown = subprocess.run(
            ["ps", "-eww", "-o", "pid=,args="], check=True, capture_output=True, text=True
        ).stdout
        mark = f"-local-{function}-"
        found = [
            int(line.split()[0])
            for line in shown.splitlines()
            if mark in line and f"{self.temporary}/emulator-" in line
        ]
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return len(found)


@contextlib.contextmanager
def faulty(project: Project, stage: int, temporary: Path) -> Iterator[Faulty]:
    """Run a project's ``tox -e up``, with a proxy in its way to SQS and DynamoDB."""
    port = free_port()
    with proxy(f"http://127.0.0.1:{port}") as between:
        table = TABLE.format(proxy=between.address) if stage > 3 else ""
        project.write("infra/own-faults.yml", PIECE.format(proxy=between.address, table=table))
        with up(project.folder, environment(), f"--port={port}") as running:
            running.wait_until_ready()
            service = Service(project, running)
            between.get_ready(service.region)
            yield Faulty(stage, service, between, temporary)


@contextlib.contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    """Run microburst in front of an address."""
    port = free_port()
    # It signs anew what it hands on: so roles are not checked on this way.
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "microburst",
            f"--upstream={upstream}",
            f"--port={port}",
            "--resign",
        ],
        env=environment() | keys,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            running = Proxy(process, f"http://127.0.0.1:{port}")
            wait_until(running.answers, PATIENCE)
            yield running
        finally:
            process.kill()


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
