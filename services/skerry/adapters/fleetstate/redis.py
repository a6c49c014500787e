"""Live readings on Redis: keys with an end, counter hashes with an end. Everything under the prefix `skerry:`."""

from collections.abc import Mapping, Sequence
from typing import Any

from skerry.adapters import redis_link
from skerry.adapters.fleetstate.protocol import NOTHING

_PREFIX = "skerry:"
_SCAN_COUNT = 500
_SPECIAL = str.maketrans({sign: f"\\{sign}" for sign in "*?[]^\\"})


class RedisFleetState:
    def __init__(self, url: str) -> None:
        self._redis: Any = redis_link.connect(url)

    def put(self, key: str, value: str, *, ttl_s: float) -> None:
        with redis_link.our_errors(self._redis):
            self._redis.set(_PREFIX + key, value, px=int(ttl_s * 1000))

    def get(self, prefix: str) -> Mapping[str, str]:
        with redis_link.our_errors(self._redis):
            pattern = (_PREFIX + prefix).translate(_SPECIAL) + "*"
            keys = sorted(set(self._redis.scan_iter(match=pattern, count=_SCAN_COUNT, _type="STRING")))
            values = self._redis.mget(keys) if keys else []
        cut = len(_PREFIX)
        return {
            key.decode()[cut:]: value.decode() for key, value in zip(keys, values, strict=True) if value is not None
        }

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
