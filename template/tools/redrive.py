"""Send what lies in the dead-letter queue to the worker again, once the reason is gone.

On AWS, ``aws sqs start-message-move-task`` does the same; the emulator does not know it.
"""

import argparse

from tools.console import clear_errors, say
from tools.stack import Stack, reach


def redrive(stack: Stack) -> int:
    """Move every message of the dead-letter queue to the queue, and count them."""
    queues, sqs = stack.outputs(), stack.client("sqs")
    queue, dead = queues["OrdersQueueUrl"], queues["OrdersDeadLetterQueueUrl"]
    moved = 0
    while messages := sqs.receive_message(
        QueueUrl=dead, MaxNumberOfMessages=10, WaitTimeSeconds=1
    ).get("Messages"):
        for message in messages:
            # In this order: it may be there twice for a moment, but is never nowhere.
            sqs.send_message(QueueUrl=queue, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
            moved += 1
    return moved


def main() -> None:
    """Move the messages of one deployment."""
    parser = argparse.ArgumentParser(
        prog="tox -qqe python -- -m tools.redrive", description=__doc__
    )
    parser.add_argument("--stage", required=True, metavar="NAME", help="the deployment")
    arguments = parser.parse_args()
    with clear_errors():
        reach(arguments.stage)
        stack = Stack(arguments.stage)
        stack.check_deployed()
        moved = redrive(stack)
        say(f"Sent to the worker again: {moved} {'message' if moved == 1 else 'messages'}.")


if __name__ == "__main__":
    main()
