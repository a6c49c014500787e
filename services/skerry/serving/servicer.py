"""The Open Inference Protocol's calls, as translation only: protobuf to the predictor and the registry, and back.

ModelInfer takes all calls of one turn of the loop at once and waits for none: each is answered by a callback.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from google.protobuf.message import DecodeError

from skerry.adapters.oip import codec, reply_templates, request_bounds, request_templates, wire
from skerry.adapters.telemetry import logs, tracing
from skerry.core import errors
from skerry.core.inference import InferReply, InferRequest
from skerry.proto import open_inference_pb2 as pb
from skerry.rpc import grpc_status
from skerry.rpc.methods import Call, CallError, Kind, Message, Method, Methods, Status
from skerry.serving import large_requests, streaming
from skerry.serving.large_requests import LargeRequests
from skerry.serving.metrics import ServingMetrics
from skerry.serving.predictor import Answer, Context, Job, Predictor, predict
from skerry.serving.registry import Registry

SERVICE = "inference.GRPCInferenceService"
EXTENSIONS = ("model_repository", "sequence", "statistics_prometheus", "grpc_health", "grpc_reflection")

log = logs.logger("serving")
T = TypeVar("T", pb.ModelReadyRequest, pb.ModelMetadataRequest)


class Servicer:
    """Answers with `predictor`; metadata and readiness come from `registry`."""

    def __init__(self, predictor: Predictor, registry: Registry, instruments: ServingMetrics) -> None:
        self._predictor, self._registry, self._instruments = predictor, registry, instruments
        self._decoder, self._encoder = request_templates.Decoder(), reply_templates.Encoder()
        self._large = LargeRequests(registry.requests.waiting_bytes)

    def methods(self) -> Methods:
        return {
            f"/{SERVICE}/ServerLive": Method(Kind.UNARY, self.server_live),
            f"/{SERVICE}/ServerReady": Method(Kind.UNARY, self.server_ready),
            f"/{SERVICE}/ModelReady": Method(Kind.UNARY, self.model_ready),
            f"/{SERVICE}/ServerMetadata": Method(Kind.UNARY, self.server_metadata),
            f"/{SERVICE}/ModelMetadata": Method(Kind.UNARY, self.model_metadata),
            f"/{SERVICE}/ModelInfer": Method(Kind.BATCH, self.model_infer, self.announced, takes_views=True),
            f"/{SERVICE}/ModelStreamInfer": Method(Kind.BIDI, self.model_stream_infer),
        }

    def model_infer(self, calls: Sequence[tuple[Call, Message]]) -> None:
        jobs: list[Job] = []
        for call, data in calls:
            read: large_requests.Read | None
            if len(data) <= large_requests.LARGE_BYTES:
                read = large_requests.read(self._decoder, data)
            elif (read := self._large.recall(data)) is None:
                self._large.read(data, partial(self._large_read, call))
                continue
            if (job := self._job(call, read)) is not None:
                jobs.append(job)
        self._submit(jobs)

    def _large_read(self, call: Call, read: InferRequest | errors.SkerryError) -> None:
        if not call.done and (job := self._job(call, read)) is not None:
            self._submit([job])

    def _job(self, call: Call, read: InferRequest | errors.SkerryError) -> Job | None:
        """What is to be answered; None for what is no request, whose caller is told."""
        if isinstance(read, InferRequest):
            return Job(read, _context(call), partial(self._finish, call, read))
        self._count_malformed(read)
        call.fail(grpc_status.of(read), grpc_status.message(read))
        return None

    def _submit(self, jobs: Sequence[Job]) -> None:
        try:
            self._predictor.submit(jobs)
        except Exception:  # the servicer's last line: a bug must not leave callers without an answer
            log.exception("infer_failed", calls=len(jobs))
            for job in jobs:
                call = job.context.call
                if call is not None and not call.done:
                    call.fail(Status.INTERNAL, "the server failed on this request; its log says more")

    def announced(self, beginning: bytes, size_bytes: int) -> None:
        """A large request is about to come: is it worth reading? Where its first bytes name the model, by that one's
        bound. Raises CallError."""
        model = wire.model_of(beginning)
        if model is not None:
            try:
                self._registry.lookup(model).bound.check_message(size_bytes)
            except errors.SkerryError as exc:
                raise grpc_status.call_error(exc) from exc

    async def model_stream_infer(self, call: Call) -> None:
        """Answers in the order of the requests; an error is a message of the stream, and the stream goes on."""
        await streaming.serve(call, partial(self._stream_answer, call), self._registry)

    async def _stream_answer(self, call: Call, data: bytes) -> bytes:
        request_id = ""
        try:
            request = await self._read(data)
            request_id = request.id
            reply = await predict(self._predictor, request, _context(call))
            response = pb.ModelStreamInferResponse(infer_response=codec.encode_reply(reply, request))
        except errors.SkerryError as exc:
            response = pb.ModelStreamInferResponse(error_message=grpc_status.message(exc))
            response.infer_response.id = request_id
        return response.SerializeToString()

    async def server_live(self, call: Call, data: bytes) -> bytes:
        return pb.ServerLiveResponse(live=True).SerializeToString()

    async def server_ready(self, call: Call, data: bytes) -> bytes:
        return pb.ServerReadyResponse(ready=self._registry.is_ready).SerializeToString()

    async def model_ready(self, call: Call, data: bytes) -> bytes:
        request = _parse(pb.ModelReadyRequest, data)
        try:
            ready = self._registry.is_model_ready(request.name, request.version)
        except errors.SkerryError as exc:
            raise grpc_status.call_error(exc) from exc
        return pb.ModelReadyResponse(ready=ready).SerializeToString()

    async def server_metadata(self, call: Call, data: bytes) -> bytes:
        reply = pb.ServerMetadataResponse(name="skerry", version=release(), extensions=EXTENSIONS)
        return reply.SerializeToString()

    async def model_metadata(self, call: Call, data: bytes) -> bytes:
        request = _parse(pb.ModelMetadataRequest, data)
        try:
            version = self._registry.lookup(request.name, request.version)
            numbers = self._registry.numbers(request.name)
        except errors.SkerryError as exc:
            raise grpc_status.call_error(exc) from exc
        manifest = version.manifest
        reply = pb.ModelMetadataResponse(
            name=version.model, versions=[str(number) for number in numbers], platform="onnxruntime_onnx"
        )
        for specs, into in ((manifest.inputs, reply.inputs), (manifest.outputs, reply.outputs)):
            for spec in specs:
                into.add(name=spec.name, datatype=spec.datatype, shape=[-1, *spec.shape])
        # Field 6 stays empty: it is `properties` here and `parameters`, of another type, in MLServer's stubs.
        return reply.SerializeToString()

    async def _read(self, data: bytes) -> InferRequest:
        """Raises InputError, OverloadedError."""
        if len(data) > large_requests.LARGE_BYTES:
            reading: asyncio.Future[large_requests.Read] = asyncio.get_running_loop().create_future()
            self._large.read(data, partial(_settle, reading))
            read = await reading
        else:
            read = large_requests.read(self._decoder, data)
        if isinstance(read, errors.SkerryError):
            self._count_malformed(read)
            raise read
        return read

    def _count_malformed(self, error: errors.SkerryError) -> None:
        if isinstance(error, errors.InputError):
            self._instruments.malformed.add()

    def _finish(self, call: Call, request: InferRequest, answer: Answer) -> None:
        if call.done:
            return
        if isinstance(answer, InferReply):
            try:
                call.reply(self._encoder.encode(answer, request))
                return
            except errors.SkerryError as exc:
                answer = exc
        call.fail(grpc_status.of(answer), grpc_status.message(answer))


def _settle(reading: "asyncio.Future[large_requests.Read]", read: large_requests.Read) -> None:
    if not reading.done():  # the stream may have ended
        reading.set_result(read)


def _context(call: Call) -> Context:
    metadata = call.metadata
    if tracing.TRACEPARENT not in metadata:
        return Context(call.deadline, call=call)
    return Context(call.deadline, *tracing.incoming(metadata), call)


def release() -> str:
    """The installed release; asked rarely, so the import waits until then."""
    from importlib import metadata

    try:
        return metadata.version("skerry")
    except metadata.PackageNotFoundError:
        return "unknown"


def _parse(kind: type[T], data: bytes) -> T:
    try:
        request_bounds.check_small(data, f"a {kind.DESCRIPTOR.name}")
        return kind.FromString(data)
    except errors.TooLargeError as exc:
        raise grpc_status.call_error(exc) from exc
    except DecodeError as exc:
        raise CallError(Status.INVALID_ARGUMENT, f"this is not a {kind.DESCRIPTOR.name}") from exc
