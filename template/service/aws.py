"""Clients of AWS services. Import this where it is used: boto3 is slow to import."""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# What a call can raise: AWS refuses, or does not answer.
ERRORS = (BotoCoreError, ClientError)

# Seconds. Two tries of a call take five at most, with the wait between them, and one more for each
# that cannot even connect. Five are half of the time of the worker on AWS, which begins no order
# later; and the API makes two calls for an order.
CONFIG = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 2},
)


@cache
def client(service: str) -> Any:
    """The client of an AWS service, such as ``client("sqs")``."""
    return boto3.client(service, config=CONFIG)
