"""An OpenID Connect provider of the tests' own, which signs whatever it is asked to."""

import base64
import contextlib
import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE = "https://vehicles.example.com"
SCOPE = "orders"
KEY_ID = "one"


class Provider:
    """A provider, as far as an API needs one: it tells its keys, and signs.

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
        return {
            # OpenID Connect Discovery 1.0: the keys may have any address.
            f"{path}/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/keys",
            },
            f"{path}/keys": {"keys": [public(self.key)]},
        }

    def claims(self, **change: object) -> dict[str, object]:
        """The claims of a good access token (RFC 9068), but for what is changed.

        A claim that becomes None is left out.
        """
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "ann",
            "scope": f"openid {SCOPE}",
            "iat": now - 10,
            "exp": now + 600,
        }
        return {name: value for name, value in {**claims, **change}.items() if value is not None}

    def token(
        self,
        key: rsa.RSAPrivateKey | None = None,
        header: Mapping[str, object] | None = None,
        **change: object,
    ) -> str:
        """An access token that is good, but for its key, its header, or what changes its claims."""
        signer = key or self.key
        return token(
            {"alg": "RS256", "typ": "at+jwt", "kid": KEY_ID, **(header or {})},
            self.claims(**change),
            lambda signed: signer.sign(signed, padding.PKCS1v15(), hashes.SHA256()),
        )


@contextlib.contextmanager
def running() -> Iterator[Provider]:
    """A provider that answers, for as long as it takes."""
    provider = Provider()
    with provider.server as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield provider
        server.shutdown()
        thread.join()


def token(
    header: Mapping[str, object], claims: Mapping[str, object], sign: Callable[[bytes], bytes]
) -> str:
    """A token (RFC 7519) with any header, claims and signature; None in the header is left out."""
    kept = {name: value for name, value in header.items() if value is not None}
    signed = ".".join(encode(json.dumps(part).encode()) for part in (kept, claims))
    return f"{signed}.{encode(sign(signed.encode()))}"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def public(key: rsa.RSAPrivateKey) -> dict[str, str]:
    """The public half of a key (RFC 7517)."""
    numbers = key.public_key().public_numbers()
    return {
        "kty": "RSA",
        "alg": "RS256",
        "use": "sig",
        "kid": KEY_ID,
        "n": encode(numbers.n.to_bytes(256)),
        "e": encode(numbers.e.to_bytes(3)),
    }


def encode(content: bytes) -> str:
    """Base64 for URLs, without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
