"""Takes captured examples and truths in: check, write the blob, tell the curator's stream, and only then say so.

A record is named by its content, so sending one again changes nothing. The stream may fail: then a blob tells what it
did not take. What no later attempt can make good is refused, and the node drops it; what comes faster than the node may
send, or is of a version that is not known here yet, is left unanswered, and the node keeps it.
"""

import contextlib
import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError

from skerry.adapters import example_facts
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.streams.protocol import Streams
from skerry.adapters.telemetry import logs
from skerry.core import (
    contract,
    datasets,
    digests,
    erasures,
    errors,
    names,
    redaction,
    series_stamp,
    subjects,
    untold,
    uploads,
)
from skerry.core.tasks import forecast
from skerry.core.uploads import Fault
from skerry.gateway.given_versions import GivenVersions, NotYetError
from skerry.gateway.rates import Rates
from skerry.gateway.standing import StandingErasures
from skerry.proto import fleet_pb2

MAX_LABEL = 1 << 31
_MAX_TEXT_CHARS = 256
_MAX_OWNERS = 20_000
_MAX_REDACTED = 2 * redaction.MAX_STEPS  # those of the model and of the node

_log = logs.logger("gateway")


class RefusedError(errors.InputError):
    """This record will never be accepted: in a word, and in a sentence."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Accepted:
    """A record worth keeping: the blob, and the stream's entry about it. `version` answered an example at `at_ms`."""

    path: str
    data: bytes
    entry: Mapping[str, str]
    facts: erasures.Facts
    version: str = ""
    at_ms: int = 0

    @property
    def model(self) -> str:
        return self.entry["model"]

    @property
    def is_example(self) -> bool:
        return self.entry["kind"] == contract.EXAMPLE


def check(record: fleet_pb2.Record, node: str) -> Accepted:
    """Raises InputError that says why this record will never be accepted."""
    kind = record.WhichOneof("body")
    if kind is None:
        raise errors.InputError("the record holds neither an example nor a truth")
    data: bytes = getattr(record, kind)
    if digests.sha256(data) != record.id:
        text = f"the {kind} does not have the digest that is its id: it was damaged on its way"
        raise RefusedError(Fault.DAMAGED, text)
    return _example(record.id, data, node) if kind == contract.EXAMPLE else _truth(data, node)


def _example(example_id: str, data: bytes, node: str) -> Accepted:
    try:
        example = fleet_pb2.Example.FromString(data)
    except DecodeError as exc:
        raise errors.InputError(f"the example cannot be read: {exc}") from exc
    _check_owner(example.model, example.node, node)
    if len(example.request_id) > _MAX_TEXT_CHARS or len(example.reason) > _MAX_TEXT_CHARS:
        raise errors.TooLargeError(f"a text of the example has more than {_MAX_TEXT_CHARS} characters")
    digests.check(example.digest, "digest of the version that answered the example")
    if not example.inputs and not example.local_logits:  # without inputs: its model's privacy keeps no row
        raise errors.InputError("the example has neither inputs nor outputs")
    if len(example.redacted) > _MAX_REDACTED or any(len(step) > _MAX_TEXT_CHARS for step in example.redacted):
        raise errors.TooLargeError(f"the example names more than {_MAX_REDACTED} steps of redaction, or a longer one")
    for tensor in example.inputs:
        _check_tensor(tensor)
    if not np.isfinite(np.asarray(example.local_logits, dtype=np.float64)).all():
        raise errors.InputError("the example's logits are not finite")
    if fault := series_stamp.fault(example.series, example.series_unix_ms):
        raise errors.InputError(f"the example's series: {fault}")
    if example.subject and not subjects.is_hash(example.subject):
        raise errors.InputError("the example's subject is no keyed hash: 64 hex digits are kept, and no name")
    name = digests.hex_of(example_id)
    entry = contract.stream_entry(example.model, example_id, contract.EXAMPLE)
    path = contract.example_path(example.model, name)
    facts = example_facts.of(example, example_id)
    return Accepted(path, data, entry, facts, example.digest, example.answered_unix_ms)


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
    if len(truth.values) > forecast.MAX_STEPS or not all(map(math.isfinite, truth.values)):
        raise errors.InputError(f"the truth's values are not finite, or more than {forecast.MAX_STEPS}")
    name = digests.hex_of(digests.check(truth.example_id, "example_id of the truth"))
    entry = contract.stream_entry(truth.model, truth.example_id, contract.TRUTH)
    return Accepted(contract.truth_path(truth.model, name), data, entry, example_facts.of_truth(truth))


def _check_owner(model: str, owner: str, node: str) -> None:
    names.check("EdgeModel", model)
    if owner != node:
        text = f"the record is of node {owner!r:.80}, the upload is of node {node!r}"
        raise RefusedError(Fault.OTHER_NODE, text)


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


@dataclass(frozen=True, slots=True)
class Rules:
    """What of an upload is taken: versions that a node can have answered with, and so many records and bytes a second
    of each node. `tell(node, fault, message)` hears of what was not; `clock` is wall time in Unix ms."""

    versions: GivenVersions
    erasures: StandingErasures
    records: Rates
    size_bytes: Rates
    tell: Callable[[str, Fault, str], None]
    clock: Callable[[], int]


class Ingest:
    """Blocking; may be called from several threads at once, here and in other gateways."""

    def __init__(self, blobs: Blobs, streams: Streams, rules: Rules) -> None:
        self._blobs, self._streams, self._rules = blobs, streams, rules
        self._owners: OrderedDict[str, str] = OrderedDict()  # of examples, by their paths

    def upload(self, request: fleet_pb2.UploadRequest) -> fleet_pb2.UploadReply:
        """Raises InputError (the request as a whole), UnavailableError (storage, or nothing of it may be taken now;
        nothing is acknowledged)."""
        names.check("EdgeNode", request.node)
        if len(request.records) > contract.MAX_UPLOAD_RECORDS:
            raise errors.TooLargeError(
                f"an upload has {len(request.records)} records, at most {contract.MAX_UPLOAD_RECORDS} are taken"
            )
        if (size := request.ByteSize()) > contract.MAX_UPLOAD_BYTES:
            raise errors.TooLargeError(f"an upload has {size} bytes, at most {contract.MAX_UPLOAD_BYTES} are taken")
        reply, entries = fleet_pb2.UploadReply(), list[Mapping[str, str]]()
        try:
            self._take_each(request, reply, entries)
        finally:
            self._tell(entries)  # also of those that were written before storage failed
        return reply

    def _take_each(
        self, request: fleet_pb2.UploadRequest, reply: fleet_pb2.UploadReply, entries: list[Mapping[str, str]]
    ) -> None:
        """In order, for a truth follows its example: where that waits, the truth does. Raises UnavailableError when
        none was answered for."""
        waits, waiting = "", set[str]()
        for record in request.records:
            if not self._may_send(request.node, record.ByteSize()):
                waits = f"node {request.node} uploads more than it may: it keeps the rest and sends it later"
                self._rules.tell(request.node, Fault.HELD_BACK, waits)
                break
            try:
                wanted = self._checked(record, request.node, waiting)
            except errors.InputError as exc:
                fault = exc.fault if isinstance(exc, RefusedError) else Fault.MALFORMED
                self._rules.tell(request.node, fault, str(exc))
                reply.refused.append(fleet_pb2.UploadReply.Refused(id=record.id[:_MAX_TEXT_CHARS], reason=str(exc)))
                continue
            except NotYetError as exc:
                waits = str(exc)
                waiting.add(record.id)
                continue
            self._store(wanted)
            entries.append(wanted.entry)  # also of what lay there: who wrote it may have died before it told
            reply.accepted.append(record.id)
        if waits and not reply.accepted and not reply.refused:
            raise errors.OverloadedError(waits)

    def _may_send(self, node: str, size_bytes: int) -> bool:
        return self._rules.records.take(node) and self._rules.size_bytes.take(node, max(1, size_bytes))

    def _checked(self, record: fleet_pb2.Record, node: str, waiting: Collection[str]) -> Accepted:
        """`waiting`: examples of this upload that are not known here yet. Raises InputError (never), NotYetError (not
        known here yet), UnavailableError (storage)."""
        wanted = check(record, node)
        if (name := self._rules.erasures.rules.match(wanted.facts)) is not None:
            raise RefusedError(Fault.ERASED, f"what the record is of was erased ({name}): it is not taken again")
        if (fault := self._rules.versions.model_fault(wanted.model)) is not None:
            raise RefusedError(fault, f"there is no EdgeModel {wanted.model}")
        if not wanted.is_example:
            if wanted.entry["id"] in waiting:
                raise NotYetError(f"the example that the truth is about waits (model {wanted.model:.80}): it is kept")
            self._check_example_of(wanted, node)
            return wanted
        if (fault := self._rules.versions.version_fault(node, wanted.model, wanted.version)) is not None:
            text = f"version {wanted.version[:19]}… is {uploads.TEXTS[fault].removeprefix('of ')}: {wanted.model}"
            raise RefusedError(fault, text)
        since_ms = self._rules.versions.published_ms(wanted.model, wanted.version)
        if uploads.is_clock_off(wanted.at_ms, since_ms=since_ms, now_ms=self._rules.clock()):
            text = f"an answer is dated {wanted.at_ms} (Unix ms): before its version was published, or in the future"
            self._rules.tell(node, Fault.CLOCK_OFF, text)
        return wanted

    def _check_example_of(self, truth: Accepted, node: str) -> None:
        """A truth is of the node that captured its example, and never before it: a node sends in order."""
        name = digests.hex_of(truth.entry["id"])
        try:
            owner = self._owner(contract.example_path(truth.model, name))
        except (errors.NotFoundError, DecodeError) as exc:
            text = f"there is no example {truth.entry['id']} of {truth.model} that the truth could be about"
            raise RefusedError(Fault.NO_EXAMPLE, text) from exc
        if owner != node:
            text = f"the truth is about an example of another node than {node}"
            raise RefusedError(Fault.OTHER_NODES_EXAMPLE, text)

    def _owner(self, path: str) -> str:
        """The node that captured the example; what was asked lately is remembered."""
        owner = self._owners.get(path)
        if owner is None or (self._rules.erasures.rules and not self._blobs.exists(path)):  # erased since
            data = self._blobs.read(path, max_bytes=contract.MAX_EXAMPLE_BYTES)
            owner = self._owners[path] = fleet_pb2.Example.FromString(data).node
            if len(self._owners) > _MAX_OWNERS:
                with contextlib.suppress(KeyError):  # another thread may have forgotten it
                    self._owners.popitem(last=False)
        return owner

    def _store(self, wanted: Accepted) -> None:
        """An example is named by its content; a truth by its example, and the latest counts."""
        if self._blobs.exists(wanted.path):
            if wanted.is_example:
                return
            if self._blobs.read(wanted.path, max_bytes=contract.MAX_TRUTH_BYTES) == wanted.data:
                return
        self._blobs.write(wanted.path, wanted.data)

    def _tell(self, entries: list[Mapping[str, str]]) -> None:
        """To the stream, else by a blob that the curator looks for. Raises UnavailableError: then nothing of the upload
        is acknowledged, and it comes again."""
        if not entries:
            return
        try:
            self._streams.append(contract.STREAM, entries)
        except errors.UnavailableError as exc:
            _log.warning("stream_not_told", entries=len(entries), message=str(exc))
            for path, data in untold.pack(entries):
                self._blobs.write(path, data)
