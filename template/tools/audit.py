"""What comes from others: what is known to be vulnerable, and what of it is in the package."""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from tools.console import Stop, clear_errors, say, step
from tools.install import PINS, ROOT, requirements
from tools.lock import held
from tools.package import BUILD, ZIP

SBOM = BUILD / "sbom.json"

# osls stays on the machines of those who deploy: what is minor there may wait for its next release.
SERIOUS = {"high", "critical"}

Answer = TypeVar("Answer")

AGAIN = "check the network (behind a proxy: HTTPS_PROXY); then again: tox -e audit"


def audit(ignored: list[str], options: list[str]) -> None:
    """Ask about every pinned package, but not about the ``ignored`` advisories.

    Other ``options`` are those of pip-audit.

    Raises:
        Stop: one is known to be vulnerable, or there was no answer.
    """
    found = []
    with step("Asking osv.dev about the Python packages, and npm about osls"):
        for file in [*requirements(), PINS]:
            found += vulnerable_python(file, ignored, options)
        found += vulnerable_npm(ignored)
    for each in found:
        say(f"  {each}")
    if found:
        raise Stop(
            f"Known vulnerabilities: {len(found)}.",
            "a pinned package stays as it is, also when something is found in it.",
            "renew the pin: the first lines of each file with pins say how (for osls: npm update)."
            " Or, when it does not concern you: tox -e audit -- --ignore-vuln ID",
        )
    say("No pinned package is known to be vulnerable.")


def vulnerable_python(file: Path, ignored: list[str], options: list[str]) -> list[str]:
    """List the vulnerable packages in a file with pins, with each advisory and what mends it.

    Raises:
        Stop: there was no answer.
    """
    # What is pinned, and nothing else: pip need not find out what else it would install.
    command = ["pip_audit", "--disable-pip", "--no-deps", "--strict", "--format=json"]
    # A mirror of PyPI may have no advisories, which would look as if there were none.
    command += ["--vulnerability-service=osv", "--progress-spinner=off", f"--requirement={file}"]
    command += [f"--ignore-vuln={advisory}" for advisory in ignored]
    why = "osv.dev is out of reach, or a line of the file is no exact version."
    packages = ask([sys.executable, "-m", *command, *options], file, "dependencies", list, why)
    return [
        f"{package['name']} {package['version']} ({file.relative_to(ROOT)}): {one['id']},"
        f" mended in {', '.join(one['fix_versions']) or 'no version yet'}"
        for package in packages
        for one in package["vulns"]
    ]


def vulnerable_npm(ignored: list[str]) -> list[str]:
    """List the seriously vulnerable packages in package-lock.json, with each advisory.

    Raises:
        Stop: there was no answer.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise Stop(
            "npm is not on this machine.",
            "npm asks about osls, and what that needs.",
            "tox -e audit, which brings npm along.",
        )
    command = [npm, "audit", "--json", "--loglevel=silent"]
    # A person's own settings may say otherwise: then npm finds nothing, and says so.
    command += ["--package-lock", "--package-lock-only", "--offline=false"]
    command += ["--include=dev", "--include=optional", "--include=peer"]
    why = "the npm registry is out of reach, or, as a mirror, knows no advisories."
    found = []
    for package in ask(command, ROOT / "package-lock.json", "vulnerabilities", dict, why).values():
        for advisory in package["via"]:
            if isinstance(advisory, str):
                continue  # the name of another package, which has its own entry
            number = str(advisory["source"])
            name = advisory.get("url", number).rpartition("/")[2]
            if advisory["severity"] in SERIOUS and not {name, number} & set(ignored):
                found.append(f"{package['name']} (npm): {name}, {advisory['severity']}")
    return found


def ask(command: list[str], file: Path, key: str, kind: type[Answer], why: str) -> Answer:
    """Ask a program about a file, and return what is at a key of its JSON.

    Raises:
        Stop: there was no such answer; ``why`` tells the usual reason.
    """
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    last = (done.stderr.strip() or done.stdout.strip() or "nothing was said").splitlines()[-1]
    try:
        answer = json.loads(done.stdout)
        if isinstance(found := answer.get(key), kind):
            return found
        last = answer.get("message") or answer["error"]["summary"]  # of npm
    except (ValueError, LookupError, AttributeError, TypeError):
        pass
    raise Stop(f"There is no answer about {file.relative_to(ROOT)}: {last}", why, AGAIN)


def write_sbom() -> None:
    """List what is in the package, as CycloneDX JSON.

    Raises:
        Stop: there is no package.
    """
    # Of the dependency group `audit`, which only `tox -e audit` and `tox -e sbom` install.
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from packageurl import PackageURL

    if not ZIP.exists():
        raise Stop(
            "There is no package.",
            f"what is listed is what lies in {ZIP.relative_to(ROOT)}.",
            "build it: tox -e deploy -- --stage NAME, or tox -e lint for this machine; then again:"
            " tox -e sbom",
        )
    digest = hashlib.sha256(ZIP.read_bytes()).hexdigest()
    bom = Bom()
    bom.metadata.component = Component(
        name=ZIP.name,
        type=ComponentType.APPLICATION,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )
    for library in metadata.distributions(path=[str(ZIP)]):
        name = library.name.lower().replace("_", "-")
        url = PackageURL("pypi", name=name, version=library.version)
        component = Component(
            name=library.name, version=library.version, purl=url, bom_ref=str(url)
        )
        bom.components.add(component)
        bom.register_dependency(bom.metadata.component, [component])
    writer = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    writer.output_to_file(str(SBOM), allow_overwrite=True, indent=2)
    say(f"{SBOM.relative_to(ROOT)}: {len(bom.components)} libraries in {ZIP.relative_to(ROOT)}")


def main() -> None:
    """Audit, or with ``--sbom`` write the list."""
    parser = argparse.ArgumentParser(prog="tox -e audit --", description=__doc__)
    parser.add_argument("--sbom", action="store_true", help="write the list: tox -e sbom")
    parser.add_argument(
        "--ignore-vuln",
        metavar="ID",
        action="append",
        default=[],
        help="an advisory that does not concern you; may be given several times",
    )
    known, options = parser.parse_known_args()
    with clear_errors():
        if known.sbom:
            with held(BUILD.name):
                write_sbom()
        else:
            audit(known.ignore_vuln, options)


if __name__ == "__main__":
    main()
