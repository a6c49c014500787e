"""The catalogue's part in a curator's life: read when a model is taken up, a segment at a time, and written as labels
come. Blocking, and for the one thread of `Labeling`."""

from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.telemetry import logs
from skerry.core import errors
from skerry.curator import examples, labels, publication
from skerry.curator.catalogue import Catalogue
from skerry.curator.model_state import ModelState

_READ_AT_ONCE = 10_000  # entries; other work waits meanwhile
_WRITTEN_AT_ONCE = 5000  # entries that do not wait for the next dataset
_MERGED_AFTER = 16  # segments that were written

_log = logs.logger("curator")


class Restoring:
    def __init__(self, blobs: Blobs, catalogue: Catalogue) -> None:
        self._blobs, self._catalogue = blobs, catalogue
        self._written = 0

    def step(self, state: ModelState) -> None:
        """Read more segments; at last, what was published. Raises UnavailableError; then it goes on from there."""
        if state.restoring is None:
            state.restoring = self._catalogue.segments(state.task.model)
        entries = 0
        while state.restoring:
            entries += self._take_in(state, state.restoring[0])
            state.restoring = state.restoring[1:]
            if entries >= _READ_AT_ONCE:
                return
        before = publication.read(self._blobs, state.task)
        state.resume(before.packed)
        state.audited, state.restored = before.audited, True
        state.loaded = before.audited == state.terms

    def _take_in(self, state: ModelState, path: str) -> int:
        entries = self._catalogue.read(path)
        for entry in entries:
            try:
                state.restore(entry)
            except labels.ClassRemovedError:
                state.refuse(entry.hex, examples.CLASS_REMOVED)
            except errors.IntegrityError as exc:
                _log.warning("catalogue_entry_unusable", model=state.task.model, message=str(exc))
        return len(entries)

    def keep_up(self, state: ModelState) -> None:
        """Write down what came, when it is much. Raises UnavailableError; nothing is forgotten then."""
        if len(state.uncatalogued) >= _WRITTEN_AT_ONCE:
            self._flush(state)

    def settle(self, state: ModelState) -> None:
        """Write down what came, and what was published. Raises UnavailableError."""
        self._flush(state)
        publication.write(self._blobs, state.task, publication.Publication(state.audited, state.packed))

    def _flush(self, state: ModelState) -> None:
        entries, model = list(state.uncatalogued), state.task.model
        if not entries:
            return
        self._catalogue.append(model, entries)
        del state.uncatalogued[: len(entries)]
        self._written += 1
        if self._written % _MERGED_AFTER == 0:
            self._catalogue.merge(model)
