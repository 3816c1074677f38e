"""The Lambda function ``api``: Flask behind API Gateway's HTTP API."""

from typing import Any

import serverless_wsgi  # type: ignore[import-untyped]
from flask import Flask

from service import discovery, http

MAX_BODY_BYTES = 16 * 1024

# Problem documents are text: they need no base64 on their way through the gateway.
serverless_wsgi.TEXT_MIME_TYPES.append("application/problem+json")


def create_app() -> Flask:
    """Make the application, with the routes of every module in ``service/routes``.

    Raises:
        RuntimeError: a module there cannot be imported, or does not define ``attach(app)``.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # /a//b is not /a/b
    http.answer_with_problems(app)
    http.set_headers(app)
    app.add_url_rule("/health", view_func=get_health, methods=["GET"])
    for attach in discovery.find("routes", "attach", "app"):
        attach(app)
    return app


def get_health() -> dict[str, str]:
    """Say that requests get through to the code."""
    return {"status": "ok"}


app = create_app()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a request of API Gateway (payload format 2.0)."""
    response: dict[str, Any] = serverless_wsgi.handle_request(app, event, context)
    return response
