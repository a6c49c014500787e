"""Token buckets by key: how much each node, address or job may still ask of this process. Bounded in memory: a bucket
that is full again is what a new one would be, so the one that rested longest is forgotten first."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from skerry.core import offload

MAX_KEYS = 20_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_s` on average, `burst` at once."""

    per_s: float
    burst: float


class Rates:
    """One rate for each key. May be asked from several threads; `clock` is monotonic seconds."""

    def __init__(self, rate: Rate, *, max_keys: int = MAX_KEYS, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._max_keys, self._clock = rate, max_keys, clock
        self._buckets: OrderedDict[Hashable, offload.TokenBucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: Hashable, amount: float = 1) -> bool:
        """Is there so much left for this key? Then it is taken. More than a whole burst asks for a burst."""
        with self._lock:
            now = self._clock()
            bucket = self._buckets.pop(key, None) or offload.TokenBucket.full(self._rate.per_s, self._rate.burst, now)
            left = bucket.take(amount, now)
            self._buckets[key] = left or bucket.refilled(now)
            if len(self._buckets) > self._max_keys:
                self._buckets.popitem(last=False)
            return left is not None

    def give_back(self, key: Hashable, amount: float = 1) -> None:
        """What was taken by mistake. A bucket that was forgotten meanwhile is full."""
        with self._lock:
            if (bucket := self._buckets.get(key)) is not None:
                self._buckets[key] = replace(bucket, tokens=min(bucket.burst, bucket.tokens + amount))

    def __len__(self) -> int:
        return len(self._buckets)
