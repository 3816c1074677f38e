"""osls, the open Serverless Framework, in the version that package-lock.json pins."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from tools import package
from tools.console import Stop, clear_errors, step
from tools.install import ROOT, Stamp
from tools.lock import held

OSLS = ROOT / "node_modules" / ".bin" / "osls"

# The region in serverless.yml, as a plain word under `provider`.
PLAIN_REGION = re.compile(
    r"^provider:\n(?:(?: .*|#.*)?\n)*?  region: ([a-z]+(?:-[a-z]+)+-\d+)$", re.MULTILINE
)

NAME = re.compile("[a-z][a-z0-9-]{0,15}")
VEHICLES = {"skateboard", "scooter", "bicycle", "motorcycle", "car"}


class Resolved(NamedTuple):
    """What osls makes of serverless.yml, for one deployment.

    ``functions`` maps the name of each function in serverless.yml to its full name in AWS.
    """

    region: str
    stack: str
    functions: dict[str, str]


def check_deployment_name(name: str) -> None:
    """Refuse a name that would confuse; tools/osls-plugin.js lets osls itself ask, too.

    Raises:
        Stop: it is no name for a deployment.
    """
    if name != "local" and get_close_matches(name.lower(), ["local"], cutoff=0.8):
        raise Stop(
            f'"{name}" is nearly "local".',
            "local is what runs in `tox -e up`; every other name is for AWS, and costs money.",
            "tox -e deploy -- --stage local; or, for AWS, a name that cannot be mistaken.",
        )
    if not NAME.fullmatch(name) or name in VEHICLES:
        raise Stop(
            f'"{name}" cannot name a deployment.',
            "--stage says where to deploy: local, dev, prod, pr-12. It is a small letter, then"
            " up to 15 small letters, digits and dashes. The stages of growth, such as 2 or"
            " scooter, are something else: `copier update` moves between those.",
            "tox -e deploy -- --stage dev",
        )


def run(*arguments: str) -> Resolved | None:
    """Run an osls command, such as ``run("deploy", "--stage", "dev")``.

    It returns what osls has made of serverless.yml, or None if the command does not read it.

    Raises:
        Stop: it failed; what osls says of it is on the terminal.
    """
    if os.environ.get("AWS_ENDPOINT_URL"):
        package.prepare(package.THIS_MACHINE)  # now, as osls runs without the proxy settings
    done, resolved = _run(*arguments)
    if done.returncode != 0:
        raise Stop(
            f"osls {arguments[0]} ended with an error.",
            "osls, or what it called, says it above. If you invoked a function, its error may be"
            " meant.",
            "if that is not what you wanted: correct it, then run the same command again.",
        )
    return resolved


def resolve(deployment: str) -> Resolved:
    """Ask osls what serverless.yml means for a deployment; nothing is deployed.

    Raises:
        Stop: osls cannot tell.
    """
    done, resolved = _run(
        *("print", "--path", "service", "--stage", deployment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",  # Node.js writes it, whatever the locale is
        errors="replace",
    )
    if resolved:
        return resolved
    if done.returncode == 0:
        raise Stop(
            "osls did not say how it reads serverless.yml.",
            "./tools/osls-plugin.js, which lets it do so, is not among the plugins there.",
            "add it under plugins in serverless.yml, then the same command again.",
        )
    plain = re.sub(r"\x1b\[[\d;]*m", "", done.stdout)  # without colours
    said = plain.rpartition("Error:\n")[2].splitlines()
    reason = "\n".join(f"    | {line}" for line in said if not line.startswith("    at "))
    then = "correct that, then the same command again."
    if '"env" source' in reason:
        then += (
            " tox passes on only the variables that tox.ini lists under pass_env; in serverless.yml"
            " ${env:NAME, 'VALUE'} gives a value where there is none."
        )
    raise Stop(
        f"osls cannot read what serverless.yml says of the deployment {deployment}.",
        f"in its own words:\n{reason}",
        then,
    )


def region(deployment: str) -> str:
    """Find the region of a deployment before osls runs.

    osls takes a second to answer. A region that is simply written down needs no question.

    Raises:
        Stop: osls cannot tell.
    """
    file = ROOT / "serverless.yml"
    text = file.read_text("utf-8", errors="replace") if file.is_file() else ""
    written = PLAIN_REGION.search(text)
    return written[1] if written else resolve(deployment).region


def _run(
    *arguments: str, **options: Any
) -> tuple[subprocess.CompletedProcess[str], Resolved | None]:
    """Run osls, and read what tools/osls-plugin.js tells."""
    with installed(), tempfile.TemporaryDirectory(prefix="osls-") as folder:
        told = Path(folder, "resolved.json")
        environ = environment() | {"OSLS_TELLS_IN": str(told)}
        done = subprocess.run([OSLS, *arguments], cwd=ROOT, env=environ, **options)
        return done, Resolved(**json.loads(told.read_text("utf-8"))) if told.exists() else None


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Have osls installed, and let nobody install another one meanwhile.

    Raises:
        Stop: npm could not.
    """
    while True:
        with held("node_modules", shared=True):
            if stamp().valid:
                yield
                return
        install()


def stamp() -> Stamp:
    """What tells whether osls is installed as package-lock.json has it."""
    return Stamp(ROOT / "node_modules" / ".installed", ROOT / "package-lock.json")


def install() -> None:
    """Install osls as package-lock.json has it, unless that is what is there.

    Raises:
        Stop: npm could not.
    """
    npm = shutil.which("npm", path=environment()["PATH"])
    if npm is None:
        raise Stop(
            "Node.js is not on this machine.",
            "osls is a Node.js program.",
            "use the tox environments (tox list), which bring Node.js along.",
        )
    command = [npm, "ci", "--prefer-offline", "--loglevel=error"]
    path = {"PATH": environment()["PATH"]}
    with held("node_modules"):
        if stamp().valid:
            return
        with step("Installing osls (about 100 MB, once for each project)"):
            if subprocess.run(command, cwd=ROOT, env=os.environ | path).returncode != 0:
                raise Stop(
                    "osls could not be installed.",
                    "npm says it above: mostly the npm registry is out of reach, or"
                    " package-lock.json does not fit package.json.",
                    "check the network (behind a proxy: HTTPS_PROXY), or npm install; then again.",
                )
        stamp().write()


def environment() -> dict[str, str]:
    """The environment of osls: ours, with this Python and the Node.js beside it first."""
    here = str(Path(sys.executable).parent)
    emulated = bool(os.environ.get("AWS_ENDPOINT_URL"))
    proxies = {name for name in os.environ if name.lower().endswith("_proxy")}
    # osls would send even what is for this machine to a proxy.
    hidden = proxies if emulated else set()
    return {name: value for name, value in os.environ.items() if name not in hidden} | {
        "PATH": os.pathsep.join([here, os.environ.get("PATH", os.defpath)]),
        "PYTHON": sys.executable,
        # How often it looks whether CloudFormation is done, in milliseconds.
        "SLS_AWS_MONITORING_FREQUENCY": "100" if emulated else "2000",
    }


if __name__ == "__main__":
    with clear_errors():
        check_deployment_name(sys.argv[1])
