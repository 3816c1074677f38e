"""Ways to get at orders without a right to: what a caller sends, and what must be the answer.

Each kind has several tries, and each is tried on every route that needs a token.
"""

import datetime
import hmac
import itertools
import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests import provider
from tests.provider import AUDIENCE, KEY_ID, SCOPE, Provider, encode

Header = tuple[str, str | bytes]

REFUSED = {401}
FORBIDDEN = {403}
# The emulator's gateway fails; AWS's says 401.
REFUSED_OR_FAILED = {401, 500}
# Or the server finds that the request itself is too much.
REFUSED_OR_TOO_MUCH = {400, 401, 413, 431}

HOUR = 3_600

OTHER_KEY_IDS: list[object] = ["two", "", "ONE", "../keys", "one'--", 1, ["one"], {}]


class Try(NamedTuple):
    """What goes with a request; ``query`` is as it comes after the question mark."""

    headers: list[Header]
    query: str = ""


class Keys(NamedTuple):
    """What an attacker may have at hand."""

    provider: Provider  # whose tokens the API takes; the attacker has not its private key
    elsewhere: Provider  # the attacker's own
    pool: str  # an access token of the user pool that this provider has taken the place of

    @property
    def good(self) -> str:
        """A token that opens the API, for what is done to it later."""
        return self.provider.token()

    def with_own_key(self, **header: object) -> list[str]:
        """Tokens that the attacker has signed, with a header that says where to find the key."""
        return [
            self.provider.token(self.elsewhere.key, {**header, "kid": kid})
            for kid in (KEY_ID, "elsewhere", None)
        ]

    def with_claim(self, name: str, *values: Any) -> list[str]:
        """Tokens of the right provider with a claim as it never should be; None leaves it out."""
        return [self.provider.token(**{name: value}) for value in values]


class Attack(NamedTuple):
    """Tries of one kind, and the answers that refuse them."""

    statuses: set[int]
    tries: Callable[[Keys], list[Try]]


def bearer(tokens: Iterable[str]) -> list[Try]:
    return [Try([("Authorization", f"Bearer {token}")]) for token in tokens]


def values(*authorizations: str | bytes) -> list[Try]:
    return [Try([("Authorization", each)]) for each in authorizations]


def no_end(keys: Keys) -> list[str]:
    """A token for ever. The emulator's gateway lets it through: the service must refuse it."""
    return keys.with_claim("exp", None)


def algorithm_none(keys: Keys) -> list[str]:
    spellings = ["none", "None", "NONE", "nOnE", "", " none"]
    signatures = [b"", b"x", bytes(256)]
    return [
        provider.token(
            {"alg": alg, "typ": "JWT", "kid": kid}, keys.provider.claims(), partial(say, signature)
        )
        for alg, kid, signature in itertools.product(spellings, [KEY_ID, None], signatures)
    ]


def say(signature: bytes, _: bytes) -> bytes:
    """Sign nothing."""
    return signature


def public_key_as_secret(keys: Keys) -> list[str]:
    """HS256, signed with what everybody can know of the key."""
    public = keys.provider.key.public_key()
    pem, der = Encoding.PEM, Encoding.DER
    known = provider.public(keys.provider.key)
    secrets = [
        public.public_bytes(pem, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(pem, PublicFormat.SubjectPublicKeyInfo).strip(),
        public.public_bytes(der, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(pem, PublicFormat.PKCS1),
        public.public_bytes(der, PublicFormat.PKCS1),
        json.dumps(known).encode(),
        known["n"].encode(),
        b"",
    ]
    header = {"alg": "HS256", "typ": "JWT", "kid": KEY_ID}
    return [
        provider.token(
            header, keys.provider.claims(), partial(hmac.digest, secret, digest="sha256")
        )
        for secret in secrets
    ]


def parts(keys: Keys) -> list[str]:
    return keys.good.split(".")


def other_header(keys: Keys) -> list[str]:
    _, payload, signature = parts(keys)
    headers = [
        {"alg": "RS256", "kid": KEY_ID},
        {"alg": "RS384", "typ": "at+jwt", "kid": KEY_ID},
        {"alg": "RS256", "typ": "at+jwt", "kid": KEY_ID, "crit": ["exp"]},
    ]
    return [f"{encode(json.dumps(each).encode())}.{payload}.{signature}" for each in headers]


def other_payload(keys: Keys) -> list[str]:
    header, _, signature = parts(keys)
    changes: list[dict[str, object]] = [
        {"sub": "ben"},
        {"exp": int(time.time()) + 24 * HOUR},
        {"scope": f"{SCOPE} admin"},
    ]
    payloads = [json.dumps(keys.provider.claims(**change)).encode() for change in changes]
    return [f"{header}.{encode(payload)}.{signature}" for payload in [*payloads, b"{}", b"[]"]]


def other_signature(keys: Keys) -> list[str]:
    header, payload, signature = parts(keys)
    other = keys.provider.token(sub="ben").split(".")[2]
    first = "A" if signature[0] != "A" else "B"
    signatures = [first + signature[1:], signature[:-8], signature[::-1], encode(bytes(256)), other]
    return [f"{header}.{payload}.{each}" for each in signatures]


def missing_parts(keys: Keys) -> list[str]:
    header, payload, signature = parts(keys)
    return [
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{header}..{signature}",
        f".{payload}.{signature}",
        f"{header}.{payload}.{signature}.{signature}",
    ]


def certificate(keys: Keys) -> str:
    """A certificate of the attacker's key that names the provider, as ``x5c`` has it."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vehicles.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(keys.elsewhere.key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(keys.elsewhere.key, hashes.SHA256())
    )
    # Plain base64, unlike the rest of a token (RFC 7515, section 4.1.6).
    pem = signed.public_bytes(Encoding.PEM).decode().splitlines()
    return "".join(pem[1:-1])


def elsewhere_key(keys: Keys) -> dict[str, str]:
    return provider.public(keys.elsewhere.key) | {"kid": "elsewhere"}


def nonsense(keys: Keys) -> list[str]:
    """Tokens of the right provider with times that are none, and lists for objects."""
    none = ["soon", "", [], {}, float("inf"), float("nan")]
    times = [keys.with_claim(name, *none) for name in ("exp", "nbf", "iat")]
    return ["W10.W10.W10", *itertools.chain.from_iterable(times)]


def twice(keys: Keys) -> list[Try]:
    """Two headers, of which no one opens anything."""
    bad = [keys.provider.token(exp=1), "x.y.z", keys.elsewhere.token()]
    return [
        Try([("Authorization", f"Bearer {one}"), ("authorization", f"Bearer {other}")])
        for one, other in itertools.permutations(bad, 2)
    ]


def in_the_query(keys: Keys) -> list[Try]:
    names = ["access_token", "token", "id_token", "Authorization", "authorization", "jwt"]
    return [Try([], f"{name}={keys.good}") for name in names] + [
        Try([], f"Authorization=Bearer%20{keys.good}")
    ]


def in_other_headers(keys: Keys) -> list[Try]:
    names = [
        *("X-Authorization", "Proxy-Authorization", "X-Access-Token", "X-Forwarded-Authorization"),
        *("X-Amz-Security-Token", "X-Amzn-Remapped-Authorization", "Authorization-", "Token"),
    ]
    cookies = [f"access_token={keys.good}", f"Authorization=Bearer {keys.good}"]
    return [Try([(name, f"Bearer {keys.good}")]) for name in names] + [
        Try([("Cookie", cookie)]) for cookie in cookies
    ]


def badly_written(keys: Keys) -> list[str | bytes]:
    good = keys.good
    return [
        f"Token {good}",
        f"Basic {good}",
        f"Bearer{good}",
        f"Bearer Bearer {good}",
        f"Bearer: {good}",
        f"Bearer, {good}",
        f"Bearer {good} {good}",
        f"Bearer {good},Bearer {good}",
        f"Bearer x,{good}",
        f'Bearer "{good}"',
    ]


def very_long(keys: Keys) -> list[str]:
    long = "x" * 6_000
    return [
        long,
        "x" * 200_000,
        keys.good + long,
        keys.elsewhere.token(note=long),
        "." * 6_000,
        f"{encode(b'[' * 6_000)}.{encode(b'[' * 6_000)}.x",
    ]


def not_ascii(keys: Keys) -> list[str | bytes]:
    good = keys.good.encode()
    return [
        "Bearer é".encode(),
        "Bearer é".encode("latin-1"),
        b"Bearer \xff\xfe" + good,
        "Ｂｅａｒｅｒ ".encode() + good,  # noqa: RUF001 - wide letters
        b"Bearer " + good.replace(b".", "．".encode()),  # noqa: RUF001 - wide dots
        b"Bearer " + good + "\u200b".encode(),
    ]


def said_by_headers(keys: Keys) -> list[Try]:
    """What only a proxy or a gateway would say, had there been one."""
    claims = json.dumps(keys.provider.claims())
    names = {
        "X-Amzn-Oidc-Identity": "ann",
        "X-Amzn-Oidc-Data": keys.good,
        "X-Amzn-Oidc-Accesstoken": keys.good,
        "X-Amzn-Request-Context": claims,
        "X-Apigateway-Event": claims,
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-User": "ann",
        "X-Forwarded-Host": "localhost",
        "X-Forwarded-Prefix": "/health",
        "X-Original-Url": "/health",
        "X-Rewrite-Url": "/health",
        "X-Http-Method-Override": "OPTIONS",
        "X-Remote-User": "ann",
        "Remote-User": "ann",
        "X-User-Id": "ann",
        "Forwarded": "for=127.0.0.1;host=localhost",
    }
    return [Try([each]) for each in names.items()]


def said_by_the_client(keys: Keys) -> list[Try]:
    """The gateway's own words, from a client."""
    context = {"authorizer": {"jwt": {"claims": keys.provider.claims(), "scopes": [SCOPE]}}}
    text = json.dumps(context)
    return [
        Try([("requestContext", text)]),
        Try([("serverless.authorizer", text)]),
        Try([("serverless-authorizer", text)]),
        Try([("authorizer", json.dumps(context["authorizer"]))]),
        Try([], "requestContext[authorizer][jwt][claims][sub]=ann"),
        Try([], "authorizer=ann&sub=ann&principalId=ann"),
    ]


def id_token(keys: Keys) -> list[str]:
    """Who somebody is, for an app: its audience is the app."""
    return [keys.provider.token(aud="app", nonce="n", azp="app", scope=None, email="ann@a.example")]


ATTACKS: dict[str, Attack] = {
    "no token": Attack(
        REFUSED,
        lambda _: [
            Try([]),
            *values("", " ", "Bearer", "Bearer ", "Basic YTpi", "Digest a", "null"),
        ],
    ),
    "garbage for a token": Attack(
        REFUSED,
        lambda _: bearer(["x", "x.y.z", "..", "a.b", "e30.e30.e30", "null", "{}"]),
    ),
    "expired": Attack(
        REFUSED,
        lambda keys: bearer(keys.with_claim("exp", int(time.time()) - 1, 1, 0, -1, True)),
    ),
    "not valid yet": Attack(
        REFUSED, lambda keys: bearer(keys.with_claim("nbf", int(time.time()) + HOUR))
    ),
    "issued in the future": Attack(
        REFUSED, lambda keys: bearer(keys.with_claim("iat", int(time.time()) + HOUR))
    ),
    "no expiry": Attack(REFUSED, lambda keys: bearer(no_end(keys))),
    "wrong issuer": Attack(
        REFUSED,
        lambda keys: bearer(
            keys.with_claim(
                "iss",
                keys.elsewhere.issuer,
                keys.provider.issuer + "/",
                keys.provider.issuer.upper(),
                [keys.provider.issuer],
                "",
                None,
            )
        ),
    ),
    "wrong audience": Attack(
        REFUSED,
        lambda keys: bearer(
            keys.with_claim(
                "aud", "https://elsewhere.example.com", AUDIENCE + "/", AUDIENCE[:-1], "", ["x"], []
            )
        ),
    ),
    "wrong client": Attack(
        REFUSED,
        lambda keys: bearer(
            [
                keys.provider.token(aud=None, client_id="app"),
                keys.provider.token(aud=None),
                keys.provider.token(aud="app", client_id=AUDIENCE),
                keys.provider.token(aud=None, azp=AUDIENCE),
            ]
        ),
    ),
    "nonsense in a signed token": Attack(REFUSED_OR_FAILED, lambda keys: bearer(nonsense(keys))),
    "unknown key id": Attack(
        REFUSED,
        lambda keys: bearer(keys.provider.token(header={"kid": kid}) for kid in OTHER_KEY_IDS),
    ),
    "no key id": Attack(REFUSED, lambda keys: bearer([keys.provider.token(header={"kid": None})])),
    "algorithm none": Attack(REFUSED, lambda keys: bearer(algorithm_none(keys))),
    "HS256 with the public key": Attack(REFUSED, lambda keys: bearer(public_key_as_secret(keys))),
    "changed header": Attack(REFUSED, lambda keys: bearer(other_header(keys))),
    "changed payload": Attack(REFUSED, lambda keys: bearer(other_payload(keys))),
    "changed signature": Attack(REFUSED, lambda keys: bearer(other_signature(keys))),
    "empty signature, parts left out or added": Attack(
        REFUSED, lambda keys: bearer(missing_parts(keys))
    ),
    "signed with another key": Attack(REFUSED, lambda keys: bearer(keys.with_own_key())),
    "key embedded (`jwk`)": Attack(
        REFUSED, lambda keys: bearer(keys.with_own_key(jwk=elsewhere_key(keys)))
    ),
    "key elsewhere (`jku`)": Attack(
        REFUSED, lambda keys: bearer(keys.with_own_key(jku=f"{keys.elsewhere.issuer}/keys"))
    ),
    "certificate elsewhere (`x5u`)": Attack(
        REFUSED, lambda keys: bearer(keys.with_own_key(x5u=f"{keys.elsewhere.issuer}/keys"))
    ),
    "certificate embedded (`x5c`)": Attack(
        REFUSED, lambda keys: bearer(keys.with_own_key(x5c=[certificate(keys)]))
    ),
    "token of another provider": Attack(
        REFUSED,
        lambda keys: bearer(
            [keys.elsewhere.token(), keys.elsewhere.token(iss=keys.provider.issuer)]
        ),
    ),
    "token of the user pool whose place was taken": Attack(
        REFUSED, lambda keys: bearer([keys.pool])
    ),
    "id token": Attack(REFUSED, lambda keys: bearer(id_token(keys))),
    "no scope": Attack(
        FORBIDDEN, lambda keys: bearer(keys.with_claim("scope", None, "", " ", "openid"))
    ),
    "scope in part": Attack(
        FORBIDDEN,
        lambda keys: bearer(
            keys.with_claim(
                *("scope", SCOPE[:-1], SCOPE + "2", f"my{SCOPE}", SCOPE.upper(), f"{SCOPE}/read"),
                *(f"{SCOPE},openid", f"no-{SCOPE}"),
            )
        ),
    ),
    "nobody (`sub`)": Attack(
        REFUSED,
        lambda keys: bearer(keys.with_claim("sub", None, "", "public", "x" * 256, "two\nlines")),
    ),
    "two headers": Attack(REFUSED, twice),
    "token in the query": Attack(REFUSED, in_the_query),
    "token in another header": Attack(REFUSED, in_other_headers),
    "badly written header": Attack(REFUSED, lambda keys: values(*badly_written(keys))),
    "very long": Attack(REFUSED_OR_TOO_MUCH, lambda keys: bearer(very_long(keys))),
    "not ASCII": Attack({400, 401}, lambda keys: values(*not_ascii(keys))),
    "headers of a proxy": Attack(REFUSED, said_by_headers),
    "the gateway's words, from a client": Attack(REFUSED, said_by_the_client),
}

# A few of every sort, for the run that everybody waits for.
SAMPLE = [
    "no token",
    "garbage for a token",
    "expired",
    "no expiry",
    "wrong audience",
    "algorithm none",
    "HS256 with the public key",
    "changed payload",
    "key elsewhere (`jku`)",
    "token of another provider",
    "scope in part",
    "nobody (`sub`)",
    "the gateway's words, from a client",
]
# Several ways of writing a path, some of which the gateway and the service read differently.
PATHS = [
    *("/orders/", "//orders", "/Orders", "/./orders", "/%6frders", "/orders;x", "/%2forders"),
    *("/orders%3fx", "/health/../orders", "/orders%2f", "/orders/.", "/orders%00", "/orders%20"),
    *("/%2e/orders", "/%256frders", "/orders%252f", "/$default/orders", "/orders%23", "/.//orders"),
    *(
        "/orders/%2e%2e/orders",
        "/quotes/../orders",
        "/quotes%2f..%2forders",
        "/orders\\",
        "/ORDERS",
    ),
    *("/health;/../orders", "///orders", "/orders//", "/o%72ders?x=1", "/%25%36%66rders"),
]
