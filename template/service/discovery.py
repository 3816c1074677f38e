"""Find what pieces of the service bring: each module in a folder of ``service`` is one."""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

SERVICE = Path(__file__).parent


def find(folder: str, function: str, takes: str) -> list[Callable[[Any], None]]:
    """Import all modules of a folder, in the order of their names, and return their functions.

    Raises:
        RuntimeError: a module there cannot be imported, or does not define the function.
    """
    path = SERVICE / folder
    names = sorted(module.name for module in pkgutil.iter_modules([str(path)]))
    for entry in sorted(path.glob("*")):
        if _is_code(entry) and entry.stem not in names:
            raise RuntimeError(
                f"service/{folder}/{entry.name} cannot be imported: a module's name ends in .py and"
                " has no other dot; a folder of modules needs an __init__.py"
            )
    functions = []
    for name in names:
        module = importlib.import_module(f"service.{folder}.{name}")
        if not callable(getattr(module, function, None)):
            raise RuntimeError(f"service/{folder}/{name}.py must define {function}({takes})")
        functions.append(getattr(module, function))
    return functions


def _is_code(path: Path) -> bool:
    if path.name.startswith((".", "__")):
        return False
    return path.suffix.lower() == ".py" or any(path.glob("*.py"))
