"""Orders are accepted now, and fulfilled later; nothing is lost."""

import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tools.redrive import redrive
from tools.stack import Stack

Check = Callable[[httpx.Response], httpx.Response]
WaitUntil = Callable[..., None]
ORDER = {"item": "bicycle", "quantity": 3}


def order(customer: httpx.Client, key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return customer.post("/orders", json=ORDER, headers=headers)


def test_an_accepted_order_is_fulfilled(
    customer: httpx.Client,
    keeps_contract: Check,
    fulfilled: Callable[[], list[str]],
    wait_until: WaitUntil,
) -> None:
    response = keeps_contract(order(customer))
    assert response.status_code == 202
    wait_until(lambda: response.json()["id"] in fulfilled())


def test_a_key_makes_one_order_of_many_requests(customer: httpx.Client) -> None:
    key = uuid.uuid4().hex
    with ThreadPoolExecutor() as pool:
        responses = list(pool.map(lambda _: order(customer, key), range(10)))
    assert {response.status_code for response in responses} == {202}
    assert len({response.json()["id"] for response in responses}) == 1


def test_without_a_key_each_request_is_an_order(customer: httpx.Client) -> None:
    assert order(customer).json()["id"] != order(customer).json()["id"]


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "\u00e9"])
def test_a_key_that_is_none_is_a_problem(
    customer: httpx.Client, keeps_contract: Check, key: str
) -> None:
    headers = {b"Idempotency-Key": key.encode()}
    response = keeps_contract(customer.post("/orders", json=ORDER, headers=headers))
    assert response.status_code == 400
    assert "Idempotency-Key" in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b" " * 16_385, "application/json", 413),
        (b"{}", "text/plain", 415),
        (b'{"item": "car", "quantity": true}', "application/json", 422),
        (b'{"item": "car", "quantity": "2"}', "application/json", 422),
        (b'{"item": "car", "quantity": 1, "id": "mine"}', "application/json", 422),
        (b"null", "application/json", 422),
    ],
)
def test_a_bad_order_is_a_problem(
    customer: httpx.Client, keeps_contract: Check, body: bytes, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type}
    response = keeps_contract(customer.post("/orders", content=body, headers=headers))
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_message_that_is_no_order_is_set_aside_and_holds_up_no_other(
    stack: Stack,
    customer: httpx.Client,
    fulfilled: Callable[[], list[str]],
    wait_until: WaitUntil,
) -> None:
    queues, sqs = stack.outputs(), stack.client("sqs")
    poison = f"no order {uuid.uuid4()}"
    sqs.send_message(QueueUrl=queues["OrdersQueueUrl"], MessageBody=poison)
    order_id = order(customer).json()["id"]
    wait_until(lambda: order_id in fulfilled())

    dead = queues["OrdersDeadLetterQueueUrl"]
    wait_until(lambda: take(sqs, dead, poison), patience(sqs, queues["OrdersQueueUrl"]))


def test_what_was_set_aside_can_be_sent_again(
    stack: Stack, fulfilled: Callable[[], list[str]], wait_until: WaitUntil
) -> None:
    order_id = str(uuid.uuid4())
    message = {"v": 1, "id": order_id, "owner": "public", "total": 1, **ORDER}
    message["placed_at"] = "2026-01-01T00:00:00.000000Z"
    dead = stack.outputs()["OrdersDeadLetterQueueUrl"]
    stack.client("sqs").send_message(QueueUrl=dead, MessageBody=json.dumps(message))
    assert redrive(stack) > 0
    wait_until(lambda: order_id in fulfilled())


def patience(sqs: Any, queue: str) -> float:
    """Seconds after which a message that cannot be handled must have been set aside."""
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    tries = json.loads(attributes["RedrivePolicy"])["maxReceiveCount"]
    return int(tries) * int(attributes["VisibilityTimeout"]) + 30


def take(sqs: Any, queue: str, body: str) -> bool:
    """Take the message with this body out of a queue, if it is there."""
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=1)
    for message in found.get("Messages", []):
        if message["Body"] == body:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            return True
    return False
