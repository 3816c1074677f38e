"""To fulfil an order is to store it."""

from service import table
from service.orders import Order


def fulfil(order: Order) -> None:
    """Store the order."""
    table.store(order)
