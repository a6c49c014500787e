"""A model behind any Open Inference Protocol v2 server (skerry, Triton, KServe, MLServer …), asked over gRPC.

Every call has a deadline. A link that went silent is replaced by a fresh one after two failures, because TCP would
retransmit into a black hole for minutes; whether to call at all (breaker, budget) is the caller's decision. No
keepalive pings: each call's deadline finds a dead peer, and servers of others close links that ping too often.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import grpc
from google.protobuf import message as protobuf

from skerry.adapters import cancellation, proxies
from skerry.adapters.oip import codec
from skerry.core import errors, tensors
from skerry.core.inference import InferReply, InferRequest
from skerry.proto import open_inference_pb2 as pb

SERVICE = "/inference.GRPCInferenceService/"
MAX_MESSAGE_BYTES = 32 << 20
MAX_INPUTS = 32
_FAILURES_BEFORE_NEW_LINK = 2

_ERRORS: Mapping[grpc.StatusCode, type[errors.SkerryError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InputError,
    grpc.StatusCode.OUT_OF_RANGE: errors.InputError,
    grpc.StatusCode.NOT_FOUND: errors.NotFoundError,
    grpc.StatusCode.UNIMPLEMENTED: errors.UnsupportedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.OverloadedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineError,
    grpc.StatusCode.FAILED_PRECONDITION: errors.RejectedError,
    grpc.StatusCode.PERMISSION_DENIED: errors.RejectedError,
    grpc.StatusCode.UNAUTHENTICATED: errors.RejectedError,
    grpc.StatusCode.DATA_LOSS: errors.IntegrityError,
}


class RemoteModel:
    """`address` is `host:port`. `credentials` makes the TLS credentials of each new link, so that renewed certificates
    are taken up; None: cleartext. Use `async with`, or `close()`."""

    def __init__(
        self,
        address: str,
        *,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        credentials: Callable[[], grpc.ChannelCredentials] | None = None,
    ) -> None:
        self._address, self._max_message_bytes, self._credentials = address, max_message_bytes, credentials
        self._channel: grpc.aio.Channel | None = None
        self._calls: dict[str, Any] = {}
        self._failures = 0
        self._closing: set[asyncio.Task[None]] = set()

    async def infer(
        self, request: InferRequest, timeout_s: float, *, traceparent: str = "", tracestate: str = ""
    ) -> InferReply:
        """The peer's answer. Raises DeadlineError, UnavailableError (no link, or no answer of this protocol),
        TooLargeError, and what else the peer says: InputError, NotFoundError, OverloadedError, …"""
        trace = (("traceparent", traceparent), ("tracestate", tracestate))
        metadata = tuple((key, value) for key, value in trace if value)
        data = await self._call("ModelInfer", codec.encode_request(request).SerializeToString(), timeout_s, metadata)
        try:
            return codec.decode_reply(pb.ModelInferResponse.FromString(data))
        except (protobuf.DecodeError, errors.InputError) as exc:
            raise errors.UnavailableError(f"{self._address} did not answer in the protocol: {exc}") from exc

    async def is_ready(self, model: str, timeout_s: float) -> bool:
        """Does the peer say that it can answer for `model` now? Raises as `infer`."""
        data = await self._call("ModelReady", pb.ModelReadyRequest(name=model).SerializeToString(), timeout_s, ())
        return pb.ModelReadyResponse.FromString(data).ready

    async def inputs(self, model: str, timeout_s: float) -> tuple[tensors.Spec, ...]:
        """What the peer's active version of `model` takes, without the batch axis. Raises as `infer`."""
        asked = pb.ModelMetadataRequest(name=model).SerializeToString()
        try:
            reply = pb.ModelMetadataResponse.FromString(await self._call("ModelMetadata", asked, timeout_s, ()))
        except protobuf.DecodeError as exc:
            raise errors.UnavailableError(f"{self._address} did not answer in the protocol: {exc}") from exc
        return tuple(
            tensors.Spec(tensor.name, tensor.datatype, tuple(tensor.shape[1:])) for tensor in reply.inputs[:MAX_INPUTS]
        )

    async def _call(self, method: str, data: bytes, timeout_s: float, metadata: tuple[tuple[str, str], ...]) -> bytes:
        if len(data) > self._max_message_bytes:
            raise errors.TooLargeError(
                f"a request of {len(data)} bytes to {self._address}: the limit is {self._max_message_bytes} bytes"
            )
        call = self._link(method)
        try:
            answer: bytes = await call(data, timeout=timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as exc:
            raise self._failed(exc, timeout_s) from exc
        except asyncio.CancelledError as exc:
            if cancellation.is_requested():
                raise
            raise errors.UnavailableError(f"the channel to {self._address} was given up for a new one") from exc
        self._failures = 0
        return answer

    def _failed(self, exc: grpc.aio.AioRpcError, timeout_s: float) -> errors.SkerryError:
        code, details = exc.code(), exc.details() or ""
        if code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE):
            self._failures += 1
            if self._failures >= _FAILURES_BEFORE_NEW_LINK:
                self._drop_link()
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return errors.DeadlineError(f"{self._address} did not answer in {timeout_s:.3g} s")
        kind = _ERRORS.get(code, errors.UnavailableError)
        return kind(f"{self._address} answered {code.name}: {details[:500]}")

    def _link(self, method: str) -> Any:
        if self._channel is None:
            self._channel = self._connect()
        call = self._calls.get(method)
        if call is None:
            call = self._calls[method] = self._channel.unary_unary(SERVICE + method)
        return call

    def _connect(self) -> grpc.aio.Channel:
        options = [
            ("grpc.max_send_message_length", self._max_message_bytes),
            ("grpc.max_receive_message_length", self._max_message_bytes),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 500),
            ("grpc.max_reconnect_backoff_ms", 1000),
            # Without it a new channel would be given the old, dead connection.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
            *proxies.grpc_options(self._address),
        ]
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._address, options)
        return grpc.aio.secure_channel(self._address, self._credentials(), options)

    def renewed(self) -> None:
        """There are other credentials: the next call connects with them."""
        self._drop_link()

    def _drop_link(self) -> None:
        """Forget the channel. Calls that still run on it end by their own deadlines."""
        channel, self._channel, self._failures = self._channel, None, 0
        self._calls.clear()
        if channel is not None:
            task = asyncio.get_running_loop().create_task(channel.close(grace=60.0))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        self._calls.clear()
        for task in tuple(self._closing):
            task.cancel()
        if channel is not None:
            await channel.close()

    async def __aenter__(self) -> "RemoteModel":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
