"""``POST /orders`` accepts an order; the worker fulfils it later."""

import json
import os
import re

from flask import Blueprint, Flask, current_app, request
from werkzeug.exceptions import BadRequest, ServiceUnavailable

from service import orders
from service.http import json_body

PUBLIC = "public"

blueprint = Blueprint("orders", __name__)


def attach(app: Flask) -> None:
    """Add the route to the application."""
    app.register_blueprint(blueprint)


@blueprint.post("/orders")
def post_order() -> tuple[dict[str, str], int]:
    """Accept the order in the body: with the answer 202 it is safely in the queue."""
    order = orders.place(json_body(), owner(), idempotency_key())
    send(order)
    return {"id": order["id"]}, 202


def owner() -> str:
    """Whose orders the request is about: those of all, where callers are not told apart."""
    name: str = current_app.extensions.get("identify", lambda: PUBLIC)()
    return name


def idempotency_key() -> str | None:
    """The key by which a client repeats a request without ordering twice.

    Raises:
        BadRequest: it is not one.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise BadRequest("Idempotency-Key must be 1 to 255 visible ASCII characters.")
    return key


def send(order: orders.Order) -> None:
    """Put an order into the queue.

    Raises:
        ServiceUnavailable: the queue did not take it, or nobody knows.
    """
    # Only who orders waits until these are imported.
    from aws_lambda_powertools import Logger

    from service import aws

    logger = Logger()
    context = request.environ.get("serverless.context")
    ids = {
        "order_id": order["id"],
        "function_request_id": getattr(context, "aws_request_id", None),
    }
    try:
        aws.client("sqs").send_message(
            QueueUrl=os.environ["ORDERS_QUEUE_URL"], MessageBody=json.dumps(order)
        )
    except aws.ERRORS:
        logger.exception("Order not accepted", extra=ids)
        raise ServiceUnavailable(
            "The order may not have been taken. Send it again, with the same Idempotency-Key;"
            " without one, it may become two orders."
        ) from None
    logger.info("Order accepted", extra=ids)
