"""Orders: what callers ask for, and the message that carries it to the worker."""

import json
import re
import uuid
from datetime import UTC, datetime
from typing import TypedDict

from service import pricing

# Part of every id that comes from a key: never change it.
NAMESPACE = uuid.UUID("5f3a1c1e-8f0b-4f6e-9a53-6d7b8f0c2f11")

VERSION = 1


class Order(TypedDict):
    """An order, and its message. ``total`` is in whole cents, ``placed_at`` is UTC (RFC 3339).

    A deployment may still have messages in the queue that an earlier one has sent. So what
    a field means never changes; a message that must differ gets another version ``v``.
    """

    v: int
    id: str
    owner: str
    item: str
    quantity: int
    total: int
    placed_at: str


class InvalidMessage(ValueError):
    """A message that is no order; its text never quotes the message."""


def place(request: object, owner: str, key: str | None) -> Order:
    """Make an order of a request such as ``{"item": "scooter", "quantity": 2}``.

    The same owner and ``key`` give the same id. A key has no spaces.

    Raises:
        pricing.InvalidRequest: the request cannot be priced.
    """
    quote = pricing.quote(request)
    order_id = uuid.uuid5(NAMESPACE, f"{owner} {key}") if key else uuid.uuid4()
    return {
        "v": VERSION,
        "id": str(order_id),
        "owner": owner,
        **quote,
        "placed_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }


def read(message: str) -> Order:
    """Read an order from its message.

    Raises:
        InvalidMessage: it is not one, or of a version that this code does not know.
    """
    try:
        order = json.loads(message)
    except (ValueError, RecursionError):
        raise InvalidMessage("is not JSON") from None
    if not isinstance(order, dict) or type(order.get("v")) is not int or order["v"] != VERSION:
        raise InvalidMessage(f"is not an order of version {VERSION}")
    for field, is_good in FIELDS.items():
        if not is_good(order.get(field)):
            raise InvalidMessage(f"has no valid {field}")
    return {"v": VERSION, **{field: order[field] for field in FIELDS}}  # type: ignore[typeddict-item]


def is_id(value: object) -> bool:
    """Whether a value is an order's id."""
    return _is_text(value, r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_time(value: object) -> bool:
    """Whether a value is a time as in ``placed_at``."""
    return _is_text(value, r"\d{4}(-\d\d){2}T\d\d(:\d\d){2}\.\d{6}Z")


def _is_name(value: object) -> bool:
    return _is_text(value, r".{1,255}")


def _is_positive(value: object) -> bool:
    return type(value) is int and value > 0


def _is_text(value: object, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) is not None


# What each field of a message must be.
FIELDS = {
    "id": is_id,
    "owner": _is_name,
    "item": _is_name,
    "quantity": _is_positive,
    "total": _is_positive,
    "placed_at": is_time,
}
