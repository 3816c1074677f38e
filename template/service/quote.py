"""The Lambda function ``quote``."""

from service import pricing


def handler(event: object, context: object) -> pricing.Quote:
    """Price the event; an invalid one becomes a function error that says why."""
    return pricing.quote(event)
