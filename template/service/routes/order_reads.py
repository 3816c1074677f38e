"""``GET /orders/{id}`` and ``GET /orders`` tell what has become of orders."""

import base64
import contextlib
import json
import re
import uuid
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from flask import Blueprint, Flask, current_app, request, url_for
from werkzeug.exceptions import BadRequest, NotFound, ServiceUnavailable
from werkzeug.wrappers import Response

from service import orders, pricing
from service.http import json_body
from service.routes.orders import idempotency_key, owner

TOKEN_VERSION = 1
DEFAULT_LIMIT = 20
MAX_LIMIT = 100

blueprint = Blueprint("order_reads", __name__)


def attach(app: Flask) -> None:
    """Add the routes, and what ``POST /orders`` does since orders can be read."""
    app.register_blueprint(blueprint)
    app.before_request(refuse_a_key_of_another_order)
    app.after_request(tell_location)


@contextlib.contextmanager
def open_table() -> Iterator[ModuleType]:
    """The module ``table``, imported only for who needs it.

    Raises:
        ServiceUnavailable: the table does not answer.
    """
    from service import aws
    from service.fulfilment import table

    try:
        yield table
    except aws.ERRORS:
        current_app.logger.exception("The table does not answer")
        raise ServiceUnavailable("Orders cannot be read now. Try again.") from None


@blueprint.get("/orders/<uuid:order_id>")
def get_order(order_id: uuid.UUID) -> dict[str, Any]:
    """Answer with one order of the caller, once it is stored."""
    with open_table() as table:
        order: dict[str, Any] | None = table.find(owner(), str(order_id))
    if order is None:
        raise NotFound("There is no such order, or it is not fulfilled yet.")
    return order


@blueprint.get("/orders")
def list_orders() -> dict[str, Any]:
    """Answer with a page of the caller's orders, newest first."""
    size = limit()
    token = request.args.get("next")
    after = None if token is None else read_token(token)
    with open_table() as table:
        page = table.page(owner(), size, after and table.Position(*after))
    body = {"orders": page.orders}
    return body if page.last is None else body | {"next": write_token(*page.last)}


def limit() -> int:
    """How many orders the caller wants at most.

    Raises:
        pricing.InvalidRequest: it is not a number, or out of range.
    """
    text = request.args.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise pricing.InvalidRequest("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def write_token(placed_at: str, order_id: str) -> str:
    """Make a page token: where the caller's list goes on."""
    content = json.dumps([TOKEN_VERSION, owner(), placed_at, order_id])
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def read_token(token: str) -> tuple[str, str]:
    """Read a page token of this caller.

    Raises:
        BadRequest: it is not one.
    """
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, its_owner, placed_at, order_id = json.loads(text)
        good = (
            (version, its_owner) == (TOKEN_VERSION, owner())
            and orders.is_time(placed_at)
            and orders.is_id(order_id)
            and token == write_token(placed_at, order_id)
        )
    except (ValueError, TypeError, RecursionError):
        good = False
    if not good:
        raise BadRequest("next must come from the page before.")
    return placed_at, order_id


def refuse_a_key_of_another_order() -> None:
    """Answer 422 where a key comes again with another order; the same order may come again.

    Raises:
        pricing.InvalidRequest: the key belongs to another order.
    """
    if request.endpoint != "orders.post_order" or (key := idempotency_key()) is None:
        return
    order = orders.place(json_body(), owner(), key)
    with open_table() as table:
        stored = table.find(owner(), order["id"])
    if stored and any(stored[field] != order[field] for field in ("item", "quantity")):
        raise pricing.InvalidRequest("Idempotency-Key", "was used for another order")


def tell_location(response: Response) -> Response:
    """Tell with an accepted order where it will be found."""
    if request.endpoint == "orders.post_order" and response.status_code == 202:
        order_id = json.loads(response.get_data())["id"]
        response.headers["Location"] = url_for("order_reads.get_order", order_id=order_id)
    return response
