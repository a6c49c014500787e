"""The loop that turns what came in into labels: entries of the stream and what scans find. Truths are applied at once,
examples wait in the queue of their model until its teacher has answered.

An entry is acknowledged when what it tells of was looked at: its truth is applied, or its example has a place in the
queue or waits in storage for a scan. So no model holds the stream up, whatever its teacher does.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from skerry.adapters.telemetry import logs
from skerry.core import errors, set_aside
from skerry.curator import examples
from skerry.curator.evidence import EvidenceCounts
from skerry.curator.label_task import LabelTask
from skerry.curator.labeling import Labeling, Prepared
from skerry.curator.model_state import ModelState
from skerry.curator.scanning import Scanning
from skerry.curator.setting_aside import SettingAside
from skerry.curator.teacher import NoTeacherError, Teacher, TeacherError
from skerry.curator.teaching_queue import Work
from skerry.curator.work_stream import WorkStream

_BLOCK_S = 0.2
_ENTRIES_AT_ONCE = 256
_MAX_REQUEST_BYTES = 8 << 20

_log = logs.logger("curator")
_T = TypeVar("_T")


class Run(Protocol):
    """Runs a blocking function on the one thread of `Labeling`."""

    def __call__(self, function: Callable[..., _T], /, *args: Any) -> Awaitable[_T]: ...


class LabelingLoop:
    """`monotonic` gives seconds. What other curators left is looked after every `look_s`."""

    def __init__(
        self,
        labeling: Labeling,
        scanning: Scanning,
        setting_aside: SettingAside,
        stream: WorkStream,
        teacher: Teacher,
        evidence: EvidenceCounts,
        *,
        run: Run,
        monotonic: Callable[[], float],
        batch_rows: int,
        look_s: float,
    ) -> None:
        self._labeling, self._scanning, self._setting_aside = labeling, scanning, setting_aside
        self._stream, self._teacher, self._evidence, self._look_s = stream, teacher, evidence, look_s
        self._run, self._monotonic, self._batch_rows = run, monotonic, batch_rows
        self._questions: set[asyncio.Task[None]] = set()
        self._is_trying = False

    async def step(self) -> None:
        """One round: try one suspect, look at what came, and ask the teacher of each model that is due."""
        if not await self._try_suspect():
            await asyncio.sleep(_BLOCK_S)
            return
        await self._take_in_labelled()
        works = await self._gather()
        await self._examine([work for work in works if work.truth])
        self._offer(work for work in works if not work.truth)
        await self._ask_teachers()
        await self._hand_over()
        if not works and not self._questions:
            await self._unless_away(self._setting_aside.tidy)

    async def close(self) -> None:
        """Give up the questions that are under way; what they were about is found again."""
        for question in self._questions:
            question.cancel()
        await asyncio.gather(*self._questions, return_exceptions=True)
        await self._unless_away(self._setting_aside.tidy)

    async def _gather(self) -> list[Work]:
        """New work: what scans found, then what the stream tells."""
        works = dict.fromkeys(await self._run(self._scanning.backlog, self._batch_rows))
        now_s = self._monotonic()
        busy = bool(works) or self._is_trying or any(state.teaching.is_due(now_s) for state in self._states)
        for work in await self._read_stream(block_s=0.0 if busy else _BLOCK_S):
            works[work] = None
        return list(works)

    @property
    def _states(self) -> Sequence[ModelState]:
        return list(self._labeling.models.values())

    async def _read_stream(self, block_s: float) -> list[Work]:
        arrived = await asyncio.to_thread(self._stream.read, block_s)
        if arrived is None:
            await asyncio.sleep(block_s)
            return []
        if arrived.is_forgetful:
            await self._run(functools.partial(self._scanning.rescan, list(self._labeling.models), full=True))
        for entry in arrived.malformed:
            await self._unless_away(self._setting_aside.set_aside_entry, entry)
        await self._run(self._scanning.note, arrived.works)
        return arrived.works

    async def _examine(self, works: Sequence[Work]) -> None:
        """Do what needs no teacher. While storage is away nothing is held: a scan finds it again."""
        if not works:
            return
        try:
            for some in self._few_at_once(works):
                prepared = await self._run(self._labeling.examine, some)
                for pairs in prepared.to_teach.values():
                    self._offer(Work(work.model, work.name, truth=False) for work, _ in pairs)
        except errors.UnavailableError as exc:
            _log.warning("labeling_waits", examples=len(works), message=str(exc))
            for work in works:
                if state := self._labeling.models.get(work.model):
                    state.teaching.turned_away = True

    def _few_at_once(self, works: Sequence[Work]) -> Iterator[Sequence[Work]]:
        """As many as may be in memory together: examples may be large."""
        rows = [state.task.rows_at_once(len(works)) for state in self._states] or [len(works)]
        return (works[start : start + min(rows)] for start in range(0, len(works), min(rows)))

    def _offer(self, works: Iterable[Work]) -> None:
        for work in works:
            if state := self._labeling.models.get(work.model):  # else a scan finds it when the model appears
                state.teaching.offer(work)

    async def _ask_teachers(self) -> None:
        """Ask for each model that is due; one that answers slowly holds up no other."""
        now_s = self._monotonic()
        for state in self._states:
            if works := state.teaching.take(now_s):
                self._start(self._question(state, works))
        if self._questions:
            await asyncio.wait(self._questions, timeout=_BLOCK_S, return_when=asyncio.FIRST_COMPLETED)

    def _start(self, question: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(question)
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def _question(self, state: ModelState, works: Sequence[Work]) -> None:
        """Have these labelled; whatever happens, they leave the question or wait again."""
        queue = state.teaching
        try:
            prepared = await self._run(self._labeling.prepare, works)
            queue.settled((*prepared.finished, *prepared.failed))
            await self._teach_all(state, prepared)
        except errors.UnavailableError as exc:
            if queue.failed(str(exc), self._monotonic(), teacher=False):
                _log.warning("labeling_waits", model=state.task.model, examples=len(works), message=str(exc))
        except Exception as exc:  # noqa: BLE001  # what nobody foresaw: each of them is tried alone
            _log.exception("labeling_failed", model=state.task.model, examples=len(works))
            for work in (left := queue.asking):
                await self._run(self._setting_aside.failed, work, exc)
            queue.settled(left)
        finally:
            queue.give_back()
            await self._run(self._setting_aside.lay_down, works)

    async def _teach_all(self, state: ModelState, prepared: Prepared) -> None:
        """Raises UnavailableError (storage)."""
        queue = state.teaching
        for task, pairs in prepared.to_teach.items():
            try:
                await self._teach(task, [captured for _, captured in pairs])
            except NoTeacherError as exc:
                if queue.missing(str(exc), self._monotonic()):
                    _log.warning("no_teacher", model=task.model, message=str(exc))
            except TeacherError as exc:
                if queue.failed(str(exc), self._monotonic(), teacher=True):
                    _log.warning("labeling_waits", model=task.model, examples=len(pairs), message=str(exc))
                for work in queue.hopeless():
                    message = f"the teacher fails at it and answers about others: {exc}"
                    await self._run(self._setting_aside.set_aside, work, set_aside.TEACHER_FAILED, message)
            else:
                queue.answered([work for work, _ in pairs])

    async def _teach(self, task: LabelTask, captured: Sequence[examples.Captured]) -> None:
        """Labels for these examples; one that the teacher refuses is refused alone."""
        size = task.rows_at_once(self._batch_rows, _MAX_REQUEST_BYTES)
        for start in range(0, len(captured), size):
            batch = captured[start : start + size]
            try:
                answer = await self._teacher.ask(task, np.stack([example.row for example in batch]))
            except errors.InputError as exc:
                if len(batch) == 1:
                    await self._run(self._labeling.refuse, task, batch[0], "refusedByTeacher", str(exc))
                    continue
                for example in batch:
                    await self._teach(task, [example])
            else:
                await self._run(self._labeling.record, task, batch, answer.outputs, answer.by)

    async def _try_suspect(self) -> bool:
        """Look after what dead curators left, and try one suspect alone. False while that cannot be known: then nothing
        may be touched, for anything may be in the hand of another, or have killed one."""
        try:
            work = await self._run(self._setting_aside.look, self._look_s)
        except errors.UnavailableError as exc:
            _log.debug("in_hand_unknown", message=str(exc))
            return False
        if work is not None and not self._is_trying:
            self._is_trying = True
            self._start(self._try_alone(work))
        return True

    async def _try_alone(self, work: Work) -> None:
        try:
            prepared = await self._run(self._labeling.prepare, [work], True)
            for task, pairs in prepared.to_teach.items():
                await self._teach(task, [captured for _, captured in pairs])
            if not prepared.failed:
                await self._run(self._setting_aside.acquit, work)
        except TeacherError:  # reading it did no harm; it waits for the teacher as the others do
            await self._run(self._setting_aside.acquit, work)
            self._offer([Work(work.model, work.name, truth=False)])
        except errors.SkerryError:  # of storage, not of the suspect
            await self._run(self._setting_aside.postpone, work)
        except Exception as exc:  # noqa: BLE001  # what nobody foresaw, again
            await self._run(self._setting_aside.failed, work, exc)
        finally:
            self._is_trying = False
            await self._run(self._setting_aside.lay_down, [work])

    async def _hand_over(self) -> None:
        """Hand evidence over, and acknowledge what was looked at."""
        await self._unless_away(self._evidence.flush)
        await self._tell_labelled()
        await asyncio.to_thread(self._stream.acknowledge)

    async def _tell_labelled(self) -> None:
        """Before what was labelled is acknowledged: else nobody would publish it before all is looked through."""
        works, self._labeling.labelled = self._labeling.labelled, []
        if not works:
            return
        try:
            await asyncio.to_thread(self._stream.tell_labelled, works)
        except errors.UnavailableError:
            self._labeling.labelled = works + self._labeling.labelled
            await self._unless_away(self._labeling.keep_untold)

    async def _take_in_labelled(self) -> None:
        """What other labelers labelled, when this one publishes."""
        if not self._scanning.takes_in:
            return
        works, ids = await asyncio.to_thread(self._stream.labelled)
        if ids:
            await self._unless_away(self._scanning.take_in, works)
            await asyncio.to_thread(self._stream.acknowledge_labelled, ids)

    async def _unless_away(self, function: Callable[..., None], *args: Any) -> None:
        """What is not done while a server is away is done later, or nothing is lost with it."""
        try:
            await self._run(function, *args)
        except errors.UnavailableError as exc:
            _log.debug("done_later", message=str(exc))
