"""Orders: stored, found and listed, with a table that is told what to answer."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from flask import Flask
from flask.testing import FlaskClient

from service import aws, http, orders
from service.fulfilment.table import fulfil
from service.routes import order_reads
from service.routes import orders as order_routes

REQUEST = {"item": "motorcycle", "quantity": 2}
ORDER = orders.place(REQUEST, "public", None)
ITEM = {
    "owner": {"S": "public"},
    "id": {"S": ORDER["id"]},
    "placed_at#id": {"S": f"{ORDER['placed_at']}#{ORDER['id']}"},
    "placed_at": {"S": ORDER["placed_at"]},
    "item": {"S": "motorcycle"},
    "quantity": {"N": "2"},
    "total": {"N": str(ORDER["total"])},
    "status": {"S": "fulfilled"},
}
SHOWN = {"id": ORDER["id"], "total": ORDER["total"], "status": "fulfilled", **REQUEST}

# One for all tests: making it takes a quarter of a second.
CLIENT = boto3.Session("no key", "no secret", region_name="eu-west-1").client("dynamodb")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """A client of DynamoDB that is told what to answer, and checks what it is asked."""
    monkeypatch.setattr(aws, "client", {"dynamodb": CLIENT}.__getitem__)
    monkeypatch.setenv("ORDERS_TABLE_NAME", "orders")
    with Stubber(CLIENT) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def client() -> FlaskClient:
    """A client of an application that has the routes of orders and no others."""
    app = Flask("orders")
    http.answer_with_problems(app)
    order_reads.attach(app)
    order_routes.attach(app)
    return app.test_client()


def answer_find(table: Stubber, item: dict[str, Any] | None, order_id: str = ORDER["id"]) -> None:
    answer = {"Item": item} if item else {}
    key = {"owner": ITEM["owner"], "id": {"S": order_id}}
    asked = {"TableName": "orders", "Key": key, "ConsistentRead": True}
    table.add_response("get_item", answer, asked)


def answer_page(table: Stubber, *items: dict[str, Any], **asked: object) -> None:
    expected = {
        "TableName": "orders",
        "IndexName": "ByPlacedAt",
        "KeyConditionExpression": "#owner = :owner",
        "ExpressionAttributeNames": {"#owner": "owner"},
        "ExpressionAttributeValues": {":owner": {"S": "public"}},
        "ScanIndexForward": False,
        **asked,
    }
    table.add_response("query", {"Items": list(items)}, expected)


def test_to_fulfil_an_order_is_to_store_it(table: Stubber) -> None:
    unless_there = "attribute_not_exists(id)"
    asked = {"Item": ITEM, "TableName": "orders", "ConditionExpression": unless_there}
    table.add_response("put_item", {}, asked)
    fulfil(ORDER)


def test_what_is_stored_already_stays_as_it_is(table: Stubber) -> None:
    table.add_client_error("put_item", "ConditionalCheckFailedException")
    fulfil(ORDER)


def test_an_order_that_cannot_be_stored_is_an_error(table: Stubber) -> None:
    table.add_client_error("put_item", "ProvisionedThroughputExceededException")
    with pytest.raises(aws.ERRORS):
        fulfil(ORDER)


def test_an_order_is_found(client: FlaskClient, table: Stubber) -> None:
    answer_find(table, ITEM)
    response = client.get(f"/orders/{ORDER['id']}")
    assert (response.status_code, response.json) == (200, SHOWN)


def test_an_order_is_not_found(client: FlaskClient, table: Stubber) -> None:
    answer_find(table, None)
    assert client.get(f"/orders/{ORDER['id']}").status_code == 404
    assert client.get("/orders/1").status_code == 404


def test_a_page_says_where_to_go_on(client: FlaskClient, table: Stubber) -> None:
    answer_page(table, ITEM, ITEM, Limit=2)
    first = client.get("/orders?limit=1").json
    assert first is not None
    assert first["orders"] == [SHOWN]

    start = {name: ITEM[name] for name in ("owner", "id", "placed_at#id")}
    answer_page(table, ITEM, Limit=2, ExclusiveStartKey=start)
    last = client.get(f"/orders?limit=1&next={first['next']}").json
    assert last == {"orders": [SHOWN]}


def test_an_empty_list(client: FlaskClient, table: Stubber) -> None:
    answer_page(table, Limit=21)
    assert client.get("/orders").json == {"orders": []}


@pytest.mark.parametrize("path", ["/orders", f"/orders/{ORDER['id']}"])
def test_a_table_that_does_not_answer(client: FlaskClient, table: Stubber, path: str) -> None:
    for operation in ("query", "get_item"):
        if (operation == "query") == (path == "/orders"):
            table.add_client_error(operation, "InternalServerError", "secret")
    response = client.get(path)
    assert (response.status_code, response.content_type) == (503, "application/problem+json")
    assert "secret" not in response.text


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("token", ["", "x", "W10", "WzFd", "AAAA", "bnVsbA", "é"])
def test_a_page_token_that_is_none(client: FlaskClient, token: str) -> None:
    assert client.get("/orders", query_string={"next": token}).status_code == 400


@pytest.mark.parametrize("other", [{"quantity": 1}, {"quantity": 3}, {"item": "car"}])
def test_a_key_of_another_order_is_refused(
    client: FlaskClient, table: Stubber, other: dict[str, Any]
) -> None:
    order_id = orders.place(REQUEST, "public", "key")["id"]
    answer_find(table, ITEM | {"id": {"S": order_id}}, order_id)
    headers = {"Idempotency-Key": "key"}
    response = client.post("/orders", json=REQUEST | other, headers=headers)
    assert response.status_code == 422
    assert json.loads(response.text)["field"] == "Idempotency-Key"
