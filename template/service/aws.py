"""Clients of AWS services. Import this where it is used: boto3 is slow to import."""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# What a call can raise: AWS refuses, or does not answer.
ERRORS = (BotoCoreError, ClientError)

# Seconds. Two tries of a call end well before the function that makes it.
CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"mode": "standard", "total_max_attempts": 2},
)


@cache
def client(service: str) -> Any:
    """The client of an AWS service, such as ``client("sqs")``."""
    return boto3.client(service, config=CONFIG)
