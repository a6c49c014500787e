"""One captured row: what an answered request leaves in the queue, and the record that the spool keeps of it."""

from dataclasses import dataclass

from skerry.agent.capture import spool
from skerry.core import sampling
from skerry.core.series_stamp import Stamp
from skerry.proto import fleet_pb2

_BESIDE_BYTES = 512  # of a row: names, numbers, digests
_KINDS = {sampling.Kind.HARD: fleet_pb2.HARD, sampling.Kind.EXPLORATION: fleet_pb2.EXPLORATION}


@dataclass(frozen=True, slots=True)
class CapturedTensor:
    """One input row as the caller sent it; `raw` is OIP v2 raw contents: of a large row it may be a view, which holds
    the request's memory until the row is written."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes | memoryview


@dataclass(frozen=True, slots=True)
class CapturedRow:
    """One answered row that is worth keeping. `answered_unix_ms` is the node's wall clock: for people and coarse
    grouping. `inputs` are redacted already, `redacted` says how; there are none where privacy keeps no row."""

    model: str
    request_id: str
    digest: str
    kind: sampling.Kind
    inputs: tuple[CapturedTensor, ...]
    local_logits: tuple[float, ...]
    confidence: float
    route: str
    reason: str
    answered_unix_ms: int
    label_map: str
    stamp: Stamp
    answer: str  # tells this answer from that to another request with the same id
    subject: str = ""  # whose it is, hashed; empty: not given
    redacted: tuple[str, ...] = ()

    def size_bytes(self) -> int:
        return sum(len(tensor.raw) for tensor in self.inputs) + _BESIDE_BYTES


@dataclass(frozen=True, slots=True)
class Source:
    """Who captured an example. `boot_id` and the sequence order them even where the clock is wrong."""

    node: str
    boot_id: str


def record(source: Source, sequence: int, captured: CapturedRow) -> spool.Captured:
    """For the spool's thread: what is large is copied here."""
    example = fleet_pb2.Example(
        model=captured.model,
        node=source.node,
        request_id=captured.request_id,
        digest=captured.digest,
        kind=_KINDS[captured.kind],
        inputs=[
            fleet_pb2.CapturedTensor(
                name=tensor.name, datatype=tensor.datatype, shape=tensor.shape, raw=bytes(tensor.raw)
            )
            for tensor in captured.inputs
        ],
        local_logits=captured.local_logits,
        confidence=captured.confidence,
        route=captured.route,
        reason=captured.reason,
        answered_unix_ms=captured.answered_unix_ms,
        boot_id=source.boot_id,
        boot_sequence=sequence,
        label_map=captured.label_map,
        series=captured.stamp.series,
        series_unix_ms=captured.stamp.unix_ms,
        subject=captured.subject,
        redacted=captured.redacted,
    )
    answered = max(range(len(captured.local_logits)), key=captured.local_logits.__getitem__, default=0)
    return spool.Captured(
        spool.row(spool.EXAMPLE, example.SerializeToString(deterministic=True)),
        captured.model,
        captured.request_id,
        captured.answer,
        f"{captured.model} {answered}",
        captured.subject,
        captured.answered_unix_ms,
    )
