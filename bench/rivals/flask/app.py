"""The service in plain Flask; the same file for every way to package Flask."""

from typing import Any

import serverless_wsgi
from flask import Flask

app = Flask(__name__)


@app.get("/health")
def health() -> dict[str, str]:
    """Say that requests get through to the code."""
    return {"status": "ok"}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a request of API Gateway."""
    response: dict[str, Any] = serverless_wsgi.handle_request(app, event, context)
    return response
