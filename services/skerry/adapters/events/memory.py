"""Events for tests: kept."""

from dataclasses import dataclass, field

from skerry.adapters.objects.protocol import Object


@dataclass
class MemoryEvents:
    """`told` holds (kind, name, reason, message, warning)."""

    told: list[tuple[str, str, str, str, bool]] = field(default_factory=list)

    def tell(self, thing: Object, reason: str, message: str, *, warning: bool = False) -> None:
        self.told.append((thing.kind, thing.name, reason, message, warning))
