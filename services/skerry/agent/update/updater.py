"""Brings the versions that the cloud assigns into service, step by step, and never without a way back.

`update_plan` says what is next; this acts: fetch and verify (in a child process, through the `Fetch` it is given), put
into a slot, ask for a permit, swap (through the `Loader`), remember. Whatever fails, the version that serves goes on.
Fetches run one at a time; models do not wait for one another otherwise. Reports of all this are `agent.reporting`'s.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from skerry.adapters.telemetry import logs
from skerry.agent.update import ledger, progress, update_plan, version_store
from skerry.core import backoff, errors
from skerry.proto import fleet_pb2

T = TypeVar("T")
log = logs.logger("agent.updater")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a fetch. `state` is STAGED (verified and self-tested, in the staging folder), FETCH_FAILED (try again),
    REFUSED or INCOMPATIBLE (never within this attempt)."""

    state: str
    reason: str = ""


# (assignment, empty staging folder, bytes allowed) -> outcome. Never raises a SkerryError.
Fetch = Callable[[update_plan.Assignment, Path, int], Awaitable[Outcome]]


class Loader(Protocol):
    """What serves. `swap` loads beside, switches and retires the old one, losing no request; when it raises (a
    SkerryError), whatever served before serves on."""

    def serving(self, model: str) -> ledger.Pointer | None: ...

    async def swap(self, slot: version_store.Slot) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    max_swap_s: float = 30.0
    quota_bytes: int = 1 << 30  # of all slots
    retry_base_s: float = 1.0
    retry_cap_s: float = 60.0


class Updater:
    """`changed` is set whenever there is something new to report. `draw()` gives uniform numbers for jitter."""

    def __init__(
        self,
        book: ledger.Ledger,
        disk: version_store.Slots,
        fetch: Fetch,
        loader: Loader,
        draw: Callable[[], float],
        limits: Limits = Limits(),
    ) -> None:
        self.book, self.loader = book, loader
        self.targets: dict[str, progress.Target] = {}
        self.changed = asyncio.Event()
        self._disk, self._fetch, self._draw, self._limits = disk, fetch, draw, limits
        self._one_fetch = asyncio.Semaphore(1)
        self._writing = asyncio.Lock()
        self._new_model = asyncio.Event()

    async def assign(self, desired: fleet_pb2.DesiredState) -> bool:
        """Take over a whole desired state; False: it came from a leader of the past and is ignored.

        A model that is not named any more serves on as it does. Raises UnavailableError when the disk refuses to note
        a new epoch; the same state will be sent again.
        """
        if not await self.write(self.book.raise_epoch, desired.epoch):
            log.warning("stale_epoch_ignored", epoch=desired.epoch, highest=self.book.epoch)
            return False
        named = {message.model: message for message in desired.assignments}
        for model, target in self.targets.items():
            if model not in named:
                progress.reset(target, None)
        for model, message in named.items():
            self._want(model, message)
        return True

    def _want(self, model: str, message: fleet_pb2.Assignment) -> None:
        target = self.targets.setdefault(model, progress.Target())
        try:
            wanted = update_plan.parse(message)
        except errors.InputError as exc:
            log.error("assignment_malformed", message=str(exc), model=model)
            progress.reset(target, None)
            return
        if target.wanted is None or target.wanted.key != wanted.key:
            progress.reset(target, wanted)
        target.wanted = wanted
        target.wake.set()
        self._new_model.set()

    async def run(self) -> None:
        """Work on every assigned model until cancelled."""
        started: set[str] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._new_model.wait()
                self._new_model.clear()
                for model in self.targets.keys() - started:
                    group.create_task(self._work(model))
                    started.add(model)

    async def write(self, entry: Callable[..., T], *values: object) -> T:
        """One ledger entry at a time, its fsync off the event loop."""
        async with self._writing:
            return await asyncio.to_thread(entry, *values)

    async def _work(self, model: str) -> None:
        target = self.targets[model]
        while True:
            target.wake.clear()
            try:
                wait_s = await self._advance(model, target)
            except (errors.UnavailableError, errors.RejectedError) as exc:
                # The disk refused an entry of the ledger: nothing rests on it, so the same step comes again.
                log.warning("update_waits", model=model, message=str(exc))
                wait_s = self._limits.retry_base_s
            if wait_s is None or wait_s > 0:
                await _wait(target.wake, wait_s)

    async def _advance(self, model: str, target: progress.Target) -> float | None:
        """Do the next step; returns how long to wait before another (None: until something changes)."""
        await self._settle(model)
        wanted = target.wanted
        if wanted is None:
            return None
        step = update_plan.next_step(wanted, self._facts(wanted, target), now_s=time.monotonic())
        self._show(target, step)
        if step.action is update_plan.Action.REFUSE:
            await self._refuse(wanted, ledger.Refusal(step.state, step.reason))
        elif step.action is update_plan.Action.FETCH:
            await self._bring(wanted, target)
        elif step.action is update_plan.Action.SWAP:
            await self._swap(wanted, target)
        else:
            return max(0.01, target.retry_at_s - time.monotonic()) if step.state == "FETCH_FAILED" else None
        return 0

    def _facts(self, wanted: update_plan.Assignment, target: progress.Target) -> update_plan.Facts:
        return update_plan.Facts(
            serving=self.loader.serving(wanted.model),
            refusal=self.book.refusal(wanted.key),
            tries=self.book.tries(wanted.key),
            is_staged=target.staged is not None,
            retry_at_s=target.retry_at_s,
            last_failure=target.last_failure,
            highest_permit=self.book.highest_permit,
            highest_epoch=self.book.epoch,
            requests=target.requests,
        )

    def _show(self, target: progress.Target, step: update_plan.Step) -> None:
        if (target.shown.state, target.shown.reason) != (step.state, step.reason):
            target.shown = step
            self.changed.set()

    async def _bring(self, wanted: update_plan.Assignment, target: progress.Target) -> None:
        """From nothing to a slot: what is on the disk already is not fetched again."""
        if not target.is_looked_up:
            target.is_looked_up = True
            found = await asyncio.to_thread(self._disk.find, wanted.model, wanted.version, wanted.digest)
            if progress.still(target, wanted):
                target.staged = found
            if found is not None:
                return
        async with self._one_fetch:
            outcome = await self._fetched(wanted, target)
        if not progress.still(target, wanted):
            return
        if outcome.state == "STAGED":
            target.failures, target.last_failure = 0, ""
        elif outcome.state == "FETCH_FAILED":
            self._put_off(target, outcome.reason)
            log.warning("fetch_failed", model=wanted.model, version=wanted.version, message=outcome.reason)
        else:
            await self._refuse(wanted, ledger.Refusal(outcome.state, outcome.reason))

    async def _fetched(self, wanted: update_plan.Assignment, target: progress.Target) -> Outcome:
        staging: Path | None = None
        try:
            await asyncio.to_thread(self._disk.prune, self._kept())
            room = self._limits.quota_bytes - await asyncio.to_thread(self._disk.size_bytes)
            staging = self._disk.stage(wanted.model, wanted.version, token=secrets.token_hex(4))
            outcome = await self._fetch(wanted, staging, max(0, room))
            if outcome.state == "STAGED":
                slot = await asyncio.to_thread(self._disk.publish, staging, wanted.model, wanted.version, wanted.digest)
                if progress.still(target, wanted):
                    target.staged = slot
            return outcome
        except errors.UnavailableError as exc:
            return Outcome("FETCH_FAILED", str(exc))
        except (errors.IntegrityError, errors.InputError) as exc:
            return Outcome("REFUSED", str(exc))
        finally:
            if staging is not None:
                await asyncio.to_thread(self._disk.discard, staging)

    async def _swap(self, wanted: update_plan.Assignment, target: progress.Target) -> None:
        slot, permit = target.staged, wanted.permit
        if slot is None or permit is None:
            raise AssertionError("steps allows a swap only with a slot and a permit")
        # Until the swap is over, reports repeat the request that the permit answered: the cloud counts it as running.
        target.swapping = permit.request
        try:
            await self.write(self.book.use_permit, permit.number)  # before use: a permit is good once, come what may
            await self._swap_permitted(wanted, target, slot)
        finally:
            target.swapping = 0
            target.requests.clear()

    async def _swap_permitted(
        self, wanted: update_plan.Assignment, target: progress.Target, slot: version_store.Slot
    ) -> None:
        try:
            await asyncio.to_thread(version_store.check, slot)
        except errors.IntegrityError as exc:
            # It was good when it was staged: the disk is at fault, not the version.
            await asyncio.to_thread(self._disk.remove, slot)
            target.staged = None
            self._put_off(target, str(exc))
            return
        await self.write(self.book.begin, wanted.key)
        try:
            async with asyncio.timeout(self._limits.max_swap_s):
                await self.loader.swap(slot)
        except (errors.SkerryError, TimeoutError) as exc:
            reason = str(exc) or f"version {wanted.version} did not come up in {self._limits.max_swap_s:.0f} s"
            await self._refuse(wanted, ledger.Refusal("SWAP_FAILED", reason))
            return

    async def _settle(self, model: str) -> None:
        """Make the ledger say what serves; then what nothing needs any more may go."""
        serving, pointers = self.loader.serving(model), self.book.pointers(model)
        if serving is not None and pointers.active != serving:
            await self.write(self.book.point, model, ledger.activated(pointers, serving))
            self.changed.set()
            await asyncio.to_thread(self._disk.prune, self._kept())

    async def _refuse(self, wanted: update_plan.Assignment, refusal: ledger.Refusal) -> None:
        log.error(
            "version_refused", model=wanted.model, version=wanted.version, state=refusal.state, message=refusal.reason
        )
        await self.write(self.book.refuse, wanted.key, refusal)

    def _put_off(self, target: progress.Target, reason: str) -> None:
        limits = self._limits
        delay_s = backoff.delay_s(target.failures, base_s=limits.retry_base_s, cap_s=limits.retry_cap_s, u=self._draw())
        target.failures += 1
        target.retry_at_s, target.last_failure = time.monotonic() + delay_s, reason

    def _kept(self) -> list[version_store.Slot]:
        """Never pruned: what serves, the last known good, and what is being brought up."""
        return [self._disk.slot(model, one.version, one.digest) for model, one in self._pointers()]

    def _pointers(self) -> list[tuple[str, ledger.Pointer]]:
        found: list[tuple[str, ledger.Pointer | None]] = []
        for model in {*self.book.models(), *self.targets}:
            pointers, target = self.book.pointers(model), self.targets.get(model)
            found += [(model, pointers.active), (model, pointers.last_known_good), (model, self.loader.serving(model))]
            found.append((model, target.wanted.pointer if target and target.wanted else None))
        return [(model, one) for model, one in found if one is not None]


async def _wait(event: asyncio.Event, timeout_s: float | None) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass
