"""Orders: accepted in this process, read from messages, and fulfilled in batches."""

import json
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from flask import Flask
from flask.testing import FlaskClient

from service import aws, http, orders, worker
from service.pricing import PRICES
from service.routes import orders as routes

REQUEST = {"item": "scooter", "quantity": 2}
ORDER = orders.place(REQUEST, "public", None)

# One for all tests: making it takes a quarter of a second.
CLIENT = boto3.Session("no key", "no secret", region_name="eu-west-1").client("sqs")


def test_an_order_has_the_price_of_now() -> None:
    assert ORDER["total"] == 2 * PRICES["scooter"]
    assert uuid.UUID(ORDER["id"]).version == 4


def test_owner_and_key_together_make_the_id() -> None:
    one = orders.place(REQUEST, "ann", "key")
    assert uuid.UUID(one["id"]).version == 5
    assert orders.place({"item": "car", "quantity": 1}, "ann", "key")["id"] == one["id"]
    assert orders.place(REQUEST, "ben", "key")["id"] != one["id"]
    assert orders.place(REQUEST, "ann", "kez")["id"] != one["id"]
    # Part of the contract: an id must come out the same after every deployment.
    assert one["id"] == "97f2c6fc-77ba-5f52-bee8-8c31b781278e"


def test_what_is_written_is_read() -> None:
    assert orders.read(json.dumps(ORDER)) == ORDER


def test_a_field_of_a_later_deployment_is_passed_over() -> None:
    assert orders.read(json.dumps(ORDER | {"colour": "red"})) == ORDER


POISON = [
    "",
    "no order",
    "[" * 100_000,
    "null",
    "[]",
    json.dumps({"v": 1}),
    *(
        json.dumps(ORDER | wrong)
        for wrong in (
            {"v": 2},
            {"v": "1"},
            {"v": True},
            {"id": "1"},
            {"owner": ""},
            {"item": None},
            {"quantity": 0},
            {"quantity": 1.5},
            {"total": "1"},
            {"placed_at": "yesterday"},
        )
    ),
]


@pytest.mark.parametrize("message", POISON)
def test_a_message_that_is_no_order(message: str) -> None:
    with pytest.raises(orders.InvalidMessage):
        orders.read(message)


@pytest.fixture
def client() -> FlaskClient:
    """A client of an application that has these routes and no others."""
    app = Flask("orders")
    http.answer_with_problems(app)
    routes.attach(app)
    return app.test_client()


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """A client of SQS that is told what to answer, and checks what it is asked."""
    monkeypatch.setattr(aws, "client", {"sqs": CLIENT}.__getitem__)
    monkeypatch.setenv("ORDERS_QUEUE_URL", "https://queue.example")
    with Stubber(CLIENT) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_an_accepted_order_is_in_the_queue(client: FlaskClient, sqs: Stubber) -> None:
    message = {"QueueUrl": "https://queue.example", "MessageBody": ANY}
    sqs.add_response("send_message", {"MessageId": "1"}, message)
    response = client.post("/orders", json=REQUEST)
    assert response.status_code == 202
    assert response.json is not None
    assert response.json.keys() == {"id"}


def test_an_order_that_the_queue_does_not_take(
    client: FlaskClient, sqs: Stubber, caplog: pytest.LogCaptureFixture
) -> None:
    sqs.add_client_error("send_message", "OverLimit", "secret")
    response = client.post("/orders", json=REQUEST)
    assert (response.status_code, response.content_type) == (503, "application/problem+json")
    assert "secret" not in response.text
    assert "Order not accepted" in caplog.text


@pytest.mark.usefixtures("sqs")
@pytest.mark.parametrize("body", [{"item": "boat", "quantity": 1}, {}, [], "order"])
def test_a_bad_order_is_not_sent(client: FlaskClient, body: object) -> None:
    assert client.post("/orders", json=body).status_code == 422


@pytest.mark.usefixtures("sqs")
@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "é"])
def test_a_bad_key_is_refused(client: FlaskClient, key: str) -> None:
    response = client.post("/orders", json=REQUEST, headers={"Idempotency-Key": key})
    assert response.status_code == 400


CONTEXT: Any = SimpleNamespace(
    function_name="worker",
    memory_limit_in_mb=256,
    invoked_function_arn="arn",
    aws_request_id="request-1",
    get_remaining_time_in_millis=lambda: 1000,
)


def batch(*messages: str) -> dict[str, Any]:
    """An event as Lambda makes it of messages; their ids are 0, 1, ..."""
    return {
        "Records": [
            {"messageId": str(number), "body": message, "eventSource": "aws:sqs"}
            for number, message in enumerate(messages)
        ]
    }


def failed(event: dict[str, Any]) -> list[Any]:
    answer = worker.handler(event, CONTEXT)
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[worker.Step]:
    """What the worker does with each order: nothing, unless a test adds to it."""
    steps: list[worker.Step] = []
    monkeypatch.setattr(worker, "STEPS", steps)
    return steps


@pytest.mark.usefixtures("steps")
def test_only_what_fails_goes_back_to_the_queue(caplog: pytest.LogCaptureFixture) -> None:
    good = json.dumps(ORDER)
    assert failed(batch(good, "poison 4711", good)) == ["1"]
    write = worker.logger.registered_formatter.format
    lines = [json.loads(write(record)) for record in caplog.records]
    assert [(line["message"], line.get("order_id")) for line in lines] == [
        ("Order fulfilled", ORDER["id"]),
        ("Order not fulfilled", None),
        ("Order fulfilled", ORDER["id"]),
    ]
    assert {line["function_request_id"] for line in lines} == {"request-1"}
    assert "4711" not in str(lines)


def test_a_batch_may_fail_altogether() -> None:
    assert failed(batch(*POISON)) == [str(number) for number in range(len(POISON))]


def test_what_there_is_no_time_for_goes_back_to_the_queue(
    steps: list[worker.Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [1000]  # milliseconds
    monkeypatch.setattr(CONTEXT, "get_remaining_time_in_millis", lambda: left[0])

    def take_a_while(_: orders.Order) -> None:
        left[0] -= 300

    steps.append(take_a_while)
    assert failed(batch(*[json.dumps(ORDER)] * 4)) == ["2", "3"]
    assert left == [400]


def test_each_step_gets_the_order_and_its_error_is_reported(steps: list[worker.Step]) -> None:
    done: list[orders.Order] = []

    def fail(_: orders.Order) -> None:
        raise RuntimeError

    steps += [done.append, fail]
    assert failed(batch(json.dumps(ORDER))) == ["0"]
    assert done == [ORDER]
