"""The tools understand of serverless.yml what osls understands, and say what they cannot."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import NOTHING, Environ, Linted, Project
from tests.test_project import tool

pytestmark = pytest.mark.xdist_group("project")

Edits = Mapping[str, tuple[str, str]]

# An AWS where nothing listens, and someone who may ask it.
NOWHERE = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_MAX_ATTEMPTS": "1",
}


def edit(project: Project, edits: Edits) -> None:
    for name, (old, new) in edits.items():
        project.edit(name, old, new)


def python(project: Project, program: str, environ: Environ = NOTHING) -> str:
    """Run a program with the project's tools, and give what it says, failed or not."""
    interpreter = str(project.folder / ".tox/lint/bin/python")
    program = f"from tools.console import clear_errors\nwith clear_errors():\n {program}"
    said = project.run(interpreter, "-c", program, check=False, environ=environ).stdout
    assert "Traceback" not in said, said
    return said


def resolved(project: Project, deployment: str) -> list[str]:
    """Region, stack, and the full name of the function ``quote``, as the tools see them."""
    found = python(
        project,
        "from tools.stack import Stack; import json;"
        f" s = Stack({deployment!r}); print(json.dumps([s.region, s.name, s.full_name('quote')]))",
    )
    values: list[str] = json.loads(found)
    return values


REGION = "  region: ap-northeast-1\n"
FUNCTION = "  quote:\n    handler:"

TAGS = """  environment:
    BUCKET: !Ref ServerlessDeploymentBucket
    PLACE: !Sub "${AWS::Region}.${AWS::AccountId}"
"""


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ({}, ["ap-northeast-1", "vehicles-dev", "vehicles-dev-quote"]),
        (
            {"serverless.yml": (REGION, TAGS + "  region: ${opt:region, 'eu-west-3'}\n")},
            ["eu-west-3", "vehicles-dev", "vehicles-dev-quote"],
        ),
        (
            {
                "serverless.yml": (
                    f"provider:\n  name: aws\n{REGION}",
                    "params:\n  default:\n    stack: ours\n    place: us-east-2\n"
                    "provider:\n  name: aws\n  stackName: ${param:stack}-${sls:stage}\n"
                    "  region: ${param:place}\n",
                ),
                "infra/quote.yml": (FUNCTION, "  quote:\n    name: q-${sls:stage}\n    handler:"),
            },
            ["us-east-2", "ours-dev", "q-dev"],
        ),
        (
            {"serverless.yml": ("service: vehicles", "service: ${env:NOBODY_SETS_IT, 'cars'}")},
            ["ap-northeast-1", "cars-dev", "cars-dev-quote"],
        ),
    ],
)
def test_the_tools_know_what_osls_makes_of_it(
    scooter: Project, edits: Edits, expected: list[str]
) -> None:
    edit(scooter, edits)
    assert resolved(scooter, "dev") == expected


def test_a_provider_in_a_file_of_its_own_is_found(scooter: Project) -> None:
    text = (scooter.folder / "serverless.yml").read_text()
    settings = text[text.index("provider:\n") : text.index("plugins:\n")]
    scooter.edit("serverless.yml", settings, "provider: ${file(own.yml):provider}\n\n")
    scooter.write("own.yml", settings.replace(REGION, "  region: eu-north-1\n"))
    assert resolved(scooter, "dev") == ["eu-north-1", "vehicles-dev", "vehicles-dev-quote"]


def test_variables_from_a_file_of_the_environment_are_found(scooter: Project) -> None:
    scooter.edit("serverless.yml", "service: vehicles", "useDotenv: true\nservice: ${env:OURS}")
    scooter.write(".env", "OURS=vans\n")
    try:
        assert resolved(scooter, "dev")[1] == "vans-dev"
    finally:
        (scooter.folder / ".env").unlink()


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        ({"serverless.yml": ("service:", "- a: [\nservice:")}, 'Cannot parse "serverless.yml"'),
        (
            {"serverless.yml": ("service: vehicles", "service: ${env:NOBODY_SETS_IT}")},
            'Cannot resolve variable at "service": Value not found at "env" source',
        ),
        (
            {"serverless.yml": ("  - ./tools/osls-plugin.js", "  []")},
            "is not among the plugins there",
        ),
    ],
)
def test_what_osls_cannot_resolve_is_said_in_its_words(
    scooter: Project, edits: Edits, reason: str
) -> None:
    edit(scooter, edits)
    said = python(scooter, "from tools.stack import Stack; print(Stack('dev').name)")
    assert reason in said
    assert said.count("Next:") == 1
    assert "    at " not in said, "a stack of Node.js"


def test_what_osls_says_is_read_whatever_the_locale_is(scooter: Project) -> None:
    scooter.edit("serverless.yml", "service:", "- réseau: [\nservice:")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    program = "from tools.stack import Stack; print(Stack('dev').name)"
    said = python(scooter, program, ascii_only | {"PYTHONIOENCODING": "utf-8"})
    assert "réseau" in said


def test_osls_says_why_it_could_lock_nothing(scooter: Project) -> None:
    locks = scooter.folder / ".locks/the-package"
    locks.unlink(missing_ok=True)
    locks.mkdir()
    try:
        said = tool(scooter, "check_stack")
    finally:
        locks.rmdir()
    assert "Error: .locks/the-package cannot be written: Is a directory." in said
    assert "osls has stopped, because it could not lock what it uses." in said
    assert "Next: correct that, then the same command again." in said


def test_lint_takes_variables_tags_and_what_a_function_repeats(scooter: Project) -> None:
    new = f"{TAGS}  region: ${{opt:region, 'eu-west-3'}}\n"
    scooter.edit("serverless.yml", REGION, new)
    own = "  quote:\n    runtime: python3.13\n    architecture: arm64\n    handler:"
    scooter.edit("infra/quote.yml", FUNCTION, own)
    assert tool(scooter, "check_stack") == ""


@pytest.mark.parametrize(
    ("setting", "value"), [("runtime", "python3.12"), ("architecture", "x86_64")]
)
def test_a_function_that_the_package_does_not_fit_is_refused(
    scooter: Project, setting: str, value: str
) -> None:
    scooter.edit("infra/quote.yml", FUNCTION, f"  quote:\n    {setting}: {value}\n    handler:")
    said = tool(scooter, "check_stack")
    assert f"The function quote has the {setting} {value}; the package is for" in said
    assert f"Next: take {setting} out of the function quote" in said


@pytest.mark.parametrize("command", ["deploy function --function quote", "deploy -f quote"])
def test_old_code_is_not_deployed_by_function(scooter: Project, command: str) -> None:
    said = tool(scooter, "stack", *command.split(), "--stage", "pr-1", **NOWHERE)
    assert "`deploy function` is not for this project." in said
    assert "Next: tox -e deploy -- --stage NAME" in said


# --- A person's settings for AWS

CONFIG = """[profile signed-out]
sso_session = ours
sso_account_id = 123456789012
sso_role_name = rider

[sso-session ours]
sso_region = eu-west-1
sso_start_url = https://example.awsapps.com/start

[profile no-source]
role_arn = arn:aws:iam::123456789012:role/rider
source_profile = nobody

[profile no-program]
credential_process = /nowhere/program
"""


@pytest.mark.parametrize(
    ("environ", "reason", "then"),
    [
        ({"AWS_PROFILE": "nope"}, "The config profile (nope) could not be found", "AWS_PROFILE"),
        ({"AWS_PROFILE": "signed-out"}, "Token for ours does not exist", "aws sso login"),
        ({"AWS_PROFILE": "no-source"}, 'source_profile "nobody"', "~/.aws/config"),
        ({"AWS_PROFILE": "no-program"}, "No such file or directory", "~/.aws/config"),
        ({"AWS_ACCESS_KEY_ID": "AKIA"}, "Partial credentials found in env", "~/.aws/config"),
    ],
)
def test_a_wrong_setting_for_aws_is_one_message(
    scooter: Project, tmp_path: Path, environ: Environ, reason: str, then: str
) -> None:
    config = tmp_path / "config"
    config.write_text(CONFIG)
    files = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    said = tool(scooter, "stack", "deploy", "--stage", "dev", **files, **environ)
    assert reason in said
    assert then in said.partition("Next:")[2]
    assert said.count("Next:") == 1


def test_an_aws_out_of_reach_is_one_message_for_all_journeys(scooter: Project) -> None:
    command = (str(scooter.folder / ".tox/lint/bin/pytest"), "tests/journey", "--stack", "dev")
    said = scooter.run(*command, check=False, environ=NOWHERE).stdout
    assert "Could not connect to the endpoint URL" in said
    assert said.count("Next:") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_MAX_ATTEMPTS", "many"), ("AWS_ENDPOINT_URL", "localhost:9")]
)
def test_a_setting_that_botocore_cannot_use_is_one_message(
    scooter: Project, name: str, value: str
) -> None:
    asking = "from tools.stack import Stack; Stack('dev').check_deployed()"
    said = python(scooter, asking, NOWHERE | {name: value})
    assert value in said
    assert said.count("Next:") == 1


def test_an_error_of_the_code_keeps_its_traceback(linted: Linted) -> None:
    project = linted(2)
    for code in ("1 / 0", "int('x')", "import boto3; boto3.client('sqs', 'x').list_queues(No=1)"):
        program = f"from tools.console import clear_errors\nwith clear_errors():\n {code}"
        interpreter = str(project.folder / ".tox/lint/bin/python")
        assert "Traceback" in project.run(interpreter, "-c", program, check=False).stdout
