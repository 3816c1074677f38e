"""The Lambda function ``worker``: fulfils the orders in the queue, one by one."""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
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

from service import orders

STEPS_FOLDER = Path(__file__).parent / "fulfilment"

Step = Callable[[orders.Order], None]

logger = Logger()


def find_steps() -> list[Step]:
    """What is done for each order: ``fulfil(order)`` of every module in the folder.

    SQS may deliver a message twice: a step that is repeated must do no harm.

    Raises:
        RuntimeError: a module there does not define it.
    """
    steps = []
    for name in sorted(module.name for module in pkgutil.iter_modules([str(STEPS_FOLDER)])):
        module = importlib.import_module(f"service.fulfilment.{name}")
        if not callable(getattr(module, "fulfil", None)):
            raise RuntimeError(f"service/fulfilment/{name}.py must define fulfil(order)")
        steps.append(module.fulfil)
    return steps


STEPS = find_steps()


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
    """Fulfil a batch of messages, and report those that failed."""
    # The whole batch may fail: then each message is reported, as always.
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event, fulfil, processor, context)
