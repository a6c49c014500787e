"""Large requests are read on a thread of their own: millions of numbers or texts, one by one, would hold the loop.

One at a time, and bounded in bytes, so that they hold no more memory than a few of them may. One whose form is known
from an earlier one needs no reading: its numbers are used where they lie.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from google.protobuf.message import DecodeError

from skerry.adapters.oip import request_templates
from skerry.core import errors
from skerry.core.inference import InferRequest

LARGE_BYTES = 256 << 10

Read = InferRequest | errors.SkerryError


class LargeRequests:
    """Used on the loop's thread."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes, self._held_bytes = limit_bytes, 0
        self._decoder = request_templates.Decoder()  # learns on the thread alone
        self._thread: ThreadPoolExecutor | None = None

    def recall(self, data: bytes | memoryview) -> InferRequest | None:
        """The request at once, when its form is known."""
        return self._decoder.recall(data)

    def read(self, data: bytes | memoryview, done: Callable[[Read], None]) -> None:
        """`done` is called with the request, or with why it is none; at once where too many wait."""
        if self._held_bytes and self._held_bytes + len(data) > self._limit_bytes:
            done(errors.OverloadedError(f"large requests of {self._held_bytes} bytes wait to be read: try again"))
            return
        self._held_bytes += len(data)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="large-requests")
        reading = asyncio.get_running_loop().run_in_executor(self._thread, self._decode, data)
        reading.add_done_callback(partial(self._done, len(data), done))

    def _decode(self, data: bytes | memoryview) -> Read:
        return read(self._decoder, data)

    def _done(self, size_bytes: int, done: Callable[[Read], None], reading: "asyncio.Future[Read]") -> None:
        self._held_bytes -= size_bytes
        bug = reading.exception()
        done(reading.result() if bug is None else errors.IntegrityError("the server failed to read this request"))


def read(decoder: request_templates.Decoder, data: bytes | memoryview) -> Read:
    """The request, or why it is none."""
    try:
        return decoder.decode(data)
    except DecodeError:
        return errors.InputError("this is not a ModelInferRequest")
    except errors.InputError as exc:
        return exc
