"""The curator's end of the stream: entries become work, and are acknowledged once they were looked at. It may lose
entries and forget: whoever reads is told, and looks at object storage.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from skerry.adapters.streams.protocol import Entry, Streams
from skerry.adapters.telemetry import logs
from skerry.core import contract, digests, errors, names
from skerry.curator.teaching_queue import Work

_ENTRIES_AT_ONCE = 256
_ASKED = (contract.EXAMPLE, contract.TRUTH)

_log = logs.logger("curator")


@dataclass(slots=True)
class Arrived:
    """`malformed` entries name no work. `is_forgetful`: the server was away or was emptied, entries may be missing."""

    works: list[Work] = field(default_factory=list)
    malformed: list[Entry] = field(default_factory=list)
    is_forgetful: bool = False


class WorkStream:
    """Blocking. `consumer` names this reader among others of the group."""

    def __init__(self, streams: Streams, consumer: str) -> None:
        self._streams, self._consumer = streams, consumer
        self._looked_at: list[str] = []
        self._epoch = ""
        self._is_lost = False

    def read(self, block_s: float) -> Arrived | None:
        """What came; None while the server is away."""
        try:
            entries = self._streams.read(
                contract.STREAM, contract.CURATORS, self._consumer, count=_ENTRIES_AT_ONCE, block_s=block_s
            )
            epoch = self._streams.epoch(contract.STREAM)
        except errors.UnavailableError as exc:
            if not self._is_lost:
                _log.warning("stream_lost", message=str(exc))
            self._is_lost = True
            return None
        arrived = Arrived(is_forgetful=self._is_lost or (self._epoch not in ("", epoch)))
        if arrived.is_forgetful:
            _log.info("stream_found_again", epoch=epoch)
        self._is_lost, self._epoch = False, epoch
        for entry in entries:
            if work := parse(entry.fields):
                arrived.works.append(work)
            else:
                arrived.malformed.append(entry)
            self._looked_at.append(entry.id)
        return arrived

    def tell_labelled(self, works: Sequence[Work]) -> None:
        """The publisher shall know that these have a label. Raises UnavailableError."""
        self._streams.append(contract.LABELLED, entries_of(works))

    def labelled(self) -> tuple[list[Work], list[str]]:
        """What other labelers labelled, and the entries that tell of it; none while the server is away."""
        try:
            entries = self._streams.read(
                contract.LABELLED, contract.PUBLISHER, self._consumer, count=_ENTRIES_AT_ONCE, block_s=0.0
            )
        except errors.UnavailableError:
            return [], []
        return parse_each((entry.fields for entry in entries), contract.LABEL), [entry.id for entry in entries]

    def acknowledge_labelled(self, ids: Sequence[str]) -> None:
        """Raises UnavailableError; then they come again, and are found done."""
        self._streams.ack(contract.LABELLED, contract.PUBLISHER, ids)

    def acknowledge(self) -> None:
        """What was read so far was looked at. An entry whose acknowledgment is lost comes again and is found done."""
        ids, self._looked_at = self._looked_at, []
        try:
            self._streams.ack(contract.STREAM, contract.CURATORS, ids)
        except errors.UnavailableError as exc:
            _log.warning("acknowledging_failed", entries=len(ids), message=str(exc))


def entries_of(works: Iterable[Work]) -> list[dict[str, str]]:
    """As `labelled` reads them."""
    return [contract.stream_entry(work.model, f"sha256:{work.name}", contract.LABEL) for work in works]


def parse_each(entries: Iterable[Mapping[str, str]], *kinds: str) -> list[Work]:
    """What entries of these kinds ask for; of examples and truths where none are named."""
    return [work for entry in entries if (work := parse(entry, kinds or _ASKED)) is not None]


def parse(fields: Mapping[str, str], kinds: Collection[str] = _ASKED) -> Work | None:
    """What an entry of the stream asks for; None when it is malformed."""
    try:
        name, model, kind = digests.hex_of(fields["id"]), fields["model"], fields["kind"]
    except (KeyError, errors.InputError):
        return None
    if kind not in kinds or not names.is_name(model):
        return None
    return Work(model, name, truth=kind == contract.TRUTH)
