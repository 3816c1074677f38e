"""Copy a project, deploy it, call it, grow it, deploy over it, call it again.

All of it happens in a temporary folder, on an emulator of AWS, with nothing but what a
user would type. ``--keep`` leaves the project there, to go on with.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from demo.snapshot import ROOT, environment, snapshot
from demo.up import Up, seconds, up

BY_HAND = f"""
The same by hand, in an empty folder, with Copier and tox (pipx install copier tox):

  copier copy {ROOT} vehicles
  cd vehicles && git init -b main && git add . && git commit -m "Start"
  tox -e up                                      and, in a second terminal:
  copier update --defaults --vcs-ref=:current: --data stage=2
  git add . && git commit -m "Grow into the scooter"
  tox -e deploy -- --stage local
"""


class Ride:
    """The demo, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.template = folder / "template"
        self.project = folder / "vehicles"
        self.environ = environment()
        self.timings: list[tuple[str, str]] = []
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

    def skateboard(self) -> None:
        """Make the project."""
        self.act("Stage 1, the skateboard: one function")
        self.template.mkdir()
        snapshot(self.template)
        folder, template = str(self.project), str(self.template)
        self.type("copier", "copy", "--quiet", "--defaults", template, folder, cwd=ROOT)
        self.type("git", "init", "--quiet", "--initial-branch=main")
        self.commit("Start with the skateboard")

    def quote(self) -> None:
        """Get a price from the function."""
        request = {"item": "skateboard", "quantity": 2}
        invoke = ("tox", "-qe", "osls", "--", "invoke", "--stage", "local", "--function", "quote")
        answer = self.type(*invoke, "--data", json.dumps(request))
        assert '"total"' in answer, "the function gave no price"

    def edit(self) -> None:
        """Change a price, as the owner of the project would."""
        self.act("An edit of our own: a skateboard gets cheaper")
        pricing = self.project / "service" / "pricing.py"
        pricing.write_text(
            pricing.read_text().replace('"skateboard": 8_000', '"skateboard": 7_500')
        )
        self.type("git", "--no-pager", "diff", "--stat")
        self.commit("Make skateboards cheaper")

    def scooter(self) -> str:
        """Grow, and deploy over what runs; gives the address of the API."""
        self.act("Stage 2, the scooter: an HTTP API, bolted on while it runs")
        update = ("copier", "update", "--quiet", "--defaults", "--vcs-ref=:current:")
        self.type(*update, "--data", "stage=2")
        self.type("git", "status", "--short")
        self.commit("Grow into the scooter")
        said = self.type("tox", "-e", "deploy", "--", "--stage", "local")
        return next(
            line.split("'")[1]
            for line in said.splitlines()
            if line.strip().startswith("HttpApiUrl=")
        )

    def call(self, url: str) -> None:
        """Get a price over HTTP, and see that the edit is in it."""
        body = json.dumps({"item": "skateboard", "quantity": 2}).encode()
        print(f"\n  POST {url}/quotes  {body.decode()}", flush=True)
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/quotes", body, headers)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=30) as response:
            answer = response.read().decode().strip()
            print(f"    | {response.status} {answer}", flush=True)
        assert json.loads(answer)["total"] == 15_000, "the edit of the price was lost"

    def whole(self) -> None:
        """Everything, in order."""
        self.skateboard()
        self.act("Run it on this machine; the first time downloads the tools")
        print("\n  $ tox -e up", flush=True)
        start = time.monotonic()
        with up(self.project, self.environ, echo=True) as running:
            running.wait_until_ready()
            self.timings.append(("tox -e up, until it runs", seconds(start)))
            self.ride(running)
        print("\n  (Ctrl-C in the terminal of tox -e up: nothing is left running.)")

    def ride(self, running: Up) -> None:
        """What happens while ``tox -e up`` runs."""
        self.quote()
        self.edit()
        self.call(self.scooter())
        self.act("What worked before still works: the journeys of both stages")
        self.type("tox", "-e", "journey", "--", "--stack", "local", "-q")
        assert running.process.poll() is None


def main() -> None:
    """Ride, and end with the times and how to do the same by hand."""
    parser = argparse.ArgumentParser(prog="tox -e demo --", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the project in its folder")
    keep = parser.parse_args().keep
    folder = Path(tempfile.mkdtemp(prefix="skateboard-"))
    ride = Ride(folder)
    try:
        ride.whole()
    except subprocess.CalledProcessError as error:
        print(f"\nError: {shlex.join(error.cmd)} failed; its output is above.", file=sys.stderr)
        sys.exit(1)
    except FileNotFoundError as error:
        if Path(str(error.filename)).is_absolute():
            raise
        print(f"\nError: {error.filename} is not on this machine.", file=sys.stderr)
        print("  Next: install it, then the same command again.", file=sys.stderr)
        sys.exit(1)
    except RuntimeError as error:
        print(f"\nError: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.", file=sys.stderr)
        sys.exit(130)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n== Done\n")
    for command, took in ride.timings:
        if not command.startswith("git"):
            print(f"  {took:>8}  {command}")
    print(f"  {seconds(ride.start):>8}  in all")
    if keep:
        print(f"\nThe project is in {ride.project}")
    print(BY_HAND)


if __name__ == "__main__":
    main()
