"""Live readings on Redis: keys with an end, and counter hashes with an end. Everything under the prefix `skerry:`.

Each group has a sorted set of the keys in it, by the time at which they end: a server is never searched through. The
time is the server's, whatever clocks its writers have.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from skerry.adapters import redis_link
from skerry.adapters.fleetstate.protocol import NOTHING, group_of

_PREFIX = "skerry:"
_KEYS_OF = "skerry:keys-of:"  # and the group
_GROUP_TTL_MS = 86_400_000  # of a group that nobody writes to
_AT_ONCE = 1_000  # readings: the server answers others in between

_Item = TypeVar("_Item")


class RedisFleetState:
    def __init__(self, url: str) -> None:
        self._redis: Any = redis_link.connect(url)

    def put(self, key: str, value: str, *, ttl_s: float) -> None:
        self.put_all({key: value}, ttl_s=ttl_s)

    def put_all(self, readings: Mapping[str, str], *, ttl_s: float) -> None:
        ttl_ms = int(ttl_s * 1000)
        with redis_link.our_errors(self._redis):
            for batch in _batches(list(readings.items())):
                seconds, microseconds = self._redis.time()
                now_ms = 1000 * seconds + microseconds // 1000
                ends: dict[str, dict[str, int]] = defaultdict(dict)
                with self._redis.pipeline(transaction=True) as pipe:
                    for key, value in batch:
                        pipe.set(_PREFIX + key, value, px=ttl_ms)
                        ends[_KEYS_OF + group_of(key)][key] = now_ms + ttl_ms
                    for group, keys in ends.items():
                        pipe.zadd(group, keys)
                        pipe.zremrangebyscore(group, "-inf", now_ms)
                        pipe.pexpire(group, max(ttl_ms, _GROUP_TTL_MS))
                    pipe.execute()

    def get(self, *groups: str) -> Mapping[str, str]:
        with redis_link.our_errors(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for group in groups:
                pipe.zrange(_KEYS_OF + group, 0, -1)
            found = pipe.execute()
        return self.find(sorted(key.decode() for keys in found for key in keys))

    def find(self, keys: Sequence[str]) -> Mapping[str, str]:
        with redis_link.our_errors(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for batch in _batches(keys):
                pipe.mget([_PREFIX + key for key in batch])
            values = itertools.chain.from_iterable(pipe.execute())
        return {key: value.decode() for key, value in zip(keys, values, strict=True) if value is not None}

    def add(
        self, counter: str, amounts: Mapping[str, int], *, ttl_s: float, latest: Mapping[str, int] = NOTHING
    ) -> None:
        if not amounts:
            return
        with redis_link.our_errors(self._redis), self._redis.pipeline(transaction=True) as pipe:
            for field, amount in amounts.items():
                pipe.hincrby(_PREFIX + counter, field, amount)
            if latest:
                pipe.hset(_PREFIX + counter, mapping=dict(latest))
            pipe.pexpire(_PREFIX + counter, int(ttl_s * 1000))
            pipe.execute()

    def count(self, counters: Sequence[str], fields: Sequence[str] = ()) -> Sequence[Mapping[str, int]]:
        with redis_link.our_errors(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for counter in counters:
                if fields:
                    pipe.hmget(_PREFIX + counter, fields)
                else:
                    pipe.hgetall(_PREFIX + counter)
            counters_read = pipe.execute()
        if fields:
            named = [zip(fields, values, strict=True) for values in counters_read]
            return [{field: int(value) for field, value in pairs if value is not None} for pairs in named]
        return [{field.decode(): int(value) for field, value in found.items()} for found in counters_read]


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
