"""Who was cancelled? `asyncio.CancelledError` also comes out of grpc.aio when a call is cancelled by its channel's end:
a task that takes that for its own end is gone without a word, and nothing starts it again."""

import asyncio


def is_requested() -> bool:
    """Was the running task itself asked to end?"""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
