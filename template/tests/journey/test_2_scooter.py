"""An HTTP API that answers at once."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import one_of
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from tools.openapi import contract
from tools.stack import Stack

Check = Callable[[httpx.Response], httpx.Response]

# One that cannot be read has no ok(), and stops the tests.
OPERATIONS = [
    found.ok()  # type: ignore[union-attr]
    for found in schemathesis.openapi.from_dict(contract()).get_all_operations()
]


def test_the_service_is_up(api: httpx.Client, keeps_contract: Check) -> None:
    response = keeps_contract(api.get("/health"))
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_a_quote_over_http(api: httpx.Client, keeps_contract: Check) -> None:
    body = {"item": "scooter", "quantity": 2}
    response = keeps_contract(api.post("/quotes", json=body))
    assert response.status_code == 200
    quote = response.json()
    assert (quote["item"], quote["quantity"]) == ("scooter", 2)


def test_both_ways_in_give_the_same_price(api: httpx.Client, stack: Stack) -> None:
    body = {"item": "bicycle", "quantity": 7}
    assert api.post("/quotes", json=body).json() == stack.invoke("quote", body)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b" " * 16_385, "application/json", 413),
        (b"{}", "text/plain", 415),
        (b'{"item": "boat", "quantity": 1}', "application/json", 422),
        (b'{"item": "car", "quantity": 101}', "application/json", 422),
        (b'{"item": "car", "quantity": 1, "colour": 1}', "application/json", 422),
        (b"[]", "application/json", 422),
    ],
)
def test_a_bad_request_is_a_problem(
    api: httpx.Client,
    keeps_contract: Check,
    body: bytes,
    content_type: str,
    status: int,
) -> None:
    headers = {"Content-Type": content_type}
    response = keeps_contract(api.post("/quotes", content=body, headers=headers))
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/boats", 404), ("GET", "/quotes/", 404), ("DELETE", "/quotes", 405)],
)
def test_what_does_not_exist_is_a_problem(
    api: httpx.Client, method: str, path: str, status: int
) -> None:
    response = api.request(method, path)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == status


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_whatever_is_sent_the_contract_is_kept(
    customer: httpx.Client, operation: APIOperation[Any, Any, Any, Any]
) -> None:
    session = requests.Session()
    session.trust_env = False
    good_and_bad = one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))

    @settings(
        max_examples=8,
        deadline=None,
        derandomize=True,  # the same requests each time
        suppress_health_check=list(HealthCheck),
    )
    @given(good_and_bad)
    def send(case: Case[Any]) -> None:
        case.call_and_validate(
            base_url=str(customer.base_url),
            headers=dict(customer.headers),
            session=session,
            timeout=30,
            # What is written well may still be refused for what it means; and this client
            # sends all of its headers each time, also where a check wants to leave some out.
            excluded_checks=[positive_data_acceptance, ignored_auth],
        )

    with session:
        send()
