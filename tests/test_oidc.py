"""The car with an identity provider of one's own: parameters of the deployment, and no code."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from demo.snapshot import environment
from demo.up import up
from tests.conftest import Render
from tests.provider import AUDIENCE, SCOPE, Provider, new_key, running
from tests.service import PATIENCE, Caller, Service, wait_until

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.full,
    pytest.mark.usefixtures("nothing_left_behind"),
]

ORDER = {"item": "car", "quantity": 1}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as provider:
        yield provider


def test_another_identity_provider_takes_the_place_of_ours(
    render: Render, provider: Provider
) -> None:
    project = render(5)
    with up(project.folder, environment()) as started:
        started.wait_until_ready()
        service = Service(project, started)
        stranger = service.sign_in("ann@example.com")  # with the user pool of the stack
        assert stranger.get("/orders").status == 200

        given = {"issuer": provider.issuer, "audience": f"other,{AUDIENCE}", "scopes": SCOPE}
        parameters = [f"--param={name}={value}" for name, value in given.items()]
        project.tox("-e", "deploy", "--", "--stage", "local", *parameters)

        def caller(**change: Any) -> Caller:
            return Caller(service.url, provider.token(**change))

        ann, ben = caller(), caller(sub="ben", aud=["x", AUDIENCE], scope=SCOPE)
        answer = ann.post("/orders", ORDER)
        assert answer.status == 202
        order = f"/orders/{answer.body['id']}"
        wait_until(lambda: ann.get(order).status == 200, PATIENCE)
        assert ben.get(order).status == 404
        assert len(ann.get("/orders").body["orders"]) == 1
        assert ben.get("/orders").body == {"orders": []}
        assert {row["owner"] for row in service.rows()} == {"ann"}
        assert {path.removeprefix("/tenant") for path in provider.asked} == {
            "/.well-known/openid-configuration",
            "/keys",
        }

        past = int(time.time()) - 60
        for bad in (
            stranger,
            Caller(service.url),
            caller(aud="https://elsewhere.example.com"),
            caller(iss="https://elsewhere.example.com"),
            caller(iss=provider.issuer + "/"),
            caller(exp=past),
            caller(key=new_key()),
        ):
            assert bad.get("/orders").status == 401
            assert bad.get(order).status == 401
            assert bad.post("/orders", ORDER).status == 401
        for scope in ("", "openid", "order", "aws.cognito.signin.user.admin"):
            assert caller(scope=scope).get("/orders").status == 403
            assert caller(scope=scope).post("/orders", ORDER).status == 403
        assert Caller(service.url).get("/health").status == 200

        # Without the parameters the users of the stack are back.
        project.tox("-e", "deploy", "--", "--stage", "local")
        assert stranger.get("/orders").status == 200
        assert ann.get("/orders").status == 401
