"""Orders are for users, and each user's are their own.

API Gateway checks the token of a request, and hands on what it claims. But the gateway and
Flask read some paths differently (``//orders``, ``/%6frders``), and such a request comes
unchecked: so a request without claims is answered with 401.
"""

from flask import Flask, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from service.routes.orders import PUBLIC


def attach(app: Flask) -> None:
    """Tell callers apart, and let only users get at what is below ``/orders``."""
    app.extensions["identify"] = identify
    app.before_request(refuse_strangers)


def identify() -> str:
    """The caller: the claim ``sub`` of the token that the gateway has checked (RFC 7519).

    Raises:
        Unauthorized: the gateway has checked none.
    """
    authorizer = request.environ.get("serverless.authorizer") or {}
    caller = authorizer.get("jwt", {}).get("claims", {}).get("sub")
    if not isinstance(caller, str) or caller in ("", PUBLIC):
        raise Unauthorized(
            "Send an access token: Authorization: Bearer ...",
            www_authenticate=WWWAuthenticate("bearer"),
        )
    return caller


def refuse_strangers() -> None:
    """Ask who calls, before anything else is asked."""
    if request.url_rule and f"{request.url_rule.rule}/".startswith("/orders/"):
        identify()
