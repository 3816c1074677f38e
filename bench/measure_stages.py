"""What each stage of ours costs: files, package, and cold starts."""

import statistics
from collections.abc import Mapping, Sequence

import boto3

from bench import emulator, shell
from bench.measure_cold import ENVIRONMENT, PAIRS, cold_start
from bench.measure_package import contents, size
from bench.packages import HTTP_API, ORDER, Packages
from bench.pairs import Measure, alternate, ratio
from bench.report import Findings, Table
from bench.shell import step
from bench.workshop import STAGES, Workshop, files

SCOOTER, *LATER = WITH_API = [f"stage {stage}" for stage in STAGES[1:]]
WITH_ORDERS = WITH_API[1:]
CAR = WITH_API[-1]
BARE = "bare"

Taken = Mapping[str, Sequence[float]]


def measure(workshop: Workshop, packages: Packages) -> Findings:
    """Compare the stages with the scooter, and their orders with a bare service's, in turns."""
    with emulator.running(workshop) as endpoint:
        environ = ENVIRONMENT | orders_environment(endpoint)

        def starts(names: Sequence[str], event: str) -> dict[str, Measure]:
            found = {name: packages.ours(int(name[-1]))._replace(event=event) for name in names}
            if event == ORDER:
                found[BARE] = packages.bare_orders()
            return {
                name: cold_start(package, workshop.folder, environ, workshop.boto3)
                for name, package in found.items()
            }

        health = starts(WITH_API, HTTP_API)
        orders = starts(WITH_ORDERS, ORDER)
        with step("Cold starts of the stages: GET /health"):
            health_taken = alternate(PAIRS, health)
        with step("Cold starts of the stages, and of a bare service: POST /orders"):
            orders_taken = alternate(PAIRS, orders)
    return report(workshop, packages, health_taken, orders_taken)


def orders_environment(endpoint: str) -> dict[str, str]:
    """What the functions are told, once there is a queue on the emulator."""
    environ = shell.environment(endpoint)
    session = boto3.Session("test", "test", region_name=shell.REGION)
    queue = session.client("sqs", endpoint_url=endpoint).create_queue(QueueName="orders")
    told = {name: value for name, value in environ.items() if name.startswith("AWS_")}
    return told | {
        "NO_PROXY": environ["NO_PROXY"],
        "ORDERS_QUEUE_URL": queue["QueueUrl"],
        "ORDERS_TABLE_NAME": "orders",  # not asked: the request has no Idempotency-Key
        "POWERTOOLS_SERVICE_NAME": "bench",
    }


def report(workshop: Workshop, packages: Packages, health: Taken, orders: Taken) -> Findings:
    """Put it together, a row for each stage."""

    def cold(taken: Taken, name: str, beside: str) -> list[str]:
        if name not in taken:
            return ["", ""]
        compared = "" if name == beside else str(ratio(taken[name], taken[beside]))
        return [f"{statistics.median(taken[name]) * 1000:.0f} ms", compared]

    rows = [
        [
            str(stage),
            str(len(files(workshop.project(stage)))),
            size(contents(packages.ours(stage).zip).size),
            *cold(health, f"stage {stage}", SCOOTER),
            *cold(orders, f"stage {stage}", BARE),
        ]
        for stage in STAGES
    ]
    rows.append([BARE, "", "", "", "", *cold(orders, BARE, BARE)])
    return Findings(
        {
            "cold GET /health, car by scooter's": ratio(health[CAR], health[SCOOTER]).median,
            "cold POST /orders, car by bare Flask's": ratio(orders[CAR], orders[BARE]).median,
        },
        [
            Table(
                "What each stage costs",
                f"Cold starts as below, {PAIRS} rounds in alternating order, with boto3 beside the"
                " package as Lambda has it. *Bare* is Flask + serverless-wsgi, our build, that"
                " sends the order with the same boto3 client, checks nothing and logs nothing."
                " The queue is on the emulator. Beside these: `get_order` of"
                " aws-lambda-handler-cookbook, a service that is planned as a car from the start,"
                " took 455 ms where bare Flask took 243 ms, from a package of 14.1 MiB; that was"
                " measured once, on a slower machine in November 2026, and not in this run.",
                [
                    *("stage", "files", "package", "`GET /health`", "by the scooter's"),
                    *("`POST /orders`", "by bare Flask's"),
                ],
                rows,
            )
        ],
    )
