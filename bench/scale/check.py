"""Did a figure grow with the fleet more than it may? Compares the figures of two sizes; fails when one did.

    python -m bench.scale.check small.json large.json

- Idle CPU of what should not notice how large the fleet is (controller, curator, teacher): 1.5 times. Gateways, Valkey
  and the API server hear every node's beat: of them the CPU per node may not grow so much.
- The largest object of each kind: 1.1 times.
- Writes per node in a rollout, by kind: 1.1 times. What gateways write without a cause (marks) goes with time and not
  with the rollout: the rate of the idle phase is taken off.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CPU, SIZE, WRITES = 1.5, 1.1, 1.1
LEAST_CPU_SHARE = 0.002  # of a core: less is a difference that nobody can measure here
LEAST_WRITES = 1.0  # of all nodes together per hundred of them
WHOLE = ("controller", "curator", "teacher")
PER_NODE = ("gateways", "valkey", "kube-apiserver", "etcd")
_ROLLOUT = "good"

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Growth:
    """Of one figure, from the small fleet to the large one. `least`: what is below counts as so much."""

    name: str
    small: float
    large: float
    allowed: float
    least: float = 0.0

    @property
    def factor(self) -> float:
        below = max(self.small, self.least)
        return max(self.large, self.least) / below if below else float("inf") if self.large else 1.0

    @property
    def passes(self) -> bool:
        return self.factor <= self.allowed


def growths(small: Figures, large: Figures) -> Iterator[Growth]:
    """Every figure that is bounded and was played in both."""
    for played in (small, large):
        if (idle := phase(played, "idle")) is None:
            raise ValueError(f"the idle phase of {played['nodes']} nodes was not played: {_why(played, 'idle')}")
        assert idle is not None
    yield from _idle_cpu(small, large)
    yield from _sizes(small, large)
    yield from _writes(small, large)


def phase(played: Figures, name: str) -> Figures | None:
    """None: it was not played, or did not come to its end."""
    found = [one for one in played["phases"] if one["name"] == name and one["played"] and one["reached"]]
    return found[0] if found else None


def idle_share(played: Figures, process: str) -> float:
    """Of a core."""
    idle = phase(played, "idle")
    assert idle is not None
    prefix = "gateway-" if process == "gateways" else process
    used = sum(seconds for name, seconds in idle["cpu_s"].items() if name.startswith(prefix))
    return float(used / idle["wall_s"])


def writes_per_node(played: Figures, name: str) -> Mapping[str, float]:
    """In a phase, by kind, less what is written at the same rate when nothing happens."""
    idle, busy = phase(played, "idle"), phase(played, name)
    assert idle is not None and busy is not None
    rates = {kind: count / idle["wall_s"] for kind, count in idle["writes"].items()}
    left = {kind: count - rates.get(kind, 0.0) * busy["wall_s"] for kind, count in busy["writes"].items()}
    return {kind: max(0.0, count) / played["nodes"] for kind, count in left.items()}


def _idle_cpu(small: Figures, large: Figures) -> Iterator[Growth]:
    for name in WHOLE:
        shares = idle_share(small, name), idle_share(large, name)
        yield Growth(f"idle {name}, share of a core", *shares, CPU, LEAST_CPU_SHARE)
    for name in PER_NODE:
        parts = [idle_share(played, name) / played["nodes"] for played in (small, large)]
        if any(parts):
            least = LEAST_CPU_SHARE / small["nodes"]
            yield Growth(f"idle {name}, share of a core per node", parts[0], parts[1], CPU, least)


def _sizes(small: Figures, large: Figures) -> Iterator[Growth]:
    largest = [_largest(played) for played in (small, large)]
    for kind in sorted(largest[0].keys() & largest[1].keys()):
        yield Growth(f"largest {kind}, bytes", largest[0][kind], largest[1][kind], SIZE)


def _largest(played: Figures) -> Mapping[str, int]:
    """Over all phases."""
    found: dict[str, int] = {}
    for one in played["phases"]:
        for kind, size in one.get("largest_object_bytes", {}).items():
            found[kind] = max(size, found.get(kind, 0))
    return found


def _writes(small: Figures, large: Figures) -> Iterator[Growth]:
    if phase(small, _ROLLOUT) is None or phase(large, _ROLLOUT) is None:
        return
    counts = [writes_per_node(played, _ROLLOUT) for played in (small, large)]
    for kind in sorted(counts[0].keys() | counts[1].keys()):
        pair = counts[0].get(kind, 0.0), counts[1].get(kind, 0.0)
        yield Growth(f"rollout, writes of {kind} per node", *pair, WRITES, LEAST_WRITES / 100)


def _why(played: Figures, name: str) -> str:
    return next((str(one.get("reason", "")) for one in played["phases"] if one["name"] == name), "it is not named")


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__)
        return 2
    small, large = sorted((json.loads(Path(one).read_text()) for one in arguments), key=lambda one: int(one["nodes"]))
    if small["store"] != large["store"]:
        print(f"not comparable: one had its objects in {small['store']}, the other in {large['store']}")
        return 2
    found = list(growths(small, large))
    print(f"{small['nodes']} -> {large['nodes']} nodes ({small['store']})")
    for one in found:
        word = "pass" if one.passes else "FAIL"
        print(f"{word}  {one.name}: {one.small:.6g} -> {one.large:.6g}, {one.factor:.2f} of {one.allowed} allowed")
    for name in ("idle", _ROLLOUT):
        for played in (small, large):
            if phase(played, name) is None:
                print(f"NONE  {name} of {played['nodes']} nodes was not played to its end: {_why(played, name)[:200]}")
                return 1
    return 0 if all(one.passes for one in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
