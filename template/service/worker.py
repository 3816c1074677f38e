"""The Lambda function ``worker``: fulfils the orders in the queue, one by one."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from service import discovery, orders

Step = Callable[[orders.Order], None]

logger = Logger()


class OutOfTimeError(Exception):
    """There is no time left to begin another order."""


# What is done for each order. SQS may deliver a message twice: a repeated step must do no harm.
STEPS: list[Step] = discovery.find("fulfilment", "fulfil", "order")


def fulfil(record: SQSRecord) -> None:
    """Fulfil the order in a message. With an error, it goes back to the queue."""
    order_id = None
    try:
        order = orders.read(record.body)
        order_id = order["id"]
        for step in STEPS:
            step(order)
    except Exception:
        logger.exception("Order not fulfilled", order_id=order_id, message_id=record.message_id)
        raise
    logger.info("Order fulfilled", order_id=order_id)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Fulfil a batch of messages, and report those that failed.

    Half-way to its timeout it begins no more orders: the rest goes back to the queue. A
    function that is ended by its timeout reports nothing, and what it has done comes again.
    """
    half_time = context.get_remaining_time_in_millis() / 2

    def fulfil_in_time(record: SQSRecord) -> None:
        if context.get_remaining_time_in_millis() < half_time:
            logger.warning("Order put back, out of time", message_id=record.message_id)
            raise OutOfTimeError
        fulfil(record)

    # The whole batch may fail: then each message is reported, as always.
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event, fulfil_in_time, processor, context)
