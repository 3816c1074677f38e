"""Only users may order, and each sees only their own."""

import uuid
from collections.abc import Callable

import httpx
import pytest

from tools.stack import Stack

Check = Callable[[httpx.Response], httpx.Response]
SignIn = Callable[..., httpx.Client]
WaitUntil = Callable[..., None]
ORDER = {"item": "car", "quantity": 1}


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/orders"), ("GET", "/orders"), ("GET", f"/orders/{uuid.uuid4()}")],
)
@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer x.y.z", "Basic YTpi"])
def test_without_a_token_nobody_gets_at_orders(
    api: httpx.Client, keeps_contract: Check, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    body = ORDER if method == "POST" else None
    response = keeps_contract(api.request(method, path, json=body, headers=headers))
    assert response.status_code == 401


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
        "/health/../orders",
        "/$default/orders",
    ],
)
def test_no_other_way_leads_to_orders(api: httpx.Client, path: str) -> None:
    target = api.base_url.raw_path.rstrip(b"/") + path.encode()
    for method in ("GET", "POST"):
        # As it is written here: a client would tidy the path up.
        response = api.request(method, "/", json=ORDER, extensions={"target": target})
        assert response.status_code in (401, 404, 405), response.text


def test_what_was_open_stays_open(api: httpx.Client) -> None:
    assert api.get("/health").status_code == 200
    assert api.post("/quotes", json=ORDER).status_code == 200


def test_an_identity_token_opens_nothing(sign_in: SignIn) -> None:
    assert sign_in("IdToken").get("/orders").status_code == 403


def test_each_user_sees_only_their_own_orders(sign_in: SignIn, wait_until: WaitUntil) -> None:
    ann, ben = sign_in(), sign_in()
    locations = [ann.post("/orders", json=ORDER).headers["Location"] for _ in range(3)]
    for location in locations:
        wait_until(lambda where=location: ann.get(where).status_code == 200)
        assert ben.get(location).status_code == 404
    wait_until(lambda: len(ann.get("/orders").json()["orders"]) == 3)
    assert ben.get("/orders").json() == {"orders": []}

    page = ann.get("/orders", params={"limit": 1}).json()
    assert ann.get("/orders", params={"next": page["next"]}).status_code == 200
    assert ben.get("/orders", params={"next": page["next"]}).status_code == 400


def test_the_key_of_one_user_is_not_that_of_another(sign_in: SignIn) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    ids = {sign_in().post("/orders", json=ORDER, headers=headers).json()["id"] for _ in range(2)}
    assert len(ids) == 2


def test_the_owner_is_never_what_the_client_says(sign_in: SignIn) -> None:
    response = sign_in().post("/orders", json=ORDER | {"owner": "somebody else"})
    assert response.status_code == 422


def test_tokens_live_fifteen_minutes(stack: Stack) -> None:
    outputs = stack.outputs()
    client = stack.client("cognito-idp").describe_user_pool_client(
        UserPoolId=outputs["UserPoolId"], ClientId=outputs["UserPoolClientId"]
    )["UserPoolClient"]
    assert client["AccessTokenValidity"] == 15
    assert client["TokenValidityUnits"]["AccessToken"] == "minutes"
