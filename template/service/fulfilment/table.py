"""The table of fulfilled orders. Import it where it is used: boto3 is slow to import."""

import contextlib
import os
from typing import Any, NamedTuple, TypedDict

from service import aws
from service.orders import Order


class StoredOrder(TypedDict):
    """An order as its owner sees it; ``total`` is in whole cents."""

    id: str
    item: str
    quantity: int
    total: int
    status: str


class Position(NamedTuple):
    """Where an order stands in its owner's list."""

    placed_at: str
    id: str


class Page(NamedTuple):
    """A part of an owner's list; ``last`` is where to go on, None at the end of the list."""

    orders: list[StoredOrder]
    last: Position | None


def fulfil(order: Order) -> None:
    """Store an order, unless it is there already: the first delivery of a message wins."""
    client = aws.client("dynamodb")
    with contextlib.suppress(client.exceptions.ConditionalCheckFailedException):
        client.put_item(
            TableName=_name(),
            Item={
                "owner": {"S": order["owner"]},
                "id": {"S": order["id"]},
                "placed_at#id": {"S": f"{order['placed_at']}#{order['id']}"},
                "placed_at": {"S": order["placed_at"]},
                "item": {"S": order["item"]},
                "quantity": {"N": str(order["quantity"])},
                "total": {"N": str(order["total"])},
                "status": {"S": "fulfilled"},
            },
            ConditionExpression="attribute_not_exists(id)",
        )


def find(owner: str, order_id: str) -> StoredOrder | None:
    """Find an order of this owner; it is seen as soon as it is stored."""
    answer = aws.client("dynamodb").get_item(
        TableName=_name(),
        Key={"owner": {"S": owner}, "id": {"S": order_id}},
        ConsistentRead=True,
    )
    return _order(answer["Item"]) if "Item" in answer else None


def page(owner: str, limit: int, after: Position | None) -> Page:
    """List orders of this owner, newest first, at most ``limit``, from a position on.

    What was stored a moment ago may not be in it yet: the index follows the table.
    """
    start = {}
    if after:
        start["ExclusiveStartKey"] = {
            "owner": {"S": owner},
            "id": {"S": after.id},
            "placed_at#id": {"S": f"{after.placed_at}#{after.id}"},
        }
    answer = aws.client("dynamodb").query(
        TableName=_name(),
        IndexName="ByPlacedAt",
        KeyConditionExpression="#owner = :owner",
        ExpressionAttributeNames={"#owner": "owner"},
        ExpressionAttributeValues={":owner": {"S": owner}},
        ScanIndexForward=False,
        Limit=limit + 1,  # one more tells whether there is another page
        **start,
    )
    items = answer["Items"][:limit]
    more = len(answer["Items"]) > limit
    last = Position(items[-1]["placed_at"]["S"], items[-1]["id"]["S"]) if more else None
    return Page([_order(item) for item in items], last)


def _name() -> str:
    return os.environ["ORDERS_TABLE_NAME"]


def _order(item: dict[str, Any]) -> StoredOrder:
    return {
        "id": item["id"]["S"],
        "item": item["item"]["S"],
        "quantity": int(item["quantity"]["N"]),
        "total": int(item["total"]["N"]),
        "status": item["status"]["S"],
    }
