"""What people do to a project: small, ordinary edits, each usable wherever its files exist.

Edits change a tree in memory, so that thousands of merges can be tried; ``edit_folder`` makes
them in a real project. Taken one after the other, in the order of the list, all of them fit.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

Tree = dict[str, str]  # the text of each file, by path

RUFF = Path(sys.executable).parent / "ruff"


class Change(NamedTuple):
    """One thing done to a tree; ``fits`` tells whether it can be done to this one."""

    fits: Callable[[Tree], bool]
    make: Callable[[Tree], None]


class Edit(NamedTuple):
    """What somebody does in one go. ``kind`` is what most of it is."""

    kind: str  # insertion, replacement, deletion or move
    name: str
    changes: tuple[Change, ...]
    restyles: bool = False  # new files of the template come in another style than theirs

    def fits(self, tree: Tree) -> bool:
        """Whether all files that it changes are there, and none that it makes."""
        return all(change.fits(tree) for change in self.changes)

    def made(self, tree: Tree) -> Tree:
        """The tree after the edit.

        Raises:
            AssertionError: a text that the edit changes is not there, or not once.
        """
        after = dict(tree)
        for change in self.changes:
            change.make(after)
        return after


def read_folder(folder: Path, names: Iterable[str]) -> Tree:
    """Read these files of a project, with the ends of lines that they have."""
    return {name: (folder / name).read_bytes().decode() for name in names}


def edit_folder(edits: Iterable[Edit], folder: Path, names: Iterable[str]) -> None:
    """Make edits in a project that has these files."""
    before = read_folder(folder, names)
    after = before
    for edit in edits:
        after = edit.made(after)
    for name in before.keys() - after.keys():
        (folder / name).unlink()
    for name, text in after.items():
        if before.get(name) != text:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text.encode())


# --- What edits are made of


def in_file(name: str, make: Callable[[str], str]) -> Change:
    """Change the text of a file."""

    def change(tree: Tree) -> None:
        tree[name] = make(tree[name])

    return Change(lambda tree: name in tree, change)


def needs(name: str) -> Change:
    """Change nothing, but only where a file is."""
    return in_file(name, lambda text: text)


def replace(name: str, old: str, new: str) -> Change:
    """Put a text in the place of another, which must be there once."""

    def make(text: str) -> str:
        assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times"
        return text.replace(old, new)

    return in_file(name, make)


def before(name: str, place: str, text: str) -> Change:
    """Insert a text before a place."""
    return replace(name, place, text + place)


def after(name: str, place: str, text: str) -> Change:
    """Insert a text behind a place."""
    return replace(name, place, place + text)


def at_the_end(name: str, text: str) -> Change:
    """Add a text at the end of a file."""
    return in_file(name, lambda whole: whole + text)


def part(text: str, start: str, end: str) -> str:
    """What stands from one place up to another, each of which must be there."""
    assert start in text, f"no {start!r}"
    begin = text.index(start)
    assert end in text[begin + 1 :], f"no {end!r} after {start!r}"
    return text[begin : text.index(end, begin + 1)]


def without(name: str, start: str, end: str) -> Change:
    """Delete from one place up to another."""
    return in_file(name, lambda text: text.replace(part(text, start, end), "", 1))


def moved(name: str, start: str, end: str, place: str) -> Change:
    """Move what stands from one place up to another to before a third."""

    def make(text: str) -> str:
        block = part(text, start, end)
        rest = text.replace(block, "", 1)
        assert rest.count(place) == 1, f"{name} has {place!r} {rest.count(place)} times"
        return rest.replace(place, block + place)

    return in_file(name, make)


def new(name: str, text: str) -> Change:
    """Write a new file."""
    return Change(lambda tree: name not in tree, lambda tree: tree.update({name: text}))


def deleted(name: str) -> Change:
    """Delete a file."""
    return Change(lambda tree: name in tree, lambda tree: tree.__delitem__(name))


def renamed(name: str, to: str) -> Change:
    """Give a file another name."""
    return Change(
        lambda tree: name in tree and to not in tree,
        lambda tree: tree.update({to: tree.pop(name)}),
    )


def ruff(*commands: str) -> Change:
    """Let ruff change all Python files, as the settings of the project say."""

    def make(tree: Tree) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            names = [name for name in tree if name.endswith((".py", "pyproject.toml"))]
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(tree[name], encoding="utf-8")
            for command in commands:
                call = [str(RUFF), *command.split(), "--no-cache", "--quiet"]
                subprocess.run(call, cwd=folder, check=True)
            tree.update(read_folder(folder, names))

    return Change(lambda tree: "pyproject.toml" in tree, make)


def each_line_ends_as_on_windows(tree: Tree) -> None:
    tree.update({name: text.replace("\n", "\r\n") for name, text in tree.items()})


# --- What people write

TRUCK = """

def test_a_truck_is_dear() -> None:
    assert quote({"item": "truck", "quantity": 1})["total"] > PRICES["car"]
"""

BIKES = """

def test_ten_bicycles_cost_less_than_a_car() -> None:
    assert quote({"item": "bicycle", "quantity": 10})["total"] < PRICES["car"]
"""

REPORT = '''"""The Lambda function ``report``: all prices at once."""

from service.pricing import PRICES


def handler(event: object, context: object) -> dict[str, int]:
    """Give the price list, in whole cents."""
    return dict(PRICES)
'''

REPORT_PIECE = """# The price list, for the accountants.

functions:
  report:
    handler: service.own_report.handler
    role: ReportRole

resources:
  Resources:
    ReportRole:
      Type: AWS::IAM::Role
      Properties:
        AssumeRolePolicyDocument:
          Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Principal:
                Service: lambda.amazonaws.com
              Action: sts:AssumeRole
"""

VEHICLES = '''"""``GET /vehicles`` lists what can be priced."""

from flask import Flask

from service.pricing import PRICES


def attach(app: Flask) -> None:
    """Add the route to the application."""
    app.add_url_rule("/vehicles", view_func=list_vehicles)


def list_vehicles() -> dict[str, list[str]]:
    """Name all vehicles."""
    return {"vehicles": list(PRICES)}
'''

VEHICLES_TEST = '''"""The list of vehicles."""

from service import api
from service.pricing import PRICES


def test_all_vehicles_are_listed() -> None:
    response = api.create_app().test_client().get("/vehicles")
    assert response.json == {"vehicles": list(PRICES)}
'''

VEHICLES_CONTRACT = """paths:
  /vehicles:
    get:
      operationId: listVehicles
      summary: What can be priced?
      responses:
        "200":
          description: All of it.
"""

LIMITS_ROUTE = '''

@blueprint.get("/quotes/limits")
def get_limits() -> dict[str, int]:
    """Tell how many can be priced at once."""
    return {"quantity": pricing.MAX_QUANTITY}
'''

BELL = '''"""Rings for each order."""

from service.orders import Order


def fulfil(order: Order) -> None:
    """Ring the bell."""
'''

ALARM = """    QuoteErrors:
      Type: AWS::CloudWatch::Alarm
      Properties:
        Namespace: AWS/Lambda
        MetricName: Errors
        ComparisonOperator: GreaterThanThreshold
        EvaluationPeriods: 1
        Threshold: 0

"""

COLD = '''

@rule(
    reason="nobody knows what a function is for after a year",
    fix="set `description` of the function",
)
def described(stack: Stack) -> Iterator[str]:
    """A function says what it is for."""
    for name, function in stack.of_type("AWS::Lambda::Function"):
        if not function.get("Description"):
            yield name
'''

AWS_OF_THEIRS = '''"""Our accounts on AWS."""

ACCOUNT = "123456789012"
'''

TABLE_OF_THEIRS = """# The table of our own.

resources:
  Resources:
    OwnTable:
      Type: AWS::DynamoDB::Table
"""


def insertion(name: str, *changes: Change) -> Edit:
    return Edit("insertion", name, changes)


def replacement(name: str, *changes: Change) -> Edit:
    return Edit("replacement", name, changes)


def deletion(name: str, *changes: Change) -> Edit:
    return Edit("deletion", name, changes)


def move(name: str, *changes: Change) -> Edit:
    return Edit("move", name, changes)


PRICING = "service/pricing.py"
QUOTE = "service/quote.py"
QUOTE_PIECE = "infra/quote.yml"
API_PIECE = "infra/api.yml"
QUEUE_PIECE = "infra/queue.yml"
SERVERLESS = "serverless.yml"
PYPROJECT = "pyproject.toml"
RULES = "house_rules.py"
README = "README.md"
WORKFLOW = ".github/workflows/ci.yml"
PRICING_TEST = "tests/unit/test_pricing.py"

EDITS = [
    # --- Code
    replacement("a price changed", replace(PRICING, '"skateboard": 8_000', '"skateboard": 7_500')),
    insertion(
        "an item added, with a test",
        after(PRICING, '"car": 2_500_000,\n', '    "truck": 9_000_000,\n'),
        at_the_end(PRICING_TEST, TRUCK),
    ),
    insertion(
        "a new field in the domain",
        after(PRICING, "        self.field = field\n", "        self.rule = rule\n"),
    ),
    replacement(
        "a docstring reworded",
        replace(PRICING, "What a vehicle costs: plain values", "What we charge: plain values"),
    ),
    replacement(
        "the body of a handler rewritten",
        replace(
            QUOTE,
            "    return pricing.quote(event)\n",
            "    answer = pricing.quote(event)\n    print(answer)\n    return answer\n",
        ),
    ),
    insertion(
        "a function of one's own, with its infra file",
        new("service/own_report.py", REPORT),
        new("infra/own-report.yml", REPORT_PIECE),
    ),
    insertion(
        "a route in a new file, with its test and its contract",
        new("tests/unit/test_own_vehicles.py", VEHICLES_TEST),
        new("openapi/own-vehicles.yml", VEHICLES_CONTRACT),
        new("service/routes/own_vehicles.py", VEHICLES),
        needs("service/api.py"),
    ),
    insertion("a route in a file of ours", at_the_end("service/routes/quotes.py", LIMITS_ROUTE)),
    replacement(
        "a smaller limit for bodies",
        replace("service/api.py", "MAX_BODY_BYTES = 16 * 1024", "MAX_BODY_BYTES = 8 * 1024"),
    ),
    insertion(
        "a step of one's own for each order",
        new("service/fulfilment/own_bell.py", BELL),
        needs("service/worker.py"),
    ),
    replacement(
        "another text for an order that is not found",
        replace("service/routes/order_reads.py", "There is no such order, or", "None here, or"),
    ),
    # --- What AWS is asked for
    insertion(
        "a timeout and memory for one function",
        after(QUOTE_PIECE, "    role: QuoteRole\n", "    timeout: 3\n    memorySize: 128\n"),
    ),
    insertion(
        "a resource added to an infra file",
        before(QUOTE_PIECE, "    QuoteRole:\n", ALARM),
    ),
    insertion(
        "YAML comments added",
        before(QUOTE_PIECE, "  quote:\n", "  # The oldest of all.\n"),
        before(QUOTE_PIECE, "              Principal:\n", "              # Lambda alone.\n"),
    ),
    insertion(
        "an environment variable",
        after(API_PIECE, '      STRIP_STAGE_PATH: "yes"\n', "      LOG_LEVEL: WARNING\n"),
    ),
    replacement("a smaller batch", replace(QUEUE_PIECE, "batchSize: 10", "batchSize: 5")),
    deletion(
        "comments of the queue deleted",
        replace(
            QUEUE_PIECE,
            "          # What fails goes back to the queue alone, without the rest of its batch.\n",
            "",
        ),
        replace(QUEUE_PIECE, "345600 # 4 days", "345600"),
    ),
    insertion(
        "a setting of the table added",
        after(
            "infra/table.yml",
            "        BillingMode: PAY_PER_REQUEST\n",
            "        DeletionProtectionEnabled: true\n",
        ),
    ),
    replacement(
        "longer passwords", replace("infra/users.yml", "MinimumLength: 12", "MinimumLength: 16")
    ),
    replacement(
        "another limit for tokens",
        replace("infra/users.yml", "AccessTokenValidity: 15", "AccessTokenValidity: 5"),
    ),
    # --- serverless.yml
    insertion(
        "a tag added",
        after(SERVERLESS, "    deployment: ${sls:stage}\n", '    cost-centre: "4711"\n'),
    ),
    replacement("a bigger timeout", replace(SERVERLESS, "timeout: 10 #", "timeout: 15 #")),
    replacement("more memory", replace(SERVERLESS, "memorySize: 256", "memorySize: 512")),
    replacement(
        "another region", replace(SERVERLESS, "region: ap-northeast-1", "region: us-east-1")
    ),
    insertion(
        "a section after the last ${file(...)}",
        at_the_end(SERVERLESS, "\ncustom:\n  accountants: accounts@example.com\n"),
    ),
    move(
        "YAML keys in another order",
        moved(SERVERLESS, "  architecture: arm64\n", "  memorySize:", "  runtime:"),
        moved(SERVERLESS, "package:\n", "functions:", "plugins:"),
    ),
    # --- Tools and tests
    insertion("a dependency in a file of one's own", new("requirements/own.txt", "pip==26.1\n")),
    insertion(
        "a dependency after the last one", at_the_end("requirements/api.txt", "zipp==4.0.0\n")
    ),
    insertion("a new dev dependency", after(PYPROJECT, '  "cfn-lint",\n', '  "coverage",\n')),
    replacement("a tool's setting changed", replace(PYPROJECT, "max-mib = 5 #", "max-mib = 7 #")),
    insertion(
        "a test added",
        at_the_end(PRICING_TEST, BIKES),
    ),
    deletion(
        "a test deleted",
        without(
            PRICING_TEST,
            "def test_prices_are_whole_cents()",
            '@pytest.mark.parametrize("quantity", [1,',
        ),
    ),
    deletion("a journey deleted", deleted("tests/journey/test_1_skateboard.py")),
    deletion(
        "a way to run things deleted", without("tox.ini", "[testenv:format]", "[testenv:unit]")
    ),
    move(
        "ways to run things in another order",
        moved("tox.ini", "[testenv:deploy]", "[testenv:osls]", "[testenv:up]"),
    ),
    deletion(
        "lines deleted from .gitignore",
        without(".gitignore", "# Secrets have", ".env\n"),
        replace(".gitignore", ".venv/\n", ""),
    ),
    replacement(
        "the package lock refreshed",
        in_file(
            "package-lock.json",
            lambda text: re.sub(
                r'("node_modules/(?:undici|semver)": \{\n      "version": ")[^"]+'
                r'(",\n      "integrity": "sha512-)[^"]+',
                r"\g<1>9.9.9\g<2>refreshed==",
                text,
            ),
        ),
    ),
    insertion("the house rules extended", at_the_end(RULES, COLD)),
    replacement(
        "a route made public",
        replace(RULES, 'PUBLIC_ROUTES = {"$default"}', 'PUBLIC_ROUTES = {"$default", "GET /own"}'),
    ),
    deletion(
        "a house rule deleted",
        without(RULES, '@rule(\n    reason="logs are kept', '@rule(\n    reason="the gateway'),
    ),
    move(
        "a house rule moved to the top",
        moved(
            RULES,
            '@rule(\n    reason="a runtime without',
            '@rule(\n    reason="permissions of one',
            '@rule(\n    reason="bills are split',
        ),
    ),
    insertion(
        "the workflow extended at the end",
        at_the_end(WORKFLOW, "      - run: tox -e deploy -- --stage dev\n"),
    ),
    insertion(
        "a step inserted into the workflow",
        before(WORKFLOW, "      - run: pip install tox\n", "      - run: date\n"),
    ),
    # --- Texts
    insertion(
        "a README paragraph at the top", before(README, "It runs on AWS", "Ask team blue.\n\n")
    ),
    insertion(
        "a README paragraph in the middle",
        before(README, "## Find your way", "On Fridays nothing is deployed.\n\n"),
    ),
    insertion("a README paragraph at the end", at_the_end(README, "\n## Who we are\n\nBlue.\n")),
    move(
        "README sections in another order",
        moved(README, "## Make it yours", "## Take the next", "## Find your way"),
    ),
    deletion("a README section deleted", without(README, "## Find your way", "## Take the next")),
    deletion("a lesson deleted", deleted("docs/1-skateboard.md")),
    move("a lesson renamed", renamed("docs/2-scooter.md", "docs/http.md")),
    # --- All of it
    deletion(
        "all comments of serverless.yml deleted",
        in_file(SERVERLESS, lambda text: re.sub(r"^#.*\n| +#.*$", "", text, flags=re.MULTILINE)),
    ),
    move("a test file renamed", renamed(PRICING_TEST, "tests/unit/test_prices.py")),
    move(
        "functions in another order",
        moved(PRICING, "class InvalidRequest", "def quote", "class Quote("),
    ),
    Edit(
        "replacement",
        "all files formatted with longer lines",
        (replace(PYPROJECT, "line-length = 100", "line-length = 120"), ruff("format")),
        restyles=True,
    ),
    Edit(
        "move",
        "imports sorted another way",
        (
            at_the_end(PYPROJECT, "\n[tool.ruff.lint.isort]\nforce-sort-within-sections = true\n"),
            ruff("check --select=I --fix", "format"),
        ),
        restyles=True,
    ),
    replacement(
        "all files saved with the line ends of Windows",
        Change(bool, each_line_ends_as_on_windows),
    ),
]

# A file of theirs, where a later stage brings one of that name: must conflict.
RESERVED = [
    insertion("a module of one's own called service/aws.py", new("service/aws.py", AWS_OF_THEIRS)),
    insertion(
        "a piece of one's own called infra/table.yml", new("infra/table.yml", TABLE_OF_THEIRS)
    ),
]
