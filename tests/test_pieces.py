"""Pieces that people add: each is found, or stops the build with its name; none vanishes."""

import json
import re
import textwrap

import pytest

from tests.conftest import Project
from tests.test_project import tool

pytestmark = pytest.mark.xdist_group("project")


def put(project: Project, name: str, content: str | bytes | None) -> None:
    """Write a file; or, for None, a folder; or, for ``-> NAME``, a link."""
    path = project.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.mkdir()
    elif isinstance(content, str) and content.startswith("-> "):
        path.symlink_to(content[3:])
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


# --- infra/

FUNCTIONS = "functions:\n  own:\n    handler: service.quote.handler\n"
BAD_INFRA: list[tuple[str, str | bytes | None, str]] = [
    ("own.yml", "own-resources: {}\n", '"own-resources" is not a section of a piece'),
    ("own.yml", FUNCTIONS + '"own resources": {}\n', '"own resources" is not a section'),
    ("own.yml", FUNCTIONS + "x.y: {}\n", '"x.y" is not a section'),
    ("own.yml", FUNCTIONS + "Resources: {}\n", '"Resources" is not a section'),
    ("own.yml", FUNCTIONS + "注文: {}\n", '"注文" is not a section'),
    ("own.yml", "{own-resources: {}}\n", '"own-resources" is not a section'),
    ("own.yml", " own-resources: {}\n", '"own-resources" is not a section'),
    ("own.yml", "? own-resources\n: {}\n", '"own-resources" is not a section'),
    ("own.yml", "- functions\n", '"0" is not a section'),
    ("own.yml", "functions\n", '"0" is not a section'),
    ("own.yml", "# functions:\n", "nothing in it"),
    ("own.yml", "functions: [own]\n", '"functions" must be a mapping'),
    ("own.yml", "functions: own\n", '"functions" must be a mapping'),
    ("own.yml", "resources: !Ref own\n", '"resources" must be a mapping'),
    ("own.yml", FUNCTIONS + "functions: {}\n", "duplicated mapping key"),
    ("own.yml", FUNCTIONS + "---\n" + FUNCTIONS, "expected a single document"),
    ("own.yml", FUNCTIONS.replace("    ", "\t"), "tab characters"),
    ("own.yml", b"# \x8e\xd4\x97\xbc\n" + FUNCTIONS.encode(), "utf-8"),
    ("own.yml", FUNCTIONS.encode("utf-16"), "utf-8"),
    ("own.YML", FUNCTIONS, "the name of a piece must end in .yml"),
    ("own.Yaml", FUNCTIONS, "the name of a piece must end in .yml"),
    ("own.yml.txt", FUNCTIONS, "the name of a piece must end in .yml"),
    ("own.yml", None, "EISDIR"),
    ("own.yml", "-> nowhere.yml", "ENOENT"),
]


@pytest.mark.parametrize(("name", "content", "reason"), BAD_INFRA)
def test_a_piece_that_would_vanish_stops_osls_with_its_name(
    scooter: Project, name: str, content: str | bytes | None, reason: str
) -> None:
    put(scooter, f"infra/{name}", content)
    node = str(scooter.folder / ".tox/lint/bin/node")
    done = scooter.run(node, "infra/index.js", check=False)
    assert done.returncode != 0
    [line] = [line for line in done.stdout.splitlines() if f"infra/{name}: " in line]
    assert reason in line
    assert "A piece has functions and resources" in line


def test_osls_shows_that_line_alone(scooter: Project) -> None:
    put(scooter, "infra/own.yml", "own-resources: {}\n")
    said = tool(scooter, "check_stack")
    assert 'infra/own.yml: "own-resources" is not a section of a piece.' in said
    assert "    at " not in said, "a stack of Node.js"


QUEUE = """resources:
  Resources:
    {name}:
      Type: AWS::SQS::Queue
      Properties:
        RedrivePolicy: {{deadLetterTargetArn: !GetAtt {name}.Arn, maxReceiveCount: 5}}
"""
# All that a file system takes; the last ones are odd within.
NAMES = [
    *("own,a.yml", "own(a).yml", "own}a.yml", "own:a.yml", "own a.yml", " own.yml", "own'a.yml"),
    *('own"a.yml', "own$a.yml", "own\\a.yml", "${own}.yml", "#own.yml", "-own.yml", "own..yml"),
    *("own\na.yml", "own-注文.yml", "own.yaml"),
]
TEXTS = [
    "\ufeff" + QUEUE,  # a byte order mark
    QUEUE.replace("\n", "\r\n"),
    "---\n" + QUEUE + "...\n",
    "functions:\n" + QUEUE,
    QUEUE.replace("resources:\n", '"resources" :\n'),
    "resources: ${{file(infra/own-more.json)}}\n",
]


def test_a_piece_may_have_any_name_and_any_form_that_yaml_has(scooter: Project) -> None:
    pieces = [(name, QUEUE) for name in NAMES]
    pieces += [(f"own-{number}.yml", text) for number, text in enumerate(TEXTS)]
    for number, (name, text) in enumerate(pieces):
        put(scooter, f"infra/{name}", text.format(name=f"Own{number}"))
    last = {"Resources": {f"Own{len(pieces) - 1}": {"Type": "AWS::SQS::Queue"}}}
    put(scooter, "infra/own-more.json", json.dumps(last))
    for name in (".own.yml", "own.yml~", "#own.yml#", "own.yml.orig"):  # of editors, and of git
        put(scooter, f"infra/{name}", "no: piece\n")
    put(scooter, "infra/.#own.yml", "-> nobody@nowhere")
    tool(scooter, "check_stack")  # the house rules want more of a queue
    stack = scooter.folder / ".build/stack/cloudformation-template-update-stack.json"
    found = json.loads(stack.read_text())["Resources"].keys()
    assert {f"Own{number}" for number in range(len(pieces))} <= found


# --- openapi/

BAD_OPENAPI: list[tuple[str, str | bytes | None, str]] = [
    ("own.yml", "# paths:\n", "the file must be a mapping"),
    ("own.yml", "", "the file must be a mapping"),
    ("own.yml", "- paths\n", "the file must be a mapping"),
    ("own.yml", "paths:\n", "paths must be a mapping"),
    ("own.yml", "paths:\n  /quotes: own\n", "/quotes must be a mapping"),
    ("own.yml", "paths:\n  /own: {}\npaths: {}\n", "paths is there twice"),
    ("own.yml", 'paths:\n  /own:\n    200: {}\n    "200": {}\n', "200 is there twice"),
    ("own.yml", "a: 1\n---\nb: 1\n", "expected a single document"),
    ("own.yml", "\tpaths: {}\n", "cannot start any token"),
    ("own.yml", "paths: [}\n", "line 1, column 9"),
    ("own.yml", "paths: !Ref own\n", "!Ref"),
    ("own.yml", b"# \x8e\xd4\x97\xbc\na: 1\n", "#x008e"),
    ("own.YML", "a: 1\n", "a file whose name ends in .yml"),
    ("own.yaml.txt", "a: 1\n", "a file whose name ends in .yml"),
    ("own.yml", None, "a file whose name ends in .yml"),
    ("own.yml", "-> nowhere.yml", "a file whose name ends in .yml"),
]


@pytest.mark.parametrize(("name", "content", "reason"), BAD_OPENAPI)
def test_a_contract_that_would_vanish_is_named(
    scooter: Project, name: str, content: str | bytes | None, reason: str
) -> None:
    put(scooter, f"openapi/{name}", content)
    said = tool(scooter, "openapi")
    assert re.search(rf"Error: openapi/{name} cannot be (read|merged)\.", said)
    [why] = [line for line in said.splitlines() if "Why:" in line]
    assert reason in why
    assert said.count("Next:") == 1


@pytest.mark.parametrize("name", ["own.yml", "own.yaml", "own,a b.yml", "own-注文.yml"])
def test_a_contract_of_ones_own_is_merged(scooter: Project, name: str) -> None:
    text = """
        x-own: &own {a: 1, b: 1}
        x-more: {<<: *own, b: 2}
        paths:
          /own:
            get:
              responses:
                200: {description: 2024-01-01}
                "404": {}
    """
    put(scooter, f"openapi/{name}", "\ufeff" + textwrap.dedent(text).replace("\n", "\r\n"))
    put(scooter, "openapi/.#own.yml", "-> nobody@nowhere")
    python = str(scooter.folder / ".tox/lint/bin/python")
    merged = json.loads(scooter.run(python, "-m", "tools.openapi").stdout)
    assert merged["paths"].keys() == {"/health", "/quotes", "/own"}
    responses = {"200": {"description": "2024-01-01"}, "404": {}}
    assert merged["paths"]["/own"]["get"]["responses"] == responses
    assert merged["x-more"] == {"a": 1, "b": 2}


# --- What is imported


@pytest.mark.parametrize("name", ["own.TXT", "own.Txt"])
def test_requirements_that_would_vanish_stop_the_build(scooter: Project, name: str) -> None:
    put(scooter, f"requirements/{name}", "six==1.17.0\n")
    said = tool(scooter, "check_stack")
    assert f"Error: requirements/{name} cannot be read." in said
    assert "a file whose name ends in .txt" in said


def test_other_files_of_the_tools_stop_nothing(scooter: Project) -> None:
    python = str(scooter.folder / ".tox/lint/bin/python")
    program = "from tools.install import requirements; print(*requirements())"
    before = scooter.run(python, "-c", program).stdout
    put(scooter, "tools/notes.TXT", "Mine.")
    assert scooter.run(python, "-c", program).stdout == before
    put(scooter, "tools/requirements-own.TXT", "six==1.17.0\n")
    assert "own.TXT cannot be read." in scooter.run(python, "-c", program, check=False).stdout


ATTACH = '''"""Own."""


def attach(app: object) -> None:
    """Say that it is there."""
    print("attached")
'''


def start(project: Project) -> str:
    """Start the application, and give what it says."""
    python = str(project.folder / ".tox/lint/bin/python")
    return project.run(python, "-c", "import service.api", check=False).stdout


@pytest.mark.parametrize("name", ["own.PY", "own.v2.py", "own/views.py", "own.d/__init__.py"])
def test_routes_that_would_vanish_stop_the_start(scooter: Project, name: str) -> None:
    put(scooter, f"service/routes/{name}", ATTACH)
    last = start(scooter).splitlines()[-1]
    assert f"RuntimeError: service/routes/{name.split('/')[0]} cannot be imported" in last


@pytest.mark.parametrize("name", ["own_x.py", "own-x.py", "own x.py", "own/__init__.py", "注文.py"])
def test_routes_of_ones_own_are_attached(scooter: Project, name: str) -> None:
    put(scooter, f"service/routes/{name}", ATTACH)
    put(scooter, "service/routes/pages/own.html", "no module")
    put(scooter, "service/routes/.#own.py", "-> nobody@nowhere")
    put(scooter, "service/routes/.own.PY", "no module")
    assert start(scooter) == "attached\n"


def test_a_fixture_that_would_vanish_stops_the_journeys(scooter: Project) -> None:
    put(scooter, "tests/journey/fixtures/own.PY", "")
    put(scooter, "tests/journey/fixtures/.#own.py", "-> nobody@nowhere")
    python = str(scooter.folder / ".tox/lint/bin/python")
    said = scooter.run(python, "-m", "pytest", "tests/journey", check=False).stdout
    assert "Error: tests/journey/fixtures/own.PY cannot be read." in said
    assert "Traceback" not in said
