"""What all routes share: reading JSON, and answering errors as problem details."""

import json

from flask import Flask, request
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    UnprocessableEntity,
    UnsupportedMediaType,
)
from werkzeug.sansio.response import Response

from service.pricing import InvalidRequest


def json_body() -> object:
    """Read the body of the request as JSON.

    Raises:
        UnsupportedMediaType: it is not declared to be JSON.
        RequestEntityTooLarge: it is larger than the application allows.
        BadRequest: it is not JSON (RFC 8259, which has no NaN and no Infinity).
    """
    if not request.is_json:
        raise UnsupportedMediaType("Send the body as application/json.")
    try:
        return json.loads(request.get_data(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not valid JSON.") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def answer_with_problems(app: Flask) -> None:
    """Let the application answer each error with problem details (RFC 9457)."""
    # Flask turns an exception that nothing handles into an HTTP error, a bare 500.
    app.register_error_handler(HTTPException, problem)
    app.register_error_handler(InvalidRequest, invalid_request)


def invalid_request(error: InvalidRequest) -> Response:
    """Answer a request that the domain refuses: 422, and the field to blame."""
    return problem(UnprocessableEntity(str(error)), field=error.field)


def problem(error: HTTPException, **more: str) -> Response:
    """Answer an HTTP error; ``more`` goes into the problem document."""
    # Werkzeug's own response has the status, and headers such as Allow.
    response = error.get_response()
    response.content_type = "application/problem+json"
    document = {
        "type": "about:blank",
        "title": error.name,
        "status": error.code,
        "detail": error.description,
        **more,
    }
    response.data = json.dumps(document)
    return response


def set_headers(app: Flask) -> None:
    """Add security headers to every response."""
    app.after_request(add_headers)


def add_headers(response: Response) -> Response:
    """Let no client guess another content type, and no cache keep the answer."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response
