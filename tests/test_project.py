"""What a generated project does without an emulator: its checks, and what they refuse."""

import copy
import importlib.util
import json
import os
import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from demo.snapshot import ROOT
from tests.conftest import STAGES, Linted, Project, compiled_stack, load

pytestmark = pytest.mark.xdist_group("project")


def tool(project: Project, name: str, *arguments: str, **environ: str) -> str:
    """Run a module of ``tools`` as tox would; give what it says when it fails, or ""."""
    python = project.folder / ".tox" / "lint" / "bin" / "python"
    done = project.run(str(python), "-m", f"tools.{name}", *arguments, check=False, environ=environ)
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout if done.returncode else ""


def compiled(project: Project) -> dict[str, Any]:
    """The CloudFormation template that lint has compiled."""
    path = compiled_stack(project) / "cloudformation-template-update-stack.json"
    template: dict[str, Any] = json.loads(path.read_text())
    return template


def without_addresses(resources: dict[str, Any]) -> dict[str, Any]:
    """The same resources, but for where each build puts the code."""
    same = copy.deepcopy(resources)
    for resource in same.values():
        resource.get("Properties", {}).pop("Code", None)
    return same


# --- What is deployed


def holds(whole: Any, part: Any) -> bool:
    """Whether all of ``part`` is in ``whole``: mappings may have more keys, all else is equal."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(key in whole and holds(whole[key], value) for key, value in part.items())
    return bool(whole == part)


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_step_keeps_every_resource_of_the_stage_before(linted: Linted, stage: int) -> None:
    before, after = compiled(linted(stage - 1)), compiled(linted(stage))
    assert holds(without_addresses(after["Resources"]), without_addresses(before["Resources"]))
    assert holds(after["Outputs"], before["Outputs"])


# By type, as JSON pointers: where a change makes CloudFormation replace the resource, and what it
# holds is lost; or where CloudFormation refuses the change, and the stage cannot be deployed.
Fixed = dict[str, set[str]]

# What the schemas do not say, with where the CloudFormation Template Reference says it.
ALSO_FIXED: Fixed = {
    "AWS::Cognito::UserPool": {
        # "AWS::Cognito::UserPool": "This user pool property cannot be updated."
        "/properties/AliasAttributes",
        "/properties/UsernameAttributes",
        # "AWS::Cognito::UserPool UsernameConfiguration": it is immutable once set.
        "/properties/UsernameConfiguration",
    },
    "AWS::DynamoDB::Table": {
        # "AWS::DynamoDB::Table LocalSecondaryIndex": "Updates are not supported."
        "/properties/LocalSecondaryIndexes",
    },
}


@pytest.fixture(scope="module")
def fixed(linted: Linted) -> Fixed:
    """What cannot change in each type of resource: from the schemas in cfn-lint, and our own."""
    project = linted(STAGES[-1])
    types = sorted({each["Type"] for each in compiled(project)["Resources"].values()})
    program = (
        "import json, sys\n"
        "from cfnlint.schema import PROVIDER_SCHEMA_MANAGER as schemas\n"
        "lists = ('createOnlyProperties', 'conditionalCreateOnlyProperties')\n"
        "def fixed(name):\n"
        "    schema = schemas.get_resource_schema('eu-west-1', name).schema\n"
        "    return [each for one in lists for each in schema.get(one, [])]\n"
        "print(json.dumps({name: fixed(name) for name in sys.argv[1:]}))\n"
    )
    python = str(project.folder / ".tox/lint/bin/python")
    said: dict[str, list[str]] = json.loads(project.run(python, "-c", program, *types).stdout)
    return {name: {*each, *ALSO_FIXED.get(name, ())} for name, each in said.items()}


def replaced(before: dict[str, Any], after: dict[str, Any], fixed: Fixed) -> set[tuple[str, str]]:
    """Resources of ``before`` that would not live on in ``after``, each with the reason."""
    found = set()
    for name, old in before.items():
        new = after.get(name)
        if new is None or new["Type"] != old["Type"]:
            found.add((name, "Type"))
            continue
        for pointer in fixed[old["Type"]]:
            if at(old, pointer) != at(new, pointer):
                found.add((name, pointer.removeprefix("/properties/")))
    return found


def at(resource: Any, pointer: str) -> Any:
    """What is at a pointer of a schema, None where nothing is."""
    assert "*" not in pointer, "no resource of ours has had such a one: look into its lists"
    found: Any = {"properties": resource.get("Properties", {})}
    for name in pointer.strip("/").split("/"):
        found = found.get(name) if isinstance(found, dict) else None
    return found


@pytest.mark.parametrize(
    ("old", "new"), [(old, new) for old in STAGES for new in STAGES if old < new]
)
def test_a_step_replaces_no_resource(linted: Linted, fixed: Fixed, old: int, new: int) -> None:
    before, after = compiled(linted(old)), compiled(linted(new))
    assert replaced(before["Resources"], after["Resources"], fixed) == set()


REPLACING: list[tuple[str, str, object]] = [
    ("OrdersTable", "TableName", "orders"),
    ("OrdersTable", "KeySchema", [{"AttributeName": "id", "KeyType": "HASH"}]),
    ("OrdersTable", "LocalSecondaryIndexes", []),
    ("OrdersQueue", "QueueName", "orders"),
    ("OrdersDeadLetterQueue", "FifoQueue", True),
    ("UserPool", "UsernameAttributes", ["phone_number"]),
    ("UserPoolClient", "GenerateSecret", True),
    ("HttpApi", "ProtocolType", "WEBSOCKET"),
]


@pytest.mark.parametrize(("name", "fixed_one", "value"), REPLACING)
def test_what_replaces_a_resource_is_found(
    linted: Linted, fixed: Fixed, name: str, fixed_one: str, value: object
) -> None:
    before = compiled(linted(STAGES[-1]))["Resources"]
    after = copy.deepcopy(before)
    after[name]["Properties"][fixed_one] = value
    assert replaced(before, after, fixed) == {(name, fixed_one)}


def test_a_resource_that_goes_or_changes_its_type_is_found(linted: Linted, fixed: Fixed) -> None:
    before = compiled(linted(STAGES[-1]))["Resources"]
    after = copy.deepcopy(before)
    del after["OrdersTable"]
    after["OrdersQueue"]["Type"] = "AWS::SNS::Topic"
    assert replaced(before, after, fixed) == {("OrdersTable", "Type"), ("OrdersQueue", "Type")}


OUTPUTS = {
    2: {"HttpApiId", "HttpApiUrl"},
    3: {"OrdersQueueUrl", "OrdersDeadLetterQueueUrl"},
    4: {"OrdersTableName"},
    5: {"UserPoolId", "UserPoolClientId"},
}


@pytest.mark.parametrize("stage", OUTPUTS)
def test_outputs_tell_where_things_are(linted: Linted, stage: int) -> None:
    assert OUTPUTS[stage] <= compiled(linted(stage))["Outputs"].keys()


# What Lambda does with a role by itself; the emulator does not check it: role, action, resource.
LAMBDA_ITSELF = {
    1: {
        ("QuoteRole", "logs:CreateLogStream", "QuoteLogGroup"),
        ("QuoteRole", "logs:PutLogEvents", "QuoteLogGroup"),
    },
    2: {
        ("ApiRole", "logs:CreateLogStream", "ApiLogGroup"),
        ("ApiRole", "logs:PutLogEvents", "ApiLogGroup"),
    },
    3: {
        ("WorkerRole", "logs:CreateLogStream", "WorkerLogGroup"),
        ("WorkerRole", "logs:PutLogEvents", "WorkerLogGroup"),
        ("WorkerRole", "sqs:ReceiveMessage", "OrdersQueue"),
        ("WorkerRole", "sqs:DeleteMessage", "OrdersQueue"),
        ("WorkerRole", "sqs:GetQueueAttributes", "OrdersQueue"),
    },
}


@pytest.mark.parametrize("stage", STAGES)
def test_lambda_itself_may_do_this_and_nothing_else(
    rules: ModuleType, linted: Linted, stage: int
) -> None:
    """All other permissions are tried one by one, by ``tox -e iam``."""
    resources = compiled(linted(stage))["Resources"]
    stack = rules.Stack(resources, TAGS)
    own = [grant for grant in stack.grants() if stack.done_by_lambda(grant)]
    expected = [each for number, some in LAMBDA_ITSELF.items() if number <= stage for each in some]
    assert sorted((grant.role, grant.action, grant.resource) for grant in own) == sorted(expected)


@pytest.mark.parametrize("stage", STAGES)
def test_a_policy_allows_something_on_resources_and_is_all_there_is(
    linted: Linted, stage: int
) -> None:
    """Roles alone say who may do what: there is no other kind of policy, and no condition."""
    resources = compiled(linted(stage))["Resources"]
    policies = [
        policy["PolicyDocument"]
        for resource in resources.values()
        if resource["Type"] in {"AWS::IAM::Role", "AWS::IAM::Policy"}
        for policy in resource["Properties"].get("Policies", [resource["Properties"]])
    ]
    for statement in [each for policy in policies for each in policy["Statement"]]:
        assert statement.keys() == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
    kinds = {resource["Type"] for resource in resources.values() if "Polic" in resource["Type"]}
    # osls's own bucket for deployments refuses what is not encrypted on its way.
    assert kinds <= {"AWS::IAM::Policy", "AWS::S3::BucketPolicy"}


@pytest.mark.parametrize("stage", [1, 2])
def test_where_the_service_calls_nothing_there_is_no_permission_to_try(
    linted: Linted, stage: int
) -> None:
    project = linted(stage)
    said = project.run(str(project.folder / ".tox/lint/bin/python"), "-m", "tools.iam").stdout
    assert "QuoteRole  logs:PutLogEvents  QuoteLogGroup" in said
    assert "there is nothing to try" in said


def test_the_gateway_may_call_the_function(linted: Linted) -> None:
    permission = compiled(linted(2))["Resources"]["ApiLambdaPermissionHttpApi"]["Properties"]
    assert permission["Action"] == "lambda:InvokeFunction"
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["SourceArn"]


def test_the_gateway_logs_every_request_and_limits_them(linted: Linted) -> None:
    """The emulator takes both, and does neither."""
    resources = compiled(linted(2))["Resources"]
    stage = resources["HttpApiStage"]["Properties"]
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == 100
    assert stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] == 200
    log = stage["AccessLogSettings"]
    assert log["DestinationArn"] == {"Fn::GetAtt": ["AccessLogGroup", "Arn"]}
    assert json.loads(log["Format"])["status"] == "$context.status"
    assert resources["AccessLogGroup"]["Properties"]["RetentionInDays"] == 30


def test_two_tries_of_a_call_end_before_the_function_that_makes_it(linted: Linted) -> None:
    project = linted(5)
    settings = (project.folder / "service/aws.py").read_text("utf-8")
    found = dict(re.findall(r"(\w+)\"?[=:] ?(\d+)", settings))
    assert found["total_max_attempts"] == "2"
    waited = 1  # second at most between two tries (botocore, `standard` mode)
    call = 2 * int(found["read_timeout"]) + waited
    resources = compiled(project)["Resources"]
    api, worker = (
        resources[f"{name}LambdaFunction"]["Properties"]["Timeout"] for name in ("Api", "Worker")
    )
    # The worker begins no order in the second half of its time. The API makes two calls for
    # an order, and imports what it needs for them.
    assert call <= worker / 2
    assert 2 * call < api - 5


def test_users_are_made_by_whoever_runs_the_service(linted: Linted) -> None:
    """The emulator lets strangers sign up all the same."""
    pool = compiled(linted(5))["Resources"]["UserPool"]["Properties"]
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    assert pool["UsernameConfiguration"] == {"CaseSensitive": False}


@pytest.mark.parametrize("stage", STAGES[1:])
def test_no_page_of_another_origin_may_call(linted: Linted, stage: int) -> None:
    api = compiled(linted(stage))["Resources"]["HttpApi"]
    assert api["Type"] == "AWS::ApiGatewayV2::Api"
    assert "CorsConfiguration" not in api["Properties"]


@pytest.mark.parametrize("stage", STAGES)
def test_logs_are_json_and_end(linted: Linted, stage: int) -> None:
    resources = compiled(linted(stage))["Resources"].values()
    functions = [r["Properties"] for r in resources if r["Type"] == "AWS::Lambda::Function"]
    assert {f["LoggingConfig"]["LogFormat"] for f in functions} == {"JSON"}
    groups = [r["Properties"] for r in resources if r["Type"] == "AWS::Logs::LogGroup"]
    assert {g["RetentionInDays"] for g in groups} == {30}
    assert len(groups) >= len(functions)


def test_on_this_machine_everything_about_the_queue_is_shorter_in_proportion(
    linted: Linted,
) -> None:
    project = linted(3)
    osls = str(project.folder / "node_modules/.bin/osls")
    path = f"{project.folder / '.tox/lint/bin'}:{os.environ['PATH']}"
    environ = {"PATH": path, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    said = project.run(osls, "print", "--stage=local", "--format=json", environ=environ).stdout
    service = json.loads(said[said.index("{") :])
    queue = service["resources"]["Resources"]["OrdersQueue"]["Properties"]
    worker = service["functions"]["worker"]
    assert worker["timeout"] == 2
    assert queue["VisibilityTimeout"] == 6 * worker["timeout"]
    assert worker["events"][0]["sqs"]["maximumConcurrency"] == 2


# --- The house rules


@pytest.fixture(scope="module")
def rules(linted: Linted) -> ModuleType:
    path = linted(2).folder / "house_rules.py"
    spec = importlib.util.spec_from_file_location("house_rules", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["house_rules"] = module
    spec.loader.exec_module(module)
    return module


TAGS = {"service": "s", "team": "t", "deployment": "dev"}


def policy(**statement: object) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::Policy",
        "Properties": {"PolicyDocument": {"Statement": [{"Effect": "Allow", **statement}]}},
    }


def granting(*actions: str, on: object) -> dict[str, Any]:
    """A policy that allows the role of the function ``quote`` something more."""
    made = policy(Action=list(actions), Resource=on)
    made["Properties"] |= {"PolicyName": "more", "Roles": [{"Ref": "QuoteRole"}]}
    return made


def queue(**properties: object) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": {"SqsManagedSseEnabled": True, **properties}}


LOG_GROUP = "arn:aws:logs:x:1:log-group:g:*"
DEAD = {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 5}
MAPPING: dict[str, Any] = {
    "Type": "AWS::Lambda::EventSourceMapping",
    "Properties": {
        "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
        "FunctionName": {"Fn::GetAtt": ["QuoteLambdaFunction", "Arn"]},
        "ScalingConfig": {"MaximumConcurrency": 10},
    },
}
UNLIMITED = {**MAPPING, "Properties": {**MAPPING["Properties"], "ScalingConfig": {}}}
FETCHING = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
GOOD_QUEUE = {
    "Queue": queue(RedrivePolicy=DEAD, VisibilityTimeout=60),
    "Dead": queue(),
    "Fetch": granting(*FETCHING, on={"Fn::GetAtt": ["Queue", "Arn"]}),
}
TABLE = {"SSESpecification": {"SSEEnabled": True}}
RECOVERY = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}


def table(**properties: object) -> dict[str, Any]:
    return {"Type": "AWS::DynamoDB::Table", "Properties": properties}


NOTHING_YET: dict[str, Any] = {"PolicyDocument": {"Statement": []}}
GOOD = [
    {**GOOD_QUEUE, "Mapping": MAPPING, "Table": table(**TABLE, **RECOVERY)},
    {"P": policy(Action="logs:PutLogEvents", Resource=LOG_GROUP)},
    {"P": policy(Action="s3:GetObject", Resource="arn:aws:s3:::b/*") | {"Type": "AWS::S3::X"}},
]
# The same once more.
LOGS_AGAIN = granting("logs:PutLogEvents", on={"Fn::GetAtt": ["QuoteLogGroup", "Arn"]})
ELSEWHERE = {
    **MAPPING,
    "Properties": {**MAPPING["Properties"], "EventSourceArn": {"Fn::GetAtt": ["Dead", "Arn"]}},
}
BROKEN = [
    ("granted_once", "QuoteRole (logs:PutLogEvents on QuoteLogGroup)", LOGS_AGAIN),
    ("may_fetch", "QuoteRole (sqs:DeleteMessage on Dead)", ELSEWHERE),
    ("called_by_one_source", "ApiLambdaPermissionHttpApi", {"SourceArn": None}),
    ("no_managed_policies", "QuoteRole", {"ManagedPolicyArns": ["arn:aws:iam::aws:policy/P"]}),
    ("no_managed_policies", "P", {"Type": "AWS::IAM::ManagedPolicy", "Properties": NOTHING_YET}),
    ("supported_runtime", "QuoteLambdaFunction", {"Runtime": "python3.9"}),
    ("role_of_its_own", "QuoteLambdaFunction", {"Role": {"Fn::GetAtt": ["ApiRole", "Arn"]}}),
    ("role_of_its_own", "QuoteLambdaFunction", {"Role": "arn:aws:iam::1:role/any"}),
    ("log_retention", "QuoteLogGroup", {"RetentionInDays": None}),
    ("answers_before_the_gateway_gives_up", "ApiLambdaFunction", {"Timeout": 30}),
    ("authorised_or_public", "HttpApiRouteDefault (GET /x)", {"RouteKey": "GET /x"}),
    ("no_wildcards", "P", policy(Action="s3:*", Resource="arn:aws:s3:::b/k")),
    ("no_wildcards", "P", policy(Action="s3:GetObject", Resource="arn:aws:s3:::b/*")),
    ("no_wildcards", "P", policy(Action=["logs:PutLogEvents"], Resource=["*"])),
    ("no_wildcards", "P", policy(Action="logs:*", Resource=LOG_GROUP)),
    ("no_wildcards", "P", policy(Action="logs:PutLogEvents", Resource="arn:aws:s3:::*")),
    ("no_wildcards", "P", policy(Action=["logs:PutLogEvents", "sqs:*"], Resource=LOG_GROUP)),
    ("no_wildcards", "P", policy(Action="logs:PutLogEvents", Resource="arn:aws:logs:x:1:*")),
    ("no_wildcards", "P", policy(NotAction="s3:GetObject", Resource="arn:aws:s3:::b/k")),
    ("dead_letter_queue", "Queue", queue()),
    ("dead_letter_queue", "Queue", queue(RedrivePolicy={**DEAD, "maxReceiveCount": 4})),
    ("visibility_timeout", "Queue", queue(RedrivePolicy=DEAD, VisibilityTimeout=59)),
    ("limited_concurrency", "Mapping", UNLIMITED),
    ("point_in_time_recovery", "Table", table(**TABLE)),
    ("encrypted", "Table", table(**RECOVERY)),
    ("encrypted", "Queue", {"Type": "AWS::SQS::Queue", "Properties": {"RedrivePolicy": DEAD}}),
]


def broken(rules: ModuleType, resources: dict[str, Any], tags: dict[str, str]) -> set[Any]:
    stack = rules.Stack(resources, tags)
    return {(r.broken_by.__name__, name) for r in rules.RULES for name in r.broken_by(stack)}


@pytest.mark.parametrize("resources", GOOD)
def test_what_keeps_the_house_rules_passes(
    rules: ModuleType, linted: Linted, resources: dict[str, Any]
) -> None:
    assert broken(rules, compiled(linted(2))["Resources"] | resources, TAGS) == set()


@pytest.mark.parametrize(("rule", "name", "change"), BROKEN)
def test_what_breaks_a_house_rule_is_named(
    rules: ModuleType, linted: Linted, rule: str, name: str, change: dict[str, Any]
) -> None:
    resources = {**copy.deepcopy(compiled(linted(2))["Resources"])}
    if "Type" in change:
        resources |= {**GOOD_QUEUE, "Mapping": MAPPING, name: change}
    else:
        resources[name.split()[0]]["Properties"] |= change
    assert (rule, name) in broken(rules, resources, TAGS)


@pytest.mark.parametrize("tag", TAGS)
def test_a_missing_tag_is_named(rules: ModuleType, linted: Linted, tag: str) -> None:
    tags = TAGS | {tag: ""}
    found = broken(rules, compiled(linted(1))["Resources"], tags)
    assert found == {("tagged", f"stack (no {tag})")}


def test_every_house_rule_has_been_seen_to_bite(rules: ModuleType) -> None:
    names = {rule.broken_by.__name__ for rule in rules.RULES}
    assert names == {rule for rule, _, _ in BROKEN} | {"tagged"}
    assert all(rule.says and rule.reason and rule.fix for rule in rules.RULES)


def test_lint_tells_resource_rule_reason_and_fix(scooter: Project) -> None:
    scooter.edit("serverless.yml", "  logRetentionInDays: 30\n", "")
    said = tool(scooter, "check_stack")
    assert "ApiLogGroup: A log group has a retention." in said
    assert "QuoteLogGroup: A log group has a retention." in said
    assert "Why: logs are kept, and paid for, for ever without it" in said
    assert "Fix: keep logRetentionInDays in serverless.yml" in said
    assert "House rules broken: 2." in said


def test_what_was_found_comes_before_the_error_also_in_a_pipe(scooter: Project) -> None:
    scooter.edit("serverless.yml", "  logRetentionInDays: 30\n", "")
    said = scooter.tox("-e", "lint", check=False)
    assert said.index("QuoteLogGroup: A log group") < said.index("Error: House rules broken: 2.")


def test_lint_runs_cfn_lint(scooter: Project) -> None:
    scooter.edit("infra/quote.yml", "  Resources:\n", CFN_FAULT)
    said = tool(scooter, "check_stack")
    assert "E3002" in said
    assert "cfn-lint found the above" in said


CFN_FAULT = """  Resources:
    Topic:
      Type: AWS::SNS::Topic
      Properties:
        Colour: red
"""


# --- Pieces that cannot be loaded


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "infra/own-x.yml: nothing in it"),
        ("function:\n  x: {}\n", 'infra/own-x.yml: "function" is not a section of a piece'),
    ],
)
def test_a_piece_with_nothing_to_gather_is_named(scooter: Project, text: str, message: str) -> None:
    scooter.write("infra/own-x.yml", text)
    said = tool(scooter, "check_stack")
    assert message in said
    assert "    at " not in said, "a stack of Node.js"


def test_a_piece_that_is_not_yaml_is_named(scooter: Project) -> None:
    scooter.write("infra/own-x.yml", "functions: [}\n")
    assert "own-x.yml" in tool(scooter, "check_stack")


# --- What stops a deployment


@pytest.mark.parametrize("name", ["scooter", "2", "Dev", "a" * 17, "-x"])
def test_a_deployment_cannot_have_such_a_name(scooter: Project, name: str) -> None:
    # By osls itself: whoever calls it without our tools gets the same answer.
    osls = str(scooter.folder / "node_modules/.bin/osls")
    path = f"{scooter.folder / '.tox/lint/bin'}:{os.environ['PATH']}"
    done = scooter.run(osls, "print", f"--stage={name}", check=False, environ={"PATH": path})
    assert done.returncode != 0
    assert f'"{name}" cannot name a deployment.' in done.stdout
    assert "tox -e deploy -- --stage dev" in done.stdout
    assert done.stdout.count("Next:") == 1


NOBODY = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.mark.parametrize("name", ["scooter", "2", "Dev", ""])
def test_the_name_is_looked_at_before_the_credentials(scooter: Project, name: str) -> None:
    said = tool(scooter, "stack", "deploy", "--stage", name, **NOBODY)
    assert f'"{name}" cannot name a deployment.' in said
    assert "credentials" not in said
    assert said.count("Next:") == 1


@pytest.mark.parametrize("name", ["locl", "loca", "locall", "lokal", "Local"])
def test_a_mistyped_local_is_not_deployed_to_aws(scooter: Project, name: str) -> None:
    said = tool(scooter, "stack", "deploy", "--stage", name, **NOBODY)
    assert f'"{name}" is nearly "local".' in said
    assert "Next: tox -e deploy -- --stage local" in said
    assert said.count("Next:") == 1


def test_it_must_be_said_where_to_deploy(scooter: Project) -> None:
    said = tool(scooter, "stack", "deploy", **NOBODY)
    assert "It is not said where" in said
    assert "Next: add --stage local" in said


def test_osls_builds_the_package_also_when_nobody_calls_our_tools(scooter: Project) -> None:
    osls = str(scooter.folder / "node_modules/.bin/osls")
    environ = {"PYTHON": sys.executable, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    with_uv = {"PATH": f"{scooter.folder / '.tox/lint/bin'}:{os.environ['PATH']}"}
    scooter.run(osls, "package", environ=environ | with_uv)

    node = scooter.folder / ".tox/lint/bin/node"
    program = f"{node} {osls} package"
    bare = {"PATH": "/usr/bin:/bin"}
    for stamp in (scooter.folder / ".build").glob("libraries-*.stamp"):
        stamp.unlink()
    done = scooter.run("/bin/sh", "-c", program, check=False, environ=environ | bare)
    assert done.returncode != 0
    assert "uv is not installed." in done.stdout


def test_local_needs_a_running_emulator(scooter: Project) -> None:
    said = tool(scooter, "stack", "deploy", "--stage", "local")
    assert "No emulator is running for this project." in said
    assert "Next: tox -e up" in said


def test_aws_needs_credentials(scooter: Project) -> None:
    said = tool(scooter, "stack", "deploy", "--stage", "dev", **NOBODY)
    assert "There are no AWS credentials." in said
    assert "aws sso login" in said


def test_an_npm_registry_out_of_reach_is_said(scooter: Project, tmp_path: Path) -> None:
    (scooter.folder / "node_modules/.installed").unlink()
    nowhere = {"NPM_CONFIG_REGISTRY": "http://127.0.0.1:9", "NPM_CONFIG_FETCH_RETRIES": "0"}
    said = tool(scooter, "check_stack", NPM_CONFIG_CACHE=str(tmp_path), **nowhere)
    assert "osls could not be installed." in said
    assert "the npm registry is out of reach" in said
    assert tool(scooter, "check_stack") == ""


def test_a_package_index_out_of_reach_is_said(scooter: Project, tmp_path: Path) -> None:
    scooter.write("tools/requirements-own.txt", "six\n")
    nowhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9", "UV_HTTP_RETRIES": "0"}
    said = tool(scooter, "install", UV_CACHE_DIR=str(tmp_path), **nowhere)
    assert "The tools could not be installed." in said
    assert "Next: check the network." in said


def test_without_node_it_is_said_how_to_get_it(scooter: Project) -> None:
    (scooter.folder / "node_modules/.installed").unlink()
    program = (
        "import shutil; shutil.which = lambda *a, **k: None\n"
        "from tools import osls; from tools.console import clear_errors\n"
        "with clear_errors(): osls.install()"
    )
    python = str(scooter.folder / ".tox/lint/bin/python")
    done = scooter.run(python, "-c", program, check=False)
    assert done.returncode == 1
    assert "Node.js is not on this machine." in done.stdout
    assert tool(scooter, "check_stack") == ""


# --- What else tox runs


def test_the_code_that_a_lesson_shows_passes_lint(linted: Linted) -> None:
    bicycle = linted(3)
    lesson = (bicycle.folder / "docs/3-bicycle.md").read_text()
    [(name, code)] = re.findall(r"`(service/\S+)`:\n\n +```python\n(.*?)```", lesson, re.DOTALL)
    bicycle.write(name, textwrap.dedent(code))
    bicycle.tox("-e", "lint")
    bicycle.run("git", "clean", "-d", "--force", "--quiet")


@pytest.mark.parametrize(("name", "shown"), [("local", True), ("dev", False)])
def test_a_password_that_all_can_read_is_for_this_machine(
    linted: Linted, name: str, shown: bool
) -> None:
    car = linted(5)
    stack = f"from tools.stack import Stack; stack = Stack({name!r})"
    show = f"{stack}; stack.outputs = dict; stack.show()"
    said = car.run(str(car.folder / ".tox/lint/bin/python"), "-c", show).stdout
    assert f"tools.users add ann@example.com{' --password ' if shown else ' --stage '}" in said
    assert f"--stage {name}" in said
    assert ("Four-wheels" in said) == shown


def test_format_corrects_what_it_can(scooter: Project) -> None:
    scooter.write("service/own.py", '"""Own."""\nimport os\nX = {\'a\':1}\n')
    scooter.tox("-e", "format")
    assert (scooter.folder / "service/own.py").read_text() == '"""Own."""\n\nX = {"a": 1}\n'


def test_python_can_import_what_the_tools_do(scooter: Project) -> None:
    scooter.tox("-qqe", "python", "--", "-m", "tools.openapi")
    said = scooter.tox("-qqe", "python", "--", "-m", "tools.openapi")
    assert json.loads(said)["paths"].keys() == {"/health", "/quotes"}


def test_the_regions_to_choose_from_are_those_of_osls(linted: Linted) -> None:
    osls = (linted(1).folder / "node_modules/osls/lib/plugins/aws/provider.js").read_text()
    [listed] = re.findall(r"\n            region: \{\s+enum: \[(.*?)\]", osls, re.DOTALL)
    regions = re.findall(r"'(.*?)'", listed)
    rules = (ROOT / "copier.yml").read_text("utf-8").split("\n---\n")[-1]
    [pattern] = yaml.safe_load(rules)["rules"]["default"]["region"]
    assert len(regions) > 30
    assert [region for region in regions if not re.search(pattern, region)] == []
    assert not re.search(pattern, "eusc-de-east-1")  # as long as osls refuses it


def test_settings_agree_with_each_other(linted: Linted) -> None:
    project = linted(2)
    workflow = load(project.folder / ".github/workflows/ci.yml")
    setup = workflow["jobs"]["tox"]["steps"][1]["with"]["python-version"]
    runtime = load(project.folder / "serverless.yml")["provider"]["runtime"]
    assert runtime == f"python{setup}"
