"""Rules of ingest for tests: a fleet of which something was published, and rates that a test may choose."""

from collections.abc import Sequence

from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import writers
from skerry.core.uploads import Fault
from skerry.gateway import desired
from skerry.gateway.given_versions import GivenVersions
from skerry.gateway.ingest import Rules
from skerry.gateway.rates import Rate, Rates
from skerry.gateway.standing import StandingErasures

PUBLISHED = "sha256:" + "ab" * 32
NOW_MS = 1_800_000_000_000
ENDLESS = Rate(0.0, 1e9)


class Known:
    """Objects and what ingest makes of them; `told` is what was refused, `now_s` the monotonic clock."""

    def __init__(self, models: Sequence[str] = ("digits",)) -> None:
        self.objects, self.now_s, self.revision = MemoryObjects(), 0.0, 0
        self.versions = GivenVersions(lambda: self.now_s)
        self.erasures = StandingErasures()
        self.told: list[tuple[str, Fault]] = []
        for model in models:
            self.objects.create("EdgeModel", model, {}, manager=writers.OPERATOR)
            self.publish(model, 1, PUBLISHED)
            self.settle(model, 1)

    def publish(self, model: str, number: int, digest: str) -> None:
        spec = {"model": model, "version": number, "digest": digest}
        self.objects.create("ModelVersion", f"{model}-v{number}", spec, manager=writers.OPERATOR)
        self.watch()

    def settle(self, model: str, number: int) -> None:
        status = {"stableVersion": f"{model}-v{number}"}
        self.objects.patch("EdgeModel", model, manager=writers.CONTROLLER, status=status)
        self.watch()

    def watch(self) -> None:
        changes, self.revision = self.objects.changes(self.revision, timeout_s=0, kinds=desired.KINDS)
        self.versions.apply(changes)
        for change in changes:
            if change.object.kind == "Erasure":
                self.erasures.apply(change)

    def rules(self, *, records: Rate = ENDLESS, size_bytes: Rate = ENDLESS) -> Rules:
        return Rules(
            self.versions,
            self.erasures,
            Rates(records, clock=lambda: self.now_s),
            Rates(size_bytes, clock=lambda: self.now_s),
            lambda node, fault, _: self.told.append((node, fault)),
            lambda: NOW_MS,
        )
