"""The house rules: what this company expects of every stack on AWS.

``tox -e lint`` checks each rule on the compiled CloudFormation template. The list is
yours: change it, add to it. A rule is a function that yields the names of the resources
that break it; its docstring says the rule, and ``@rule`` why it is there and how to keep it.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

# The Python versions that this company allows. AWS must support them, too (AWS Lambda Developer
# Guide, "Lambda runtimes").
RUNTIMES = {"python3.12", "python3.13", "python3.14"}

TAGS = {"service", "team", "deployment"}

# Routes that anybody may call. $default is every path that has no route of its own: what is
# behind it must be meant for everybody.
PUBLIC_ROUTES = {"$default"}

# What Lambda itself does with the role of a function: it writes the log, and fetches what an event
# source mapping is for, by the type of that source (AWS Lambda Developer Guide, "Defining Lambda
# function permissions with an execution role", and "Using Lambda with Amazon SQS"). No code calls
# these, and no emulator checks them.
WRITES_LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
FETCHES = {
    "AWS::SQS::Queue": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
}

MIN_RECEIVE_COUNT = 5
GATEWAY_TIMEOUT_SECONDS = 30  # Quotas for HTTP APIs, "Maximum integration timeout"

# The ARN of a log group may end in :*, which are its streams.
LOG_GROUP_END = re.compile(r'("arn:[^"]*:logs:[^"*]*:log-group:[^"*]*):\*(?=")')


class Grant(NamedTuple):
    """One action on one resource that a statement of a policy allows a role, all by name."""

    role: str
    policy: str
    place: tuple[int, int]  # of the statement in the policy, and of the resource in the statement
    action: str
    resource: str


def listed(value: Any) -> list[Any]:
    """A list, also where a policy may have one thing alone in place of it."""
    return value if isinstance(value, list) else [value]


class Stack(NamedTuple):
    """A compiled template: its resources by name, and the tags of the whole stack."""

    resources: dict[str, dict[str, Any]]
    tags: dict[str, str]

    def of_type(self, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The name and the properties of each resource of these types."""
        for name, resource in self.resources.items():
            if resource["Type"] in types:
                yield name, resource.get("Properties", {})

    def named_in(self, value: object) -> str:
        """The name of the resource that a Ref or a GetAtt points at, else an empty one."""
        if isinstance(value, dict):
            name = value.get("Ref") or value.get("Fn::GetAtt", [""])[0]
            return name if name in self.resources else ""
        return ""

    def grants(self) -> Iterator[Grant]:
        """All that the roles of the stack may do."""
        policies = [
            (name, policy)
            for name, role in self.of_type("AWS::IAM::Role")
            for policy in role.get("Policies", [])
        ]
        policies += [
            (self.named_in(role), policy)
            for _, policy in self.of_type("AWS::IAM::Policy")
            for role in policy.get("Roles", [])
        ]
        for role, policy in policies:
            for number, statement in enumerate(listed(policy["PolicyDocument"]["Statement"])):
                if statement["Effect"] == "Allow":
                    for action in listed(statement.get("Action", [])):
                        for which, arn in enumerate(listed(statement.get("Resource", []))):
                            place, name = (number, which), self.resource_name(arn)
                            yield Grant(role, policy["PolicyName"], place, action, name)

    def resource_name(self, arn: object) -> str:
        """An ARN as people write it: the name of the resource, and what is joined to it."""
        if isinstance(arn, dict) and "Fn::Join" in arn:
            separator, parts = arn["Fn::Join"]
            return str(separator).join(map(self.resource_name, parts))
        return self.named_in(arn) or (arn if isinstance(arn, str) else json.dumps(arn))

    def fetched(self) -> Iterator[tuple[str, str, str]]:
        """Role, action and resource of all that Lambda must do for event source mappings."""
        for _, mapping in self.of_type("AWS::Lambda::EventSourceMapping"):
            source = self.named_in(mapping.get("EventSourceArn"))
            function = self.resources.get(self.named_in(mapping.get("FunctionName")), {})
            role = self.named_in(function.get("Properties", {}).get("Role"))
            for action in FETCHES.get(self.resources.get(source, {}).get("Type", ""), ()):
                yield role, action, source

    def done_by_lambda(self, grant: Grant) -> bool:
        """Whether Lambda itself uses a grant, and not the code of the function."""
        used = (grant.role, grant.action, grant.resource)
        return grant.action in WRITES_LOGS or used in self.fetched()


Check = Callable[[Stack], Iterator[str]]


class Rule(NamedTuple):
    """A house rule; ``broken_by`` yields the names of the resources that break it."""

    says: str
    reason: str
    fix: str
    broken_by: Check


RULES: list[Rule] = []


def rule(reason: str, fix: str) -> Callable[[Check], Check]:
    """Put a check on the list."""

    def add(check: Check) -> Check:
        RULES.append(Rule((check.__doc__ or "").strip(), reason, fix, check))
        return check

    return add


@rule(
    reason="bills are split, and owners found, by tags",
    fix="keep service, team and deployment under stackTags in serverless.yml",
)
def tagged(stack: Stack) -> Iterator[str]:
    """The stack passes the tags service, team and deployment on to its resources."""
    for tag in sorted(TAGS - {tag for tag, value in stack.tags.items() if value}):
        yield f"stack (no {tag})"


@rule(
    reason="a runtime without security updates is refused by AWS sooner or later",
    fix="set provider.runtime in serverless.yml to a supported version",
)
def supported_runtime(stack: Stack) -> Iterator[str]:
    """A function runs on a supported version of Python."""
    for name, function in stack.of_type("AWS::Lambda::Function"):
        if function.get("Runtime") not in RUNTIMES:
            yield name


@rule(
    reason="permissions of one function are then permissions of every other one",
    fix="give it `role:` and an AWS::IAM::Role in its own file under infra/",
)
def role_of_its_own(stack: Stack) -> Iterator[str]:
    """A function has a role of its own."""
    roles = [
        stack.named_in(function.get("Role"))
        for _, function in stack.of_type("AWS::Lambda::Function")
    ]
    for name, function in stack.of_type("AWS::Lambda::Function"):
        role = stack.named_in(function.get("Role"))
        if not role or roles.count(role) > 1:
            yield name


@rule(
    reason="whoever gets hold of the role may do as much, to anything it matches",
    fix="list the exact actions, and name resources with !GetAtt NAME.Arn",
)
def no_wildcards(stack: Stack) -> Iterator[str]:
    """A policy allows no `*`, but for the `:*` at the end of a log group's ARN."""
    for name, properties in stack.of_type(
        "AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"
    ):
        documents = [inline["PolicyDocument"] for inline in properties.get("Policies", [])]
        documents += [properties[key] for key in ("PolicyDocument",) if key in properties]
        for statement in [each for one in documents for each in listed(one["Statement"])]:
            inverted = {"NotAction", "NotResource"} & statement.keys()
            resource = LOG_GROUP_END.sub(r"\1", json.dumps(statement.get("Resource")))
            wild = "*" in json.dumps(statement.get("Action")) or "*" in resource
            if statement["Effect"] == "Allow" and (wild or inverted):
                yield name


@rule(
    reason="nobody sees in infra/ what it allows, and those of AWS allow far more than is needed",
    fix="list the exact actions under `Policies`, or in an AWS::IAM::Policy",
)
def no_managed_policies(stack: Stack) -> Iterator[str]:
    """A role has policies of its own, and no managed ones."""
    for name, role in stack.of_type("AWS::IAM::Role"):
        if role.get("ManagedPolicyArns"):
            yield name
    for name, _ in stack.of_type("AWS::IAM::ManagedPolicy"):
        yield name


@rule(
    reason="who takes a permission back in one place believes that it is gone",
    fix="keep one of the statements, and take the action out of the others",
)
def granted_once(stack: Stack) -> Iterator[str]:
    """A role is allowed an action on a resource by one statement only."""
    found = [(grant.role, grant.action, grant.resource) for grant in stack.grants()]
    for role, action, resource in sorted({each for each in found if found.count(each) > 1}):
        yield f"{role} ({action} on {resource})"


@rule(
    reason="Lambda fetches the messages with the role of the function, and could not",
    fix="allow the role all actions that FETCHES lists in house_rules.py, on the source",
)
def may_fetch(stack: Stack) -> Iterator[str]:
    """The role of a function may fetch what its event source mapping is for."""
    granted = {(grant.role, grant.action, grant.resource) for grant in stack.grants()}
    for role, action, source in sorted(set(stack.fetched()) - granted):
        yield f"{role} ({action} on {source})"


@rule(
    reason="anybody's API or topic could call the function otherwise, also in another account",
    fix="set SourceArn: the one that calls it, with !GetAtt or !Sub",
)
def called_by_one_source(stack: Stack) -> Iterator[str]:
    """A permission to call a function names who may, down to the resource."""
    for name, permission in stack.of_type("AWS::Lambda::Permission"):
        if not permission.get("SourceArn"):
            yield name


@rule(
    reason="logs are kept, and paid for, for ever without it",
    fix="keep logRetentionInDays in serverless.yml, RetentionInDays on your own groups",
)
def log_retention(stack: Stack) -> Iterator[str]:
    """A log group has a retention."""
    for name, group in stack.of_type("AWS::Logs::LogGroup"):
        if not group.get("RetentionInDays"):
            yield name


@rule(
    reason="the gateway gives up first otherwise, and nobody learns how the work ended",
    fix="set `timeout` of the function below 30 seconds",
)
def answers_before_the_gateway_gives_up(stack: Stack) -> Iterator[str]:
    """A function behind an HTTP API ends before the gateway's 30 seconds."""
    for _, integration in stack.of_type("AWS::ApiGatewayV2::Integration"):
        name = stack.named_in(integration.get("IntegrationUri"))
        function = stack.resources.get(name, {}).get("Properties", {})
        if function.get("Timeout", 0) >= GATEWAY_TIMEOUT_SECONDS:
            yield name


@rule(
    reason="a route that everybody may call has to be a decision",
    fix="give the route an authorizer, or add it to PUBLIC_ROUTES in house_rules.py",
)
def authorised_or_public(stack: Stack) -> Iterator[str]:
    """A route has an authorizer, or is listed as public."""
    for name, route in stack.of_type("AWS::ApiGatewayV2::Route"):
        authorised = route.get("AuthorizationType", "NONE") != "NONE"
        if not authorised and route.get("RouteKey") not in PUBLIC_ROUTES:
            yield f"{name} ({route.get('RouteKey')})"


@rule(
    reason="without one, a message that cannot be handled is tried until SQS deletes it",
    fix="add RedrivePolicy with a deadLetterTargetArn and a maxReceiveCount of 5 or more",
)
def dead_letter_queue(stack: Stack) -> Iterator[str]:
    """A queue has a dead-letter queue, and gives each message five tries or more."""
    queues = dict(stack.of_type("AWS::SQS::Queue"))
    policies = {name: queue.get("RedrivePolicy", {}) for name, queue in queues.items()}
    dead = {stack.named_in(policy.get("deadLetterTargetArn")) for policy in policies.values()}
    for name in queues.keys() - dead:
        if policies[name].get("maxReceiveCount", 0) < MIN_RECEIVE_COUNT:
            yield name


@rule(
    reason="a message would be handed out again while it is still being worked on"
    " (AWS Lambda Developer Guide, “Using Lambda with Amazon SQS”)",
    fix="set VisibilityTimeout of the queue to six times the function's timeout, or more",
)
def visibility_timeout(stack: Stack) -> Iterator[str]:
    """A queue hides a message for six times the timeout of the function that gets it."""
    for _, mapping in stack.of_type("AWS::Lambda::EventSourceMapping"):
        name = stack.named_in(mapping.get("EventSourceArn"))
        queue = stack.resources.get(name, {})
        function = stack.resources.get(stack.named_in(mapping.get("FunctionName")), {})
        if queue.get("Type") == "AWS::SQS::Queue":
            visible = queue.get("Properties", {}).get("VisibilityTimeout", 30)
            if visible < 6 * function.get("Properties", {}).get("Timeout", 3):
                yield name


@rule(
    reason="a full queue would take every concurrent execution that the account has"
    " (AWS Lambda Developer Guide, “Configuring scaling behavior for SQS event source mappings”)",
    fix="set maximumConcurrency on the function's sqs event, 2 or more",
)
def limited_concurrency(stack: Stack) -> Iterator[str]:
    """A queue starts a limited number of functions at the same time."""
    queues = dict(stack.of_type("AWS::SQS::Queue"))
    for name, mapping in stack.of_type("AWS::Lambda::EventSourceMapping"):
        limit = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
        if stack.named_in(mapping.get("EventSourceArn")) in queues and not limit:
            yield name


@rule(
    reason="what was deleted or overwritten by mistake is gone without it",
    fix="set PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}",
)
def point_in_time_recovery(stack: Stack) -> Iterator[str]:
    """A table can be restored to any point in time."""
    for name, table in stack.of_type("AWS::DynamoDB::Table"):
        recovery = table.get("PointInTimeRecoverySpecification", {})
        if recovery.get("PointInTimeRecoveryEnabled") is not True:
            yield name


@rule(
    reason="with which key data is encrypted has to be a decision, and no default",
    fix="set SSESpecification: {SSEEnabled: true}, or SqsManagedSseEnabled: true on a queue",
)
def encrypted(stack: Stack) -> Iterator[str]:
    """A table or a queue is encrypted."""
    for name, table in stack.of_type("AWS::DynamoDB::Table"):
        if table.get("SSESpecification", {}).get("SSEEnabled") is not True:
            yield name
    for name, queue in stack.of_type("AWS::SQS::Queue"):
        if queue.get("SqsManagedSseEnabled") is not True and "KmsMasterKeyId" not in queue:
            yield name
