"""Takes captured examples and truths in: check, write the blob, tell the curator's stream, and only then say so.

A record is named by its content, so sending one again changes nothing. The stream may fail: the curator's scan finds
what no entry told of. What no later attempt can make good is refused, and the node drops it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.streams.protocol import Streams
from skerry.adapters.telemetry import logs
from skerry.core import contract, datasets, digests, errors, names
from skerry.proto import fleet_pb2

MAX_LABEL = 1 << 31
_MAX_TEXT_CHARS = 256

_log = logs.logger("gateway")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A record worth keeping: the blob, and the stream's entry about it."""

    path: str
    data: bytes
    entry: Mapping[str, str]


def check(record: fleet_pb2.Record, node: str) -> Accepted:
    """Raises InputError that says why this record will never be accepted."""
    kind = record.WhichOneof("body")
    if kind is None:
        raise errors.InputError("the record holds neither an example nor a truth")
    data: bytes = getattr(record, kind)
    if digests.sha256(data) != record.id:
        raise errors.InputError(f"the {kind} does not have the digest that is its id: it was damaged on its way")
    return _example(record.id, data, node) if kind == contract.EXAMPLE else _truth(data, node)


def _example(example_id: str, data: bytes, node: str) -> Accepted:
    try:
        example = fleet_pb2.Example.FromString(data)
    except DecodeError as exc:
        raise errors.InputError(f"the example cannot be read: {exc}") from exc
    _check_owner(example.model, example.node, node)
    if len(example.request_id) > _MAX_TEXT_CHARS or len(example.reason) > _MAX_TEXT_CHARS:
        raise errors.TooLargeError(f"a text of the example has more than {_MAX_TEXT_CHARS} characters")
    if not example.inputs:
        raise errors.InputError("the example has no inputs")
    for tensor in example.inputs:
        _check_tensor(tensor)
    if not np.isfinite(np.asarray(example.local_logits, dtype=np.float64)).all():
        raise errors.InputError("the example's logits are not finite")
    name = digests.hex_of(example_id)
    entry = contract.stream_entry(example.model, example_id, contract.EXAMPLE)
    return Accepted(contract.example_path(example.model, name), data, entry)


def _truth(data: bytes, node: str) -> Accepted:
    if len(data) > contract.MAX_TRUTH_BYTES:
        raise errors.TooLargeError(f"the truth has {len(data)} bytes, at most {contract.MAX_TRUTH_BYTES} are taken")
    try:
        truth = fleet_pb2.Truth.FromString(data)
    except DecodeError as exc:
        raise errors.InputError(f"the truth cannot be read: {exc}") from exc
    _check_owner(truth.model, truth.node, node)
    if not 0 <= truth.label < MAX_LABEL:
        raise errors.InputError(f"the truth's label {truth.label} is no class index")
    name = digests.hex_of(digests.check(truth.example_id, "example_id of the truth"))
    entry = contract.stream_entry(truth.model, truth.example_id, contract.TRUTH)
    return Accepted(contract.truth_path(truth.model, name), data, entry)


def _check_owner(model: str, owner: str, node: str) -> None:
    names.check("EdgeModel", model)
    if owner != node:
        raise errors.InputError(f"the record is of node {owner!r:.80}, the upload is of node {node!r}")


def _check_tensor(tensor: fleet_pb2.CapturedTensor) -> None:
    where, dtype = f"input {tensor.name!r:.80}", datasets.DTYPES.get(tensor.datatype)
    if dtype is None:
        raise errors.InputError(f"{where} is of type {tensor.datatype!r:.20}; only numbers are collected")
    shape = list(tensor.shape)
    if len(shape) > datasets.MAX_RANK + 1 or any(one < 1 for one in shape):
        raise errors.InputError(f"{where} has the shape {shape[:10]}")
    if math.prod(shape) * dtype.itemsize != len(tensor.raw):
        raise errors.InputError(
            f"{where} of shape {shape} and type {tensor.datatype} cannot be {len(tensor.raw)} bytes"
        )
    if dtype.kind == "f" and not np.isfinite(np.frombuffer(tensor.raw, dtype=dtype)).all():
        raise errors.InputError(f"{where} holds a number that is not finite")


class Ingest:
    """Blocking; may be called from several threads at once, here and in other gateways."""

    def __init__(self, blobs: Blobs, streams: Streams) -> None:
        self._blobs, self._streams = blobs, streams

    def upload(self, request: fleet_pb2.UploadRequest) -> fleet_pb2.UploadReply:
        """Raises InputError (the request as a whole), UnavailableError (storage; nothing is acknowledged)."""
        names.check("EdgeNode", request.node)
        if len(request.records) > contract.MAX_UPLOAD_RECORDS:
            raise errors.TooLargeError(
                f"an upload has {len(request.records)} records, at most {contract.MAX_UPLOAD_RECORDS} are taken"
            )
        if (size := request.ByteSize()) > contract.MAX_UPLOAD_BYTES:
            raise errors.TooLargeError(f"an upload has {size} bytes, at most {contract.MAX_UPLOAD_BYTES} are taken")
        reply, entries = fleet_pb2.UploadReply(), []
        try:
            for record in request.records:
                try:
                    wanted = check(record, request.node)
                except errors.InputError as exc:
                    reply.refused.append(fleet_pb2.UploadReply.Refused(id=record.id[:_MAX_TEXT_CHARS], reason=str(exc)))
                    continue
                if self._store(wanted):
                    entries.append(wanted.entry)
                reply.accepted.append(record.id)
        finally:
            self._tell(entries)  # also of those that were written before storage failed
        return reply

    def _store(self, wanted: Accepted) -> bool:
        """Is it new? An example is named by its content; a truth by its example, and the latest counts."""
        if self._blobs.exists(wanted.path):
            if wanted.entry["kind"] == contract.EXAMPLE:
                return False
            if self._blobs.read(wanted.path, max_bytes=contract.MAX_TRUTH_BYTES) == wanted.data:
                return False
        self._blobs.write(wanted.path, wanted.data)
        return True

    def _tell(self, entries: list[Mapping[str, str]]) -> None:
        if not entries:
            return
        try:
            self._streams.append(contract.STREAM, entries)
        except errors.UnavailableError as exc:
            _log.warning("stream_not_told", entries=len(entries), message=str(exc))
