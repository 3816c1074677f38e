"""Who calls is what the gateway's authorizer says, and nothing else."""

import json
import time
from typing import Any

import pytest

from service import api, aws

LATER = str(int(time.time()) + 600)
PATHS = ["/orders", "/orders/3e9d2a56-0f5a-4ac1-9a31-0c8a3f1b7f11"]


def event(path: str, method: str = "GET", **claims: Any) -> dict[str, Any]:
    """An event as API Gateway sends it, with the claims of a token that it has checked.

    It hands all claims on as text.
    """
    context: dict[str, Any] = {"http": {"method": method, "path": path}, "stage": "$default"}
    if claims:
        context["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "a1b2c3.execute-api.eu-central-1.amazonaws.com"},
        "requestContext": context,
        "isBase64Encoded": False,
    }


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The owners whose orders the table was asked for; it has none."""
    owners: list[str] = []

    class Table:
        def query(self, **query: Any) -> dict[str, Any]:
            owners.append(query["ExpressionAttributeValues"][":owner"]["S"])
            return {"Items": []}

        def get_item(self, **query: Any) -> dict[str, Any]:
            owners.append(query["Key"]["owner"]["S"])
            return {}

    monkeypatch.setattr(aws, "client", lambda _: Table())
    monkeypatch.setenv("ORDERS_TABLE_NAME", "orders")
    return owners


@pytest.mark.parametrize("path", PATHS)
def test_the_caller_is_the_subject_of_the_token(asked: list[str], path: str) -> None:
    assert api.handler(event(path, sub="ann", exp=LATER), None)["statusCode"] in (200, 404)
    assert asked == ["ann"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"exp": LATER},
        {"exp": LATER, "sub": ""},
        {"exp": LATER, "sub": None},
        {"exp": LATER, "sub": "public"},
        {"exp": LATER, "sub": "two\nlines"},
        {"exp": LATER, "sub": "x" * 256},
        {"sub": "ann"},
        {"sub": "ann", "exp": None},
        {"sub": "ann", "exp": ""},
        {"sub": "ann", "exp": "never"},
        {"sub": "ann", "exp": "NaN"},
        {"sub": "ann", "exp": "Infinity"},
        {"sub": "ann", "exp": str(int(time.time()) - 1)},
    ],
)
def test_without_a_user_and_an_end_a_token_opens_nothing(
    asked: list[str], path: str, claims: dict[str, Any]
) -> None:
    answer = api.handler(event(path, **claims), None)
    assert answer["statusCode"] == 401
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert answer["headers"]["WWW-Authenticate"].lower().startswith("bearer")
    assert json.loads(answer["body"])["status"] == 401
    assert asked == []


def test_a_stranger_hears_nothing_else(asked: list[str]) -> None:
    answer = api.handler(event("/orders", "POST"), None)
    assert answer["statusCode"] == 401
    assert asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/orders/",
        "//orders",
        "/Orders",
        "/./orders",
        "/%6frders",
        "/orders;x",
        "/%2forders",
        "/orders%3fx",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_other_way_leads_to_orders(asked: list[str], path: str, method: str) -> None:
    assert api.handler(event(path, method), None)["statusCode"] in (401, 404, 405)
    assert asked == []


def test_what_was_open_stays_open() -> None:
    assert api.handler(event("/health"), None)["statusCode"] == 200
