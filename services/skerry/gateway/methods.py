"""The Fleet service as methods of a transport: bytes to messages and back."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from skerry.adapters.telemetry import logs
from skerry.core import contract, errors
from skerry.gateway import enrol, ingest, metrics, sessions
from skerry.gateway.identity import Guard
from skerry.proto import fleet_pb2
from skerry.rpc import grpc_status
from skerry.rpc.methods import Call, Kind, Method, Methods

MAX_UPLOADS = 32  # at once, running and waiting: each holds its request in memory
MAX_UPLOADS_BYTES = 64 << 20  # of these requests together
MAX_UPLOADS_OF_NODE = 2
_UPLOAD_THREADS = 4
MAX_ENROLMENTS = 64  # at once, running and waiting, of known nodes and of others each
_ENROL_THREADS = 2

_MessageT = TypeVar("_MessageT", bound=Message)
_ResultT = TypeVar("_ResultT")

_log = logs.logger("gateway")


def build(
    fleet: sessions.Sessions,
    intake: ingest.Ingest,
    instruments: metrics.Instruments,
    guard: Guard,
    enrolment: enrol.Enrolment | None,
) -> Methods:
    """`/skerry.fleet.v1.Fleet/Sync`, `/Upload` and, where nodes are enrolled here, `/Renew`."""

    threads = ThreadPoolExecutor(_UPLOAD_THREADS, thread_name_prefix="upload")
    places, of_node = _Places(), Counter[str]()

    async def upload(call: Call, data: bytes) -> bytes:
        try:
            with places.take(len(data)):
                request = _request(data, fleet_pb2.UploadRequest)
                del data  # it may be large, and the request holds it all
                guard.check(call, request.node)
                with _one_more(of_node, request.node):
                    reply = await asyncio.get_running_loop().run_in_executor(threads, intake.upload, request)
        except errors.SkerryError as exc:
            instruments.failed.add()
            raise grpc_status.call_error(exc) from exc
        instruments.accepted.add((), len(reply.accepted))
        instruments.refused.add((), len(reply.refused))
        for refused in reply.refused:
            _log.warning("record_refused", peer=call.peer_address, id=refused.id, message=refused.reason)
        return bytes(reply.SerializeToString())

    async def renew(call: Call, data: bytes) -> bytes:
        assert enrolment is not None
        peer = guard.peer(call)
        try:
            membership = await asyncio.to_thread(enrolment.renew, peer, _request(data, fleet_pb2.RenewRequest))
        except errors.SkerryError as exc:
            raise grpc_status.call_error(exc) from exc
        return bytes(membership.SerializeToString())

    methods = {contract.SYNC: Method(Kind.RECEIVER, fleet.open), contract.UPLOAD: Method(Kind.UNARY, upload)}
    return methods if enrolment is None else methods | {contract.RENEW: Method(Kind.UNARY, renew)}


def build_enrolment(enrolment: enrol.Enrolment) -> Methods:
    """`/skerry.fleet.v1.Enrolment/Enrol`, for a listener of its own. Known nodes have threads of their own: whoever
    floods the door with strange keys does not keep a node out whose certificate has ended."""
    known, strange = Lane("enrol-known"), Lane("enrol")

    async def enter(call: Call, data: bytes) -> bytes:
        try:
            request = _request(data, fleet_pb2.EnrolRequest)
            is_known = await known.run(enrolment.is_known, request)
            lane = known if is_known else strange
            membership = await lane.run(enrolment.enrol, request, call.peer_address)
        except errors.SkerryError as exc:
            raise grpc_status.call_error(exc) from exc
        return bytes(membership.SerializeToString())

    return {contract.ENROL: Method(Kind.UNARY, enter)}


class _Places:
    """For uploads that are being stored, bounded in number and in bytes. Lives on one event loop."""

    def __init__(self) -> None:
        self._uploads = self._bytes = 0

    @contextlib.contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Raises OverloadedError when there is no room for one more of so many bytes."""
        if self._uploads >= MAX_UPLOADS or (self._uploads and self._bytes + size > MAX_UPLOADS_BYTES):
            raise errors.OverloadedError(
                f"{self._uploads} uploads of {self._bytes} bytes are being stored: try again later"
            )
        self._uploads, self._bytes = self._uploads + 1, self._bytes + size
        try:
            yield
        finally:
            self._uploads, self._bytes = self._uploads - 1, self._bytes - size


@contextlib.contextmanager
def _one_more(running: Counter[str], node: str) -> Iterator[None]:
    """One upload more of this node. Raises OverloadedError: the others' places are not one node's to fill."""
    if running[node] >= MAX_UPLOADS_OF_NODE:
        raise errors.OverloadedError(f"{running[node]} uploads of node {node} are being stored: try again later")
    running[node] += 1
    try:
        yield
    finally:
        running[node] -= 1
        if not running[node]:
            del running[node]


class Lane:
    """A few threads, and a bounded number that wait for them. Lives on one event loop."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(_ENROL_THREADS, thread_name_prefix=name)
        self._running = 0

    async def run(self, work: Callable[..., _ResultT], *given: object) -> _ResultT:
        """Raises OverloadedError when too many wait, and what `work` raises."""
        if self._running >= MAX_ENROLMENTS:
            raise errors.OverloadedError(f"{MAX_ENROLMENTS} nodes are being enrolled: ask again later")
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)
        finally:
            self._running -= 1


def _request(data: bytes, kind: type[_MessageT]) -> _MessageT:
    try:
        return kind.FromString(data)
    except DecodeError as exc:
        raise errors.InputError(f"the {kind.__name__} cannot be read: {exc}") from exc
