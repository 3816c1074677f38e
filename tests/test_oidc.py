"""The car with an identity provider of one's own: parameters of the deployment, and no code."""

import base64
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from demo.snapshot import environment
from demo.up import up
from tests.conftest import Render
from tests.service import PATIENCE, Caller, Service, wait_until

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.full,
    pytest.mark.usefixtures("nothing_left_behind"),
]

AUDIENCE = "https://vehicles.example.com"
SCOPE = "orders"
ORDER = {"item": "car", "quantity": 1}


class Provider:
    """An OpenID Connect provider, as far as an API needs one: it tells its keys, and signs.

    On AWS the gateway wants an issuer that it can reach over HTTPS; the emulator takes this one.
    """

    def __init__(self) -> None:
        self.key = new_key()
        self.asked: list[str] = []  # the paths that were asked for
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                document = provider.documents().get(self.path)
                self.send_response(200 if document else 404)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/tenant"

    def documents(self) -> dict[str, Any]:
        """What it answers, by path."""
        path = urllib.parse.urlsplit(self.issuer).path
        numbers = self.key.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": "one",
            "n": encode(numbers.n.to_bytes(256)),
            "e": encode(numbers.e.to_bytes(3)),
        }
        return {
            # OpenID Connect Discovery 1.0: the keys may have any address.
            f"{path}/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/keys",
            },
            f"{path}/keys": {"keys": [key]},
        }

    def token(self, key: rsa.RSAPrivateKey | None = None, **change: object) -> str:
        """An access token (RFC 9068) that is good, but for what is changed in its claims."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "ann",
            "scope": f"openid {SCOPE}",
            "iat": now - 10,
            "exp": now + 600,
            **change,
        }
        header = {"alg": "RS256", "typ": "at+jwt", "kid": "one"}
        signed = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
        signature = (key or self.key).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encode(signature)}"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def encode(content: bytes) -> str:
    """Base64 for URLs, without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    with provider.server as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield provider
        server.shutdown()
        thread.join()


def test_another_identity_provider_takes_the_place_of_ours(
    render: Render, provider: Provider
) -> None:
    project = render(5)
    with up(project.folder, environment()) as running:
        running.wait_until_ready()
        service = Service(project, running)
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
