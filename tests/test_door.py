"""Nobody gets at orders without a right to, whatever they send; and nothing is told or lost."""

import http.client
import itertools
import json
import re
import urllib.parse
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from demo.snapshot import environment
from demo.up import up
from tests import provider
from tests.attacks import ATTACKS, PATHS, SAMPLE, Header, Keys, Try
from tests.conftest import STAGES, Render, check_nothing_left_behind
from tests.provider import AUDIENCE, SCOPE
from tests.published import Publish
from tests.service import PASSWORD, PATIENCE, Service, count, wait_until

pytestmark = [pytest.mark.deploy, pytest.mark.xdist_group("door")]

ORDER = {"item": "car", "quantity": 1}
QUEUES = ("OrdersQueueUrl", "OrdersDeadLetterQueueUrl")
FUNCTIONS = ("api", "worker", "quote")

# What no answer may tell: the code, where it lies, and whose account it runs in.
INSIDE = re.compile(
    r"traceback|/var/task|\.py\b|file \"|botocore|werkzeug|arn:|000000000000|exception|errortype",
    re.IGNORECASE,
)


class Answer(NamedTuple):
    """An answer, as it came."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def of_the_service(self) -> bool:
        """Whether the service itself has answered: errors of the gateway are no problems."""
        problem = self.headers["Content-Type"] == "application/problem+json"
        return problem or self.status in (200, 202)


class Door:
    """A deployed car, whose tokens come from a provider of the tests' own."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.address = urllib.parse.urlsplit(service.url)
        self.functions = service.client("lambda")
        self.queues = service.client("sqs")
        self.answers: list[Answer] = []
        self.sent: set[str] = set()  # whatever was sent that could be a secret
        self.keys: Keys
        self.order_id = ""  # an order of ann, which is there

    def ask(
        self, method: str, path: str, *headers: Header, body: object = None, query: str = ""
    ) -> Answer:
        """Send a request to the letter: nothing tidies up the path, and headers may be any bytes.

        Each has a secret in a header and one in the query.
        """
        secret = f"secret-{uuid.uuid4()}"
        query = "&".join(filter(None, [query, f"secret={secret}"]))
        content = None if body is None else json.dumps(body)
        # Before it is looked at: neither gateway nor service know more of a connection that ends.
        connection = http.client.HTTPConnection(self.address.netloc, timeout=60)
        try:
            connection.putrequest(method, f"{self.address.path}{path}?{query}")
            connection.putheader("X-Secret", secret)
            for name, value in headers:
                connection.putheader(name, value)
                self.sent.add(value if isinstance(value, str) else value.decode("latin-1"))
            if content is not None:
                connection.putheader("Content-Type", "application/json")
                connection.putheader("Content-Length", str(len(content)))
                self.sent.add(content)
            self.sent |= {secret, *query.split("&")}
            connection.endheaders(content.encode() if content else None)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()
        self.answers.append(answer)
        return answer

    def routes(self) -> list[tuple[str, str, object]]:
        """The routes that need a token: method, path, body."""
        return [
            ("POST", "/orders", ORDER),
            ("GET", "/orders", None),
            ("GET", f"/orders/{self.order_id}", None),
        ]

    def knock(self, tries: Sequence[Try], statuses: set[int]) -> int:
        """Try each on every route, give how many requests that were, and fail if any gets in."""
        wrong = []
        for each, (method, path, body) in itertools.product(tries, self.routes()):
            answer = self.ask(method, path, *each.headers, body=body, query=each.query)
            failed = answer.status >= 500 and answer.of_the_service
            if answer.status not in statuses or failed:
                wrong.append((method, path, str(each)[:600], answer.status, answer.text))
        assert wrong == []
        return len(tries) * len(self.routes())

    def hand(self, path: str, method: str, **context: object) -> dict[str, Any]:
        """Give an event straight to the function, as if the gateway had sent it; the answer."""
        event = {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {"host": "a1b2c3.execute-api.eu-central-1.amazonaws.com"},
            "requestContext": {"http": {"method": method, "path": path}, **context},
            "isBase64Encoded": False,
        }
        if method == "POST":
            event["headers"] |= {"content-type": "application/json"}  # type: ignore[operator]
            event["body"] = json.dumps(ORDER)
        answer = self.functions.invoke(FunctionName="vehicles-local-api", Payload=json.dumps(event))
        found: dict[str, Any] = json.load(answer["Payload"])
        return found

    def data(self) -> tuple[list[dict[str, Any]], list[int]]:
        """All rows, and how many messages each queue has."""
        value = self.service.running.value
        counts = [count(self.queues, value(queue)) for queue in QUEUES]
        return sorted(self.service.rows(), key=lambda row: str(row["id"])), counts

    def bearer(self, **change: Any) -> Header:
        """The header of somebody whom the provider has given a token."""
        return ("Authorization", f"Bearer {self.keys.provider.token(**change)}")

    def order(self, *headers: Header) -> str:
        """Order, wait until it is there, and give its id."""
        answer = self.ask("POST", "/orders", *headers, body=ORDER)
        assert answer.status == 202, answer
        order_id: str = json.loads(answer.text)["id"]
        path = f"/orders/{order_id}"
        wait_until(lambda: self.ask("GET", path, *headers).status == 200, PATIENCE)
        return order_id


def pool_token(service: Service, pool: str, client: str, kind: str = "AccessToken") -> str:
    """A token that a user pool gives to a new user."""
    cognito, email = service.client("cognito-idp"), f"{uuid.uuid4().hex}@example.com"
    cognito.admin_create_user(UserPoolId=pool, Username=email, MessageAction="SUPPRESS")
    cognito.admin_set_user_password(
        UserPoolId=pool, Username=email, Password=PASSWORD, Permanent=True
    )
    answer = cognito.admin_initiate_auth(
        UserPoolId=pool,
        ClientId=client,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": email, "PASSWORD": PASSWORD},
    )
    token: str = answer["AuthenticationResult"][kind]
    return token


@pytest.fixture(scope="module")
def car(render: Render, temporary: Path) -> Iterator[Door]:
    """The car as it comes: its tokens are those of its user pool."""
    project = render(STAGES[-1])
    with up(project.folder, environment()) as started:
        started.wait_until_ready()
        yield Door(Service(project, started))
    check_nothing_left_behind(temporary)


@pytest.fixture(scope="module")
def door(car: Door) -> Iterator[Door]:
    """The car, deployed once more with another provider, and an order of ann."""
    service = car.service
    pool = pool_token(
        service, *(service.running.value(f"UserPool{name}") for name in ("Id", "ClientId"))
    )
    with provider.running() as ours, provider.running() as elsewhere:
        given = {"issuer": ours.issuer, "audience": AUDIENCE, "scopes": SCOPE}
        parameters = [f"--param={name}={value}" for name, value in given.items()]
        service.project.tox("-e", "deploy", "--", "--stage", "local", *parameters)
        car.keys = Keys(ours, elsewhere, pool)
        car.order_id = car.order(car.bearer())
        yield car


# --- The user pool's own tokens. These come first: later the car has another provider.


@pytest.mark.full
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("id token of the user pool", 403),
        ("token for another client of the pool", 401),
        ("token of another pool", 401),
    ],
)
def test_no_other_token_of_cognito_opens_anything(
    car: Door, publish: Publish, kind: str, status: int
) -> None:
    cognito, value = car.service.client("cognito-idp"), car.service.running.value
    pool, client = value("UserPoolId"), value("UserPoolClientId")
    if "another pool" in kind:
        pool = cognito.create_user_pool(PoolName="other")["UserPool"]["Id"]
    if "another" in kind:
        made = cognito.create_user_pool_client(
            UserPoolId=pool,
            ClientName="other",
            ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"],
        )
        client = made["UserPoolClient"]["ClientId"]
    car.order_id = str(uuid.uuid4())
    before = car.data()
    token = pool_token(
        car.service, pool, client, "IdToken" if "id token" in kind else "AccessToken"
    )
    number = car.knock([Try([("Authorization", f"Bearer {token}")])], {status})
    assert car.data() == before
    publish("proofs.md", "attacks", kind, str(number), str(status), "0")


# --- Tokens and headers


@pytest.mark.full
@pytest.mark.parametrize("kind", ATTACKS)
def test_nobody_gets_in_with(door: Door, publish: Publish, kind: str) -> None:
    attack = ATTACKS[kind]
    before = door.data()
    number = door.knock(attack.tries(door.keys), attack.statuses)
    assert door.data() == before
    assert door.keys.elsewhere.asked == []  # no key was fetched from where an attacker says
    expected = ", ".join(map(str, sorted(attack.statuses)))
    publish("proofs.md", "attacks", kind, str(number), expected, "0")


def test_a_sample_of_attackers_stays_outside(door: Door) -> None:
    before = door.data()
    for kind in SAMPLE:
        door.knock(ATTACKS[kind].tries(door.keys), ATTACKS[kind].statuses)
    assert door.data() == before
    assert door.keys.elsewhere.asked == []


@pytest.mark.full
def test_a_good_token_opens_however_its_header_is_written(door: Door) -> None:
    """AWS documents it: the scheme is not case-sensitive, and may be left out."""
    good = door.keys.provider.token()
    for value in (f"Bearer {good}", f"bearer {good}", f"BEARER {good}", good):
        for name in ("Authorization", "authorization"):
            answer = door.ask("GET", f"/orders/{door.order_id}", (name, value))
            assert answer.status == 200


@pytest.mark.full
def test_with_two_tokens_nobody_is_a_third_one(door: Door) -> None:
    """AWS makes one header of two, and refuses it; the emulator takes one of them."""
    ann, ben = door.bearer(), door.bearer(sub="ben")
    for headers in ((ann, ben), (ben, ann)):
        answer = door.ask("GET", f"/orders/{door.order_id}", *headers)
        assert answer.status in (200, 401, 404)


# --- Paths


@pytest.mark.full
def test_no_other_path_leads_to_orders(door: Door, publish: Publish) -> None:
    before = door.data()
    tokens: list[list[Header]] = [[], [("Authorization", "Bearer x.y.z")], [door.bearer(exp=1)]]
    wrong = []
    for path, method, headers in itertools.product(PATHS, ("GET", "POST"), tokens):
        body = ORDER if method == "POST" else None
        answer = door.ask(method, path, *headers, body=body)
        # 400: a server may find that this is no path.
        if answer.status not in (400, 401, 404, 405):
            wrong.append((method, path, answer))
    assert wrong == []
    assert door.data() == before
    number = len(PATHS) * 2 * len(tokens)
    publish("proofs.md", "attacks", "path written otherwise", str(number), "401, 404, 405", "0")


CONTEXTS: list[dict[str, object]] = [
    {},
    {"authorizer": {}},
    {"authorizer": {"jwt": {}}},
    {"authorizer": {"jwt": {"claims": {}}}},
    {"authorizer": {"jwt": {"claims": {"sub": "ann"}}}},
    {"authorizer": {"jwt": {"claims": {"sub": "ann", "exp": "1"}}}},
    {"authorizer": {"lambda": {"sub": "ann", "exp": "9999999999"}}},
    {"authorizer": {"iam": {"userId": "ann"}}},
    {"authorizer": {"claims": {"sub": "ann", "exp": "9999999999"}}},
    {"authorizer": {"principalId": "ann"}},
    {"identity": {"cognitoIdentityId": "ann"}},
]


@pytest.mark.full
@pytest.mark.parametrize("paths", [["/orders", "/orders/ID"], PATHS], ids=["plain", "other"])
def test_an_event_without_checked_claims_opens_nothing(
    door: Door, publish: Publish, paths: list[str]
) -> None:
    before = door.data()
    wrong, number = [], 0
    for path, method, context in itertools.product(paths, ("GET", "POST"), CONTEXTS):
        answer = door.hand(path.replace("ID", door.order_id), method, **context)
        number += 1
        if answer.get("statusCode") not in (401, 404, 405):
            wrong.append((method, path, context, answer))
    assert wrong == []
    assert door.data() == before
    kind = "event for the function, " + ("other path" if paths is PATHS else "no checked claims")
    publish("proofs.md", "attacks", kind, str(number), "401, 404, 405", "0")


# --- What is another user's


@pytest.mark.full
def test_what_is_another_users_stays_theirs(door: Door, publish: Publish) -> None:
    ann, ben = door.bearer(), door.bearer(sub="ben")
    key = f"key-of-ann-{uuid.uuid4()}"
    order_id = door.order(ann, ("Idempotency-Key", key))
    page = json.loads(door.ask("GET", "/orders", ann, query="limit=1").text)
    before = door.data()

    for other in (ben, door.bearer(sub="ANN"), door.bearer(sub="ann "), door.bearer(sub="an")):
        assert door.ask("GET", f"/orders/{order_id}", other).status == 404
        assert door.ask("GET", "/orders", other, query=f"next={page['next']}").status == 400
        assert json.loads(door.ask("GET", "/orders", other).text) == {"orders": []}
    assert door.data() == before
    publish("proofs.md", "attacks", "another user's order", "4", "404", "0")
    publish("proofs.md", "attacks", "another user's page token", "4", "400", "0")

    # Ben may have a key of the same name: it makes an order of his own.
    assert door.order(ben, ("Idempotency-Key", key)) != order_id
    rows = {row["id"]: row["owner"] for row in door.service.rows()}
    assert rows[order_id] == "ann"
    publish(
        "proofs.md", "attacks", "another user's idempotency key", "1", "202, another order", "0"
    )


# --- What is told: this comes last, as it breaks what runs


@pytest.mark.parametrize("after", ["a sample", pytest.param("all of it", marks=pytest.mark.full)])
def test_neither_logs_nor_answers_tell_anything(door: Door, after: str) -> None:
    """Also when the table and the queue are gone, and a message or a row is not what it was."""
    assert door.answers, after
    service, ann = door.service, door.bearer(email=f"secret-{uuid.uuid4()}@example.com")
    sqs, dynamodb, value = service.client("sqs"), service.client("dynamodb"), service.running.value
    door.order(ann, ("Idempotency-Key", f"secret-{uuid.uuid4()}"))
    for body in ({"item": f"secret-{uuid.uuid4()}", "quantity": 1}, {f"secret-{uuid.uuid4()}": 1}):
        assert door.ask("POST", "/orders", ann, body=body).status == 422
        assert door.ask("POST", "/quotes", body=body).status == 422

    poison = [f"secret-{uuid.uuid4()}", json.dumps({"v": 1, "id": f"secret-{uuid.uuid4()}"})]
    for message in poison:
        sqs.send_message(QueueUrl=value("OrdersQueueUrl"), MessageBody=message)
    door.sent |= set(poison)
    wait_until(lambda: refused(service) >= len(poison), PATIENCE)

    # A row as the service never writes one: an error that nobody has thought of.
    name = value("OrdersTableName")
    key = {
        "owner": {"S": "ann"},
        "placed_at#id": {"S": "9999"},
        "id": {"S": f"secret-{uuid.uuid4()}"},
    }
    dynamodb.put_item(TableName=name, Item=key)
    door.sent.add(key["id"]["S"])
    assert door.ask("GET", "/orders", ann).status == 500

    dynamodb.delete_table(TableName=name)
    fresh = ("Idempotency-Key", f"secret-{uuid.uuid4()}")
    assert door.ask("GET", "/orders", ann).status == 503
    assert door.ask("GET", f"/orders/{door.order_id}", ann).status == 503
    assert door.ask("POST", "/orders", ann, fresh, body=ORDER).status == 503
    sqs.delete_queue(QueueUrl=value("OrdersQueueUrl"))
    assert door.ask("POST", "/orders", ann, body=ORDER).status == 503

    for answer in door.answers:
        assert not INSIDE.search(answer.text), answer.text
        assert not INSIDE.search(str(answer.headers)), str(answer.headers)
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]
        if answer.of_the_service:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
    lines = log_lines(service)
    assert [line for line in lines if "Traceback" in line]  # errors are logged, and whole
    assert list(leaks(lines, door.sent)) == []


def refused(service: Service) -> int:
    """How often the worker has refused a message."""
    return sum(line["message"] == "Order not fulfilled" for line in service.log("worker"))


def log_lines(service: Service) -> list[str]:
    """Every line of every function's log, those of Lambda itself included."""
    pages = service.client("logs").get_paginator("filter_log_events")
    groups = [f"/aws/lambda/vehicles-local-{function}" for function in FUNCTIONS]
    logs = service.client("logs").describe_log_groups()["logGroups"]
    there = {group["logGroupName"] for group in logs}
    return [
        event["message"]
        for group in groups
        if group in there
        for page in pages.paginate(logGroupName=group)
        for event in page["events"]
    ]


def leaks(lines: list[str], sent: set[str]) -> Iterator[tuple[str, str]]:
    """The lines that tell what was sent, or part of it."""
    # Parts of tokens, of headers and of bodies; what is short may stand anywhere.
    parts = {part for each in sent for part in re.split(r"[\s.,;=\"]+", each)}
    secrets = {part for part in parts | sent if len(part) >= 20}
    text = "\n".join(lines)
    for secret in secrets:
        if secret in text:
            yield secret, next((line for line in lines if secret in line), "")
    for line in lines:
        if re.search(r"authorization|bearer", line, re.IGNORECASE):
            yield "authorization", line


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Order accepted", False),
        ("order of eyJhbGciOiJSUzI1NiIsImtpZCI6Im9uZSJ9", True),
        ('{"item": "secret-0123456789012"}', True),
        ("Authorization: ...", True),
    ],
)
def test_a_leak_would_be_found(line: str, found: bool) -> None:
    sent = {"Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6Im9uZSJ9.x.y", '{"item": "secret-0123456789012"}'}
    assert bool(list(leaks([line], sent))) == found
