"""The Fleet service as methods of a transport: bytes to messages and back, and which status an error becomes."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from google.protobuf.message import DecodeError

from skerry.adapters.telemetry import logs
from skerry.core import errors
from skerry.gateway import ingest, metrics, sessions
from skerry.proto import fleet_pb2
from skerry.rpc.methods import Call, CallError, Kind, Method, Methods, Status

_STATUS: tuple[tuple[type[errors.SkerryError], Status], ...] = (
    (errors.NotFoundError, Status.NOT_FOUND),
    (errors.TooLargeError, Status.RESOURCE_EXHAUSTED),
    (errors.UnsupportedError, Status.UNIMPLEMENTED),
    (errors.InputError, Status.INVALID_ARGUMENT),
    (errors.OverloadedError, Status.RESOURCE_EXHAUSTED),
    (errors.DeadlineError, Status.DEADLINE_EXCEEDED),
    (errors.UnavailableError, Status.UNAVAILABLE),
    (errors.ConflictError, Status.ABORTED),
    (errors.RejectedError, Status.FAILED_PRECONDITION),
    (errors.IntegrityError, Status.DATA_LOSS),
)

MAX_UPLOADS = 32  # at once, running and waiting: each holds its request in memory
_UPLOAD_THREADS = 4

_log = logs.logger("gateway")


def build(fleet: sessions.Sessions, intake: ingest.Ingest, numbers: metrics.Numbers) -> Methods:
    """`/skerry.fleet.v1.Fleet/Sync` and `/Upload`."""

    async def sync(call: Call) -> None:
        try:
            await fleet.sync(call)
        except errors.SkerryError as exc:
            raise _ended(exc) from exc

    threads = ThreadPoolExecutor(_UPLOAD_THREADS, thread_name_prefix="upload")
    waiting = asyncio.Semaphore(MAX_UPLOADS)

    async def upload(call: Call, data: bytes) -> bytes:
        try:
            if waiting.locked():
                raise errors.OverloadedError(f"{MAX_UPLOADS} uploads are being stored: try again later")
            async with waiting:
                loop = asyncio.get_running_loop()
                reply = await loop.run_in_executor(threads, intake.upload, _request(data))
        except errors.SkerryError as exc:
            numbers.failed.inc()
            raise _ended(exc) from exc
        numbers.accepted.inc(len(reply.accepted))
        numbers.refused.inc(len(reply.refused))
        for refused in reply.refused:
            _log.warning("record_refused", peer=call.peer_address, id=refused.id, message=refused.reason)
        return bytes(reply.SerializeToString())

    service = "/skerry.fleet.v1.Fleet"
    return {f"{service}/Sync": Method(Kind.BIDI, sync), f"{service}/Upload": Method(Kind.UNARY, upload)}


def _request(data: bytes) -> fleet_pb2.UploadRequest:
    try:
        return fleet_pb2.UploadRequest.FromString(data)
    except DecodeError as exc:
        raise errors.InputError(f"the upload cannot be read: {exc}") from exc


def _ended(exc: errors.SkerryError) -> CallError:
    return CallError(next((status for kind, status in _STATUS if isinstance(exc, kind)), Status.INTERNAL), str(exc))
