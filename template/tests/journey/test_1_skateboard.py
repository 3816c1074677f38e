"""One Lambda function that prices a request."""

from tools.stack import Stack


def test_a_request_is_priced(stack: Stack) -> None:
    quote = stack.invoke("quote", {"item": "skateboard", "quantity": 2})
    assert quote.keys() == {"item", "quantity", "total"}
    assert (quote["item"], quote["quantity"]) == ("skateboard", 2)
    assert quote["total"] > 0


def test_twice_the_quantity_costs_twice_as_much(stack: Stack) -> None:
    one = stack.invoke("quote", {"item": "car", "quantity": 1})
    two = stack.invoke("quote", {"item": "car", "quantity": 2})
    assert two["total"] == 2 * one["total"]


def test_an_invalid_request_is_a_function_error_that_says_why(stack: Stack) -> None:
    error = stack.invoke("quote", {"item": "skateboard", "quantity": 0})
    assert "quantity must be a whole number from 1 to 100" in error["errorMessage"]
