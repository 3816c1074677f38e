"""The contract of the HTTP API: the files of ``openapi/``, merged into one document.

``tox -qqe python -- -m tools.openapi`` prints it, for clients and their tools.
"""

import json
from collections.abc import Hashable
from typing import Any

import yaml

from tools.console import Stop, clear_errors
from tools.install import pieces


class Loader(yaml.SafeLoader):
    """Reads YAML as if it were JSON: a key is a string, and so is a date."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Make a mapping. Of two equal keys, PyYAML would keep the last alone."""
        keys = [key.value for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            line = node.start_mark.line + 1
            raise ValueError(f"{twice[0]} is there twice, in the mapping at line {line}")
        self.flatten_mapping(node)
        return {str(key.value): self.construct_object(value, deep) for key, value in node.value}


Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


def contract() -> dict[str, Any]:
    """Merge the files in the order of their names; mappings are merged key by key.

    Raises:
        Stop: a file cannot be merged.
    """
    document: dict[str, Any] = {}
    for file in pieces("openapi", ".yml", ".yaml"):
        try:
            _merge(document, Loader(file.read_bytes()).get_single_data(), "the file")
        except (ValueError, yaml.YAMLError) as error:
            raise Stop(
                f"openapi/{file.name} cannot be merged.",
                " ".join(str(error).split()),
                "correct that file; then the same command again.",
            ) from None
    return document


def _merge(into: dict[str, Any], more: Any, name: str) -> None:
    if not isinstance(more, dict):
        raise ValueError(f"{name} must be a mapping")
    for key, value in more.items():
        if isinstance(into.get(key), dict):
            _merge(into[key], value, key)
        else:
            into[key] = value


if __name__ == "__main__":
    with clear_errors():
        print(json.dumps(contract(), indent=2, ensure_ascii=False))
