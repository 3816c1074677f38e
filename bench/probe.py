"""A cold start, as seen from inside: import the handler, answer one request, print seconds.

Run as ``python -I -S -B probe.py FOLDERS MODULE FUNCTION EVENTS NAME``: there is the unpacked
package, what Lambda has beside it, and the standard library, and nothing that is imported is
kept compiled.
"""

import importlib
import json
import sys
import time
from types import SimpleNamespace


def main() -> None:
    """Measure one cold start; end with an error unless the answer is a success."""
    folders, module, function, events, name = sys.argv[1:]
    assert not any("site-packages" in path for path in sys.path), sys.path
    with open(events, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is not free
        event = json.load(file)[name]
    context = SimpleNamespace(
        aws_request_id="00000000-0000-0000-0000-000000000000",
        function_name="rival",
        function_version="$LATEST",
        invoked_function_arn="arn:aws:lambda:ap-northeast-1:000000000000:function:rival",
        memory_limit_in_mb="512",
        get_remaining_time_in_millis=lambda: 10_000,
    )
    sys.path[:0] = folders.split(":")
    start = time.perf_counter()
    answer = getattr(importlib.import_module(module), function)(event, context)
    seconds = time.perf_counter() - start
    if answer["statusCode"] not in (200, 202):
        sys.exit(f"answered {answer}")
    print("SECONDS", seconds)  # after whatever the handler itself prints


if __name__ == "__main__":
    main()
