"""Brings slots into service: the registry loads, tries and switches; the cascade receives their calibration."""

from skerry.agent.cascade import Cascade
from skerry.agent.update import ledger, version_store
from skerry.core import errors
from skerry.serving.registry import Registry


class RegistryLoader:
    """An `updater.Loader`."""

    def __init__(self, registry: Registry, cascade: Cascade) -> None:
        self._registry, self._cascade = registry, cascade

    def serving(self, model: str) -> ledger.Pointer | None:
        try:
            version = self._registry.lookup(model)
        except (errors.NotFoundError, errors.UnavailableError):
            return None
        return ledger.Pointer(version.number, version.digest)

    async def swap(self, slot: version_store.Slot) -> None:
        """Load beside what serves, then switch; nothing changes when this raises a SkerryError."""
        version = await self._registry.load(slot.model, slot.version, slot.folder)
        if version.digest != slot.digest:
            raise errors.IntegrityError(f"{slot.folder} holds {version.digest}, not {slot.digest}")
        self._cascade.register_version(version.digest, version.manifest)
        self._registry.activate(slot.model, slot.version)
