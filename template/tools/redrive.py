"""Send what lies in the dead-letter queue to the worker again, once the reason is gone.

On AWS, ``aws sqs start-message-move-task`` does the same; the emulator does not know it.
"""

import argparse
import json

from tools.console import Stop, clear_errors, say
from tools.stack import Stack, reach

# How many messages a queue has that can be received, and that were received and not deleted yet.
VISIBLE, HIDDEN = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


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


def whereabouts(stack: Stack) -> str:
    """Tell where messages are now, and what becomes of one that fails again."""
    queue = attributes(stack, "OrdersQueueUrl")
    dead = attributes(stack, "OrdersDeadLetterQueueUrl")
    tries = json.loads(queue["RedrivePolicy"])["maxReceiveCount"]
    return (
        "Where messages are now, as far as SQS knows:\n"
        f"  waiting for the worker: {queue[VISIBLE]}\n"
        f"  being tried, or waiting for the next try: {queue[HIDDEN]}\n"
        f"  in the dead-letter queue: {dead[VISIBLE]}, and {dead[HIDDEN]} that were just read, and"
        f" can be sent again in {dead['VisibilityTimeout']} s\n"
        f"A message that fails is tried {tries} times, {queue['VisibilityTimeout']} s apart, and is"
        " then in the dead-letter queue again."
    )


def attributes(stack: Stack, output: str) -> dict[str, str]:
    """Return the attributes of the queue whose address is an output of the stack."""
    found: dict[str, str] = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs()[output], AttributeNames=["All"]
    )["Attributes"]
    return found


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
        if "OrdersDeadLetterQueueUrl" not in stack.outputs():
            raise Stop(
                f"{stack.name} has no queue.",
                "what runs there was deployed before the project had one.",
                f"tox -e deploy -- --stage {arguments.stage}; then the same command again.",
            )
        moved = redrive(stack)
        say(f"Sent to the worker again: {moved} {'message' if moved == 1 else 'messages'}.")
        say(whereabouts(stack))


if __name__ == "__main__":
    main()
