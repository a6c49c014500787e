"""Requests into runs, without a timer: what arrived in one turn of the loop, or while a run was busy, is the next run.

A batch that is expected to be quick runs at once on the loop's thread; a slow one on the version's own thread, so that
the loop (and health) goes on. The queue is bounded; work whose caller gave up is dropped before it runs. A batch that
fails is run again request by request, so that a bad one fails alone.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.adapters.telemetry import logs
from skerry.core import errors
from skerry.core.inference import InferReply
from skerry.core.sequences import Key
from skerry.core.tensors import Tensor
from skerry.serving.batch_rules import BatchPolicy, QueuedRequest, VersionLabel, leading, most_rows, split
from skerry.serving.metrics import ServingMetrics, outcome_of
from skerry.serving.network import Network, NotFiniteError
from skerry.serving.sequence_states import SequenceStates, State

_REMEMBERED_RUNS = 8
_MAX_FORMS = 64

log = logs.logger("serving")

Outcome = tuple[Sequence[NDArray[Any]], Sequence[NDArray[Any]]] | errors.SkerryError


class Batcher:
    """The queue and the runs of one version. Used on the loop's thread; `row_s` is how long one row took at load."""

    def __init__(
        self,
        network: Network,
        label: VersionLabel,
        *,
        row_s: float,
        policy: BatchPolicy,
        instruments: ServingMetrics,
        states: SequenceStates | None,
    ) -> None:
        self._network, self._label, self._policy = network, label, policy
        self._row_times_s = deque([row_s], _REMEMBERED_RUNS)
        self._instruments, self._states, self._series = instruments, states, label.labels
        self._runs = instruments.runs(label.labels)
        self._output_types = tuple((spec.name, spec.datatype) for spec in network.manifest.outputs)
        self._forms: dict[tuple[int, ...], object] = {}
        self._queue: deque[QueuedRequest] = deque()
        self._queued_bytes = 0
        self._busy = False
        self._closing = False
        self._thread: ThreadPoolExecutor | None = None

    @property
    def depth(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    def submit(self, works: list[QueuedRequest], now: float) -> None:
        """Run what arrived together; what cannot run at once is queued. Each is answered by its job's `finish`. `now`
        is the loop's time."""
        done = 0
        while done < len(works) and not self._queue and not self._busy:
            row_s = min(self._row_times_s)
            count = leading(works[done:] if done else works, most_rows(row_s, self._policy), now)
            if not count:
                break
            batch = works[done : done + count]
            done += count
            now += self._start(batch, row_s, now)
        if done < len(works):
            self._enqueue(works[done:])

    def _enqueue(self, works: list[QueuedRequest]) -> None:
        for work in works:
            try:
                self._add(work)
            except errors.OverloadedError as exc:
                self._refuse(work, exc)
        self._kick()

    def _add(self, work: QueuedRequest) -> None:
        """Queue it. Raises OverloadedError."""
        policy = self._policy
        if len(self._queue) >= policy.max_queue or (
            self._queue and self._queued_bytes + work.size_bytes > policy.max_queue_bytes
        ):
            raise errors.OverloadedError(
                f"model {self._label.model!r} is overloaded: {len(self._queue)} requests of {self._queued_bytes} bytes "
                f"wait, at most {policy.max_queue} and {policy.max_queue_bytes} bytes may; try again later"
            )
        self._queue.append(work)
        self._queued_bytes += work.size_bytes
        if work.ask is not None and self._states is not None:
            self._states.expect(work.ask)

    def _kick(self) -> None:
        """Run what waits."""
        loop = asyncio.get_running_loop()
        while self._queue and not self._busy:
            # The quickest of the latest runs: a busy machine makes single ones slow, which is no reason for a thread.
            row_s, now = min(self._row_times_s), loop.time()
            batch = self._take(now, most_rows(row_s, self._policy))
            if batch:
                self._start(batch, row_s, now)
        self._close_if_idle()

    def _start(self, batch: list[QueuedRequest], row_s: float, now: float) -> float:
        """A quick batch now, a slow one on the thread, which then takes the next. Returns the seconds that it took."""
        self._busy = True
        if row_s * sum([work.rows for work in batch]) > self._policy.max_inline_s:
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._own_thread(), self._run, batch)
            running.add_done_callback(partial(self._thread_done, batch))
            return 0.0
        try:
            outcomes, seconds = self._run(batch)
        finally:
            self._busy = False
        self._deliver(batch, outcomes, seconds, now + seconds)
        return seconds

    def close(self) -> None:
        """Take the thread down once everything queued is answered."""
        self._closing = True
        self._close_if_idle()

    def _take(self, now: float, most: int) -> list[QueuedRequest]:
        """The next run: in order, one shape, at most one step of a sequence, without what is no longer waited for."""
        batch: list[QueuedRequest] = []
        left: deque[QueuedRequest] = deque()
        rows, taken = 0, set[Key]()
        while self._queue:
            work = self._queue.popleft()
            if batch and rows + work.rows > most:
                left.append(work)
                break
            if (batch and work.shape != batch[0].shape) or (work.ask is not None and work.ask.key in taken):
                left.append(work)
                if work.ask is not None:
                    taken.add(work.ask.key)  # a later step must not overtake it
                continue
            if not self._is_wanted(work, now):
                continue
            batch.append(work)
            rows += work.rows
            if work.ask is not None:
                taken.add(work.ask.key)
        self._queue.extendleft(reversed(left))
        return batch

    def _is_wanted(self, work: QueuedRequest, now: float) -> bool:
        """Takes the request out of the queue's counts; answers it at once when it must not run."""
        self._queued_bytes -= work.size_bytes
        if work.ask is not None and self._states is not None:
            self._states.dismiss(work.ask)
        if work.job.context.is_over(now):
            text = f"the deadline passed while the request waited {now - work.queued_s:.3f} s; it was not run"
            self._refuse(work, errors.DeadlineError(text))
            return False
        if work.ask is not None and self._states is not None:
            try:
                work.state = self._states.before(work.ask, self._label.model, now_s=now)
            except errors.SkerryError as exc:
                self._refuse(work, exc)
                return False
        return True

    def _run(self, batch: list[QueuedRequest]) -> tuple[list[Outcome], float]:
        start = time.perf_counter()
        outcomes = self._attempt(batch)
        return outcomes, time.perf_counter() - start

    def _attempt(self, batch: list[QueuedRequest]) -> list[Outcome]:
        try:
            return self._together(batch)
        except errors.SkerryError as exc:
            return [exc] if len(batch) == 1 else [self._attempt([work])[0] for work in batch]

    def _together(self, batch: list[QueuedRequest]) -> list[Outcome]:
        if len(batch) == 1 and self._states is None:
            return [self._network.run(batch[0].inputs)]
        inputs = [np.concatenate(column) for column in zip(*[work.inputs for work in batch], strict=True)]
        if self._states is None:
            return list(zip(split(batch, self._network.run(inputs)[0]), repeat(())))
        fresh = self._network.fresh_state(1)
        state = [np.concatenate(column) for column in zip(*(work.state or fresh for work in batch), strict=True)]
        outputs, after = self._network.run(inputs, state)
        # A step is one row. Copies of the state, or one held sequence would keep the whole batch in memory.
        states = [[state[at : at + 1].copy() for state in after] for at in range(len(batch))]
        return list(zip(split(batch, outputs), states, strict=True))

    def _thread_done(self, batch: list[QueuedRequest], running: "asyncio.Future[tuple[list[Outcome], float]]") -> None:
        self._busy = False
        bug = running.exception()
        if bug is None:
            outcomes, seconds = running.result()
        else:
            log.error("run_failed", model=self._label.model, version=self._label.version, message=repr(bug))
            failed = errors.IntegrityError(f"model {self._label.model!r} failed on this request")
            outcomes, seconds = [failed for _ in batch], 0.0
        self._deliver(batch, outcomes, seconds, asyncio.get_running_loop().time())
        self._kick()

    def _deliver(self, batch: list[QueuedRequest], outcomes: list[Outcome], seconds: float, now: float) -> None:
        rows = sum([work.rows for work in batch])
        self._row_times_s.append(seconds / rows)
        answered = 0
        for work, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, errors.SkerryError):
                self._failed(work, outcome)
            else:
                answered += 1
                outputs, state = outcome
                self._succeeded(work, outputs, state, now)
        self._runs.ran(seconds, rows, now - seconds - batch[0].queued_s, answered)

    def _succeeded(self, work: QueuedRequest, outputs: Sequence[NDArray[Any]], state: State, now: float) -> None:
        if work.ask is not None and self._states is not None:
            self._states.after(work.ask, state, now_s=now)
        form: object = None
        if len(outputs) == 1:
            (name, datatype), data = self._output_types[0], outputs[0]
            shape = data.shape
            tensors: tuple[Tensor, ...] = (Tensor(name, datatype, shape, data),)
            form = self._forms.get(shape) or self._new_form(shape)
        else:
            pairs = zip(self._output_types, outputs, strict=True)
            tensors = tuple([Tensor(name, datatype, data.shape, data) for (name, datatype), data in pairs])
        label = self._label
        work.job.finish(InferReply(label.model, label.version, tensors, "", {}, label.digest, form))

    def _new_form(self, shape: tuple[int, ...]) -> object:
        """One object for all replies whose only output has this shape."""
        if len(self._forms) >= _MAX_FORMS:
            self._forms.clear()
        form = self._forms[shape] = object()
        return form

    def _failed(self, work: QueuedRequest, error: errors.SkerryError) -> None:
        if work.ask is not None and self._states is not None:
            self._states.abandon(work.ask)
        if isinstance(error, NotFiniteError):
            self._instruments.not_finite.add(self._series)
        self._refuse(work, error)

    def _refuse(self, work: QueuedRequest, error: errors.SkerryError) -> None:
        self._instruments.requests.add((*self._series, outcome_of(error)))
        work.job.finish(error)

    def _own_thread(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"model-{self._label.model}")
        return self._thread

    def _close_if_idle(self) -> None:
        if self._closing and not self._busy and not self._queue and self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None
