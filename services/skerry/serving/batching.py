"""Requests into runs, without a timer: what arrived in one turn of the loop, or while a run was busy, is the next run.

A batch that is known to be quick runs at once on the loop's thread; any other on the version's own thread, so that the
loop (and health) goes on (see `pace`). One that holds the loop all the same is stopped there and runs again on the
thread (see `watchdog`), where it has its time limit. The queue is bounded and fair (see `fair_queue`); work whose
caller gave up is dropped before it runs. A batch that fails is run again request by request, so that a bad one fails
alone.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from skerry.adapters.telemetry import logs
from skerry.core import addresses, errors
from skerry.serving.answering import Answering
from skerry.serving.batch_rules import BatchPolicy, QueuedRequest, Room, VersionLabel, leading, most_rows
from skerry.serving.fair_queue import BytePool, FairQueue
from skerry.serving.metrics import ServingMetrics
from skerry.serving.network import Network
from skerry.serving.pace import Pace
from skerry.serving.run_limit import RunLimit
from skerry.serving.running import Outcome, Ran, Runner
from skerry.serving.runtime import RunStoppedError
from skerry.serving.sequence_states import SequenceStates
from skerry.serving.watchdog import Watchdog

log = logs.logger("serving")


class Batcher:
    """The queue and the runs of one version. Used on the loop's thread."""

    def __init__(
        self,
        network: Network,
        label: VersionLabel,
        *,
        pace: Pace,
        policy: BatchPolicy,
        instruments: ServingMetrics,
        states: SequenceStates | None,
        watchdog: Watchdog,
        pool: BytePool,
    ) -> None:
        self._network, self._label, self._policy = network, label, policy
        self._pace, self._watchdog = pace, watchdog
        self._stopped_runs, self._states = instruments.stopped, states
        self._runner = Runner(network, keeps_state=states is not None)
        self._answering = Answering(network, label, instruments, states)
        self._queue = FairQueue(policy, pool)
        self._limit = RunLimit(network.switch, policy.max_run_s)
        self._busy = False
        self._is_due = False  # the queue is looked at in the next turn of the loop
        self._closing = False
        self._thread: ThreadPoolExecutor | None = None

    @property
    def depth(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    def submit(self, works: list[QueuedRequest], now: float) -> None:
        """Run what arrived together; what cannot run at once is queued. Each is answered by its job's `finish`. `now`
        is the loop's time."""
        done, until = 0, now + self._policy.max_turn_s
        while done < len(works) and not self._queue and not self._busy and (now < until or not done):
            first = works[done]
            row_bytes = first.row_bytes
            row_s = self._pace.row_s(first.shape, row_bytes, now)
            most = min(most_rows(row_s, self._policy), max(1, self._policy.max_run_bytes // row_bytes))
            count = leading(works[done:] if done else works, most, now)
            if not count or self._limit.is_stuck(now):
                break
            batch = works[done : done + count]
            done += count
            now += self._start(batch, row_s, now)
        if done < len(works):
            self._enqueue(works[done:], now)

    def stop(self) -> None:
        """The process ends: whatever runs is stopped."""
        self._network.switch.stop()

    def close(self) -> None:
        """Take the thread down once everything queued is answered."""
        self._closing = True
        self._close_if_idle()

    def _enqueue(self, works: list[QueuedRequest], now: float) -> None:
        if (stuck := self._limit.refusal(self._label, now)) is not None:
            for work in works:
                self._answering.refuse(work, stuck)
            return
        for work in works:
            self._join_queue(work)
            leaves = self._queue.add(work)
            if leaves is not None:
                self._dismiss(leaves)
                self._answering.refuse(leaves, self._overloaded())
        self._kick()

    def _overloaded(self) -> errors.OverloadedError:
        policy, queue = self._policy, self._queue
        return errors.OverloadedError(
            f"model {self._label.model!r} is overloaded: {len(queue)} requests of {queue.size_bytes} bytes "
            f"wait, at most {policy.max_queue} and {queue.most_bytes} bytes may; try again later"
        )

    def _kick(self) -> None:
        """Run what waits, and let the loop look at its sockets in between."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._policy.max_turn_s
        while self._queue and not self._busy:
            now = clock()
            batch = self._queue.take(partial(self._room, now), partial(self._is_wanted, now))
            if batch:
                first = batch[0]
                now += self._start(batch, self._pace.row_s(first.shape, first.row_bytes, now), now)
            if now >= until and self._queue:
                self._kick_soon()
                return
        self._close_if_idle()

    def _kick_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._kick_due)

    def _kick_due(self) -> None:
        self._is_due = False
        self._kick()

    def _room(self, now: float, work: QueuedRequest) -> Room:
        """Of the run that begins with this."""
        if self._network.fixed_rows is not None:
            return Room(work.rows, work.size_bytes)
        row_s = self._pace.row_s(work.shape, work.row_bytes, now)
        return Room(most_rows(row_s, self._policy), self._policy.max_run_bytes)

    def _start(self, batch: list[QueuedRequest], row_s: float, now: float) -> float:
        """A quick batch now, any other on the thread, which then takes the next. Returns the seconds that it took."""
        self._busy = True
        switch = self._network.switch
        switch.reset()
        try:
            if row_s * sum([work.rows for work in batch]) > self._policy.max_inline_s:
                self._start_on_thread(batch)
                return 0.0
            self._watchdog.began(switch)
            try:
                outcomes, seconds = self._runner.run(batch)
            finally:
                is_slow = self._watchdog.ended()
        except Exception as exc:  # noqa: BLE001  # the last line between a run and those who wait for it
            self._busy = False
            self._fail(batch, exc)
            return 0.0
        self._busy = False
        self._pace.was_slow(is_slow, now)
        if outcomes is None:
            self._pace.leave_loop(now + seconds)
            self._put_back(batch)
            self._kick_soon()
        else:
            self._deliver(batch, outcomes, seconds, now + seconds)
        return seconds

    def _start_on_thread(self, batch: list[QueuedRequest]) -> None:
        """Raises UnavailableError when the system has no thread for it."""
        try:
            running = asyncio.get_running_loop().run_in_executor(self._own_thread(), self._runner.run, batch)
        except RuntimeError as exc:
            self._drop_thread()  # it would run the batch all the same, before the next one
            label = self._label
            raise errors.UnavailableError(
                f"version {label.version} of model {label.model!r} cannot run: {exc}; allow the process more threads"
            ) from exc
        self._limit.began(batch, partial(self._lost, batch))
        running.add_done_callback(partial(self._thread_done, batch))

    def _is_wanted(self, now: float, work: QueuedRequest) -> bool:
        """May it run? Answers it at once when it must not."""
        self._dismiss(work)
        if work.is_over(now):
            text = f"the deadline passed while the request waited {now - work.queued_s:.3f} s; it was not run"
            self._answering.refuse(work, errors.DeadlineError(text))
            return False
        if work.ask is not None and self._states is not None:
            try:
                work.state = self._states.before(work.ask, self._label.model, now_s=now)
            except errors.SkerryError as exc:
                self._answering.refuse(work, exc)
                return False
        return True

    def _put_back(self, batch: list[QueuedRequest]) -> None:
        """What was in a run that was stopped runs again."""
        for work in batch:
            if work.ask is not None and self._states is not None:
                self._states.abandon(work.ask)
            self._join_queue(work)
        self._queue.put_back(batch)

    def _join_queue(self, work: QueuedRequest) -> None:
        """It is to wait, for the first time or again."""
        call = work.job.context.call
        work.caller = addresses.place_of(call.peer_address.rpartition(":")[0].strip("[]")) if call else ""
        if work.ask is not None and self._states is not None:
            self._states.expect(work.ask)

    def _dismiss(self, work: QueuedRequest) -> None:
        if work.ask is not None and self._states is not None:
            self._states.dismiss(work.ask)

    def _thread_done(self, batch: list[QueuedRequest], running: "asyncio.Future[Ran]") -> None:
        self._busy = False
        was_lost = self._limit.ended()
        bug, now = running.exception(), asyncio.get_running_loop().time()
        if bug is not None:
            self._limit.was_answered()
            self._fail([] if was_lost else batch, bug)
            self._kick()
            return
        outcomes, seconds = running.result()
        if was_lost:
            log.warning("run_came_back", model=self._label.model, version=self._label.version, seconds=seconds)
        elif outcomes is None:
            self._stopped(batch, seconds, now)
        else:
            self._limit.was_answered()
            self._deliver(batch, outcomes, seconds, now)
        self._kick()

    def _fail(self, batch: list[QueuedRequest], bug: BaseException) -> None:
        """For what a run is not known to raise: it is logged, and the callers are told no more than that it failed."""
        log.error("run_failed", model=self._label.model, version=self._label.version, message=repr(bug))
        failed = errors.IntegrityError(f"model {self._label.model!r} failed on this request")
        for work in batch:
            self._answering.failed(work, bug if isinstance(bug, errors.SkerryError) else failed)

    def _stopped(self, batch: list[QueuedRequest], seconds: float, now: float) -> None:
        """The run on the thread was stopped: whoever still waits runs again alone, and a lone one has failed."""
        self._count_stopped(seconds)
        alone = []
        for work in batch:
            if work.is_over(now):
                self._answering.failed(
                    work, errors.DeadlineError(f"the deadline passed: the run was stopped after {seconds:.1f} s")
                )
            elif len(batch) == 1:
                self._answering.failed(work, RunStoppedError(self._limit.text(self._label)))
            else:
                work.is_alone = True
                alone.append(work)
        self._put_back(alone)
        self._refuse_queue(now)

    def _lost(self, batch: list[QueuedRequest], seconds: float) -> None:
        """The run does not end although it was stopped: nobody waits for it any longer, and nothing for its thread."""
        self._count_stopped(seconds)
        for work in batch:
            self._answering.failed(work, RunStoppedError(self._limit.text(self._label)))
        self._refuse_queue(asyncio.get_running_loop().time())

    def _refuse_queue(self, now: float) -> None:
        """What waits for a version that is stuck."""
        refusal = self._limit.refusal(self._label, now)
        if refusal is not None:
            for work in self._queue.drain():
                self._dismiss(work)
                self._answering.refuse(work, refusal)

    def _count_stopped(self, seconds: float) -> None:
        label = self._label
        log.error("run_stopped", model=label.model, version=label.version, seconds=round(seconds, 1))
        self._stopped_runs.add(label.labels)

    def _deliver(self, batch: list[QueuedRequest], outcomes: list[Outcome], seconds: float, now: float) -> None:
        first = batch[0]
        self._pace.ran(first.shape, first.row_bytes, seconds / sum([work.rows for work in batch]))
        self._answering.deliver(batch, outcomes, seconds, now)

    def _own_thread(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"model-{self._label.model}")
        return self._thread

    def _drop_thread(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None

    def _close_if_idle(self) -> None:
        if self._closing and not self._busy and not self._queue:
            self._drop_thread()
