"""The ride: what a user types, from an empty folder to the last stage, on a running service."""

import json
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from demo.snapshot import ROOT, environment, snapshot
from demo.up import Up, seconds, up

LOG_SECONDS = 30


REQUEST = {"item": "skateboard", "quantity": 2}


class Ride:
    """The demo, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.template = folder / "template"
        self.project = folder / "vehicles"
        self.environ = environment()
        self.timings: list[tuple[str, str]] = []  # what was done, and how long it took
        self.start = time.monotonic()

    def act(self, title: str) -> None:
        """Head a part of the ride."""
        print(f"\n== {title} ({seconds(self.start)} since the start)", flush=True)

    def type(self, *command: str, cwd: Path | None = None) -> str:
        """Run a command as a user would type it; show it, its output and its time.

        Raises:
            CalledProcessError: it failed.
        """
        start = time.monotonic()
        print(f"\n  $ {shlex.join(command)}", flush=True)
        process = subprocess.Popen(
            command,
            cwd=cwd or self.project,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            print(f"    | {line.rstrip()}", flush=True)
        if process.wait() != 0:
            raise subprocess.CalledProcessError(process.returncode, command)
        self.timings.append((shlex.join(command[:5]), seconds(start)))
        print(f"    ({seconds(start)})", flush=True)
        return "".join(lines)

    def commit(self, message: str) -> None:
        """Commit all changes of the project."""
        self.type("git", "add", ".")
        self.type("git", "commit", "--quiet", "-m", message)

    def whole(self) -> None:
        """Everything, in order."""
        self.act("Stage 1, the skateboard: one function")
        self.template.mkdir()
        snapshot(self.template)
        folder, template = str(self.project), str(self.template)
        self.type("copier", "copy", "--quiet", "--defaults", template, folder, cwd=ROOT)
        self.type("git", "init", "--quiet", "--initial-branch=main")
        self.commit("Start with the skateboard")

        self.act("Run it on this machine; the first time downloads the tools")
        print("\n  $ tox -e up", flush=True)
        start = time.monotonic()
        with up(self.project, self.environ, echo=True) as running:
            running.wait_until_ready()
            running.echo = False
            self.timings.append(("tox -e up, until it runs", seconds(start)))
            self.skateboard()
            self.edit()
            self.scooter(self.grow(2))
            self.bicycle(self.grow(3), running)
            self.motorcycle(self.grow(4))
            self.car(self.grow(5))
            self.act("What worked before still works: the journeys of all stages, as they were")
            # One of them waits a minute, for a message to be given up.
            swift = ("-q", "-k", "not set_aside")
            self.type("tox", "-e", "journey", "--", "--stack", "local", *swift)
            assert running.process.poll() is None, "the service ended in the middle"
        print("\n  (Ctrl-C in the terminal of tox -e up: nothing is left running.)")

    def grow(self, stage: int) -> str:
        """Take the next stage, and deploy over what runs; gives the address of the API."""
        here = ladder()[stage - 1]
        self.act(f"Stage {stage}, the {here['vehicle']}: {here['adds']}, added while it runs")
        update = ("copier", "update", "--quiet", "--defaults", "--vcs-ref=:current:")
        self.type(*update, "--data", f"stage={stage}")
        self.type("git", "status", "--short")
        self.commit(f"Grow into the {here['vehicle']}")
        said = self.type("tox", "-e", "deploy", "--", "--stage", "local")
        return next(
            line.split("'")[1]
            for line in said.splitlines()
            if line.strip().startswith("HttpApiUrl=")
        )

    def edit(self) -> None:
        """Change a price, as the owner of the project would."""
        self.act("An edit of our own: a skateboard gets cheaper")
        pricing = self.project / "service" / "pricing.py"
        pricing.write_text(
            pricing.read_text().replace('"skateboard": 8_000', '"skateboard": 7_500')
        )
        self.type("git", "--no-pager", "diff", "-U0")
        self.commit("Make skateboards cheaper")

    def skateboard(self) -> None:
        """Get a price from the function."""
        invoke = ("tox", "-qe", "osls", "--", "invoke", "--stage", "local", "--function", "quote")
        answer = self.type(*invoke, "--data", json.dumps(REQUEST))
        assert '"total"' in answer, "the function gave no price"

    def scooter(self, url: str) -> None:
        """Get a price over HTTP, and see that the edit is in it."""
        _, quote = self.call("POST", f"{url}/quotes", REQUEST)
        assert quote["total"] == 15_000, "the edit of the price was lost"

    def bicycle(self, url: str, running: Up) -> None:
        """Order, and see the worker fulfil it."""
        _, accepted = self.call("POST", f"{url}/orders", REQUEST)
        deadline = time.monotonic() + LOG_SECONDS
        while True:
            logged = [line for line in running.lines if accepted["id"] in line]
            fulfilled = [line for line in logged if "Order fulfilled" in line]
            if fulfilled:
                break
            assert time.monotonic() < deadline, "the order was not fulfilled"
            time.sleep(0.1)
        print(f"\n  In the terminal of tox -e up:\n    | {fulfilled[0]}", flush=True)

    def motorcycle(self, url: str) -> None:
        """Order, and read it back."""
        _, accepted = self.call("POST", f"{url}/orders", REQUEST)
        deadline = time.monotonic() + LOG_SECONDS
        while self.request("GET", f"{url}/orders/{accepted['id']}")[0] != 200:
            assert time.monotonic() < deadline, "the order was not stored"
            time.sleep(0.1)
        self.call("GET", f"{url}/orders/{accepted['id']}")

    def car(self, url: str) -> None:
        """Be refused, sign in, and be given the orders of before."""
        status, _ = self.call("GET", f"{url}/orders")
        assert status == 401, "orders are open to everybody"
        users = ("tox", "-qqe", "python", "--", "-m", "tools.users")
        who = ("ann@example.com", "--stage", "local")
        password = ("--password", "Four-wheels-4")
        self.type(*users, "add", *who, *password)
        token = self.type(*users, "token", *who, *password).split()[-1]
        self.type(*users, "give", *who)
        status, page = self.call("GET", f"{url}/orders", token=token)
        assert (status, len(page["orders"])) == (200, 1), "the order of before was lost"

    def call(
        self, method: str, url: str, body: object = None, token: str | None = None
    ) -> tuple[int, Any]:
        """Send a request, show it with its answer, and give status and content of that."""
        shown = [method, url, *([json.dumps(body)] if body else [])]
        shown += ["(as Ann)"] if token else []
        print(f"\n  {' '.join(shown)}", flush=True)
        status, text = self.request(method, url, body, token)
        print(f"    | {status} {text}", flush=True)
        return status, json.loads(text)

    def request(
        self, method: str, url: str, body: object = None, token: str | None = None
    ) -> tuple[int, str]:
        """Send a request; gives the status and the text of the answer."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        content = json.dumps(body).encode() if body else None
        request = urllib.request.Request(url, content, headers, method=method)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=30) as response:
                return response.status, response.read().decode().strip()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode().strip()


def ladder() -> list[dict[str, Any]]:
    """The facts of each stage, in their order."""
    files = sorted((ROOT / "stages").glob("[0-9]*.yml"))
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    return [document[next(iter(document))]["default"] for document in documents]
