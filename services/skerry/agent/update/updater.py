"""Brings the versions that the cloud assigns into service, step by step, and never without a way back.

`update_plan` says what is next; this acts: fetch and verify (in a child process, through the `Fetch` it is given), put
into a slot, ask for a permit, swap (through the `Loader`), remember. Whatever fails, the version that serves goes on.
Fetches run one at a time; models do not wait for one another otherwise. Reports of all this are `node_report`'s.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from skerry.adapters.telemetry import logs
from skerry.agent.update import awake_clock, progress, update_plan, version_store
from skerry.agent.update.ledger import Ledger, Pointer, Refusal
from skerry.agent.update.states import State
from skerry.core import backoff, errors
from skerry.proto import fleet_pb2

T = TypeVar("T")
log = logs.logger("agent.updater")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a fetch. `state` is STAGED (verified and self-tested, in the staging folder), FETCH_FAILED (try again),
    REFUSED or INCOMPATIBLE (never within this attempt)."""

    state: State
    reason: str = ""


# (assignment, empty staging folder, bytes allowed) -> outcome. Never raises a SkerryError.
Fetch = Callable[[update_plan.Assignment, Path, int], Awaitable[Outcome]]


class Loader(Protocol):
    """What serves. `swap` loads beside, switches and retires the old one, losing no request; when it raises (a
    SkerryError), what served before serves on."""

    def serving(self, model: str) -> Pointer | None: ...

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
        ledger: Ledger,
        versions: version_store.VersionStore,
        fetch: Fetch,
        loader: Loader,
        draw: Callable[[], float],
        limits: Limits = Limits(),
    ) -> None:
        self.ledger, self.loader = ledger, loader
        self.targets: dict[str, progress.Target] = {}
        self.changed = asyncio.Event()
        self._versions, self._fetch, self._draw, self._limits = versions, fetch, draw, limits
        self._fetching = asyncio.Semaphore(1)
        self._writing = asyncio.Lock()
        self._new_model = asyncio.Event()

    async def assign(self, desired: fleet_pb2.DesiredState) -> bool:
        """Take over a whole desired state; False: it came from a deposed leader (stale epoch) and is ignored.

        A model that is not named any more serves on as it does. Raises UnavailableError when the disk refuses to note
        a new epoch; the same state will be sent again.
        """
        if not await self.write(self.ledger.raise_epoch, desired.epoch):
            log.warning("stale_epoch_ignored", epoch=desired.epoch, highest=self.ledger.epoch)
            return False
        named = {message.model: message for message in desired.assignments}
        for model, target in self.targets.items():
            if model not in named:
                progress.reset(target, None)
        for model, message in named.items():
            self._assign_model(model, message)
        return True

    def _assign_model(self, model: str, message: fleet_pb2.Assignment) -> None:
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

    async def prune(self) -> None:
        """Remove the slots that nothing needs."""
        await asyncio.to_thread(self._versions.prune, self._slots_to_keep())

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
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await target.wake.wait()

    async def _advance(self, model: str, target: progress.Target) -> float | None:
        """Do the next step; returns how long to wait before another (None: until something changes)."""
        await self._record_serving(model)
        wanted = target.wanted
        if wanted is None:
            return None
        step = update_plan.next_step(wanted, self._facts(wanted, target), now_s=awake_clock.now_s())
        self._report_step(target, step)
        if step.action is update_plan.Action.REFUSE:
            await self._refuse(wanted, Refusal(step.state, step.reason))
        elif step.action is update_plan.Action.FETCH:
            await self._stage(wanted, target)
        elif step.action is update_plan.Action.SWAP:
            await self._swap(wanted, target)
        elif step.action is update_plan.Action.GIVE_UP:
            await self._give_up(wanted, target)
        else:
            return max(0.01, target.retry_at_s - awake_clock.now_s()) if step.state == State.FETCH_FAILED else None
        return 0

    def _facts(self, wanted: update_plan.Assignment, target: progress.Target) -> update_plan.Facts:
        return update_plan.Facts(
            serving=self.loader.serving(wanted.model),
            refusal=self.ledger.refusal(wanted.key),
            tries=self.ledger.tries(wanted.key),
            is_staged=target.staged is not None,
            retry_at_s=target.retry_at_s,
            last_failure=target.last_failure,
            highest_permit=self.ledger.highest_permit,
            highest_epoch=self.ledger.epoch,
            requests=target.requests,
        )

    def _report_step(self, target: progress.Target, step: update_plan.Step) -> None:
        if (target.shown.state, target.shown.reason) != (step.state, step.reason):
            target.shown = step
            if step.is_news:
                self.changed.set()

    async def _stage(self, wanted: update_plan.Assignment, target: progress.Target) -> None:
        """From nothing to a slot: what is on the disk already is not fetched again."""
        if not target.is_looked_up:
            target.is_looked_up = True
            slot = await asyncio.to_thread(self._versions.find, wanted.model, wanted.version, wanted.digest)
            if progress.is_wanted(target, wanted):
                target.staged = slot
            if slot is not None:
                return
        async with self._fetching:
            outcome = await self._fetched(wanted, target)
        if not progress.is_wanted(target, wanted):
            return
        if outcome.state == State.STAGED:
            target.failures, target.last_failure = 0, ""
        elif outcome.state == State.FETCH_FAILED:
            self._retry_later(target, outcome.reason)
            log.warning("fetch_failed", model=wanted.model, version=wanted.version, message=outcome.reason)
        else:
            await self._refuse(wanted, Refusal(outcome.state, outcome.reason))

    async def _fetched(self, wanted: update_plan.Assignment, target: progress.Target) -> Outcome:
        staging: Path | None = None
        try:
            await asyncio.to_thread(self._versions.prune, self._slots_to_keep())
            room = self._limits.quota_bytes - await asyncio.to_thread(self._versions.size_bytes)
            staging = self._versions.stage(wanted.model, wanted.version, token=secrets.token_hex(4))
            outcome = await self._fetch(wanted, staging, max(0, room))
            if outcome.state == State.STAGED:
                slot = await asyncio.to_thread(
                    self._versions.publish, staging, wanted.model, wanted.version, wanted.digest
                )
                if progress.is_wanted(target, wanted):
                    target.staged = slot
            return outcome
        except errors.UnavailableError as exc:
            return Outcome(State.FETCH_FAILED, str(exc))
        except (errors.IntegrityError, errors.InputError) as exc:
            return Outcome(State.REFUSED, str(exc))
        finally:
            if staging is not None:
                await asyncio.to_thread(self._versions.discard, staging)

    async def _give_up(self, wanted: update_plan.Assignment, target: progress.Target) -> None:
        """The next report asks anew, and tells that this permit will not be used."""
        assert wanted.permit is not None
        await self.write(self.ledger.use_permit, wanted.permit.number)
        target.requests.clear()
        self.changed.set()

    async def _swap(self, wanted: update_plan.Assignment, target: progress.Target) -> None:
        slot, permit = target.staged, wanted.permit
        if slot is None or permit is None:
            raise AssertionError("update_plan allows a swap only with a slot and a permit")
        # Until the swap is over, reports repeat the request that the permit answered: the cloud counts it as running.
        target.swapping = permit.request
        try:
            await self.write(self.ledger.use_permit, permit.number)  # before use: a permit is good once, come what may
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
            await asyncio.to_thread(self._versions.remove, slot)
            target.staged = None
            self._retry_later(target, str(exc))
            return
        await self.write(self.ledger.begin, wanted.key)
        try:
            async with asyncio.timeout(self._limits.max_swap_s):
                await self.loader.swap(slot)
        except (errors.SkerryError, TimeoutError) as exc:
            reason = str(exc) or f"version {wanted.version} did not come up in {self._limits.max_swap_s:.0f} s"
            await self._refuse(wanted, Refusal(State.SWAP_FAILED, reason))
            return

    async def _record_serving(self, model: str) -> None:
        """Make the ledger say what serves; then what nothing needs any more may go."""
        serving, pointers = self.loader.serving(model), self.ledger.pointers(model)
        if serving is not None and pointers.active != serving:
            await self.write(self.ledger.point, model, pointers.activated(serving))
            self.changed.set()
            await asyncio.to_thread(self._versions.prune, self._slots_to_keep())

    async def _refuse(self, wanted: update_plan.Assignment, refusal: Refusal) -> None:
        log.error(
            "version_refused", model=wanted.model, version=wanted.version, state=refusal.state, message=refusal.reason
        )
        await self.write(self.ledger.refuse, wanted.key, refusal)

    def _retry_later(self, target: progress.Target, reason: str) -> None:
        limits = self._limits
        delay_s = backoff.delay_s(target.failures, base_s=limits.retry_base_s, cap_s=limits.retry_cap_s, u=self._draw())
        target.failures += 1
        target.retry_at_s, target.last_failure = awake_clock.now_s() + delay_s, reason

    def _slots_to_keep(self) -> list[version_store.Slot]:
        """Never pruned: what serves, the last known good, and what is being brought up."""
        return [self._versions.slot(model, pointer.version, pointer.digest) for model, pointer in self._pointers()]

    def _pointers(self) -> list[tuple[str, Pointer]]:
        pointed: list[tuple[str, Pointer | None]] = []
        for model in {*self.ledger.models(), *self.targets}:
            pointers, target = self.ledger.pointers(model), self.targets.get(model)
            wanted = target.wanted.pointer if target and target.wanted else None
            held = (pointers.active, pointers.last_known_good, self.loader.serving(model), wanted)
            pointed += [(model, pointer) for pointer in held]
        return [(model, pointer) for model, pointer in pointed if pointer is not None]
