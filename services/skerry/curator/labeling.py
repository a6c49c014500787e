"""What is done with one example or truth, all of it but asking the teacher: read, check, decide, write the label.

Every step can be done again: a label that lies there is not made twice, and nothing is acknowledged here. Blocking, and
meant for one thread.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from skerry.adapters import example_facts
from skerry.adapters.telemetry import logs
from skerry.core import confidence, erasures, errors, truth_delay
from skerry.curator import examples, field_bounds, labels, work_stream
from skerry.curator.evidence import EvidenceCounts
from skerry.curator.example_store import ExampleStore
from skerry.curator.label_task import LabelTask
from skerry.curator.model_state import ERASED, EXCLUDED, NO_ROW, ModelState
from skerry.curator.setting_aside import SettingAside
from skerry.curator.teaching_queue import Work
from skerry.proto import fleet_pb2

_log = logs.logger("curator")


@dataclass(slots=True)
class Prepared:
    """`to_teach` waits for the teacher, `finished` for nothing; `failed` will be tried alone."""

    to_teach: dict[LabelTask, list[tuple[Work, examples.Captured]]] = field(default_factory=dict)
    finished: list[Work] = field(default_factory=list)
    failed: list[Work] = field(default_factory=list)


class Labeling:
    """`clock` gives Unix milliseconds, for provenance."""

    def __init__(
        self,
        models: dict[str, ModelState],
        store: ExampleStore,
        evidence: EvidenceCounts,
        bounds: field_bounds.FieldBounds,
        setting_aside: SettingAside,
        clock: Callable[[], int],
        temperature: float,
    ) -> None:
        self.models = models
        self.labelled: list[Work] = []  # that another publishes, and is not told of yet
        self._store, self._evidence, self._bounds, self._setting_aside = store, evidence, bounds, setting_aside
        self._clock, self._temperature = clock, temperature

    def examine(self, works: Sequence[Work]) -> Prepared:
        """Do what needs no teacher, and lay down the rest. Raises UnavailableError."""
        try:
            return self.prepare(works)
        finally:
            self._setting_aside.lay_down(works)

    def prepare(self, works: Iterable[Work], alone: bool = False) -> Prepared:
        """Take in hand, and do what needs no teacher; `alone`: what is suspect too. Raises UnavailableError (storage);
        all of it can be done again."""
        prepared, fit = Prepared(), list[Work]()
        for work in works:  # of a model that nobody has nothing is done; when it appears, a scan finds it
            is_fit = work.model in self.models and (alone or self._setting_aside.lets(work))
            (fit if is_fit else prepared.finished).append(work)
        self._setting_aside.take(fit)
        for work in fit:
            state = self.models[work.model]
            try:
                captured = self._truth(state, work.name) if work.truth else self._example(state, work.name)
            except errors.UnavailableError:
                raise
            except labels.ClassRemovedError as exc:
                self._refuse(state, work.name, examples.CLASS_REMOVED, str(exc))
                prepared.finished.append(work)
                continue
            except Exception as exc:  # noqa: BLE001  # one example must not end the others' round
                self._setting_aside.failed(work, exc)
                prepared.failed.append(work)
                continue
            if captured is None or not state.asks_teacher(work.name):
                prepared.finished.append(work)
            else:
                prepared.to_teach.setdefault(state.task, []).append((work, captured))
        return prepared

    def record(
        self, task: LabelTask, taught: Sequence[examples.Captured], answers: NDArray[np.float64], by: str
    ) -> None:
        """Write the teacher's labels for n examples: answers[n, classes] are logits or probabilities. Raises
        UnavailableError (storage)."""
        probabilities = confidence.softmax(_as_logits(answers), self._temperature)
        for captured, row in zip(taught, probabilities, strict=True):
            if (state := self._current(task, captured)) is None:
                continue
            if np.isfinite(row).all():
                said = labels.of_teacher(row, by, self._clock(), task.label_map)
                self._save_opinion(state, captured, said)
            else:
                message = f"{by} answered example {captured.id} with numbers that are not finite"
                self.refuse(task, captured, "teacherNotFinite", message)

    def refuse(self, task: LabelTask, captured: examples.Captured, reason: str, message: str) -> None:
        if state := self._current(task, captured):
            self._refuse(state, captured.name, reason, message)

    def _current(self, task: LabelTask, captured: examples.Captured) -> ModelState | None:
        """The model's state when the teacher has answered; None when its EdgeModel changed or went meanwhile (a scan
        then finds the example again), or the example's node was excluded."""
        state = self.models.get(task.model)
        if state is None or state.task != task:
            return None
        if captured.node in state.excluded:
            state.refuse(captured.name, EXCLUDED)
            return None
        return state

    def keep_untold(self) -> None:
        """Tell the publisher by a blob of what was labelled. Raises UnavailableError."""
        if self.labelled:
            self._store.put_untold(work_stream.entries_of(self.labelled))
            self.labelled.clear()

    def load(self, state: ModelState, name: str, *, is_new: bool = False) -> None:
        """Take in a labelled example; nothing when its label is damaged. Raises UnavailableError."""
        try:
            label, captured = self._label(state, name), self._read(state, name)
        except labels.ClassRemovedError as exc:
            self._refuse(state, name, examples.CLASS_REMOVED, str(exc))
            return
        if label is not None and captured is not None:
            state.add(captured, label, is_new=is_new)

    def _example(self, state: ModelState, name: str) -> examples.Captured | None:
        """The example if the teacher is to look at it, None if all is done. Of a truth that came first its opinion is
        asked, too."""
        rows = state.captured_rows
        if (rows.knows(name) and not rows.lacks_opinion(name)) or (captured := self._read(state, name)) is None:
            return None
        if label := self._label(state, name):
            state.add(captured, label)
            return captured if rows.lacks_opinion(name) else None
        self._apply_truth(state, captured, None)
        return self._teachable(state, captured)

    def _truth(self, state: ModelState, name: str) -> examples.Captured | None:
        """As `_example`. A truth without its example waits in storage until the example comes."""
        captured = self._read(state, name)
        if captured is None:
            return None
        before = self._label(state, name)
        if not self._apply_truth(state, captured, before):
            if before is None:
                return self._teachable(state, captured)
            state.add(captured, before)
        return captured if state.captured_rows.lacks_opinion(name) else None

    def _teachable(self, state: ModelState, captured: examples.Captured) -> examples.Captured | None:
        """None where there is no row to show to the teacher: only a truth may still say something of it."""
        if captured.has_row:
            return captured
        state.refuse(captured.name, NO_ROW)
        return None

    def _apply_truth(self, state: ModelState, captured: examples.Captured, before: labels.Label | None) -> bool:
        """Write the label that ground truth gives, if there is any that says something new."""
        name = captured.name
        try:
            truth = self._store.truth(state.task.model, name)
        except (errors.IntegrityError, errors.TooLargeError) as exc:
            self._refuse(state, f"{name}:truth", "truthDamaged", str(exc))
            return False
        if truth is None:
            return False
        if fault := examples.truth_fault(truth, state.task):
            if fault.reason == examples.CLASS_REMOVED:
                raise labels.ClassRemovedError(f"truth of {captured.id}: {fault.message}")
            self._refuse(state, f"{name}:truth", fault.reason, f"truth of {captured.id}: {fault.message}")
            return False
        label = labels.with_truth(
            before, examples.truth_of(truth, state.task), f"node {truth.node}", self._clock(), state.task.label_map
        )
        if label is None:
            return False
        self._save(state, captured, before, label)
        return True

    def _save_opinion(self, state: ModelState, captured: examples.Captured, said: labels.Label) -> None:
        """The teacher's label; below a truth that came first it is an opinion."""
        before = None
        if state.captured_rows.knows(captured.name, with_truth=True):
            before = self._label(state, captured.name)
        self._save(state, captured, before, labels.with_teacher(before, said) if before else said)

    def _save(
        self, state: ModelState, captured: examples.Captured, before: labels.Label | None, label: labels.Label
    ) -> None:
        model = state.task.model
        self._store.put_label(model, captured.name, label)
        state.add(captured, label, is_new=True)
        if not state.publishes:
            self.labelled.append(Work(model, captured.name, truth=False))
        if truth_delay.becomes_evidence(
            state.task.answers,
            had_label=before is not None,
            had_truth=before is not None and before.source == "GroundTruth",
            has_truth=label.source == "GroundTruth",
        ):
            answers, digest = state.task.answers, captured.version_digest
            bound = self._bounds.of(model, digest) if answers.waits_for_truth else field_bounds.UNKNOWN
            bad = truth_delay.is_bad(answers, captured.answer, label.truth, bound)
            self._evidence.count(state.task, captured, bad, now_ms=self._clock())

    def _label(self, state: ModelState, name: str) -> labels.Label | None:
        """The label beside the example; a damaged one counts as none and is made again."""
        try:
            return self._store.label(state.task.model, name, state.task.answers)
        except (errors.IntegrityError, errors.TooLargeError) as exc:
            _log.warning("label_damaged", model=state.task.model, message=str(exc))
            return None

    def _read(self, state: ModelState, name: str) -> examples.Captured | None:
        """The example, None (and counted) when it cannot be used, None when it is not there."""
        try:
            data = self._store.example(state.task.model, name)
        except errors.TooLargeError as exc:
            self._refuse(state, name, "tooLarge", str(exc))
            return None
        if data is None:
            state.left.pop(name, None)
            return None
        if state.erased and (erasure := _erased_by(state.erased, data, name)) is not None:
            state.refuse(name, ERASED)
            state.to_erase[name] = erasure
            return None
        read = examples.read(data, f"sha256:{name}", state.task)
        if isinstance(read, examples.Refused):
            self._refuse(state, name, read.reason, read.message)
            return None
        if read.node in state.excluded:
            state.refuse(name, EXCLUDED)
            return None
        return read

    def _refuse(self, state: ModelState, name: str, reason: str, message: str) -> None:
        if not state.refuses(name):
            _log.warning("capture_refused", model=state.task.model, reason=reason, message=message)
        state.refuse(name, reason)


def _erased_by(rules: erasures.Rules, data: bytes, name: str) -> str | None:
    """The erasure that means the example; what cannot be read is refused elsewhere."""
    try:
        example = fleet_pb2.Example.FromString(data)
    except DecodeError:
        return None
    return rules.match(example_facts.of(example, f"sha256:{name}"))


def _as_logits(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """A teacher's network may end in a softmax: what its finite rows hold is seen from the numbers."""
    finite = answers[np.isfinite(answers).all(axis=1)]
    kind = confidence.Outputs.PROBABILITIES if confidence.are_probabilities(finite) else confidence.Outputs.LOGITS
    return confidence.as_logits(answers, kind)
