"""``GET /health`` tells whether the service is up."""

from flask import Blueprint, Flask

blueprint = Blueprint("health", __name__)


def attach(app: Flask) -> None:
    """Add the route to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/health")
def get_health() -> dict[str, str]:
    """Say that requests get through to the code."""
    return {"status": "ok"}
