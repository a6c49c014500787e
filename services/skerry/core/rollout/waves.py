"""The waves of a rollout: which nodes it may touch, and in which wave each comes (ADR 0026).

Membership is frozen when an attempt starts: later nodes catch up after it, deleted ones leave numerator and
denominator. A fleet whose nodes' names are few bytes has them named, wave by wave. Of a larger one the first wave alone
is named, where it fits; further waves are cuts through places that follow from the nodes' names, so that the status
does not grow with the fleet.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from skerry.core import specs
from skerry.core.rollout.case import Case
from skerry.core.rollout.permits import Moment
from skerry.core.rollout.status import Status, Wave

LARGE_FLEET = 10  # nodes from which on no node's answers pass or fail a wave alone
JUDGES = 3  # nodes whose answers must be counted there: of two that differ nobody can say which one is right
LEAST_JUDGING = JUDGES + 1  # nodes of the wave that judges, if its size is a percentage: one may be silent
NAMES_BYTES = 3_000  # of the names that a status holds as members of waves
SELECTOR_BYTES = 1_000
_PLACES = 2**52  # as many as every JSON reader tells apart


@dataclass(frozen=True, slots=True)
class Scene:
    """A case with everything looked up. `stable` is the frozen stable version, None when there was none; `lost_stable`:
    there was one and it is gone. `members`: names of those that exist, by wave, when the waves are frozen."""

    case: Case
    target: specs.ModelVersion
    fleet: specs.EdgeFleet
    nodes: Mapping[str, specs.EdgeNode]
    moment: Moment
    stable: specs.ModelVersion | None = None
    lost_stable: bool = False
    members: tuple[tuple[str, ...], ...] = ()

    @property
    def model(self) -> str:
        return self.case.rollout.model

    @property
    def name(self) -> str:
        return self.case.rollout.name

    @property
    def strategy(self) -> specs.RolloutStrategy:
        return self.case.rollout.strategy

    @property
    def now_ms(self) -> int:
        return self.moment.now_ms

    @property
    def clock_ms(self) -> int:
        return self.moment.elapsed.clock_ms

    @property
    def patience_ms(self) -> int:
        """Until one node can have as many answers with their truth as the comparison asks for."""
        return self.case.delay.patience_ms(self.strategy.analysis.min_samples)

    def report(self, name: str) -> specs.ModelReport:
        return self.nodes[name].report(self.model)

    def reachable(self, name: str) -> bool:
        return self.moment.online(self.nodes[name]) and not self.nodes[name].cordoned


def freeze(scene: Scene, status: Status) -> Status:
    """`status` with its waves and who is a member of them; without any where there is no node. Reachable nodes come
    first where they are named, then in an order that differs from rollout to rollout, so that the same site is not
    always the canary. Sizes are cumulative; a wave that adds no node is left out. In a large fleet the last wave before
    the rest is rounded up, if it is a percentage, so that it can judge."""
    candidates = [name for name, node in scene.nodes.items() if not node.cordoned]
    candidates.sort(key=lambda name: (not scene.reachable(name), _shuffled(scene.name, name)))
    if _fits(candidates):
        sizes = _sizes(scene.strategy.waves, len(candidates))
        named = [
            Wave(spec.name, tuple(candidates[begin:end]), asks=spec, size=end - begin) for spec, begin, end in sizes
        ]
        return replace(status, waves=tuple(named))
    return _freeze_by_place(scene, status, candidates)


def _freeze_by_place(scene: Scene, status: Status, candidates: Sequence[str]) -> Status:
    """As `freeze`, of more nodes than a status names. Cordoned ones are members too: nobody remembers who was."""
    total, waves, named = len(scene.nodes), list[Wave](), frozenset[str]()
    sizes = _sizes(scene.strategy.waves, total)
    if _fits(first := candidates[: sizes[0][2]]):
        named = frozenset(first)
        waves.append(Wave(sizes[0][0].name, tuple(first), asks=sizes[0][0], size=len(first)))
    places = sorted(place(scene.name, status.attempt, name) for name in scene.nodes if name not in named)
    for spec, begin, end in sizes[len(waves) :]:
        upto = places[end - len(named) - 1] + 1 if end < total else _PLACES
        waves.append(Wave(spec.name, asks=spec, size=end - begin, upto=upto))
    youngest_ms = max(1, *(node.created_ms for node in scene.nodes.values()))
    return replace(
        status, waves=tuple(waves), created_until_ms=youngest_ms, selector=dict(sorted(scene.fleet.selector.items()))
    )


def _sizes(specs_: Sequence[specs.WaveSpec], total: int) -> list[tuple[specs.WaveSpec, int, int]]:
    """(wave, begin, end) of each that adds a node."""
    sizes, done = [], 0
    for index, wave in enumerate(specs_):
        upto = max(done, wave.size.ceil_of(total))
        before_the_rest = index == len(specs_) - 2
        if before_the_rest and wave.size.percent and judges(total) > 1:
            upto = max(upto, LEAST_JUDGING)
        if upto > done:
            sizes.append((wave, done, upto))
        done = upto
    return sizes


def _fits(names: Iterable[str]) -> bool:
    return sum(len(name) + 4 for name in names) <= NAMES_BYTES


def fault(scene: Scene) -> str:
    """Why no rollout can begin on this fleet; empty: it can."""
    size = len(json.dumps(dict(scene.fleet.selector)))
    if size <= SELECTOR_BYTES:
        return ""
    name = scene.fleet.name
    return f"the selector of fleet {name} has {size} bytes, a rollout keeps {SELECTOR_BYTES}: select by fewer labels"


def located(scene: Scene, status: Status) -> Scene:
    """`scene` with the members of the waves of `status`. Who joined since, or was not selected when the attempt began,
    is none of a wave by place."""
    members = [[name for name in wave.nodes if name in scene.nodes] for wave in status.waves]
    if any(wave.upto for wave in status.waves):
        named = {name for wave in status.waves for name in wave.nodes}
        nodes = ((name, node) for name, node in scene.nodes.items() if name not in named and _was_there(status, node))
        for at, name in sorted((place(scene.name, status.attempt, name), name) for name, _ in nodes):
            members[next(index for index, wave in enumerate(status.waves) if at < wave.upto)].append(name)
    return replace(scene, members=tuple(map(tuple, members)))


def _was_there(status: Status, node: specs.EdgeNode) -> bool:
    if status.created_until_ms and node.created_ms > status.created_until_ms:
        return False
    return all(node.labels.get(key) == value for key, value in (status.selector or {}).items())


@functools.lru_cache(maxsize=1 << 16)
def place(rollout: str, attempt: int, node: str) -> int:
    """Where a node stands among all, from 0 to _PLACES - 1: another place in each attempt."""
    return int(hashlib.sha256(f"{rollout}/{attempt}/{node}".encode()).hexdigest()[:13], 16)


def judges(fleet_nodes: int) -> int:
    """How many nodes' answers must be counted before they pass or fail a wave."""
    return JUDGES if fleet_nodes >= LARGE_FLEET else 1


def wave_spec(strategy: specs.RolloutStrategy, wave: Wave) -> specs.WaveSpec:
    """What was asked of a wave when its attempt began. A release that did not write it down had it in the strategy."""
    known = (spec for spec in strategy.waves if spec.name == wave.name)
    return wave.asks or next(known, specs.WaveSpec(wave.name, specs.Amount(100, percent=True)))


def _shuffled(rollout: str, node: str) -> str:
    return hashlib.sha256(f"{rollout}/{node}".encode()).hexdigest()
