"""The package that Lambda runs: what is in it, and what stops the build."""

import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import STAGES, Linted, Project
from tests.test_project import tool

pytestmark = pytest.mark.xdist_group("project")

MAX_KIB = {1: 12, 2: 1.8 * 1024, 3: 4.0 * 1024, 4: 4.0 * 1024, 5: 4.0 * 1024}
TAG = sys.implementation.cache_tag


@pytest.fixture
def scooter(linted: Linted) -> Iterator[Project]:
    """A project at stage 2, clean before and after; what git ignores in service/ goes, too."""
    project = linted(2)
    clean(project)
    yield project
    clean(project)


def clean(project: Project) -> None:
    project.run("git", "reset", "--hard", "--quiet")
    project.run("git", "clean", "-d", "--force", "--quiet")
    project.run("git", "clean", "-d", "--force", "--quiet", "-x", "service", "requirements")


FOR_THIS_MACHINE = ("package", "--runtime", "python3.13", "--architecture", "arm64")


def build(project: Project, **environ: str) -> str:
    """Build for this machine, as under an emulator; give the error."""
    return tool(project, *FOR_THIS_MACHINE, AWS_ENDPOINT_URL="http://127.0.0.1:9", **environ)


def built(project: Project, **environ: str) -> zipfile.ZipFile:
    """Build the same, which must succeed, and look into the package."""
    assert build(project, **environ) == ""
    return zipfile.ZipFile(project.folder / ".build/service.zip")


def forget_libraries(project: Project) -> None:
    """Let the next build install them again."""
    for stamp in (project.folder / ".build").glob("libraries-*.stamp"):
        stamp.unlink()


# --- What is in it


@pytest.mark.parametrize("stage", STAGES)
def test_the_package_is_small_and_the_same_each_time(linted: Linted, stage: int) -> None:
    project = linted(stage)
    package = project.folder / ".build/service.zip"
    seen = set()
    for _ in range(2):
        if stage <= 3:  # later ones ship the same libraries
            forget_libraries(project)
        names = set(built(project).namelist())
        seen.add(package.read_bytes())
    assert len(seen) == 1
    assert package.stat().st_size <= MAX_KIB[stage] * 1024
    modules = {name for name in names if name.endswith(".py")}
    for name in modules:
        where, file = os.path.split(name)
        assert f"{where}/__pycache__/{file[:-3]}.{TAG}.pyc".lstrip("/") in names
    assert not [name for name in names if "tests/" in name or "boto3" in name]


def build_for_aws(project: Project, **environ: str) -> zipfile.ZipFile:
    """Build for Python 3.13 on arm64, where such a Python is to be had."""
    said = tool(project, *FOR_THIS_MACHINE, **environ)
    if "Python 3.13, which Lambda will run, is not on this machine" in said:
        pytest.skip("there is no Python 3.13 here, and uv cannot fetch it")
    assert said == ""
    return zipfile.ZipFile(project.folder / ".build/service.zip")


def test_the_package_for_aws_is_built_for_its_machine_and_python(scooter: Project) -> None:
    # A Python home that does not fit the interpreter of the target.
    with build_for_aws(scooter, PYTHONOPTIMIZE="2", PYTHONHOME=sys.base_prefix) as archive:
        extensions = [name for name in archive.namelist() if name.endswith(".so")]
        assert extensions
        for name in extensions:
            assert "cpython-313-aarch64" in name
            assert archive.read(name)[18] == 183  # AArch64, in the ELF header
        caches = [name for name in archive.namelist() if name.endswith(".pyc")]
        assert caches
        assert all(name.endswith(".cpython-313.pyc") for name in caches)
        assert {archive.read(name)[4] for name in caches} == {1}  # unchecked hash, PEP 552


def test_no_setting_of_python_changes_a_byte(scooter: Project, tmp_path: Path) -> None:
    expected = built(scooter)
    before = (scooter.folder / ".build/service.zip").read_bytes()
    (tmp_path / "compileall.py").write_text("")
    forget_libraries(scooter)
    settings = {
        "PYTHONOPTIMIZE": "2",
        "PYTHONPYCACHEPREFIX": str(tmp_path / "elsewhere"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNODEBUGRANGES": "1",
        "PYTHONPATH": str(tmp_path),
        "PYTHONWARNINGS": "error",
        "SOURCE_DATE_EPOCH": "1",
        "UV_COMPILE_BYTECODE": "1",
        "UV_LINK_MODE": "symlink",
    }
    assert built(scooter, **settings).namelist() == expected.namelist()
    assert (scooter.folder / ".build/service.zip").read_bytes() == before
    libraries = scooter.folder / ".build" / f"libraries-{TAG[8:].replace('3', '3.', 1)}-here"
    assert (libraries / "flask/__init__.py").is_file()
    assert not [path for path in libraries.rglob("*") if path.is_symlink()]


def test_neither_times_nor_others_rights_change_a_byte(scooter: Project) -> None:
    seen = set()
    for when, mode in ((0, 0o644), (-5e8, 0o600), (5e9, 0o664)):
        for path in (scooter.folder / "service").rglob("*.py"):
            os.utime(path, (when, when))
            path.chmod(mode)
        built(scooter)
        seen.add((scooter.folder / ".build/service.zip").read_bytes())
    assert len(seen) == 1


def test_libraries_that_somebody_deleted_are_installed_again(scooter: Project) -> None:
    names = built(scooter).namelist()
    for folder in (scooter.folder / ".build").glob("libraries-*/"):
        scooter.run("rm", "-r", str(folder))
    assert built(scooter).namelist() == names


SHIPPED = (
    *(
        "own.py",
        "価格.py",
        "own_data/prices.json",
        "own_data/見積 　書.csv",
        "own_data/Prices.json",
    ),
    *("templates/mail.html.jinja", "templates/module.py.jinja", "templates/page.html.gz"),
    *(
        "own_data/LICENSE",
        "own_data/a.b.c.txt",
        "own_data/x.swf",
        "own_data/-",
        "own_data/stub.pyi",
    ),
    *("own_data/orig", "own_data/#1.txt", "own_data/old/prices.old.json"),
)
LEFT_OUT = (
    *(".env", ".env.local", ".DS_Store", "._own.py", ".own.py.swp", ".idea/x.xml", "own_data/.x"),
    *("own.py~", "own.py.~1~", "#own.py#", "own.py.orig", "OWN.PY.BAK", "own.py.rej", "own.pyc"),
    *("own.py.save", "own.py___jb_tmp___", "own.py-old", "own.py (1)", "own.swp", "own.json.old"),
    *("Thumbs.db", "desktop.ini", "~$own.docx", "own.tmp", ".venv/lib/own.py", "x.bak/own.py"),
)


def test_all_files_are_shipped_but_what_lies_there_by_accident(scooter: Project) -> None:
    before = set(built(scooter).namelist())
    for name in (*SHIPPED, *LEFT_OUT):
        scooter.write(f"service/{name}", "")
    service = scooter.folder / "service"
    (service / ".#own.py").symlink_to("ann@host.4711:1700000000")
    os.mkfifo(service / "own_pipe.py")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(service)  # the path of a socket must be short
        try:
            listener.bind("own_socket")
        finally:
            os.chdir(here)
    python = str(scooter.folder / ".tox/lint/bin/python")
    here_too = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    said = scooter.run(python, "-m", "tools.package", *FOR_THIS_MACHINE[1:], environ=here_too)
    for special in ("own_pipe.py", "own_socket"):  # which git would not clean
        (service / special).unlink()
    names = set(zipfile.ZipFile(scooter.folder / ".build/service.zip").namelist())
    new = {name for name in names - before if "__pycache__" not in name}
    assert new == {f"service/{name}" for name in SHIPPED}
    assert "  not shipped: '" in said.stdout
    assert "'service/.#own.py'" in said.stdout
    assert f" and {len(LEFT_OUT) + 3 - 5} more (see tools/shipped.py)" in said.stdout


def test_an_unsaved_file_in_emacs_disturbs_neither_format_nor_check(scooter: Project) -> None:
    (scooter.folder / "service/.#quote.py").symlink_to("ann@host.4711:1700000000")
    for command in (("format", "--check"), ("check",)):
        scooter.run(str(scooter.folder / ".tox/lint/bin/ruff"), *command)


def test_a_link_is_shipped_as_what_it_points_to(scooter: Project) -> None:
    scooter.write("common/rates/eu.json", "{}")
    service = scooter.folder / "service"
    (service / "own_link.py").symlink_to("quote.py")
    (service / "own_rates").symlink_to("../common/rates")
    (service / "own_routes").symlink_to(service / "routes")
    archive = built(scooter)
    assert archive.read("service/own_link.py") == (service / "quote.py").read_bytes()
    assert archive.read("service/own_rates/eu.json") == b"{}"
    assert "service/own_routes/quotes.py" in archive.namelist()


@pytest.mark.parametrize(
    ("name", "to", "reason"),
    [
        ("own.json", "nowhere.json", "it points to nothing"),
        ("own.py", "own.py", "it points to nothing"),
        ("own.json", "/etc/passwd", "it points to /etc/passwd, outside of this project"),
        ("own", "../..", "outside of this project"),
        ("own", ".", "in which it lies"),
        ("routes/own", "..", "in which it lies"),
        ("own", "..", "in which it lies"),
    ],
)
def test_a_link_that_cannot_be_shipped_is_named(
    scooter: Project, name: str, to: str, reason: str
) -> None:
    (scooter.folder / "service" / name).symlink_to(to)
    said = build(scooter)
    assert f"The link service/{name} cannot be shipped." in said
    assert reason in said


def test_links_that_lead_to_each_other_are_named(scooter: Project) -> None:
    for name, other in (("own_a", "own_b"), ("own_b", "own_a")):
        scooter.write(f"service/{name}/x.json", "{}")
        (scooter.folder / f"service/{name}/link").symlink_to(f"../{other}")
    assert "in which it lies: this would have no end" in build(scooter)


def test_a_name_that_is_no_text_is_refused(scooter: Project) -> None:
    (scooter.folder / "service" / os.fsdecode(b"\x89\xbf\x8ai.json")).write_text("{}")
    assert r"'service/\udc89\udcbf\udc8ai.json' is no name for a file" in build(scooter)


def test_a_program_can_still_be_run(scooter: Project) -> None:
    scooter.write("service/bin/own", "#!/bin/sh\n")
    (scooter.folder / "service/bin/own").chmod(0o750)
    archive = built(scooter)
    modes = {each.filename: each.external_attr >> 16 for each in archive.infolist()}
    assert modes.pop("service/bin/own") == 0o100755
    assert modes["service/quote.py"] == 0o100644


# --- What stops the build


def test_a_budget_exceeded_stops_the_build(scooter: Project) -> None:
    scooter.edit("pyproject.toml", "max-mib = 5", "max-mib = 1")
    said = build(scooter)
    assert "MiB, over its budget of 1 MiB" in said
    assert "raise max-mib under [tool.package] in pyproject.toml" in said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[tool.package]\n", ""),
        ("[tool.package]\n", "[tool.package\n"),
        ("max-mib = 5", ""),
        ("max-mib = 5", "max-mib ="),
        ("max-mib = 5", 'max-mib = "five"'),
        ("max-mib = 5", "max-mib = [5]"),
        ("[tool.package]\n", "<<<<<<< before updating\n[tool.package]\n"),
    ],
)
def test_a_budget_that_is_not_there_is_said(scooter: Project, old: str, new: str) -> None:
    scooter.edit("pyproject.toml", old, new)
    said = build(scooter)
    assert "pyproject.toml does not say how large the package may be." in said
    assert "max-mib = 5" in said


def test_a_pyproject_that_is_not_utf_8_is_said(scooter: Project) -> None:
    path = scooter.folder / "pyproject.toml"
    path.write_bytes(path.read_bytes() + "# 予算\n".encode("shift_jis"))
    assert "pyproject.toml does not say how large the package may be." in build(scooter)


@pytest.mark.parametrize("name", ["pyproject.toml", "service"])
def test_what_is_missing_is_named(scooter: Project, name: str) -> None:
    scooter.run("rm", "-r", name)
    said = build(scooter)
    assert f"{name}: No such file or directory." in said
    assert "Next: " in said


@pytest.mark.parametrize("name", ["requirements/own.txt", "tools/requirements-own.txt"])
def test_requirements_that_are_a_folder_are_named(scooter: Project, name: str) -> None:
    (scooter.folder / name).mkdir()
    assert name in tool(scooter, "install")
    if name.startswith("requirements"):
        assert name in build(scooter)


def test_requirements_that_are_not_utf_8_are_named(scooter: Project) -> None:
    path = scooter.folder / "requirements/own.txt"
    path.write_bytes("six==1.17.0 # 六\n".encode("shift_jis"))
    said = build(scooter)
    assert "own.txt" in said
    assert "The requirements of the service could not be installed." in said


def test_a_place_where_nothing_can_be_written_is_named(scooter: Project, tmp_path: Path) -> None:
    # Not by its rights: root, as whom CI runs, may write anywhere.
    place = scooter.folder / ".build"
    aside = place.rename(tmp_path / "aside")
    try:
        place.write_text("")
        said = build(scooter)
        assert ".build" in said
        assert "can be deleted: it is made again" in said
    finally:
        place.unlink()
        aside.rename(place)


@pytest.mark.parametrize("name", ["service.zip", "modules"])
def test_what_stands_in_the_way_is_named(scooter: Project, name: str) -> None:
    place = scooter.folder / ".build" / name
    scooter.run("rm", "-r", "-f", str(place))
    if name == "modules":
        place.write_text("")
    else:
        place.mkdir()
    assert f".build/{name}" in build(scooter)
    scooter.run("rm", "-r", str(place))
    built(scooter)


def test_a_module_that_is_not_python_stops_the_build(scooter: Project) -> None:
    scooter.write("service/own.py", "def\n")
    said = build(scooter)
    assert "A module could not be compiled." in said
    assert "own.py" in said


def test_pins_that_contradict_stop_the_build(scooter: Project) -> None:
    scooter.write("requirements/own.txt", "flask==2.0.0\n")
    said = build(scooter)
    assert "two pins that contradict" in said
    assert "flask" in said


def test_a_package_without_a_wheel_stops_the_build(scooter: Project) -> None:
    scooter.write("requirements/own.txt", "pyspark==3.5.1\n")
    said = build(scooter)
    assert "a package with no wheel for Python" in said
    assert "Next: change the requirement in requirements/" in said


def elf(machine: int = 183, more: bytes = b"") -> bytes:
    """The beginning of machine code for Linux; 183 is AArch64."""
    return b"\x7fELF\2\1\1".ljust(18, b"\0") + machine.to_bytes(2, "little") + more


def look_inside(project: Project, package: Path, **files: bytes) -> str:
    """Inspect a package for Python on arm64 that has these files; give what is said of it."""
    with zipfile.ZipFile(package, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    program = (
        "import sys, pathlib; from tools import package as p; from tools.console import Stop\n"
        "target = p.THIS_MACHINE._replace(architecture='arm64')\n"
        "p.ROOT = pathlib.Path(sys.argv[1]).parent\n"
        "try: p.inspect(pathlib.Path(sys.argv[1]), target)\n"
        "except Stop as stop: print(stop)"
    )
    python = str(project.folder / ".tox/lint/bin/python")
    return project.run(python, "-c", program, str(package)).stdout


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("fast.so", elf(3), "fast.so is not built for arm64."),
        ("fast.so", elf(62), "fast.so is not built for arm64."),
        ("fast.abi3.so", elf(62), "is not built for arm64."),
        ("libfast.so.1.2", elf(62), "is not built for arm64."),
        ("fast.so", b"\xcf\xfa\xed\xfe\x0c\0\0\1".ljust(18, b"\0") + b"\xb7\0", "not built for"),
        ("fast.so", b"", "is not built for arm64."),
        ("fast.so", elf(more=b"\0libc.musl-aarch64.so.1\0"), "is built for another Linux."),
        ("fast.cpython-39-aarch64-linux-gnu.so", elf(), "is not built for Python"),
        (f"fast.{TAG}t-aarch64-linux-gnu.so", elf(), "is not built for Python"),
        (f"x/fast.{TAG}-aarch64-linux-musl.so", elf(), "is not built for Python"),
        (f"fast.{TAG}-x86_64-linux-gnu.so", elf(), "is not built for Python"),
        (f"fast.{TAG}-darwin.so", elf(), "is not built for Python"),
        (f"fast.{TAG}.so", elf(), "is not built for Python"),
        ("fast.abi3t.so", elf(), "is not built for Python"),
        ("fast.pypy311-pp73-aarch64-linux-gnu.so", elf(), "is not built for Python"),
        (f"fast.{TAG.replace('cpython-', 'cp')}-win_amd64.pyd", b"MZ", "is not built for Python"),
        ("fast.pyd", b"MZ", "is not built for Python"),
        ("x.py", b"", "x.py is not compiled."),
        ("x/y.z.py", b"", "x/y.z.py is not compiled."),
        (f"__pycache__/x.{TAG}.pyc", bytes(16), f"x.{TAG}.pyc is stale."),
        ("x.pyc", bytes(16), "x.pyc is stale."),
    ],
)
def test_a_look_inside_finds_what_lambda_could_not_use(
    scooter: Project, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    said = look_inside(scooter, tmp_path / "service.zip", **{name: content})
    assert name in said
    assert message in said


def test_a_look_inside_finds_an_optimised_module(scooter: Project, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("")
    python = str(scooter.folder / ".tox/lint/bin/python")
    flags = ["-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"]
    for more in ([], ["-O"]):
        subprocess.run([python, *more, *flags, "x.py"], cwd=tmp_path, check=True)
    names = ("x.py", f"__pycache__/x.{TAG}.pyc", f"__pycache__/x.{TAG}.opt-1.pyc")
    good, alone, optimised = ((name, (tmp_path / name).read_bytes()) for name in names)
    package = tmp_path / "service.zip"
    assert " KiB" in look_inside(scooter, package, **dict([good, alone]))
    assert "opt-1.pyc is stale." in look_inside(scooter, package, **dict([good, optimised]))
    assert "opt-1.pyc is stale." in look_inside(scooter, package, **dict([good, alone, optimised]))
    assert "x.py is not compiled." in look_inside(scooter, package, **dict([good]))


def test_a_look_inside_lets_pass_what_lambda_can_load(scooter: Project, tmp_path: Path) -> None:
    names = (f"x/fast.{TAG}-aarch64-linux-gnu.so", "fast.abi3.so", "fast.so", "x.libs/lib-1.2.so")
    files = dict.fromkeys((*names, "lib/libfast.so.1.2", "libcpython.so"), elf())
    assert " KiB" in look_inside(scooter, tmp_path / "service.zip", **files)


def test_without_the_target_python_it_is_said_what_to_install(scooter: Project) -> None:
    arguments = ("package", "--runtime", "python3.10", "--architecture", "arm64")
    nowhere = {"PATH": "/usr/bin:/bin", "UV_PYTHON_DOWNLOADS": "never", "PYENV_ROOT": "/nowhere"}
    said = tool(scooter, *arguments, **nowhere)
    assert "Python 3.10, which Lambda will run, is not on this machine." in said
    assert "uv python install 3.10" in said


# --- Settings of pip and uv


def test_where_pip_and_uv_install_is_ours_to_say(scooter: Project, tmp_path: Path) -> None:
    (scooter.folder / ".tox/lint/.installed").unlink(missing_ok=True)
    (tmp_path / "pip.conf").write_text("[global]\nuser = true\n")
    settings = {
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "PIP_TARGET": str(tmp_path / "pip"),
        "PIP_USER": "1",
        "UV_COMPILE_BYTECODE": "1",
        "UV_PROJECT": str(tmp_path),
        "UV_WORKING_DIR": str(tmp_path),
    }
    assert tool(scooter, "install", **settings) == ""
    assert not (tmp_path / "pip").exists()
    forget_libraries(scooter)
    assert "flask/app.py" in built(scooter, **settings).namelist()


def test_a_setting_that_may_be_the_reason_is_named(scooter: Project) -> None:
    scooter.write("tools/requirements-own.txt", "six==1.17.0\n")
    said = tool(scooter, "install", UV_REQUIRE_HASHES="1", UV_INDEX_X_PASSWORD="secret")
    assert "hashes are required, which tools/pins.txt does not have." in said
    assert "uv obeys " in said
    assert "UV_REQUIRE_HASHES" in said
    assert "env -u NAME in front of the command" in said
    assert "secret" not in said

    scooter.write("requirements/own.txt", "six==1.17.0\n")
    said = build(scooter, UV_EXCLUDE_NEWER="2020-01-01")
    assert "The requirements of the service could not be installed." in said
    assert "UV_EXCLUDE_NEWER" in said
