"""Serve from the node's own disk, before and without any network: at a cold start, and when another agent that held
the disk has changed something or let go of it.

The active slot is hashed again and loaded; when it is damaged, does not load, or killed this process at its last
starts, the last known good takes its place. What the cloud wants comes later, through `updater`.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterable

from skerry.adapters.telemetry import logs
from skerry.agent.update import updater, version_store
from skerry.agent.update.ledger import Key, Ledger, Pointer, Pointers
from skerry.core import errors

_MAX_STARTS = 3  # that a version may fail to survive before it is passed over
log = logs.logger("agent.restore")


async def restore(ledger: Ledger, versions: version_store.VersionStore, loader: updater.Loader) -> None:
    """Bring every model of the ledger into service, as far as its slots allow. Never raises a SkerryError."""
    for model in ledger.models():
        pointers = ledger.pointers(model)
        if pointers.active is not None and loader.serving(model) == pointers.active:
            continue
        for candidate in (pointers.active, pointers.last_known_good):
            if candidate is not None and await _serves(ledger, versions, loader, model, candidate):
                after = pointers if candidate == pointers.active else pointers.fallen_back()
                with contextlib.suppress(errors.UnavailableError):  # a full disk: it serves all the same
                    ledger.point(model, after)
                break
        else:
            if pointers.active is not None:
                log.error("model_lost", model=model, message=f"no slot of {model} can serve; it must be fetched again")


async def recover(ledger: Ledger, versions: version_store.VersionStore) -> None:
    """A ledger that is lost (empty, missing, damaged) beside whole slots: let each model that it does not know any more
    serve its oldest one. A younger one may never have been permitted here, or may have been taken back. Never raises a
    SkerryError."""
    if ledger.is_whole:
        return
    try:
        slots = await asyncio.to_thread(lambda: list(versions.whole_slots()))
        ledger.recover(_oldest(slots, known=ledger.models()))
    except errors.UnavailableError as exc:
        log.error("ledger_not_recovered", message=f"{exc}; it is tried again at the next start")


def _oldest(slots: Iterable[version_store.Slot], *, known: Collection[str]) -> dict[str, Pointers]:
    """What serves of each model that is not known, of slots by age; says so."""
    found: dict[str, list[Pointer]] = {}
    for slot in slots:
        if slot.model not in known:
            found.setdefault(slot.model, []).append(Pointer(slot.version, slot.digest))
    for model, (oldest, *_) in found.items():
        log.error(
            "ledger_recovered",
            model=model,
            version=oldest.version,
            message=f"the ledger does not say which version of {model} served: it is the oldest on the disk until the "
            "cloud is heard; refused versions and used permits are forgotten",
        )
    return {model: Pointers(*pointers[:2]) for model, pointers in found.items()}


async def _serves(
    ledger: Ledger, versions: version_store.VersionStore, loader: updater.Loader, model: str, candidate: Pointer
) -> bool:
    slot = versions.slot(model, candidate.version, candidate.digest)
    start = Key(model, candidate.digest, "(start)", 0)
    try:
        if ledger.tries(start) >= _MAX_STARTS:
            raise errors.IntegrityError(f"{slot.folder} killed this process at its last {_MAX_STARTS} starts")
        with contextlib.suppress(errors.UnavailableError):
            ledger.begin(start)
        await asyncio.to_thread(version_store.check, slot)
        await loader.swap(slot)
    except errors.SkerryError as exc:
        log.error("slot_unusable", model=model, version=candidate.version, message=str(exc))
        return False
    log.info("model_restored", model=model, version=candidate.version, digest=candidate.digest)
    return True
