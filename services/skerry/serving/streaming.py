"""ModelStreamInfer: many requests on one stream, answered in their order, a bounded number of them at once.

When the server ends, what was read is answered, then the stream ends with UNAVAILABLE: its caller opens another one.
"""

import asyncio
from collections.abc import Awaitable, Callable

from skerry.rpc.methods import Call, CallError, Status
from skerry.serving.registry import Registry

MAX_CALLS = 64

Answering = asyncio.Task[bytes]
Pending = asyncio.Queue[Answering | None]


async def serve(call: Call, answer: Callable[[bytes], Awaitable[bytes]], registry: Registry) -> None:
    """Until the caller has sent its last request, or the server ends. `answer` makes a reply message, and never fails
    for what a caller can do."""
    pending: Pending = asyncio.Queue(MAX_CALLS)
    reading = asyncio.ensure_future(_read(call, answer, pending))
    sending = asyncio.ensure_future(_send_in_order(call, pending))
    ending = asyncio.ensure_future(registry.ending())
    try:
        await asyncio.wait({reading, sending, ending}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():  # the peer takes no more
            await sending
        if reading.done():
            await reading
        reading.cancel()
        await pending.put(None)
        await sending
        if ending.done():
            raise CallError(Status.UNAVAILABLE, "the server is ending: open the stream again")
    finally:
        for task in (reading, sending, ending):
            task.cancel()
        while not pending.empty():
            left = pending.get_nowait()
            if left is not None:
                left.cancel()


async def _read(call: Call, answer: Callable[[bytes], Awaitable[bytes]], pending: Pending) -> None:
    while (data := await call.read()) is not None:
        await pending.put(asyncio.ensure_future(answer(data)))


async def _send_in_order(call: Call, pending: Pending) -> None:
    while (task := await pending.get()) is not None:
        await call.send(await task)
