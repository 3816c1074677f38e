"""What a vehicle costs: plain values in, plain values out, no AWS."""

from typing import TypedDict

# The price of one, in whole cents.
PRICES = {
    "skateboard": 8_000,
    "scooter": 15_000,
    "bicycle": 60_000,
    "motorcycle": 750_000,
    "car": 2_500_000,
}

MAX_QUANTITY = 100


class Quote(TypedDict):
    """An offer; ``total`` is in whole cents."""

    item: str
    quantity: int
    total: int


class InvalidRequest(ValueError):
    """A request that breaks a rule; ``field`` names what is to blame in it."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field} {rule}")
        self.field = field


def quote(request: object) -> Quote:
    """Price a request such as ``{"item": "scooter", "quantity": 2}``.

    Raises:
        InvalidRequest: the request is not of that shape.
    """
    if not isinstance(request, dict):
        raise InvalidRequest("request", "must be an object with item and quantity")
    for field in request:
        if field not in ("item", "quantity"):
            raise InvalidRequest(str(field), "is not a field: send item and quantity")

    item, quantity = request.get("item"), request.get("quantity")
    if not isinstance(item, str) or item not in PRICES:
        raise InvalidRequest("item", f"must be one of {', '.join(PRICES)}")
    # The exact type, because bool is a kind of int: True is not a quantity.
    if type(quantity) is not int or not 1 <= quantity <= MAX_QUANTITY:
        rule = f"must be a whole number from 1 to {MAX_QUANTITY}"
        raise InvalidRequest("quantity", rule)

    return {"item": item, "quantity": quantity, "total": PRICES[item] * quantity}
