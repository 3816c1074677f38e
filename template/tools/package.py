"""Build the package that Lambda runs: the service and what it imports, in one zip.

The same input gives the same bytes, so that osls can tell when nothing has changed. The
modules are in it compiled as well, because Lambda cannot cache what it compiles, and
would do so at every cold start. They are marked unchecked (PEP 552): what is in the zip
never changes, and Lambda need not compare times, which a reproducible zip has not.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import NamedTuple

from tools.console import Stop, clear_errors, say, step
from tools.install import ROOT, Stamp

BUILD = ROOT / ".build"
ZIP = BUILD / "service.zip"

PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
ELF_MACHINES = {"arm64": 183, "x86_64": 62}  # e_machine in the ELF header

# Files of an installed package that nothing reads at run time.
NOT_AT_RUN_TIME = (
    ".lock",  # uv's own
    "*.pyi",
    "py.typed",
    "*.c",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/WHEEL",
    "*.dist-info/direct_url.json",
    "*.dist-info/top_level.txt",
)

UNCHECKED_HASH = 0b01  # flags of a .pyc whose source is not looked at (PEP 552)


class Target(NamedTuple):
    """What the package runs on: ``version`` as in 3.13, ``architecture`` as in arm64.

    ``architecture`` is None for this machine, where the emulator runs.
    """

    python: str
    version: str
    architecture: str | None


THIS_MACHINE = Target(sys.executable, f"{sys.version_info.major}.{sys.version_info.minor}", None)


def target(runtime: str, architecture: str) -> Target:
    """The machine that the package is for: AWS, or this one under an emulator.

    Raises:
        Stop: no interpreter of the target's version is to be had.
    """
    if os.environ.get("AWS_ENDPOINT_URL"):
        return THIS_MACHINE
    version = runtime.removeprefix("python")
    return Target(interpreter(version), version, architecture)


def interpreter(version: str) -> str:
    """Find a Python of this version, to compile for it.

    Raises:
        Stop: there is none, and uv cannot fetch one.
    """
    if version == THIS_MACHINE.version:
        return sys.executable
    where = ["-c", "import sys; print(sys.executable)"]
    # pyenv puts a python3.13 on PATH that works only when that version is chosen.
    environ = os.environ | {"PYENV_VERSION": version}
    for command in (
        [f"python{version}", *where],
        [
            *uv("run", "--no-project", "--managed-python", f"--python={version}"),
            "python",
            *where,
        ],
    ):
        try:
            found = subprocess.run(command, env=environ, capture_output=True, text=True)
        except FileNotFoundError:
            continue
        if found.returncode == 0:
            return found.stdout.strip()
    raise Stop(
        f"Python {version}, which Lambda will run, is not on this machine.",
        "the modules are compiled for Lambda with its own version, and uv could not fetch it.",
        f"install Python {version} (for instance: uv python install {version}), then again.",
    )


def uv(*arguments: str) -> list[str]:
    """The command line of uv, from this environment or from PATH.

    Raises:
        Stop: uv is not installed.
    """
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv", *arguments]
    if found := shutil.which("uv"):
        return [found, *arguments]
    raise Stop(
        "uv is not installed.",
        "it fetches what the service imports, built for Lambda.",
        "tox -e deploy -- --stage NAME, which brings uv; or install it: pipx install uv",
    )


def install(files: list[Path], to: Path, target: Target) -> None:
    """Install requirements into a folder.

    Raises:
        Stop: uv could not; its own message is on the terminal.
    """
    command = uv("pip", "install", "--quiet", f"--target={to}", f"--python={sys.executable}")
    command += ["--only-binary=:all:", "--no-compile-bytecode"]
    command += [f"--python-version={target.version}"]
    if target.architecture:
        command += [f"--python-platform={PLATFORMS[target.architecture]}"]
    command += [f"--requirement={file}" for file in files]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        platform = target.architecture or "this machine"
        raise Stop(
            "The requirements of the service could not be installed.",
            f"uv says it above: mostly a package with no wheel for Python {target.version} on"
            f" {platform}, two pins that contradict, a file that has not the hash that is pinned,"
            " or an index out of reach.",
            "change the requirement in requirements/, or `architecture` in serverless.yml"
            " (x86_64 has the most wheels); or repair the network; then again.",
        )


def compile_modules(folder: Path, target: Target) -> None:
    """Compile all modules in a folder for the target, as if they lay in /var/task.

    Raises:
        Stop: a module is not valid Python.
    """
    command = [target.python, "-m", "compileall", "-q", "-f"]
    command += [
        "--invalidation-mode=unchecked-hash",
        "-s",
        str(folder),
        "-p",
        "/var/task",
    ]
    if subprocess.run([*command, str(folder)]).returncode != 0:
        raise Stop(
            "A module could not be compiled.",
            f"it is not valid in Python {target.version}; the line is above.",
            "correct that module, then again.",
        )


def libraries(target: Target) -> Path:
    """The folder with all that the service imports, made anew when requirements change."""
    files = sorted(ROOT.glob("requirements/*.txt"))
    folder = BUILD / f"libraries-{target.version}-{target.architecture or 'here'}"
    if (stamp := Stamp(BUILD / f"{folder.name}.stamp", *files)).valid:
        return folder
    stamp.remove()  # if this fails, an empty folder must not pass for a full one
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if files:
        install(files, folder, target)
    for pattern in NOT_AT_RUN_TIME:
        for file in folder.rglob(pattern):
            file.unlink()
    shutil.rmtree(folder / "bin", ignore_errors=True)  # console scripts
    compile_modules(folder, target)
    stamp.write()
    return folder


def modules(target: Target) -> Path:
    """The folder with the code of the service itself."""
    folder = BUILD / "modules"
    shutil.rmtree(folder, ignore_errors=True)
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "service", folder / "service", ignore=without)
    compile_modules(folder, target)
    return folder


def write_zip(to: Path, *folders: Path) -> None:
    """Write folders into one zip, whose bytes depend on their contents alone."""
    files = {
        file.relative_to(folder).as_posix(): file
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file()
    }
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, file in sorted(files.items()):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())


def inspect(package: Path, target: Target) -> None:
    """Look into the zip for what would go wrong, or slowly, only after the deployment.

    Raises:
        Stop: an extension module for another machine or Python, a compiled module that
            Lambda would not use, or more MiB than ``[tool.package]`` allows.
    """
    magic = subprocess.check_output(
        [
            target.python,
            "-c",
            "from importlib.util import *; print(MAGIC_NUMBER.hex())",
        ],
        text=True,
    ).strip()
    with zipfile.ZipFile(package) as archive:
        for name in archive.namelist():
            head = archive.read(name)[:20]
            if name.endswith(".so"):
                inspect_extension(name, head, target)
            if name.endswith(".pyc"):
                inspect_compiled(name, head, magic)
    size = package.stat().st_size / 2**20
    budget = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["package"]["max-mib"]
    if size > budget:
        raise Stop(
            f"The package has {size:.2f} MiB, over its budget of {budget} MiB.",
            "each cold start pays for its size, and Lambda refuses 250 MiB unzipped.",
            "leave a requirement out (see requirements/), or raise max-mib under"
            " [tool.package] in pyproject.toml.",
        )
    say(f"  {package.relative_to(ROOT)}: {size * 1024:,.0f} KiB")


def inspect_extension(name: str, head: bytes, target: Target) -> None:
    """Refuse an extension module that the target cannot load."""
    machine = int.from_bytes(head[18:20], "little")
    if target.architecture and machine != ELF_MACHINES[target.architecture]:
        raise Stop(
            f"{name} is not built for {target.architecture}.",
            "it is machine code, and Lambda could not load it.",
            "pin a version that has a wheel for it, or change `architecture` in serverless.yml.",
        )
    tag = f"cpython-{target.version.replace('.', '')}"
    if "cpython-" in name and tag not in name:
        raise Stop(
            f"{name} is not built for Python {target.version}.",
            "an extension module fits one version of Python; Lambda could not load it.",
            f"pin a version that has a wheel for Python {target.version}.",
        )


def inspect_compiled(name: str, head: bytes, magic: str) -> None:
    """Refuse a compiled module that Lambda would pass over (PEP 552)."""
    if head[:4].hex() != magic or head[4] != UNCHECKED_HASH:
        raise Stop(
            f"{name} is stale.",
            "Lambda would pass it over and compile its source at every cold start.",
            f"rm -r {BUILD.name}, then again; if it came with a requirement, report it there.",
        )


def build(runtime: str, architecture: str) -> None:
    """Build and inspect the package.

    Raises:
        Stop: it cannot be built, or must not be deployed.
    """
    for_target = target(runtime, architecture)
    place = for_target.architecture or "this machine"
    with step(f"Building the package for Python {for_target.version} on {place}"):
        write_zip(ZIP, libraries(for_target), modules(for_target))
        inspect(ZIP, for_target)


def main() -> None:
    """Build for the runtime and architecture that serverless.yml names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", required=True, metavar="python3.13")
    parser.add_argument("--architecture", required=True, choices=PLATFORMS)
    arguments = parser.parse_args()
    with clear_errors():
        build(arguments.runtime, arguments.architecture)


if __name__ == "__main__":
    main()
