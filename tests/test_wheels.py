"""Changing wheels while driving: callers go on while a stage is deployed over the one before."""

import contextlib
import itertools
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from demo.snapshot import environment
from demo.up import up
from tests.conftest import Project, Render
from tests.published import Publish
from tests.service import PATIENCE, Caller, Service, wait_until

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.full,
    pytest.mark.usefixtures("nothing_left_behind"),
]

THREADS = 3
PAUSE = 0.25  # seconds between two requests of a thread: some ten a second in all
AFTERWARDS = 5  # seconds in which callers still come when the step is done
REQUEST = {"item": "scooter", "quantity": 2}
GOOD = {"health": {200}, "quote": {200}, "order": {202}, "list": {200}, "read": {200, 404}}


class Reply(NamedTuple):
    """What came of a request: its status, or the name of the error; ``at`` is when it came."""

    call: str
    result: int | str
    at: float


class Traffic:
    """Callers that come until they are told to end, and what they were answered."""

    def __init__(self, caller: Caller, stage: int) -> None:
        self.caller = caller
        self.replies: list[Reply] = []
        self.accepted: dict[str, float] = {}  # when, by id
        self._recent: deque[str] = deque([str(uuid.uuid4())], maxlen=20)
        self._ended = threading.Event()
        self._calls: list[tuple[str, Callable[[], int]]] = [
            ("health", lambda: caller.get("/health").status),
            ("quote", lambda: caller.post("/quotes", REQUEST).status),
        ]
        if stage >= 3:
            self._calls.append(("order", self._order))
        if stage >= 4:
            self._calls += [
                ("list", lambda: caller.get("/orders?limit=5").status),
                ("read", lambda: caller.get(f"/orders/{self._recent[-1]}").status),
            ]

    def _order(self) -> int:
        answer = self.caller.post("/orders", REQUEST, {"Idempotency-Key": uuid.uuid4().hex})
        if answer.status == 202:
            self.accepted[answer.body["id"]] = time.monotonic()
            self._recent.append(answer.body["id"])
        return answer.status

    def _drive(self, first: int) -> None:
        for name, call in itertools.islice(itertools.cycle(self._calls), first, None):
            if self._ended.wait(PAUSE):
                return
            try:
                result: int | str = call()
            except (OSError, ValueError) as error:  # no answer, or no JSON
                result = type(error).__name__
            self.replies.append(Reply(name, result, time.monotonic()))

    @contextlib.contextmanager
    def flowing(self) -> Iterator[None]:
        """Let them come for as long as it lasts, and a while longer."""
        threads = [threading.Thread(target=self._drive, args=[n]) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield
            time.sleep(AFTERWARDS)
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def failed(self) -> Counter[tuple[str, int | str]]:
        """The requests that were not answered as they should be."""
        return Counter(
            (reply.call, reply.result)
            for reply in self.replies
            if reply.result not in GOOD[reply.call]
        )


def grow(project: Project, service: Service, stage: int) -> None:
    """Grow to a stage, and deploy it over what runs."""
    project.advance(stage)
    project.commit()
    said = project.tox("-e", "deploy", "--", "--stage", "local")
    service.running.lines += said.splitlines()  # the values of new outputs are in it
    assert f"HttpApiUrl='{service.url}'" in said


def waiting(service: Service) -> int:
    """How many messages are in the queue, or are being worked on."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = service.client("sqs").get_queue_attributes(
        QueueUrl=service.running.value("OrdersQueueUrl"), AttributeNames=names
    )
    return sum(map(int, answer["Attributes"].values()))


def test_callers_go_on_while_each_stage_is_deployed_over_the_one_before(
    render: Render, publish: Publish
) -> None:
    project = render(2)
    with up(project.folder, environment()) as running:
        running.wait_until_ready()
        service = Service(project, running)
        accepted: dict[str, float] = {}
        must_be_stored: set[str] = set()
        for stage in (3, 4, 5):
            traffic = Traffic(Caller(service.url), stage - 1)
            start = time.monotonic()
            with traffic.flowing():
                time.sleep(2)
                grow(project, service, stage)
                deployed = time.monotonic()
            took = time.monotonic() - start
            wait_until(lambda: waiting(service) == 0, PATIENCE)
            accepted |= traffic.accepted
            if stage >= 4:
                must_be_stored |= {
                    order_id
                    for order_id, at in traffic.accepted.items()
                    if stage > 4 or at > deployed
                }
            report(publish, service, f"{stage - 1} to {stage}", traffic, took)
            documented = {("order", 401), ("list", 401), ("read", 401)} if stage == 5 else set()
            assert set(traffic.failed()) <= documented
            assert len(traffic.replies) > took * 4

        traffic = Traffic(service.sign_in("ann@example.com"), 5)
        with traffic.flowing():
            time.sleep(AFTERWARDS)
        wait_until(lambda: waiting(service) == 0, PATIENCE)
        report(publish, service, "at 5, with a token", traffic, 2 * AFTERWARDS)
        assert not traffic.failed()
        accepted |= traffic.accepted
        must_be_stored |= traffic.accepted.keys()

        fulfilled, rows = done(service)
        assert len(accepted) > 20
        assert {order_id: fulfilled[order_id] for order_id in accepted} == dict.fromkeys(
            accepted, 1
        )
        assert {rows[order_id] for order_id in must_be_stored} == {1}
        assert set(rows.values()) == {1}


def done(service: Service) -> tuple[Counter[str], Counter[str]]:
    """How often each order was fulfilled, and how often it is stored."""
    lines = service.log("worker")
    fulfilled = Counter(x["order_id"] for x in lines if x["message"] == "Order fulfilled")
    has_table = "OrdersTableName=" in service.running.output
    rows: list[dict[str, Any]] = service.rows() if has_table else []
    return fulfilled, Counter(row["id"] for row in rows)


def report(publish: Publish, service: Service, step: str, traffic: Traffic, took: float) -> None:
    """Tell of a step."""
    failed = traffic.failed()
    kinds = ", ".join(f"{n}x {call} {what}" for (call, what), n in sorted(failed.items(), key=str))
    fulfilled, rows = done(service)
    publish(
        "proofs.md",
        "steps",
        step,
        f"{took:.0f} s",
        str(len(traffic.replies)),
        kinds or "0",
        str(len(traffic.accepted)),
        str(sum(fulfilled[each] for each in traffic.accepted)),
        str(sum(rows[each] for each in traffic.accepted)),
        str(sum(not fulfilled[each] for each in traffic.accepted)),
    )
