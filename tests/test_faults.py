"""What AWS does on its bad days: no order that was accepted is lost, and none comes twice."""

import contextlib
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from tests.conftest import Render, check_nothing_left_behind
from tests.faulty import Faulty, Rule, faulty
from tests.published import Publish
from tests.service import PATIENCE, Answer, Caller, wait_until

pytestmark = pytest.mark.deploy

T = TypeVar("T")
R = TypeVar("R")

THREADS = 8
HIDDEN = 12  # seconds: the VisibilityTimeout of the deployment `local`


class Storm(NamedTuple):
    """What goes wrong: calls that are spoiled, functions that are killed, both while orders come.

    ``lasts`` is how long it goes on, in seconds, after the last order was sent; ``again`` tells
    that messages have to be delivered more than once by it, and ``gateway`` that some callers
    are answered by the gateway.
    """

    rules: list[Rule]
    kill: tuple[str, ...] = ()
    hidden: int = HIDDEN
    lasts: float = 5
    again: bool = False
    gateway: bool = False


def sqs(share: float, **effect: object) -> Rule:
    """Spoil a share of the calls that put an order into the queue."""
    return {"service": "sqs", "operation": "SendMessage", "probability": share, **effect}


def table(share: float, **effect: object) -> Rule:
    """Spoil a share of all calls of the table."""
    return {"service": "dynamodb", "probability": share, **effect}


def stores(share: float, **effect: object) -> Rule:
    """Spoil a share of the calls that store an order."""
    return table(share, operation="PutItem", **effect)


def error(code: str, status: int) -> dict[str, Any]:
    return {"error": {"code": code, "status": status}}


THROTTLED_QUEUE = error("ThrottlingException", 400)
REFUSING_QUEUE = error("RequestThrottled", 403)  # botocore does not try this one again
THROTTLED_TABLE = error("ProvisionedThroughputExceededException", 400)
BROKEN = error("InternalServerError", 500)
# The call is done, and its answer never comes.
LOST = {"response": {"abort_bytes": 0}}

STORMS = {
    "queue throttled": Storm([sqs(0.2, **REFUSING_QUEUE), sqs(0.5, **THROTTLED_QUEUE)]),
    "queue answers 500": Storm([sqs(0.5, **BROKEN)]),
    "queue slow, up to 4.5 s": Storm([sqs(0.05, latency={"min": 0, "max": 4500})]),
    "answers of the queue lost": Storm([sqs(0.5, **LOST)]),
    "table throttled": Storm([table(0.4, **THROTTLED_TABLE)], lasts=12),
    "table answers 500": Storm([table(0.4, **BROKEN)], lasts=12),
    "table slow, each write 300 ms": Storm([stores(1, latency=300)], lasts=40),
    # Each message is tried five times in ten seconds, and then it is a dead letter.
    "table away until all tries are used": Storm([stores(1, **BROKEN)], hidden=2, lasts=30),
    "answers of the table lost": Storm([table(0.5, **LOST)], lasts=12),
    "worker out of time within a batch": Storm([stores(0.05, latency=4500)], lasts=12, again=True),
    "worker killed within a batch": Storm(
        [stores(1, latency=100)], kill=("worker",), lasts=10, again=True
    ),
    "api killed at work": Storm([], kill=("api",), gateway=True),
    "messages for two workers at once": Storm(
        [stores(0.15, latency=900)], hidden=1, lasts=12, again=True
    ),
    "all of it": Storm(
        [
            sqs(0.1, **THROTTLED_QUEUE),
            sqs(0.1, **BROKEN),
            sqs(0.1, **LOST),
            sqs(0.02, latency=3000),
            table(0.1, **THROTTLED_TABLE),
            table(0.1, **BROKEN),
            table(0.1, **LOST),
            stores(0.02, latency=3000),
            stores(1, latency=20),
        ],
        kill=("worker", "api"),
        lasts=12,
        gateway=True,
    ),
}
QUEUE_STORM = Storm(
    [sqs(0.2, **THROTTLED_QUEUE), sqs(0.2, **BROKEN), sqs(0.2, **LOST)],
    kill=("worker", "api"),
    gateway=True,
)
SAMPLE = Storm(
    [sqs(0.3, **REFUSING_QUEUE), table(0.2, **THROTTLED_TABLE), stores(1, latency=20)],
    kill=("worker",),
)


class Sent(NamedTuple):
    """An order that was sent with a key, and what was answered."""

    key: str
    body: dict[str, Any]
    answer: Answer


class Outcome(NamedTuple):
    """What has become of the orders of a storm."""

    orders: int
    faults: int
    accepted: int
    other: Counter[int]
    left_one: int
    again: int
    dead: int
    drained: float
    lost: int


class Ride:
    """A running service that goes through storms."""

    def __init__(self, running: Faulty) -> None:
        self.running = running
        self.service = running.service
        self.sqs = self.service.client("sqs")
        self.queue = self.service.running.value("OrdersQueueUrl")
        self.dead_letters = self.service.running.value("OrdersDeadLetterQueueUrl")
        self._customer: tuple[Caller, float] | None = None

    @property
    def customer(self) -> Caller:
        """Who orders; at the car their token is renewed long before it expires."""
        if self.running.stage < 5:
            return Caller(self.service.url)
        if self._customer is None or time.monotonic() - self._customer[1] > 300:
            signed_in = self.service.sign_in(f"ann{uuid.uuid4().hex}@example.com")
            self._customer = signed_in, time.monotonic()
        return self._customer[0]

    def go_through(self, storm: Storm, orders: int) -> Outcome:
        """Send orders through a storm, wait for calm, and look what has become of them."""
        faults, begun = self.running.proxy.faults(), now()
        caller = self.customer  # a key belongs to its owner
        with self.weather(storm) as killed:
            sent = at_once(lambda number: send(caller, number), range(orders))
            deadline = time.monotonic() + storm.lasts
            while time.monotonic() < deadline and count(self.sqs, self.queue):
                time.sleep(0.2)
        drained = self.drain()
        faults = self.running.proxy.faults() - faults + killed[0]
        fulfilled = self.fulfilled(since=begun)
        dead = set(self.order_ids_in_the_dead_letter_queue())
        kept = self.kept(fulfilled)
        accepted = [each.answer.body["id"] for each in sent if each.answer.status == 202]
        assert len(set(accepted)) == len(accepted)
        missing = [each for each in accepted if not kept[each] and each not in dead]

        # Whoever got another answer tries again, with the same key.
        others = [each for each in sent if each.answer.status != 202]
        for each in others:
            check_refusal(each.answer, storm.gateway)
        ids = at_once(lambda each: retry(caller, each), others)
        left_one = sum(bool(kept[each] or each in dead) for each in ids)
        assert not set(ids) & set(accepted)
        if dead:
            self.redrive()
        self.drain()
        assert count(self.sqs, self.dead_letters) == 0
        self.check_each_is_kept_once([*accepted, *ids])
        return Outcome(
            orders=orders,
            faults=faults,
            accepted=len(accepted),
            other=Counter(each.answer.status for each in others),
            left_one=left_one,
            again=sum(times > 1 for times in fulfilled.values()),
            dead=len(dead),
            drained=drained,
            lost=len(missing),
        )

    @contextlib.contextmanager
    def weather(self, storm: Storm) -> Iterator[list[int]]:
        """A storm; it tells how many processes were killed in it."""
        killed, ended = [0], threading.Event()

        def kill() -> None:
            for function in storm.kill:
                # Only while there is work to do: within a batch, as the test asks for.
                wait_until(lambda: ended.is_set() or in_flight(self.sqs, self.queue), PATIENCE)
                times = 0
                while times < 4 and not ended.wait(0.2):
                    if found := self.running.kill(function):
                        killed[0] += found
                        times += 1
                        ended.wait(0.6)

        self.hide_for(storm.hidden)
        with ThreadPoolExecutor(1) as pool, self.running.proxy.rules(storm.rules):
            killing = pool.submit(kill)
            try:
                yield killed
            finally:
                ended.set()
        killing.result()
        self.hide_for(HIDDEN)
        assert bool(killed[0]) == bool(storm.kill)

    def hide_for(self, seconds: int) -> None:
        """Set for how long a message is hidden that somebody has received."""
        attributes = {"VisibilityTimeout": str(seconds)}
        self.sqs.set_queue_attributes(QueueUrl=self.queue, Attributes=attributes)

    def put(self, message: str) -> None:
        """Put a message into the queue, past the API."""
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=message)

    def drain(self) -> float:
        """Wait until the queue is empty; the time that it took, in seconds."""
        start = time.monotonic()
        wait_until(lambda: count(self.sqs, self.queue) == 0, PATIENCE)
        return time.monotonic() - start

    def fulfilled(self, since: int = 0) -> Counter[str]:
        """How many times the log tells of each order, since a time in milliseconds."""
        lines = self.service.log("worker", since)
        return Counter(x["order_id"] for x in lines if x["message"] == "Order fulfilled")

    def kept(self, fulfilled: Counter[str]) -> Counter[str]:
        """How many times each order is kept: rows, or lines where there is no table."""
        if self.running.stage < 4:
            return fulfilled
        return Counter(row["id"] for row in self.service.rows())

    def check_each_is_kept_once(self, ids: list[str]) -> None:
        """Make sure that each is there; a log may tell of one twice, a table may not."""
        if self.running.stage < 4:
            assert set(ids) <= self.fulfilled().keys()
        else:
            rows = Counter(row["id"] for row in self.service.rows())
            assert [each for each in ids if rows[each] != 1] == []

    def order_ids_in_the_dead_letter_queue(self) -> list[str]:
        """They stay there."""
        return [json.loads(body)["id"] for body in bodies(self.sqs, self.dead_letters)]

    def redrive(self) -> None:
        """Send what is in the dead-letter queue again, with the project's own tool."""
        command = ("-m", "tools.redrive", "--stage", "local")
        self.service.project.tox("-qqe", "python", "--", *command)


def at_once(work: Callable[[T], R], on: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, on))


def send(caller: Caller, number: int) -> Sent:
    key = uuid.uuid4().hex
    body = {"item": "bicycle", "quantity": 1 + number % 100}
    return Sent(key, body, caller.post("/orders", body, {"Idempotency-Key": key}))


def retry(caller: Caller, sent: Sent) -> str:
    """Send an order again; the storm is over, so it is accepted."""
    answer = caller.post("/orders", sent.body, {"Idempotency-Key": sent.key})
    assert answer.status == 202
    return str(answer.body["id"])


def check_refusal(answer: Answer, gateway: bool) -> None:
    """Make sure that an answer other than 202 is one that is documented."""
    if answer.status == 503:
        assert answer.body.keys() == {"type", "title", "status", "detail"}
        assert "again" in answer.body["detail"]
    else:
        # A function that is killed: AWS answers 500 or 503, the emulator 502.
        assert gateway
        assert answer.status >= 500


def count(sqs: Any, queue: str) -> int:
    """How many messages a queue has, those included that are just being worked on."""
    return sum(counts(sqs, queue))


def in_flight(sqs: Any, queue: str) -> int:
    """How many messages are being worked on, or hidden."""
    return counts(sqs, queue)[1]


def counts(sqs: Any, queue: str) -> list[int]:
    names = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
    answer = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    return [int(answer["Attributes"][name]) for name in names]


def bodies(sqs: Any, queue: str, delete: bool = False) -> list[str]:
    """What is in a queue; it stays there, unless it is to be deleted."""
    found: list[Any] = []
    while messages := sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=PATIENCE
    ).get("Messages"):
        found += messages
    for message in found:
        handle = {"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]}
        if delete:
            sqs.delete_message(**handle)
        else:
            sqs.change_message_visibility(**handle, VisibilityTimeout=0)
    return [message["Body"] for message in found]


@pytest.fixture(scope="module")
def ride(request: pytest.FixtureRequest, render: Render, temporary: Path) -> Iterator[Ride]:
    stage: int = request.param
    with faulty(render(stage), stage, temporary) as running:
        yield Ride(running)
    check_nothing_left_behind(temporary)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """What has become of all orders of this run."""
    return []


@pytest.mark.parametrize("ride", [4], indirect=True)
def test_orders_survive_a_throttled_table_and_a_killed_worker(ride: Ride) -> None:
    outcome = ride.go_through(SAMPLE, 200)
    assert outcome.faults > 0
    assert outcome.lost == 0
    assert outcome.accepted + outcome.other.total() == 200


@pytest.mark.full
@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("ride", [3], indirect=True)
def test_orders_survive_a_storm_where_only_the_log_tells(
    ride: Ride, outcomes: list[Outcome], publish: Publish
) -> None:
    survive(ride, "queue: all of it (bicycle)", QUEUE_STORM, 500, outcomes, publish)


@pytest.mark.full
@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("ride", [5], indirect=True)
@pytest.mark.parametrize("name", STORMS)
def test_orders_survive_a_storm(
    ride: Ride, name: str, outcomes: list[Outcome], publish: Publish
) -> None:
    survive(ride, name, STORMS[name], 400, outcomes, publish)


def survive(
    ride: Ride,
    name: str,
    storm: Storm,
    orders: int,
    outcomes: list[Outcome],
    publish: Publish,
) -> None:
    """Go through a storm, and tell of it."""
    outcome = ride.go_through(storm, orders)
    outcomes.append(outcome)
    publish("proofs.md", "faults", name, *cells(outcome))
    assert outcome.faults > 0
    assert outcome.lost == 0
    if storm.again:
        assert outcome.again > 0


def now() -> int:
    """The time in milliseconds, to read a log from: the emulator gives 10,000 lines at most."""
    return int(time.time() * 1000)


def cells(outcome: Outcome) -> list[str]:
    """The cells of a row in the document."""
    other = ", ".join(f"{times}x {status}" for status, times in sorted(outcome.other.items()))
    return [
        f"{outcome.orders:,}",
        f"{outcome.faults:,}",
        f"{outcome.accepted:,}",
        other or "none",
        str(outcome.left_one),
        str(outcome.again),
        str(outcome.dead),
        f"{outcome.drained:.0f} s",
        str(outcome.lost),
    ]


@pytest.mark.full
@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("ride", [5], indirect=True)
def test_messages_that_come_again_and_in_any_order_change_nothing(
    ride: Ride, outcomes: list[Outcome], publish: Publish
) -> None:
    caller, begun = ride.customer, now()
    placed = at_once(lambda number: send(caller, number), range(500))
    ids = {each.answer.body["id"] for each in placed}
    ride.drain()

    def stored() -> list[dict[str, Any]]:
        rows = [row for row in ride.service.rows() if row["id"] in ids]
        return sorted(rows, key=lambda row: str(row["id"]))

    before = stored()
    assert len(before) == len(ids) == 500
    # The second copy differs, as if somebody had changed it: what is stored stays.
    messages = [
        {
            "v": 1,
            **{name: row[name] for name in ("id", "owner", "item", "placed_at")},
            **{name: int(row[name]) + copy for name in ("quantity", "total")},
        }
        for row in before
        for copy in (0, 1)
    ]
    random.Random(1).shuffle(messages)
    at_once(lambda message: ride.put(json.dumps(message)), messages)
    drained = ride.drain()
    assert stored() == before
    again = sum(times > 1 for times in ride.fulfilled(since=begun).values())
    assert count(ride.sqs, ride.dead_letters) == 0
    outcome = Outcome(500, len(messages), 500, Counter(), 0, again, 0, drained, 0)
    outcomes.append(outcome)
    publish("proofs.md", "faults", "each message twice more, shuffled", *cells(outcome))


GOOD: dict[str, Any] = {
    "v": 1,
    "id": "00000000-0000-4000-8000-000000000000",
    "owner": "public",
    "item": "car",
    "quantity": 1,
    "total": 1,
    "placed_at": "2026-01-01T00:00:00.000000Z",
}
POISON = {
    "no JSON": "no order",
    "nested too deeply": "[" * 100_000,
    "no object": "null",
    "fields that are missing": json.dumps({"v": 1}),
    "another version": json.dumps(GOOD | {"v": 2}),
    "no id": json.dumps(GOOD | {"id": "1"}),
    "an owner that is too long": json.dumps(GOOD | {"owner": "x" * 5_000}),
    "a quantity that is no number": json.dumps(GOOD | {"quantity": True}),
    "a total that is no whole number": json.dumps(GOOD | {"total": 1.5}),
    "a time that is none": json.dumps(GOOD | {"placed_at": "yesterday"}),
}


@pytest.mark.full
@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("ride", [5], indirect=True)
def test_poison_of_ten_kinds_ends_in_the_dead_letter_queue_and_nowhere_else(
    ride: Ride, outcomes: list[Outcome], publish: Publish
) -> None:
    assert len(POISON) == 10
    poison = [*POISON.values()] * 3
    caller = ride.customer

    def sent(number: int) -> Sent:
        if number % 10 == 0:
            ride.put(poison[number // 10])
        return send(caller, number)

    placed = at_once(sent, range(10 * len(poison)))
    drained = ride.drain()
    dead = bodies(ride.sqs, ride.dead_letters, delete=True)
    assert sorted(dead) == sorted(poison)
    assert {each.answer.status for each in placed} == {202}
    ride.check_each_is_kept_once([each.answer.body["id"] for each in placed])
    assert not any(row["id"] == GOOD["id"] for row in ride.service.rows())
    outcome = Outcome(len(placed), len(poison), len(placed), Counter(), 0, 0, len(dead), drained, 0)
    outcomes.append(outcome)
    publish("proofs.md", "faults", "poison of ten kinds", *cells(outcome))


@pytest.mark.full
@pytest.mark.xdist_group("faults")
def test_no_order_of_more_than_five_thousand_was_lost(
    outcomes: list[Outcome], publish: Publish
) -> None:
    if len(outcomes) < len(STORMS) + 3:
        pytest.skip("only some of the storms have run, or not all were survived")
    total = Outcome(
        sum(each.orders for each in outcomes),
        sum(each.faults for each in outcomes),
        sum(each.accepted for each in outcomes),
        sum((each.other for each in outcomes), Counter()),
        sum(each.left_one for each in outcomes),
        sum(each.again for each in outcomes),
        sum(each.dead for each in outcomes),
        max(each.drained for each in outcomes),
        sum(each.lost for each in outcomes),
    )
    publish("proofs.md", "faults", "**in all**", *cells(total))
    assert total.orders >= 5_000
    assert total.lost == 0
