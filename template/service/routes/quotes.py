"""``POST /quotes`` tells what a request would cost."""

from flask import Blueprint, Flask

from service import pricing
from service.http import json_body

blueprint = Blueprint("quotes", __name__)


def attach(app: Flask) -> None:
    """Add the route to the application."""
    app.register_blueprint(blueprint)


@blueprint.post("/quotes")
def post_quote() -> pricing.Quote:
    """Price the request in the body; nothing is stored."""
    return pricing.quote(json_body())
