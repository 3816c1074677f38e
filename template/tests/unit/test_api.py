"""The HTTP API, called in this process."""

import logging
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service import api, discovery
from service.pricing import PRICES


@pytest.fixture
def client() -> FlaskClient:
    return api.create_app().test_client()


def problem(response: TestResponse, status: int) -> dict[str, Any]:
    """The problem document of an answer that must be one."""
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    document: dict[str, Any] = response.get_json(force=True)
    assert document["status"] == status
    assert {"type", "title", "detail"} <= document.keys()
    return document


def test_health(client: FlaskClient) -> None:
    response = client.get("/health")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_a_quote(client: FlaskClient) -> None:
    response = client.post("/quotes", json={"item": "scooter", "quantity": 2})
    assert response.status_code == 200
    assert response.json == {
        "item": "scooter",
        "quantity": 2,
        "total": 2 * PRICES["scooter"],
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"item": "boat", "quantity": 1}, "item"),
        ({"item": "car", "quantity": 101}, "quantity"),
        ({"item": "car", "quantity": True}, "quantity"),
        ({"item": "car", "quantity": 1, "colour": "red"}, "colour"),
        (["car", 1], "request"),
        ("car", "request"),
    ],
)
def test_a_request_that_breaks_a_rule(client: FlaskClient, body: object, field: str) -> None:
    assert problem(client.post("/quotes", json=body), 422)["field"] == field


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"quantity": NaN}', b"[" * api.MAX_BODY_BYTES]
)
def test_a_body_that_is_not_json(client: FlaskClient, body: bytes) -> None:
    response = client.post("/quotes", data=body, content_type="application/json")
    assert problem(response, 400)["detail"] == "The body is not valid JSON."


@pytest.mark.parametrize("content_type", [None, "text/plain"])
def test_a_body_of_another_type(client: FlaskClient, content_type: str | None) -> None:
    response = client.post("/quotes", data=b"{}", content_type=content_type)
    problem(response, 415)


def test_a_body_that_is_too_large(client: FlaskClient) -> None:
    body = b" " * (api.MAX_BODY_BYTES + 1)
    problem(client.post("/quotes", data=body, content_type="application/json"), 413)


@pytest.mark.parametrize("path", ["/", "/boats", "/quotes/", "/x//quotes", "/Quotes"])
def test_a_path_that_does_not_exist(client: FlaskClient, path: str) -> None:
    problem(client.get(path), 404)


@pytest.mark.parametrize("method", ["DELETE", "OPTIONS"])
def test_a_method_that_the_path_does_not_have(client: FlaskClient, method: str) -> None:
    response = client.open("/quotes", method=method)
    problem(response, 405)
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize("path", ["/health", "/boats", "/quotes"])
def test_no_answer_is_kept_or_taken_for_something_else(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_an_unexpected_error_is_logged_and_not_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("service.pricing.quote", fail)
    client = api.create_app().test_client()
    with caplog.at_level(logging.ERROR):
        response = client.post("/quotes", json={})
    assert "secret" not in str(problem(response, 500))
    assert response.headers["Cache-Control"] == "no-store"
    assert "RuntimeError: secret" in caplog.text


def test_a_module_without_attach_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes/boats.py").touch()
    monkeypatch.setattr(discovery, "SERVICE", tmp_path)
    monkeypatch.setitem(sys.modules, "service.routes.boats", ModuleType("boats"))
    with pytest.raises(RuntimeError, match=r"service/routes/boats.py must define attach\(app\)"):
        api.create_app()


@pytest.mark.parametrize("name", ["boats.PY", "fast.boats.py", "boats/row.py"])
def test_a_module_that_cannot_be_imported_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    module = tmp_path / "routes" / name
    module.parent.mkdir(parents=True)
    module.touch()
    monkeypatch.setattr(discovery, "SERVICE", tmp_path)
    shown = re.escape(f"service/routes/{name.split('/')[0]} cannot be imported")
    with pytest.raises(RuntimeError, match=shown):
        api.create_app()


def event(path: str, method: str = "GET") -> dict[str, Any]:
    """An event as API Gateway sends it, for the address that AWS gives an API."""
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "host": "a1b2c3.execute-api.eu-central-1.amazonaws.com",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "http": {"method": method, "path": path},
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }


def test_the_handler_answers_an_event_of_the_gateway() -> None:
    answer = api.handler(event("/health"), None)
    assert (answer["statusCode"], answer["body"]) == (200, '{"status":"ok"}\n')


def test_a_problem_is_text_for_the_gateway() -> None:
    answer = api.handler(event("/boats"), None)
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (404, False)
