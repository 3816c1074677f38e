"""Run the emulator so that no web page can drive it.

The emulator runs code for everybody who can reach it. A page that is open in a browser on this
machine can reach it, too. So this program looks at some headers before the emulator sees a request,
on every port that it opens. A browser sets them, and a page cannot change them:

- ``Host`` must name this machine. Otherwise somebody's own domain name leads here (DNS rebinding).
- ``Origin``, if there is one, must be the address that the request goes to.
- ``Sec-Fetch-Site``, if there is one, must be ``same-origin``, or ``none``: a person typed the
  address (W3C, "Fetch Metadata Request Headers"). A browser that sends neither of the two is too
  old to tell where a request comes from. It is known by its ``User-Agent``.

A web front end may call the deployed API that names it in ``CorsConfiguration``, and nothing else.
If the API lets every origin in (``*``), the front end must still be served from this machine.

This program runs in the emulator's environment, and imports nothing of the project.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ministack import app as ministack

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# Clients that use another name, such as `*.localhost` or `*.amazonaws.com`, are not needed here:
# all of ours call 127.0.0.1, the functions in the emulator included.
THIS_MACHINE = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)
PATH_OF_AN_API = re.compile(r"/_aws/execute-api/([^/]+)/")

REFUSAL = """Refused: {reason}.

This emulator answers programs on this machine, and no web pages. A web front end may call an API
whose CorsConfiguration names the origin of the front end (in serverless.yml: `cors`).
"""


def guarded(app: App) -> App:
    """Put the guard in front of an ASGI application, for HTTP and WebSockets alike."""

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        reason = None if scope["type"] == "lifespan" else reason_to_refuse(scope)
        if reason is None:
            await app(scope, receive, send)
        elif scope["type"] == "http":
            body = REFUSAL.format(reason=reason).encode()
            headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        else:
            await receive()
            await send({"type": "websocket.close"})  # before it is accepted: status 403

    return guard


def reason_to_refuse(scope: Message) -> str | None:
    """Return why a request may come from a web page, or None if it does not."""

    def values(name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]

    hosts, origins = values(b"host"), values(b"origin")
    if len(hosts) != 1 or not THIS_MACHINE.fullmatch(hosts[0]):
        return f"the Host {', '.join(hosts)!a} is not this machine"
    own = f"{scope['scheme'].replace('ws', 'http')}://{hosts[0]}"
    if [each for each in origins if each != own]:
        if len(origins) == 1 and is_front_end(origins[0], scope["path"]):
            return None
        return f"it comes from a web page of {', '.join(origins)!a}"
    sites = values(b"sec-fetch-site")
    if not {*sites} <= {"none", "same-origin"}:
        return f"it comes from a web page (Sec-Fetch-Site: {', '.join(sites)!a})"
    if not origins and not sites and any("Mozilla/" in each for each in values(b"user-agent")):
        return "it may come from a web page: this browser does not tell (Sec-Fetch-Site is missing)"
    return None


def is_front_end(origin: str, path: str) -> bool:
    """Return whether a path belongs to an API that lets the pages of this origin call it."""
    if not (called := PATH_OF_AN_API.match(path)):
        return False
    from ministack.services import apigateway  # loaded by then, where there is an API

    allowed: list[str] = []
    for (_, _, api_id), api in apigateway._apis.all_items():
        if api_id == called[1]:
            cors = api.get("corsConfiguration") or {}
            # The emulator keeps the name as CloudFormation or as its own API has it.
            allowed += cors.get("AllowOrigins") or cors.get("allowOrigins") or []
    scheme, _, host = origin.lower().partition("://")
    if THIS_MACHINE.fullmatch(host) and {"*", f"{scheme}://*"} & {*allowed}:
        return True
    return origin.lower() in [each.lower() for each in allowed]


if __name__ == "__main__":
    ministack.app = guarded(ministack.app)
    ministack.main()
