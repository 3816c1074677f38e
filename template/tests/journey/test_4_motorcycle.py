"""What was accepted can be read back."""

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

Check = Callable[[httpx.Response], httpx.Response]
WaitUntil = Callable[..., None]
ORDER = {"item": "motorcycle", "quantity": 1}


def place(customer: httpx.Client, key: str | None = None, **change: object) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return customer.post("/orders", json=ORDER | change, headers=headers)


def pages(customer: httpx.Client, limit: int) -> Iterator[list[Any]]:
    """The caller's list, page by page."""
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = customer.get("/orders", params=query).json()
        yield page["orders"]
        if "next" not in page:
            return
        query["next"] = page["next"]


def listed(customer: httpx.Client, wanted: set[str]) -> list[str]:
    """The ids of the list, from the newest on, until all that are wanted have been seen."""
    seen: list[str] = []
    for page in pages(customer, limit=100):
        seen += [order["id"] for order in page]
        if wanted <= set(seen):
            break
    return seen


def test_an_accepted_order_can_be_read_where_it_says(
    customer: httpx.Client, keeps_contract: Check, wait_until: WaitUntil
) -> None:
    accepted = keeps_contract(place(customer))
    location = accepted.headers["Location"]
    assert location == f"/orders/{accepted.json()['id']}"
    wait_until(lambda: keeps_contract(customer.get(location)).status_code == 200)
    order = customer.get(location).json()
    assert order.pop("total") > 0
    assert order == {"id": accepted.json()["id"], "status": "fulfilled", **ORDER}


@pytest.mark.parametrize("order_id", [str(uuid.uuid4()), "1", "%00", "x" * 300])
def test_an_order_that_does_not_exist_is_a_problem(customer: httpx.Client, order_id: str) -> None:
    response = customer.get(f"/orders/{order_id}")
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


def test_the_list_has_each_order_once_newest_first(
    customer: httpx.Client, keeps_contract: Check, wait_until: WaitUntil
) -> None:
    placed = [place(customer).json()["id"] for _ in range(5)]
    wait_until(lambda: set(placed) <= set(listed(customer, set(placed))))

    first = keeps_contract(customer.get("/orders", params={"limit": 2})).json()
    assert len(first["orders"]) == 2
    assert "next" in first
    found = []
    for page in pages(customer, limit=2):
        assert len(page) <= 2
        found += [order["id"] for order in page if order["id"] in placed]
        if len(found) >= len(placed):
            break
    assert found == placed[::-1]


def test_a_message_that_is_delivered_twice_makes_one_order(
    customer: httpx.Client,
    fulfilled: Callable[[], list[str]],
    wait_until: WaitUntil,
) -> None:
    key = uuid.uuid4().hex
    with ThreadPoolExecutor() as pool:
        responses = list(pool.map(lambda _: place(customer, key), range(10)))
    assert {response.status_code for response in responses} == {202}
    [order_id] = {response.json()["id"] for response in responses}
    wait_until(lambda: fulfilled().count(order_id) > 1)
    wait_until(lambda: listed(customer, {order_id}).count(order_id) == 1)


def test_a_key_of_another_order_is_refused(
    customer: httpx.Client, keeps_contract: Check, wait_until: WaitUntil
) -> None:
    key = uuid.uuid4().hex
    location = place(customer, key).headers["Location"]
    wait_until(lambda: customer.get(location).status_code == 200)

    other = keeps_contract(place(customer, key, quantity=2))
    assert other.status_code == 422
    assert other.json()["field"] == "Idempotency-Key"
    assert customer.get(location).json()["quantity"] == 1
    assert keeps_contract(place(customer, key)).headers["Location"] == location


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "two", "", "1,2"])
def test_a_limit_out_of_range_is_a_problem(
    customer: httpx.Client, keeps_contract: Check, limit: str
) -> None:
    response = keeps_contract(customer.get("/orders", params={"limit": limit}))
    assert response.status_code == 422
    assert response.json()["field"] == "limit"


def token(*content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "next_",
    [
        "",
        "no token",
        "W10",
        token(1),
        token(1, "somebody else", "2026-01-01T00:00:00.000000Z", str(uuid.uuid4())),
        token(0, "public", "2026-01-01T00:00:00.000000Z", str(uuid.uuid4())),
        token(1, "public", "yesterday", str(uuid.uuid4())),
    ],
)
def test_a_page_token_that_is_none_is_a_problem(
    customer: httpx.Client, keeps_contract: Check, next_: str
) -> None:
    response = keeps_contract(customer.get("/orders", params={"next": next_}))
    assert response.status_code == 400
