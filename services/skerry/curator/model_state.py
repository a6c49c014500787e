"""All the curator knows of one model while it runs: its rows, what waits for the teacher, what was refused and why, and
how far the scan is.

It holds nothing that the blobs do not say: a restarted curator reads it all again.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from skerry.core import erasures, label_backlog, set_aside
from skerry.core.contributions import Fleet
from skerry.core.example_retention import KeepExamples
from skerry.curator import catalogue, example_store, examples, labels
from skerry.curator.backlog import WaitingExamples
from skerry.curator.captured_rows import CapturedRows
from skerry.curator.datasets import Group, Packed, Published, Publisher
from skerry.curator.label_task import LabelTask
from skerry.curator.stored_rows import RowsLostError
from skerry.curator.teaching_queue import TeachingQueue

_MAX_REMEMBERED = 100_000
EXCLUDED = "excluded"  # of a node that nothing is learned from
ERASED = "erased"  # about to be removed
BY_TEACHER = frozenset({"refusedByTeacher", "teacherNotFinite"})  # another teacher may do better: asked again later
NOTHING_ERASED = erasures.Rules()
NO_ROW = "noRow"  # of an example that privacy keeps without its row: only its truth counts, and for rollouts alone
_NOT_TOLD = BY_TEACHER | {EXCLUDED, ERASED, NO_ROW, examples.CLASS_REMOVED}  # told elsewhere, or meant so


class ModelState:
    """One model's state. Not thread-safe: `Labeling` uses it from one thread, and the labeling loop `teaching` from
    its own."""

    def __init__(
        self,
        task: LabelTask,
        publisher: Publisher,
        teaching: TeachingQueue,
        max_captured_bytes: int,
        excluded: frozenset[str] = frozenset(),
        erased: erasures.Rules = NOTHING_ERASED,
        *,
        publishes: bool = True,
    ) -> None:
        self.task, self._publisher, self.teaching, self.excluded = task, publisher, teaching, excluded
        self.erased = erased
        self.restoring: Sequence[str] | None = None  # segments of the catalogue that are still to be read
        self.publishes, self.restored = publishes, not publishes  # who does not publish needs no rows but its own
        self.uncatalogued: list[catalogue.Entry] = []
        self.to_erase: dict[str, str] = {}  # examples that were met although an erasure means them: its name
        self.captured_rows = CapturedRows(max_captured_bytes if publishes else 0)
        self.base_digest: str | None = None
        self.fleet = Fleet(0)
        self.keep_examples = KeepExamples()
        self.loaded = False  # counts are whole: the first scan is over, or the catalogue knew all
        self.audited = ""  # in what `terms` every example was looked at once
        self.scan_wanted = True
        self.full_scan_wanted = True  # of all that there is, not only of what is left
        self.left: dict[str, bool] = {}  # examples that something is left to do about; was a truth told?
        self.scans_all = False  # the scan that runs
        self.is_stale = False  # what it knows is not so any more: another takes its place
        self.scan: Iterator[example_store.StoredExample] | None = None
        self.waiting = WaitingExamples()
        self.untold = 0  # forecasts without their truth, as the last whole scan saw them
        self.untold_seen = 0  # by the scan that runs
        self.set_aside: dict[str, str] = {}  # reasons, by name as in `refuse`
        self.published: Published | None = None
        self.tried_at_s = float("-inf")  # when publishing was tried last
        self.rest_s = 0.0  # how long it is not tried again, because it was costly
        self._published_base: str | None = ""
        self._published_changes = 0
        self._published_fleet = self.fleet
        self._refused: dict[str, str] = {}

    def add(self, captured: examples.Captured, label: labels.Label, *, is_new: bool = False) -> None:
        """Take in a labelled example, or its better label; `is_new`: the label was made just now."""
        if is_new or not self.knows(captured.name, with_truth=label.source == "GroundTruth"):
            self.uncatalogued.append(catalogue.entry(captured, label, self.task.input))
        if not captured.has_row:
            self.refuse(captured.name, NO_ROW)
            return
        self._refused.pop(captured.name, None)
        self.waiting.labelled(captured.name)
        self.captured_rows.add(captured, label)

    def restore(self, entry: catalogue.Entry) -> None:
        """Take in what the catalogue says of an example; nothing of one that has to be read again in today's terms.
        Raises labels.ClassRemovedError, IntegrityError (its label)."""
        if entry.of != catalogue.fitting(self.task.input):
            return
        if (erasure := self.erased.match(entry.facts(self.task.model))) is not None:
            self.refuse(entry.hex, ERASED)
            self.to_erase[entry.hex] = erasure
        elif entry.node in self.excluded:
            self.refuse(entry.hex, EXCLUDED)
        elif not entry.has_row:
            self.refuse(entry.hex, NO_ROW)
        else:
            label = labels.from_document(entry.label, self.task.answers, f"catalogue entry of {entry.hex}")
            self.captured_rows.restore(entry, label)

    def knows(self, name: str, *, with_truth: bool = False) -> bool:
        """Is the example labelled (and, if asked, by ground truth), and taken in?"""
        return self.captured_rows.knows(name, with_truth=with_truth) or self._refused.get(name) == NO_ROW

    @property
    def terms(self) -> str:
        """In what terms examples are read now: changes when some that were refused may not be any more."""
        text = f"{self.task.label_map} {catalogue.fitting(self.task.input)} {sorted(self.excluded)}"
        return hashlib.sha256(text.encode()).hexdigest()

    def refuse(self, name: str, reason: str) -> None:
        """Remember that this example (`<hex>`) or truth (`<hex>:truth`) cannot be used, so that scans skip it."""
        if len(self._refused) < _MAX_REMEMBERED:
            self._refused[name] = reason

    def forget_rows(self) -> None:
        """Of a labeler that does not publish: what it labelled is another's to know."""
        self.uncatalogued.clear()
        if self.captured_rows.counts.labeled > _MAX_REMEMBERED:
            self.captured_rows = CapturedRows(0)

    def note(self, name: str, *, truth: bool) -> None:
        """Something came about the example: scans look after it until it is done."""
        self.left[name] = truth or self.left.get(name, False)

    def take_over(self, before: "ModelState") -> None:
        """What the one that this takes the place of had not done, and not written down."""
        self.left = before.left | {entry.hex: False for entry in before.uncatalogued if entry.hex not in before.left}

    def may_come_back(self, name: str) -> bool:
        """Is what is refused of an example asked again, some time?"""
        return self.bars(name) or self._refused.get(name) in BY_TEACHER

    def refuses(self, name: str) -> bool:
        return name in self._refused or self.bars(name)

    def bars(self, name: str) -> bool:
        """Is the example set aside, so that nothing may touch it?"""
        return name in self.set_aside and not self.bars_teacher(name)

    def bars_teacher(self, name: str) -> bool:
        """Is the example one that only the teacher is not asked about any more? Its truth counts as any other."""
        return self.set_aside.get(name) == set_aside.TEACHER_FAILED

    def asks_teacher(self, name: str) -> bool:
        """Is there anything that a teacher could say of the example?"""
        return self.task.asks_teacher and not self.bars_teacher(name)

    def forget_teacher_refusals(self) -> None:
        """Forget what the teacher refused: it may be another one by now."""
        self._refused = {name: reason for name, reason in self._refused.items() if reason not in BY_TEACHER}

    @property
    def backlog(self) -> label_backlog.Backlog:
        """How far labels are behind."""
        asked = self.teaching
        teacher = label_backlog.FAILING if asked.trouble else label_backlog.ANSWERING
        return label_backlog.Backlog(
            waiting=max(self.waiting.count, len(asked)),
            oldest_unix_ms=self.waiting.oldest_unix_ms,
            teacher=label_backlog.MISSING if asked.is_missing else teacher,
            trouble=asked.trouble,
            set_aside=dict(Counter(list(self.set_aside.values()))),
            refused={reason: count for reason, count in self._refusals.items() if reason not in _NOT_TOLD},
            untold=self.untold,
        )

    @property
    def _refusals(self) -> dict[str, int]:
        return dict(Counter(list(self._refused.values())))

    @property
    def dropped(self) -> dict[str, int]:
        """Examples that no row stands for, by reason."""
        aside = {name: reason for name, reason in self.set_aside.items() if not self.captured_rows.knows(name)}
        return dict(Counter((aside | self._refused).values())) | self.captured_rows.left_out

    @property
    def unpublished(self) -> int:
        """Changes that are in no published dataset: of rows, of the imported base, and of the nodes that count."""
        changed = (self.base_digest != self._published_base) + (self.fleet != self._published_fleet)
        return self.captured_rows.changes - self._published_changes + changed

    @property
    def published_base(self) -> str:
        """The imported dataset that the newest one was made on; empty: none."""
        return self._published_base or ""

    @property
    def packed(self) -> Mapping[Group, Packed]:
        """The parts of captured rows in the newest dataset."""
        return self._publisher.packed

    def resume(self, packed: Mapping[Group, Packed]) -> None:
        """Go on from the parts that an earlier publisher packed. Raises UnavailableError."""
        self._publisher.resume(packed)

    @property
    def held_parts(self) -> set[str]:
        """Digests of parts that the next dataset may name without storing them again."""
        return self._publisher.held_parts

    def publish(self) -> Published | None:
        """Publish what is here now. Raises what `datasets.Publisher.publish` does; nothing counts as published then."""
        changes, base, fleet = self.captured_rows.changes, self.base_digest, self.fleet
        try:
            self.published = self._publisher.publish(self.captured_rows.rows, self.dropped, base, fleet)
        except RowsLostError as exc:
            self.captured_rows.lose(exc.names)
            raise
        self._published_changes, self._published_base, self._published_fleet = changes, base, fleet
        return self.published
