"""Build the package that Lambda runs: the service and what it imports, in one zip.

The same input gives the same bytes, so that osls can tell when nothing has changed. The
modules are in it compiled as well, because Lambda cannot cache what it compiles, and
would do so at every cold start. They are marked unchecked (PEP 552): what is in the zip
never changes, and Lambda need not compare times, which a reproducible zip has not.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import NamedTuple

from tools.console import Stop, clear_errors, say, step
from tools.install import (
    PYPROJECT,
    ROOT,
    Stamp,
    environment,
    explain_files,
    failure,
    pieces,
)
from tools.lock import held, intact
from tools.shipped import sort_out

BUILD = ROOT / ".build"
ZIP = BUILD / "service.zip"

MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}  # Lambda's names, and Linux's
ELF_MACHINES = {"arm64": 183, "x86_64": 62}  # e_machine in the ELF header

# Files of an installed package that nothing reads at run time.
NOT_AT_RUN_TIME = (
    ".lock",  # uv's own
    "__pycache__/*",  # of other Pythons; ours comes later
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
    # Lambda's Python has the GIL, and cannot load what was built for one without ("t").
    if version == THIS_MACHINE.version and "t" not in sys.abiflags:
        return sys.executable
    where = ["-I", "-c", "import sys; print(sys.executable); sys.exit('t' in sys.abiflags)"]
    # pyenv puts a python3.13 on PATH that works only when that version is chosen.
    environ = environment() | {"PYENV_VERSION": version}
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
    command = uv("pip", "install", "--quiet", f"--target={to}", f"--python={target.python}")
    # Copies: what uv links to is gone when its cache is.
    command += ["--only-binary=:all:", "--no-compile-bytecode", "--link-mode=copy"]
    command += [f"--python-version={target.version}"]
    if target.architecture:
        command += [f"--python-platform={MACHINES[target.architecture]}-manylinux_2_28"]
    command += [f"--requirement={file}" for file in files]
    if subprocess.run(command, cwd=ROOT, env=environment()).returncode != 0:
        platform = target.architecture or "this machine"
        raise failure(
            "The requirements of the service could not be installed.",
            "uv",
            f"mostly a package with no wheel for Python {target.version} on {platform}, two pins"
            " that contradict, a file whose hash is not the pinned one, or an index out of"
            " reach.",
            "change the requirement in requirements/, or `architecture` in serverless.yml"
            " (x86_64 has the most wheels); or repair the network; then again.",
        )


def compile_modules(folder: Path, target: Target) -> None:
    """Compile all modules in a folder for the target, as if they lay in /var/task.

    Raises:
        Stop: a module is not valid Python.
    """
    # -I: no PYTHON... variable of yours says how to compile, or where to put the result.
    command = [target.python, "-I", "-m", "compileall", "-q", "-f"]
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


@explain_files()
def libraries(target: Target) -> Path:
    """The folder with all that the service imports, made anew when requirements change.

    Raises:
        Stop: they could not be installed.
    """
    files = pieces("requirements", ".txt")
    folder = BUILD / f"libraries-{target.version}-{target.architecture or 'here'}"
    if (stamp := Stamp(BUILD / f"{folder.name}.stamp", *files)).valid and folder.exists():
        return folder
    stamp.remove()  # if this fails, an empty folder must not pass for a full one
    if folder.exists():
        shutil.rmtree(folder)
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
    """The folder with the code of the service itself.

    Raises:
        Stop: a file cannot be shipped, or a module is not valid Python.
    """
    folder = BUILD / "modules"
    if folder.exists():
        shutil.rmtree(folder)
    files, left_out = sort_out(ROOT / "service")
    for file in files:
        to = folder / file.relative_to(ROOT)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, to)
    if left_out:
        names = ", ".join(repr(str(path.relative_to(ROOT))) for path in left_out[:5])
        more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        say(f"  not shipped: {names}{more} (see tools/shipped.py)")
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
            executable = file.stat().st_mode & 0o100
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())


def inspect(package: Path, target: Target) -> None:
    """Look into the zip for what would go wrong, or slowly, only after the deployment.

    Raises:
        Stop: an extension module for another machine or Python, a module that is not
            compiled as Lambda needs it, or more MiB than ``[tool.package]`` allows.
    """
    about = "import importlib.machinery as m, importlib.util as u, json, sys; print(json.dumps("
    about += "[u.MAGIC_NUMBER.hex(), sys.implementation.cache_tag, m.EXTENSION_SUFFIXES]))"
    answer = subprocess.check_output([target.python, "-I", "-c", about], text=True)
    magic, tag, suffixes = json.loads(answer)
    if target.architecture:
        # The interpreter has the target's version, but runs on this machine.
        suffixes = [f".{tag}-{MACHINES[target.architecture]}-linux-gnu.so", ".abi3.so", ".so"]
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
        modules = {compiled_name(name, tag): name for name in names if name.endswith(".py")}
        for name in names:
            if re.search(r"\.(so|pyd)[.\d]*$", name):
                inspect_extension(name, archive.read(name), target, suffixes)
            if name.endswith(".pyc"):
                inspect_compiled(name, archive.read(name), magic, modules)
        for missing in sorted(modules.keys() - set(names)):
            raise slow(f"{modules[missing]} is not compiled.")
    size = package.stat().st_size / 2**20
    if size > (budget := max_mib()):
        raise Stop(
            f"The package has {size:.2f} MiB, over its budget of {budget:g} MiB.",
            "each cold start pays for its size, and Lambda refuses 250 MiB unzipped.",
            "leave a requirement out (see requirements/), or raise max-mib under"
            " [tool.package] in pyproject.toml.",
        )
    say(f"  {package.relative_to(ROOT)}: {size * 1024:,.0f} KiB")


def max_mib() -> float:
    """The budget for the size of the package, from pyproject.toml.

    Raises:
        Stop: it is not there.
    """
    try:
        return float(tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["package"]["max-mib"])
    except (ValueError, KeyError, TypeError) as error:
        raise Stop(
            "pyproject.toml does not say how large the package may be.",
            f"there is no number max-mib under [tool.package] ({type(error).__name__}: {error}).",
            "correct pyproject.toml; it needs the line [tool.package], and below it: max-mib = 5",
        ) from None


def inspect_extension(name: str, content: bytes, target: Target, suffixes: list[str]) -> None:
    """Refuse machine code that the target cannot load."""
    _, dot, rest = name.rpartition("/")[2].partition(".")
    tagged = re.match(r"(cpython|cp\d|abi\d|pypy|graalpy)", rest) or rest.endswith("pyd")
    if tagged and dot + rest not in suffixes:
        raise Stop(
            f"{name} is not built for Python {target.version} on"
            f" {target.architecture or 'this machine'}.",
            f"Python would pass it over. There it loads only what ends with {suffixes[0]}",
            f"pin a version that has a wheel for Python {target.version}; if the file is your"
            " own, build it for that.",
        )
    if not target.architecture:
        return  # the emulator loads it, and will tell
    elf = content[:4] == b"\x7fELF"
    if not elf or int.from_bytes(content[18:20], "little") != ELF_MACHINES[target.architecture]:
        raise Stop(
            f"{name} is not built for {target.architecture}.",
            "it is machine code, and Lambda could not load it.",
            "pin a version that has a wheel for it, or change `architecture` in serverless.yml.",
        )
    if b"libc.musl-" in content:
        raise Stop(
            f"{name} is built for another Linux.",
            "it needs musl, the C library of Alpine; Lambda has glibc, and could not load it.",
            "pin a version that has a wheel for manylinux; if the file is your own, build it"
            " where there is glibc.",
        )


def compiled_name(module: str, tag: str) -> str:
    """Where Python looks for what it has compiled (PEP 3147)."""
    folder, slash, file = module.rpartition("/")
    return f"{folder}{slash}__pycache__/{file.removesuffix('.py')}.{tag}.pyc"


def inspect_compiled(name: str, content: bytes, magic: str, modules: dict[str, str]) -> None:
    """Refuse a compiled module that Lambda would pass over (PEP 552)."""
    cached = "__pycache__/" in name  # elsewhere, a .pyc is itself the module
    if content[:4].hex() != magic or (
        cached and (content[4] != UNCHECKED_HASH or name not in modules)
    ):
        raise slow(f"{name} is stale.")


def slow(what: str) -> Stop:
    """What to say when Lambda would not find a module compiled."""
    return Stop(
        what,
        "Lambda would compile the source at every cold start.",
        f"rm -r {BUILD.name}, then again; if it came with a requirement, report it there.",
    )


@explain_files()
def prepare(target: Target) -> None:
    """Fetch what the service imports, so that a build needs no network."""
    with held(BUILD.name), intact(BUILD):
        libraries(target)


@explain_files()
def build(runtime: str, architecture: str) -> None:
    """Build and inspect the package.

    Raises:
        Stop: it cannot be built, or must not be deployed.
    """
    for_target = target(runtime, architecture)
    place = for_target.architecture or "this machine"
    with (
        held(BUILD.name),
        intact(BUILD),
        step(f"Building the package for Python {for_target.version} on {place}"),
    ):
        write_zip(ZIP, libraries(for_target), modules(for_target))
        inspect(ZIP, for_target)


def main() -> None:
    """Build for the runtime and architecture that serverless.yml names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", required=True, metavar="python3.13")
    parser.add_argument("--architecture", required=True, choices=MACHINES)
    arguments = parser.parse_args()
    with clear_errors():
        build(arguments.runtime, arguments.architecture)


if __name__ == "__main__":
    main()
