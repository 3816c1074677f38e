"""What newer releases of the template change: one example of each kind.

The texts that they change have no Jinja in them, so the same change can be made in the template
and in what it renders.
"""

import re
from pathlib import Path

from tests import edits
from tests.edits import Edit, Tree, after, before, in_file, new, replace

GLOSSARY = """# Words

A *stack* is all that belongs to one deployment.
"""

TRACED = '''@rule(
    reason="nobody can tell where the time went without it",
    fix="set TracingConfig on the function",
)
def traced(stack: Stack) -> Iterator[str]:
    """A function says where its time goes, if it says anything."""
    for name, function in stack.of_type("AWS::Lambda::Function"):
        if "TracingConfig" in function and not function["TracingConfig"]:
            yield name


'''


def release(name: str, *changes: edits.Change) -> Edit:
    return Edit("release", name, changes)


RELEASES = [
    release(
        "a pin bumped",
        in_file("tools/pins.txt", lambda text: re.sub(r"(?m)^ruff==.*", "ruff==0.99.0", text)),
    ),
    release(
        "osls bumped",
        in_file("package.json", lambda text: text.replace("4.3.1", "4.9.9")),
        in_file("package-lock.json", lambda text: text.replace('"4.3.1"', '"4.9.9"')),
    ),
    release(
        "a line fixed in a handler",
        replace("service/quote.py", "pricing.quote(event)", "pricing.quote(request=event)"),
    ),
    release("a rule added", before("house_rules.py", '@rule(\n    reason="a full queue', TRACED)),
    release(
        "a README paragraph reworded",
        replace("README.md", "On AWS the code runs on", "In the cloud, the code runs on"),
    ),
    release(
        "a tool's setting changed",
        replace("pyproject.toml", "--strict-config --strict", "-ra --strict-config --strict"),
    ),
    release("a new file", new("docs/words.md", GLOSSARY)),
    release(
        "a comment corrected",
        replace("serverless.yml", "listed here: every file in", "listed here: each file in"),
    ),
    release(
        "a workflow step inserted",
        after(".github/workflows/ci.yml", "- run: pip install tox\n", "      - run: tox list\n"),
    ),
    release(
        "an action bumped",
        replace(".github/workflows/ci.yml", "08c6903cd8c0fde910a37f88322edcfb5dd907a8", "0" * 40),
    ),
    release(
        "a default changed",
        replace("serverless.yml", 'frameworkVersion: "4"', 'frameworkVersion: "4.9"'),
    ),
    release(
        "an environment of tox added",
        before(
            "tox.ini",
            "[testenv:journey]",
            "[testenv:slow]\ndescription = what takes long\ncommands = pytest {posargs}\n\n",
        ),
    ),
]


def write_release(release: Edit, template: Path) -> None:
    """Make the change of a release in the folder ``template`` of a clone."""
    names = {
        str(path.relative_to(template)).removesuffix(".jinja"): path
        for path in template.rglob("*")
        if path.is_file()
    }
    before: Tree = {name: path.read_bytes().decode() for name, path in names.items()}
    for name, text in release.made(before).items():
        if before.get(name) != text:
            names.get(name, template / name).write_bytes(text.encode())
