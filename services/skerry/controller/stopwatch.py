"""How long things have been as they are, by the monotonic clock of this process.

A step of the wall clock moves none of it. What a process did not see it does not count, but for what a caller says a
thing's age was when it was first seen.
"""

from collections.abc import Callable, Collection, Hashable, Iterable

from skerry.core import rollout, specs
from skerry.core.rollout import elapsed


class Stopwatch:
    """Ages of things by their names; an age begins again when the value of its thing changes."""

    def __init__(self) -> None:
        self._since: dict[Hashable, tuple[object, int]] = {}

    def age_ms(
        self, thing: Hashable, value: object, *, mono_ms: int, first_ms: int = 0, changed_ms: int | None = None
    ) -> int:
        """Since `thing` was first seen with `value`. `first_ms`: its age when this process first saw the thing.
        `changed_ms`: when it took this value, where somebody looked more often than asked here."""
        known = self._since.get(thing)
        if known is None:
            known = self._since[thing] = value, mono_ms - first_ms
        elif known[0] != value:
            known = self._since[thing] = value, mono_ms if changed_ms is None else max(known[1], changed_ms)
        return mono_ms - known[1]

    def keep(self, things: Collection[Hashable]) -> None:
        """Forget all others."""
        for gone in [thing for thing in self._since if thing not in things]:
            del self._since[gone]


class RunStopwatch:
    """How long each training run has taken: what was written, and what passed since under this leader while its last
    step was not idle."""

    def __init__(self) -> None:
        self._mono_ms = 0
        self._passed_ms = 0
        self._ran_ms: dict[str, int] = {}
        self._idle: set[str] = set()

    def tick(self, runs: Collection[str], mono_ms: int) -> None:
        """A round begins; all others are forgotten."""
        since_last_ms = mono_ms - self._mono_ms if self._mono_ms else 0
        self._mono_ms, self._passed_ms = mono_ms, min(max(0, since_last_ms), elapsed.MAX_TICK_MS)
        for gone in self._ran_ms.keys() - set(runs):
            del self._ran_ms[gone]
        self._idle &= set(runs)

    def ran_ms(self, name: str, stored_ms: int) -> int:
        """Once in a round."""
        mine = self._ran_ms.get(name)
        passed_ms = 0 if mine is None or name in self._idle else self._passed_ms
        self._ran_ms[name] = max(stored_ms, (mine or 0) + passed_ms)
        return self._ran_ms[name]

    def idle(self, name: str, idle: bool) -> None:
        """What passes until its next step is, or is not, the run's."""
        (self._idle.add if idle else self._idle.discard)(name)


class RolloutStopwatch:
    """What `core.rollout` wants counted: each rollout's clock, each node's silence, each lease's and request's age."""

    def __init__(self) -> None:
        self._mono_ms = 0
        self._passed_ms = 0
        self._clocks: dict[str, int] = {}
        self._seen, self._leases, self._requests = Stopwatch(), Stopwatch(), Stopwatch()
        self._silence_ms: dict[str, int] = {}
        self._lease_ms: dict[tuple[str, int], int] = {}
        self._request_ms: dict[tuple[str, int], int] = {}

    def tick(
        self,
        nodes: Iterable[specs.EdgeNode],
        permits: Iterable[rollout.Permit],
        *,
        now_ms: int,
        mono_ms: int,
        heard_ms: Callable[[str], int | None] = lambda _: None,
    ) -> None:
        """A round begins. `permits`: those that statuses remember; others stand beside the nodes' assignments.
        `heard_ms`: when this process took in that a node was seen again, by the clock of `mono_ms`."""
        since_last_ms = mono_ms - self._mono_ms if self._mono_ms else 0
        self._mono_ms, self._passed_ms = mono_ms, min(max(0, since_last_ms), elapsed.MAX_TICK_MS)
        nodes = list(nodes)
        # How long a node was silent before this process began to look, only the stamps can say.
        self._silence_ms = {
            node.name: self._seen.age_ms(
                node.name,
                node.last_seen_ms,
                mono_ms=mono_ms,
                first_ms=max(0, now_ms - node.last_seen_ms),
                changed_ms=heard_ms(node.name),
            )
            for node in nodes
            if node.last_seen_ms > 0
        }
        self._seen.keep(self._silence_ms)
        leases = {(permit.node, permit.number) for permit in permits}
        leases |= {(node.name, one.lease.number) for node in nodes for one in node.assignments if one.lease}
        self._lease_ms = {lease: self._leases.age_ms(lease, None, mono_ms=mono_ms) for lease in leases}
        self._leases.keep(leases)
        asked = {(node.name, report.permit_request) for node in nodes for report in node.reports}
        self._request_ms = {one: self._requests.age_ms(one, None, mono_ms=mono_ms) for one in asked if one[1]}
        self._requests.keep(self._request_ms)

    def of(self, name: str, status: rollout.Status) -> rollout.Elapsed:
        """For one rollout, once in a round."""
        mine = self._clocks.get(name)
        clock_ms = max(1, status.clock_ms if mine is None else max(status.clock_ms, mine + self._passed_ms))
        self._clocks[name] = clock_ms
        return rollout.Elapsed(clock_ms, self._silence_ms, self._lease_ms, self._request_ms)

    def of_settling(self) -> rollout.Elapsed:
        return rollout.Elapsed(1, self._silence_ms, self._lease_ms, self._request_ms)

    def keep(self, rollouts: Collection[str]) -> None:
        """Forget the clocks of all others."""
        for gone in self._clocks.keys() - set(rollouts):
            del self._clocks[gone]
