"""A thousand orders from many callers at once, and among them messages that are no orders."""

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from demo.snapshot import environment
from demo.up import up
from tests.conftest import Render, check_nothing_left_behind
from tests.published import Publish
from tests.service import PATIENCE, Answer, Caller, Service, count, wait_until

pytestmark = [pytest.mark.deploy, pytest.mark.full, pytest.mark.xdist_group("load")]

ORDERS = 1_000
EVERY = 50  # after so many orders comes a message that is none
THREADS = 8
REQUEST = {"item": "skateboard", "quantity": 2}
STORING = (4, 5)  # the stages whose orders can be read back

T = TypeVar("T")


class Placed(NamedTuple):
    """An order that was sent: the answer, and when it came (seconds since the epoch)."""

    answer: Answer
    at: float


class Load:
    """A service that has had it all, and what has become of it."""

    def __init__(self, stage: int, service: Service, customer: Caller) -> None:
        self.stage = stage
        self.service = service
        self.customer = customer
        self.placed: list[Placed] = []
        self.poison: list[str] = []
        self.dead: list[str] = []
        self.log: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.done_at = 0.0

    @property
    def ids(self) -> list[str]:
        """The ids of the orders that were accepted."""
        return [each.answer.body["id"] for each in self.placed if each.answer.status == 202]

    def logged(self, message: str) -> list[dict[str, Any]]:
        """What the worker has logged with this message."""
        return [line for line in self.log if line["message"] == message]


@pytest.fixture(scope="module", params=(3, 4, 5))
def load(request: pytest.FixtureRequest, render: Render, temporary: Path) -> Iterator[Load]:
    stage: int = request.param
    project = render(stage)
    with up(project.folder, environment()) as running:
        running.wait_until_ready()
        service = Service(project, running)
        customer = service.sign_in("ann@example.com") if stage == 5 else Caller(service.url)
        load = Load(stage, service, customer)
        drive(load)
        yield load
    check_nothing_left_behind(temporary)


def drive(load: Load) -> None:
    """Send all of it, and wait until nothing is left in the queue."""
    sqs, queue = load.service.client("sqs"), load.service.running.value("OrdersQueueUrl")
    load.poison = [no_order(number) for number in range(ORDERS // EVERY)]

    def send(number: int) -> Placed:
        if number % EVERY == 0:
            sqs.send_message(QueueUrl=queue, MessageBody=load.poison[number // EVERY])
        return Placed(load.customer.post("/orders", REQUEST), time.time())

    load.placed = at_once(send, ORDERS)
    wait_until(lambda: count(sqs, queue) == 0, PATIENCE)
    load.done_at = time.time()
    load.log = load.service.log("worker")
    if load.stage in STORING:
        load.rows = load.service.rows()
    load.dead = bodies(sqs, load.service.running.value("OrdersDeadLetterQueueUrl"))


def no_order(number: int) -> str:
    """A message that is no order, each in one of several ways."""
    order = {"v": 1, "id": str(uuid.uuid4()), "owner": "public", "total": 1, **REQUEST}
    order["placed_at"] = "2026-01-01T00:00:00.000000Z"
    wrong: list[dict[str, object]] = [{"v": 2}, {"id": "1"}, {"total": -1}, {"quantity": "two"}]
    kinds = [f"no order {number}", *(json.dumps(order | change) for change in wrong)]
    return kinds[number % len(kinds)]


def at_once(work: Callable[[int], T], times: int) -> list[T]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, range(times)))


def bodies(sqs: Any, queue: str) -> list[str]:
    """What is in a queue; it stays there."""
    found: list[str] = []
    while messages := sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=PATIENCE
    ).get("Messages"):
        found += [message["Body"] for message in messages]
    return found


def test_every_order_is_accepted(load: Load) -> None:
    assert Counter(each.answer.status for each in load.placed) == {202: ORDERS}
    assert len(set(load.ids)) == ORDERS


def test_every_order_is_fulfilled_once(load: Load) -> None:
    """SQS may deliver twice, but here it would mean that the worker was too slow, or failed."""
    assert Counter(line["order_id"] for line in load.logged("Order fulfilled")) == Counter(load.ids)


@pytest.mark.parametrize("load", STORING, indirect=True)
def test_every_order_is_stored_once(load: Load) -> None:
    assert Counter(row["id"] for row in load.rows) == Counter(load.ids)
    assert len({row["owner"] for row in load.rows}) == 1


def test_what_is_no_order_ends_in_the_dead_letter_queue_and_nowhere_else(load: Load) -> None:
    assert sorted(load.dead) == sorted(load.poison)
    refused = [line.get("order_id") for line in load.logged("Order not fulfilled")]
    assert set(refused) == {None}
    assert len(refused) == 5 * len(load.poison)  # maxReceiveCount


def test_no_order_waits_for_what_is_none(load: Load, publish: Publish) -> None:
    """No order takes as long, from its answer to the worker's line, as a message is hidden.

    If an order went back to the queue, because a message in its batch failed, it would be hidden
    that long before anything could happen to it. What it waits behind other orders, and for a
    worker to start, counts too: a pass says more than is asked.
    """
    sqs, queue = load.service.client("sqs"), load.service.running.value("OrdersQueueUrl")
    name = "VisibilityTimeout"
    answer = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
    hidden = int(answer["Attributes"][name])
    done: dict[str, float] = {}
    for line in load.logged("Order fulfilled"):
        done.setdefault(line["order_id"], at(line))
    lost = set(load.ids) - done.keys()
    waits = sorted(
        done[each.answer.body["id"]] - each.at
        for each in load.placed
        if each.answer.body["id"] not in lost
    )
    sent = [each.at for each in load.placed]
    last = max(sent)
    publish(
        "proofs.md",
        "load",
        str(load.stage),
        f"{ORDERS:,}",
        f"{ORDERS / (last - min(sent)):.0f}",
        f"{waits[-1]:.1f} s",
        f"{max(done.values()) - last:.1f} s",
        f"{load.done_at - last:.1f} s",
        str(len(lost)),
    )
    assert not lost
    assert waits[-1] < hidden


def at(line: dict[str, Any]) -> float:
    """When a line was logged, in seconds since the epoch."""
    return datetime.strptime(line["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z").timestamp()


@pytest.mark.parametrize("load", STORING, indirect=True)
@pytest.mark.parametrize("query", ["", "?limit=7", "?limit=100"])
def test_the_pages_have_each_order_once_newest_first(load: Load, query: str) -> None:
    limit = int(query.partition("=")[2] or 20)
    found = list(pages(load.customer, query))
    assert all(len(page) == limit for page in found[:-1])
    assert 1 <= len(found[-1]) <= limit
    newest_first = sorted(load.rows, key=lambda row: str(row["placed_at#id"]), reverse=True)
    assert [order["id"] for page in found for order in page] == [row["id"] for row in newest_first]


def pages(caller: Caller, query: str) -> Iterator[list[Any]]:
    """The caller's list, page by page."""
    page = caller.get(f"/orders{query}").body
    yield page["orders"]
    while "next" in page:
        page = caller.get(f"/orders{query}{'&' if query else '?'}next={page['next']}").body
        yield page["orders"]


@pytest.mark.parametrize("load", STORING, indirect=True)
def test_a_page_token_that_was_changed_is_refused(load: Load) -> None:
    token = load.customer.get("/orders?limit=7").body["next"]
    assert load.customer.get(f"/orders?next={token}").status == 200
    for bad in ("", "none", token[:-4], token + "A", token.swapcase()):
        assert load.customer.get(f"/orders?next={bad}").status == 400


def test_a_key_ten_times_at_once_makes_one_order(load: Load) -> None:
    order_id = order_by_key(load.customer, uuid.uuid4().hex)
    if load.stage in STORING:
        assert stored(load, order_id) == 1


def order_by_key(caller: Caller, key: str) -> str:
    """Order with the same key ten times at once, and give the one id."""
    headers = {"Idempotency-Key": key}
    answers = at_once(lambda _: caller.post("/orders", REQUEST, headers), 10)
    assert {answer.status for answer in answers} == {202}
    [order_id] = {answer.body["id"] for answer in answers}
    return str(order_id)


def stored(load: Load, order_id: str) -> int:
    """How many rows an order has, once all its messages have been worked on."""
    sqs, queue = load.service.client("sqs"), load.service.running.value("OrdersQueueUrl")
    wait_until(lambda: count(sqs, queue) == 0, PATIENCE)
    return [row["id"] for row in load.service.rows()].count(order_id)


@pytest.mark.parametrize("load", STORING, indirect=True)
def test_a_key_of_a_stored_order_takes_no_other(load: Load) -> None:
    key = uuid.uuid4().hex
    order_id = order_by_key(load.customer, key)
    wait_until(lambda: load.customer.get(f"/orders/{order_id}").status == 200, PATIENCE)
    other = REQUEST | {"quantity": 3}
    answers = at_once(lambda _: load.customer.post("/orders", other, {"Idempotency-Key": key}), 10)
    assert {answer.status for answer in answers} == {422}
    assert stored(load, order_id) == 1
    assert load.customer.get(f"/orders/{order_id}").body["quantity"] == REQUEST["quantity"]


@pytest.mark.parametrize("load", [5], indirect=True)
def test_users_share_neither_keys_nor_pages(load: Load) -> None:
    ben = load.service.sign_in("ben@example.com")
    key = uuid.uuid4().hex
    ids = [order_by_key(caller, key) for caller in (load.customer, ben)]
    assert len(set(ids)) == 2
    assert [stored(load, order_id) for order_id in ids] == [1, 1]
    token = load.customer.get("/orders?limit=7").body["next"]
    assert ben.get(f"/orders?next={token}").status == 400
    assert [order["id"] for order in ben.get("/orders").body["orders"]] == ids[1:]
