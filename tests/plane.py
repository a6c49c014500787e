"""A data plane on a folder of tiny versions, without a transport, and a call that a test can look at."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skerry.adapters.telemetry import metrics
from skerry.core import errors
from skerry.core.inference import InferReply, InferRequest
from skerry.core.tensors import Tensor
from skerry.rpc.methods import Status
from skerry.serving import repository
from skerry.serving.dataplane import DataPlane
from skerry.serving.metrics import ServingMetrics
from skerry.serving.predictor import Answer, Context, Job, predict
from skerry.serving.registry import Registry
from skerry.serving.version import Options


class Plane:
    """Registry, data plane and metrics, as `main` wires them."""

    def __init__(self, root: Path, options: Options | None = None) -> None:
        self.root = root
        self.metrics = metrics.Metrics()
        self.instruments = ServingMetrics(self.metrics)
        self.registry = Registry(options or Options(), self.instruments)
        self.data = DataPlane(self.registry, self.instruments)

    async def load_all(self) -> "Plane":
        for found in repository.scan(self.root):
            latest = found.latest
            assert latest is not None
            await self.registry.swap(found.model, latest, found.versions[latest])
        return self

    async def ask(self, model: str, *inputs: Tensor, context: Context | None = None, **fields: Any) -> InferReply:
        return await predict(self.data, InferRequest(model, inputs, **fields), context or Context())

    def submit(self, requests: Sequence[InferRequest], contexts: Sequence[Context] | None = None) -> list[Any]:
        """All of them in one turn; a list of futures of answers."""
        futures: list[asyncio.Future[Answer]] = [asyncio.get_running_loop().create_future() for _ in requests]
        given = contexts or [Context() for _ in requests]
        self.data.submit(
            [
                Job(one, context, future.set_result)
                for one, context, future in zip(requests, given, futures, strict=True)
            ]
        )
        return futures

    async def answers(self, requests: Sequence[InferRequest]) -> list[Answer]:
        return [await future for future in self.submit(requests)]


class FakeCall:
    """A `rpc.methods.Call` in memory: what was answered is in `answer` (bytes) or `failure` (status, text)."""

    def __init__(
        self, *, deadline: float | None = None, metadata: Mapping[str, str | bytes] | None = None, method: str = ""
    ) -> None:
        self.deadline, self.metadata, self.method = deadline, metadata or {}, method
        self.answer: bytes | None = None
        self.failure: tuple[Status, str] | None = None
        self.is_cancelled = False
        self.finished = asyncio.Event()
        self.incoming: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()
        self.peer_address, self.peer_certificate = "test", None

    @property
    def done(self) -> bool:
        return self.is_cancelled or self.answer is not None or self.failure is not None

    def reply(self, message: bytes) -> None:
        assert not self.done, "answered twice"
        self.answer = message
        self.finished.set()

    def fail(self, status: Status, message: str) -> None:
        assert not self.done, "answered twice"
        self.failure = (status, message)
        self.finished.set()

    async def read(self) -> bytes | None:
        return await self.incoming.get()

    async def send(self, message: bytes) -> None:
        await self.sent.put(message)

    def set_initial_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None: ...

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None: ...


def error_of(answer: object) -> errors.SkerryError:
    assert isinstance(answer, errors.SkerryError), answer
    return answer


def reply_of(answer: object) -> InferReply:
    assert isinstance(answer, InferReply), answer
    return answer
