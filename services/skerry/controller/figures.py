"""The figures that the leader shows of the whole fleet: kept by change as the view takes it in, read by whoever
scrapes.

A node that was seen again is counted again alone; nothing is listed. What is shown is replaced as a whole, so another
thread may read it while a tick goes on.
"""

import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from skerry.adapters.objects.protocol import Object
from skerry.controller import node_counts
from skerry.controller.store import Store
from skerry.core import errors, fleet_figures, specs

_EVERY_MS = 1_000
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Shown:
    """`states`, `aside` and `versions` count nodes."""

    states: Mapping[str, int] = field(default_factory=dict)
    aside: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    certificates_ending: int = 0
    work: fleet_figures.Work = field(default_factory=fleet_figures.Work)


class Figures:
    """Of one leadership. `shown` is None until the first look."""

    def __init__(self, store: Store) -> None:
        self.shown: Shown | None = None
        self.nodes = node_counts.NodeCounts()
        self._store = store
        self._rollouts: dict[str, fleet_figures.Rollout] = {}
        self._runs: dict[str, fleet_figures.Run] = {}
        self._versions: dict[str, tuple[str, int]] = {}  # name -> model, made
        self._shown_ms: int | None = None

    def look(self, touched: Collection[tuple[str, str]], *, now_ms: int, mono_ms: int) -> None:
        """Take in what changed (kind and name); show it at most once a second."""
        if any(kind == "EdgeFleet" for kind, _ in touched):
            self.nodes.set_fleets(_readable(self._store.list("EdgeFleet")), now_ms)
        for kind, name in touched:
            self._take(kind, name, self._store.find(kind, name), now_ms)
        self.nodes.advance(now_ms)
        if self._shown_ms is None or not 0 <= mono_ms - self._shown_ms < _EVERY_MS:
            self._shown_ms, self.shown = mono_ms, self._show(now_ms)

    def _take(self, kind: str, name: str, thing: Object | None, now_ms: int) -> None:
        if kind == "EdgeNode":
            self._take_node(name, thing, now_ms)
        elif kind == "ModelRollout":
            rollout = fleet_figures.read_rollout(name, thing.spec, thing.status) if thing else None
            _put(self._rollouts, name, rollout)
        elif kind == "TrainingRun":
            run = fleet_figures.read_run(thing.spec, thing.status, thing.created_unix_ms) if thing else None
            _put(self._runs, name, run)
        elif kind == "ModelVersion":
            made = (str(thing.spec.get("model", "")), thing.created_unix_ms) if thing else None
            _put(self._versions, name, made)

    def _take_node(self, name: str, thing: Object | None, now_ms: int) -> None:
        """One that cannot be read counts nowhere; where nodes are planned for it is told of."""
        if thing is not None:
            with contextlib.suppress(errors.InputError):
                node = self._store.nodes.of(thing)
                self.nodes.put(node, node_counts.certificate_ms(thing.status), now_ms)
                return
        self.nodes.drop(name)

    def _show(self, now_ms: int) -> Shown:
        newest: dict[str, int] = {}
        for model, made_ms in self._versions.values():
            newest[model] = max(made_ms, newest.get(model, 0))
        return Shown(
            states={state.value: count for state, count in self.nodes.states().items()},
            aside={why.value: count for why, count in self.nodes.aside().items()},
            versions=fleet_figures.version_mix(self.nodes.serving),
            certificates_ending=self.nodes.certificates_ending,
            work=fleet_figures.work(self._rollouts.values(), self._runs.values(), newest, now_ms=now_ms),
        )


def _put(known: dict[str, _T], name: str, value: _T | None) -> None:
    if value is None:
        known.pop(name, None)
    else:
        known[name] = value


def _readable(things: Iterable[Object]) -> list[specs.EdgeFleet]:
    """The controller tells of the others where it writes their status."""
    found = []
    for thing in things:
        with contextlib.suppress(errors.InputError):
            found.append(specs.parse_fleet(thing.name, thing.spec))
    return found
