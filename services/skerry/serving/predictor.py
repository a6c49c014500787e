"""What the servicer needs of whoever answers: the data plane itself, or the agent's cascade around it.

Work is handed over in lists (all that arrived in one turn of the loop) and answered by a callback, so that a fast model
answers without a task or a future per request, while a cascade may wait for the cloud first. Everything happens on the
loop's thread.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from skerry.core import errors
from skerry.core.inference import InferReply, InferRequest
from skerry.rpc.methods import Call

Answer = InferReply | errors.SkerryError
Finish = Callable[[Answer], None]


@dataclass(slots=True)
class Context:
    """Who waits for the answer, and how long. `deadline` is a time of the loop's clock; `traceparent` and `tracestate`
    are those of W3C Trace Context, passed on to the cloud as they came."""

    deadline: float | None = None
    traceparent: str = ""
    tracestate: str = ""
    call: Call | None = None

    def is_over(self, now: float) -> bool:
        """Nobody waits any more: the caller hung up, or its deadline has passed."""
        return (self.deadline is not None and now >= self.deadline) or (self.call is not None and self.call.done)

    def remaining_s(self, now: float) -> float:
        """Seconds left, infinite without a deadline."""
        return float("inf") if self.deadline is None else self.deadline - now


@dataclass(slots=True)
class Job:
    """One request on its way. `finish` is called exactly once, at once or later."""

    request: InferRequest
    context: Context
    finish: Finish


class Predictor(Protocol):
    def submit(self, jobs: Sequence[Job]) -> None:
        """Answer every job by its `finish`, each on its own: what is wrong with one is never another's error."""
        ...


async def predict(predictor: Predictor, request: InferRequest, context: Context) -> InferReply:
    """One request, awaited. Raises the SkerryError it was answered with."""
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def finish(answer: Answer) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):  # the awaiting task was cancelled
            future.set_result(answer)

    predictor.submit([Job(request, context, finish)])
    answer = await future
    if isinstance(answer, errors.SkerryError):
        raise answer
    return answer
