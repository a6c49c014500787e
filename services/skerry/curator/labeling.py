"""What is done with one example or truth, all of it but asking the teacher: read, check, decide, write the label.

Every step can be done again: a label that lies there is not made twice, and nothing is acknowledged here. Blocking, and
meant for one thread.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from skerry.adapters.telemetry import logs
from skerry.core import confidence, errors
from skerry.curator import examples, labels
from skerry.curator.evidence import Evidence
from skerry.curator.example_store import Found, Shelf
from skerry.curator.label_task import Task
from skerry.curator.model_state import Subject

_log = logs.logger("curator")
_LOADED_AT_ONCE = 256  # labelled examples read again by one look at the backlog


@dataclass(frozen=True, slots=True)
class Work:
    """Look at one example (64 hex digits) again: it is new, or a truth about it came."""

    model: str
    name: str
    truth: bool


@dataclass(slots=True)
class Prepared:
    """`to_teach` waits for the teacher, `finished` for nothing."""

    to_teach: dict[Task, list[tuple[Work, examples.Captured]]] = field(default_factory=dict)
    finished: list[Work] = field(default_factory=list)


class Desk:
    """`clock` gives Unix milliseconds, for provenance."""

    def __init__(self, shelf: Shelf, evidence: Evidence, clock: Callable[[], int], temperature: float) -> None:
        self._shelf, self._evidence, self._clock, self._temperature = shelf, evidence, clock, temperature
        self.subjects: dict[str, Subject] = {}

    def prepare(self, works: Iterable[Work]) -> Prepared:
        """Sort out what needs no teacher. Raises UnavailableError (storage); all of it can be done again."""
        prepared = Prepared()
        for work in works:
            subject = self.subjects.get(work.model)
            captured = None
            if subject is not None:  # else nobody wants it now; when the model appears, a scan finds it
                captured = self._truth(subject, work.name) if work.truth else self._example(subject, work.name)
            if subject is None or captured is None:
                prepared.finished.append(work)
            else:
                prepared.to_teach.setdefault(subject.task, []).append((work, captured))
        return prepared

    def record(self, task: Task, taught: Sequence[examples.Captured], logits: NDArray[np.float64], by: str) -> None:
        """Write the teacher's labels: logits[n, classes] for n examples. Raises UnavailableError (storage)."""
        subject = self._current(task)
        probabilities = confidence.softmax(logits, self._temperature)
        for captured, row in zip(taught, probabilities, strict=True):
            if subject is None:
                continue
            if np.isfinite(row).all():
                self._keep(subject, captured, None, labels.of_teacher(row, by, self._clock()))
            else:
                message = f"{by} answered example {captured.id} with numbers that are not finite"
                self.refuse(task, captured, "teacherNotFinite", message)

    def refuse(self, task: Task, captured: examples.Captured, reason: str, message: str) -> None:
        if subject := self._current(task):
            self._refuse(subject, captured.name, reason, message)

    def _current(self, task: Task) -> Subject | None:
        """The subject, unless its EdgeModel was changed or removed meanwhile: a scan then finds the example again."""
        subject = self.subjects.get(task.model)
        return subject if subject is not None and subject.task == task else None

    def rescan(self, models: Iterable[str]) -> None:
        """Compare object storage with what is known, from the beginning."""
        for model in models:
            subject = self.subjects[model]
            subject.scan = self._shelf.scan(model)

    def backlog(self, count: int) -> list[Work]:
        """Up to `count` pieces of work that the running scans find. Raises UnavailableError; the scan then ends."""
        found: list[Work] = []
        for subject in self.subjects.values():
            try:
                found += self._scan(subject, count - len(found))
            except errors.UnavailableError:
                subject.scan = None
                raise
        return found

    def _scan(self, subject: Subject, count: int) -> list[Work]:
        works: list[Work] = []
        loads = 0
        while subject.scan is not None and len(works) < count and loads < _LOADED_AT_ONCE:
            found = next(subject.scan, None)
            if found is None:
                subject.scan, subject.loaded = None, True
            elif not found.labelled and not subject.refuses(found.hex):
                works.append(Work(subject.task.model, found.hex, truth=found.has_truth))
            elif found.labelled:
                loads += self._load(subject, found.hex)
                works += self._left_to_do(subject, found)
        return works

    def _load(self, subject: Subject, name: str) -> bool:
        """Take in a labelled example that is not known yet."""
        if subject.holdings.knows(name) or subject.refuses(name):
            return False
        label, captured = self._label(subject, name), self._read(subject, name)
        if label is not None and captured is not None:
            subject.add(captured, label)
        return True

    def _left_to_do(self, subject: Subject, found: Found) -> list[Work]:
        """A labelled example whose label is damaged, or older than the truth beside it."""
        if subject.refuses(found.hex):
            return []
        truth_waits = found.has_truth and not subject.refuses(f"{found.hex}:truth")
        if truth_waits and not subject.holdings.knows(found.hex, with_truth=True):
            return [Work(subject.task.model, found.hex, truth=True)]
        known = subject.holdings.knows(found.hex)
        return [] if known else [Work(subject.task.model, found.hex, truth=False)]

    def _example(self, subject: Subject, name: str) -> examples.Captured | None:
        """The example if the teacher must look at it, None if all is done."""
        if subject.holdings.knows(name) or (captured := self._read(subject, name)) is None:
            return None
        if label := self._label(subject, name):
            subject.add(captured, label)
            return None
        return None if self._apply_truth(subject, captured, None) else captured

    def _truth(self, subject: Subject, name: str) -> examples.Captured | None:
        """As `_example`. A truth without its example waits in storage until the example comes."""
        captured = self._read(subject, name)
        if captured is None:
            return None
        before = self._label(subject, name)
        if self._apply_truth(subject, captured, before):
            return None
        if before is None:
            return captured
        subject.add(captured, before)
        return None

    def _apply_truth(self, subject: Subject, captured: examples.Captured, before: labels.Label | None) -> bool:
        """Write the label that ground truth gives, if there is any that says something new."""
        name = captured.name
        try:
            truth = self._shelf.truth(subject.task.model, name)
        except (errors.IntegrityError, errors.TooLargeError) as exc:
            self._refuse(subject, f"{name}:truth", "truthDamaged", str(exc))
            return False
        if truth is None:
            return False
        if not 0 <= truth.label < subject.task.classes:
            message = f"truth of {captured.id}: label {truth.label} is not in 0..{subject.task.classes - 1}"
            self._refuse(subject, f"{name}:truth", "truthOutOfRange", message)
            return False
        label = labels.with_truth(before, truth.label, f"node {truth.node}", self._clock())
        if label is None:
            return False
        self._keep(subject, captured, before, label)
        return True

    def _keep(
        self, subject: Subject, captured: examples.Captured, before: labels.Label | None, label: labels.Label
    ) -> None:
        model = subject.task.model
        self._shelf.put_label(model, captured.name, label)
        subject.add(captured, label)
        if before is None:
            self._evidence.note(model, captured, label.label)

    def _label(self, subject: Subject, name: str) -> labels.Label | None:
        """The label beside the example; a damaged one counts as none and is made again."""
        try:
            return self._shelf.label(subject.task.model, name, subject.task.classes)
        except (errors.IntegrityError, errors.TooLargeError) as exc:
            _log.warning("label_damaged", model=subject.task.model, message=str(exc))
            return None

    def _read(self, subject: Subject, name: str) -> examples.Captured | None:
        """The example, None (and counted) when it cannot be used, None when it is not there."""
        try:
            data = self._shelf.example(subject.task.model, name)
        except errors.TooLargeError as exc:
            self._refuse(subject, name, "tooLarge", str(exc))
            return None
        if data is None:
            return None
        read = examples.read(data, f"sha256:{name}", subject.task)
        if isinstance(read, examples.Refused):
            self._refuse(subject, name, read.reason, read.message)
            return None
        return read

    def _refuse(self, subject: Subject, name: str, reason: str, message: str) -> None:
        if not subject.refuses(name):
            _log.warning("capture_refused", model=subject.task.model, reason=reason, message=message)
        subject.refuse(name, reason)
