import pytest

from service.pricing import PRICES, InvalidRequest
from service.quote import handler


def test_the_event_is_priced() -> None:
    answer = handler({"item": "skateboard", "quantity": 2}, None)
    assert answer["total"] == 2 * PRICES["skateboard"]


def test_an_invalid_event_is_an_error_that_says_why() -> None:
    with pytest.raises(InvalidRequest, match="quantity must be a whole number"):
        handler({"item": "skateboard", "quantity": 0}, None)
