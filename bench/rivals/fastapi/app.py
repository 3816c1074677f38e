"""The service in FastAPI, behind Mangum."""

from fastapi import FastAPI
from mangum import Mangum

app = FastAPI()


@app.get("/health")
def health() -> dict[str, str]:
    """Say that requests get through to the code."""
    return {"status": "ok"}


handler = Mangum(app)
