"""What Copier makes at each stage: these files, and nothing that tells of a template."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import PurePath

import pytest

from demo.snapshot import ROOT
from tests.conftest import STAGES, Project, Render, load

SKATEBOARD = """
.gitattributes .github/workflows/ci.yml .gitignore .npmrc README.md
docs/1-skateboard.md house_rules.py infra/index.js infra/quote.yml package-lock.json
package.json pyproject.toml serverless.yml service/pricing.py service/quote.py
tests/journey/conftest.py tests/journey/test_1_skateboard.py tests/unit/test_pricing.py
tools/audit.py tools/check_stack.py tools/check_update.py tools/console.py tools/emulator.py
tools/iam.py tools/install.py tools/keeper.py tools/lock.py tools/ministack_guard.py
tools/osls-plugin.js tools/osls.py tools/package.py tools/pins.txt tools/shipped.py tools/stack.py
tools/up.py tox.ini
"""
SCOOTER = """
docs/2-scooter.md infra/api.yml openapi/api.yml requirements/api.txt service/api.py
service/discovery.py
service/http.py service/routes/quotes.py tests/journey/fixtures/api.py
tests/journey/test_2_scooter.py tests/unit/test_api.py tools/openapi.py
tools/requirements-openapi.txt
"""
BICYCLE = """
docs/3-bicycle.md infra/deployments.js infra/queue.yml openapi/orders.yml requirements/orders.txt
service/aws.py service/orders.py service/routes/orders.py service/worker.py
tests/journey/fixtures/orders.py tests/journey/test_3_bicycle.py tests/unit/test_orders.py
tools/redrive.py
"""
MOTORCYCLE = """
docs/4-motorcycle.md infra/table.yml openapi/table.yml service/fulfilment/table.py
service/routes/order_reads.py tests/journey/test_4_motorcycle.py
tests/unit/test_table.py
"""
CAR = """
docs/5-car.md infra/users.yml openapi/users.yml service/routes/identity.py
tests/journey/fixtures/users.py tests/journey/test_5_car.py tests/unit/test_identity.py
tools/users.py
"""
BROUGHT = (SKATEBOARD, SCOOTER, BICYCLE, MOTORCYCLE, CAR)
FILES = {stage: set(" ".join(BROUGHT[:stage]).split()) for stage in STAGES}
MOST_FILES = {
    1: 37,
    2: 50,
    3: 63,
    4: 70,
    5: 80,
}  # each costs every update time, and every reader a look

# What a project before a stage must not speak of: everything that the stage brings.
BROUGHT_WORDS = {
    2: re.compile(r"flask|wsgi|werkzeug|openapi|blueprint|problem|http api", re.I),
    3: re.compile(r"queue|sqs|worker|powertools|idempoten|orders\b", re.I),
    4: re.compile(r"dynamo|\btable|store\.py|page token", re.I),
    5: re.compile(
        r"cognito|jwt|access.?token|bearer|authoriz|\bclaims?\b|\busers?\b(?!-agent)", re.I
    ),
}

Fresh = Callable[[int], Project]


@pytest.mark.parametrize("stage", STAGES)
def test_the_files_are_these(fresh: Fresh, stage: int) -> None:
    assert fresh(stage).files().keys() == FILES[stage]
    assert len(FILES[stage]) + 1 <= MOST_FILES[stage]


@pytest.mark.parametrize("stage", STAGES)
def test_no_folder_is_empty(fresh: Fresh, stage: int) -> None:
    folders = [path for path in fresh(stage).folder.rglob("*") if path.is_dir()]
    empty = [path for path in folders if ".git" not in path.parts and not any(path.iterdir())]
    assert empty == []


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_of_the_template_is_left_in(fresh: Fresh, stage: int) -> None:
    for name, content in fresh(stage).files().items():
        text = content.decode()
        assert not re.search(r"\{\{|\{%|\{#|\.jinja\b", text), name
        assert "\n\n\n\n" not in text, name
        prose = re.sub(r"```python\n.*?```", "", text, flags=re.DOTALL)
        assert name.endswith(".py") or "\n\n\n" not in prose, name
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), name
        assert text.endswith("\n"), name
        assert not text.endswith("\n\n"), name
        assert "\r" not in text, name
        assert '"' not in name


@pytest.mark.parametrize("stage", BROUGHT_WORDS)
def test_nothing_speaks_of_a_later_stage(fresh: Fresh, stage: int) -> None:
    allowed = {
        "house_rules.py",  # a company's rules are for all of AWS
        "package-lock.json",
    }
    for name, content in fresh(stage - 1).files().items():
        if name not in allowed:
            found = BROUGHT_WORDS[stage].search(content.decode())
            assert not found, (name, found)


@pytest.mark.parametrize("stage", STAGES)
def test_every_file_parses(fresh: Fresh, stage: int) -> None:
    for name in fresh(stage).files():
        path = fresh(stage).folder / name
        if path.suffix in {".yml", ".json"}:
            assert load(path), name
        if path.suffix == ".toml":
            assert tomllib.loads(path.read_text(encoding="utf-8")), name
        if path.suffix == ".py":
            compile(path.read_text(encoding="utf-8"), name, "exec")


ANSWERS = {
    "service_name": "odd-name-7",
    "description": "Ends in odd-words",
    "team": "Team Rot/1",
    "region": "eu-central-1",
    "python_version": "3.12",
}


@pytest.mark.parametrize(("question", "answer"), ANSWERS.items())
def test_every_question_changes_the_output(
    render: Render, fresh: Fresh, question: str, answer: str
) -> None:
    before, after = fresh(1).files(), render(1, **{question: answer}).files()
    changed = [name for name in before if before[name] != after[name]]
    assert changed
    assert all(answer in after[name].decode() for name in changed)


DESCRIPTION = "A \"quoted\" one: 'x' # {{ no }} ${self:x} {% if %}\nnext line & <b> \\ 🛹 日本語"


@pytest.mark.parametrize("stage", STAGES)
def test_a_difficult_description_stays_what_it_is(render: Render, stage: int) -> None:
    project = render(stage, description=DESCRIPTION)
    folder = project.folder
    pyproject = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["project"]["description"] == DESCRIPTION
    assert DESCRIPTION.replace("\n", " ") in (folder / "README.md").read_text(encoding="utf-8")
    assert load(folder / ".copier-answers.yml")["description"] == DESCRIPTION
    if stage > 1:
        assert load(folder / "openapi/api.yml")["info"]["description"] == DESCRIPTION


def test_the_lock_has_the_pinned_version_and_no_addresses(fresh: Fresh) -> None:
    folder = fresh(1).folder
    wanted = load(folder / "package.json")["devDependencies"]["osls"]
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert packages["node_modules/osls"]["version"] == wanted
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []


@pytest.mark.parametrize(
    ("piece", "asked_for"),
    [("api", {"flask", "serverless-wsgi"}), ("orders", {"aws-lambda-powertools"})],
)
def test_what_is_shipped_is_pinned_with_hashes(
    fresh: Fresh, piece: str, asked_for: set[str]
) -> None:
    text = (fresh(STAGES[-1]).folder / f"requirements/{piece}.txt").read_text()
    pins = re.findall(r"^([\w.-]+)==\S+ (.*)$", text, re.MULTILINE)
    assert asked_for <= {name for name, _ in pins}
    assert text.count("==") == len(pins) == len(re.findall(r"== ?\S+ \\\n +--hash=sha256:", text))


@pytest.mark.parametrize("stage", STAGES)
def test_an_action_of_ci_is_a_commit_with_its_version(fresh: Fresh, stage: int) -> None:
    """A tag can be moved to other code at any time; a commit cannot."""
    text = (fresh(stage).folder / ".github/workflows/ci.yml").read_text()
    used = re.findall(r"\buses:(.*)", text)
    assert used
    for action in used:
        assert re.fullmatch(r" [\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_ci_audits_every_week_also_when_something_else_fails(fresh: Fresh) -> None:
    workflow = load(fresh(1).folder / ".github/workflows/ci.yml")
    [when] = workflow[True]["schedule"]  # YAML 1.1 takes `on` for a truth
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", when["cron"])
    [audit] = [each for each in workflow["jobs"]["tox"]["steps"] if "audit" in each.get("run", "")]
    assert audit == {
        "run": "tox -e audit",
        "if": "always() && github.event_name == 'schedule'",
    }


def test_a_stage_is_described_in_one_place() -> None:
    ladder = sorted(path.name for path in (ROOT / "stages").glob("[0-9]*.yml"))
    facts = [load(ROOT / "stages" / name) for name in ladder]
    for number, (name, fact) in enumerate(zip(ladder, facts, strict=True), start=1):
        vehicle = name.split("-")[1].removesuffix(".yml")
        assert fact[vehicle]["default"]["number"] == number
        assert fact[vehicle]["default"]["vehicle"] == vehicle
        assert (ROOT / "template" / fact[vehicle]["default"]["lesson"]).exists()


def test_no_file_takes_a_name_that_is_left_to_people(fresh: Callable[[int], Project]) -> None:
    """The project's README says: names that start with ``own`` are theirs."""
    assert not [
        name
        for name in fresh(STAGES[-1]).files()
        if PurePath(name).name.startswith(("own", "test_own"))
    ]
