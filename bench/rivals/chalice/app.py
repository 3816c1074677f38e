"""The service in Chalice."""

from chalice import Chalice

app = Chalice(app_name="bench")


@app.route("/health")
def health() -> dict[str, str]:
    """Say that requests get through to the code."""
    return {"status": "ok"}
