import pytest

from service.pricing import MAX_QUANTITY, PRICES, InvalidRequest, quote
from service.quote import handler


@pytest.mark.parametrize("item", PRICES)
def test_total_is_price_times_quantity(item: str) -> None:
    total = 3 * PRICES[item]
    assert quote({"item": item, "quantity": 3}) == {
        "item": item,
        "quantity": 3,
        "total": total,
    }


def test_prices_are_whole_cents() -> None:
    assert all(type(price) is int and price > 0 for price in PRICES.values())


@pytest.mark.parametrize("quantity", [1, MAX_QUANTITY])
def test_quantity_may_reach_its_limits(quantity: int) -> None:
    assert quote({"item": "car", "quantity": quantity})["quantity"] == quantity


@pytest.mark.parametrize("quantity", [0, -1, MAX_QUANTITY + 1, 1.5, True, "2", None, []])
def test_other_quantities_are_refused(quantity: object) -> None:
    with pytest.raises(InvalidRequest, match="whole number from 1 to 100") as refusal:
        quote({"item": "car", "quantity": quantity})
    assert refusal.value.field == "quantity"


@pytest.mark.parametrize("item", ["boat", "Car", "", 1, None, [], {}])
def test_other_items_are_refused(item: object) -> None:
    with pytest.raises(InvalidRequest, match="must be one of skateboard, ") as refusal:
        quote({"item": item, "quantity": 1})
    assert refusal.value.field == "item"


def test_a_missing_field_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="quantity must be"):
        quote({"item": "car"})


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="colour is not a field") as refusal:
        quote({"item": "car", "quantity": 1, "colour": "red"})
    assert refusal.value.field == "colour"


@pytest.mark.parametrize("request_", [None, "car", 1, [], [{"item": "car"}]])
def test_a_request_that_is_no_object_is_refused(request_: object) -> None:
    with pytest.raises(InvalidRequest, match="must be an object"):
        quote(request_)


def test_the_function_prices_its_event() -> None:
    answer = handler({"item": "skateboard", "quantity": 2}, None)
    assert answer["total"] == 2 * PRICES["skateboard"]


def test_an_invalid_event_is_a_function_error_that_says_why() -> None:
    with pytest.raises(InvalidRequest, match="quantity must be a whole number"):
        handler({"item": "skateboard", "quantity": 0}, None)
