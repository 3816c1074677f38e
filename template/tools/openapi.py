"""The contract of the HTTP API: the files of ``openapi/``, merged into one document.

``tox -qqe python -- -m tools.openapi`` prints it, for clients and their tools.
"""

import json
from typing import Any

import yaml

from tools.install import ROOT


def contract() -> dict[str, Any]:
    """Merge the files in the order of their names; mappings are merged key by key."""
    document: dict[str, Any] = {}
    for file in sorted((ROOT / "openapi").glob("*.yml")):
        _merge(document, yaml.safe_load(file.read_text(encoding="utf-8")))
    return document


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


if __name__ == "__main__":
    print(json.dumps(contract(), indent=2, ensure_ascii=False))
