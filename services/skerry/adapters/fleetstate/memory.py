"""Live readings in memory: the twin that tests use. `flush` loses everything, as FLUSHALL does."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from skerry.adapters.fleetstate.protocol import NOTHING, group_of


class MemoryFleetState:
    """`clock`: seconds; what has an end ends by it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._readings: dict[str, dict[str, tuple[str, float]]] = {}  # by group and key
        self._counters: dict[str, tuple[dict[str, int], float]] = {}

    def put(self, key: str, value: str, *, ttl_s: float) -> None:
        self.put_all({key: value}, ttl_s=ttl_s)

    def put_all(self, readings: Mapping[str, str], *, ttl_s: float) -> None:
        end = self._clock() + ttl_s
        for key, value in readings.items():
            self._readings.setdefault(group_of(key), {})[key] = (value, end)

    def get(self, *groups: str) -> Mapping[str, str]:
        return self.find(sorted(key for group in groups for key in self._readings.get(group, ())))

    def find(self, keys: Sequence[str]) -> Mapping[str, str]:
        now = self._clock()
        known = ((key, self._readings.get(group_of(key), {}).get(key)) for key in keys)
        return {key: reading[0] for key, reading in known if reading is not None and reading[1] > now}

    def add(
        self, counter: str, amounts: Mapping[str, int], *, ttl_s: float, latest: Mapping[str, int] = NOTHING
    ) -> None:
        if not amounts:
            return
        now = self._clock()
        fields, end = self._counters.get(counter, ({}, 0.0))
        total = defaultdict(int, fields if end > now else {})
        for field, amount in amounts.items():
            total[field] += amount
        self._counters[counter] = ({**total, **latest}, now + ttl_s)

    def count(self, counters: Sequence[str], fields: Sequence[str] = ()) -> Sequence[Mapping[str, int]]:
        now = self._clock()
        kept = (self._counters.get(counter, ({}, 0.0)) for counter in counters)
        whole = [dict(found) if end > now else {} for found, end in kept]
        return [{field: found[field] for field in fields if field in found} for found in whole] if fields else whole

    @property
    def counters(self) -> set[str]:
        """The names of those that were ever added to, since the last flush."""
        return set(self._counters)

    def flush(self) -> None:
        self._readings.clear()
        self._counters.clear()
