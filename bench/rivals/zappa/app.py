"""The service in Flask, as Zappa wants it."""

from flask import Flask

app = Flask(__name__)


@app.get("/health")
def health() -> dict[str, str]:
    """Say that requests get through to the code."""
    return {"status": "ok"}
