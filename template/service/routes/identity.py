"""Orders are for users, and each user's are their own.

API Gateway checks the token of a request, and hands on what it claims. But the gateway and
Flask read some paths differently (``//orders``, ``/%6frders``), and such a request comes
unchecked: so a request without claims is answered with 401, and so is one with a token that
never expires.
"""

import math
import time

from flask import Flask, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from service import orders
from service.routes.orders import PUBLIC


def attach(app: Flask) -> None:
    """Tell callers apart, and let only users get at what is below ``/orders``."""
    app.extensions["identify"] = identify
    # By its name this module comes before those of orders: this is asked before what they ask.
    app.before_request(refuse_strangers)


def identify() -> str:
    """The caller: the claim ``sub`` of the token that the gateway has checked (RFC 7519).

    Raises:
        Unauthorized: it has checked none, or one that names no user, or that never expires.
    """
    authorizer = request.environ.get("serverless.authorizer") or {}
    claims = authorizer.get("jwt", {}).get("claims", {})
    if not is_user(claims.get("sub")) or not is_in_the_future(claims.get("exp")):
        raise Unauthorized(
            "Send an access token: Authorization: Bearer ...",
            www_authenticate=WWWAuthenticate("bearer"),
        )
    caller: str = claims["sub"]
    return caller


def is_user(subject: object) -> bool:
    """Whether somebody of this name can own orders: the worker must be able to read them."""
    return orders.FIELDS["owner"](subject) and subject != PUBLIC


def is_in_the_future(expiry: object) -> bool:
    """Whether a time is to come: seconds since the epoch, which the gateway hands on as text."""
    try:
        return time.time() < float(str(expiry)) < math.inf
    except ValueError:
        return False


def refuse_strangers() -> None:
    """Ask who calls, before anything else is asked."""
    if request.url_rule and f"{request.url_rule.rule}/".startswith("/orders/"):
        identify()
