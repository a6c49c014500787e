"""How long a version takes, and so where its next run belongs: on the loop's thread, or on the version's own.

A run is on the loop only when it is known to be quick there: rows of its shape, or of a larger one, were quick before.
What is not known runs on the thread. A network whose time hangs on its numbers (a loop inside) may be quick a thousand
times and then hold the loop: such a version leaves it, for longer each time.
"""

from collections import deque
from math import inf

from skerry.serving.batch_rules import BatchPolicy, most_rows

_REMEMBERED_RUNS = 8
_MAX_SHAPES = 64
_STRIKES = 3  # slow runs on the loop, of so many latest ones, until the version leaves it
_WATCHED_RUNS = 64
_AWAY_S, _MOST_AWAY_S = 60.0, 3600.0

Shape = tuple[int, ...]


class Pace:
    """Of one version. `row_s` is how long a row of `row_bytes` took at load; `shape` its free axes."""

    def __init__(self, policy: BatchPolicy, *, row_s: float, row_bytes: int, shape: Shape = ()) -> None:
        self._policy = policy
        self._times: dict[Shape, deque[float]] = {shape: deque([row_s], _REMEMBERED_RUNS)}
        self._largest_bytes, self._largest = row_bytes, shape  # the largest rows that are known to be quick
        self._away_until_s, self._away_s = 0.0, _AWAY_S
        self._slow: deque[bool] = deque(maxlen=_WATCHED_RUNS)

    def row_s(self, shape: Shape, row_bytes: int, now: float) -> float:
        """Seconds that a row of this shape is expected to take: infinite when that is not known, or not to be relied
        on. The quickest of the latest runs: a busy machine makes single ones slow, which is no reason for a thread."""
        if now < self._away_until_s:
            return inf
        times = self._times.get(shape)
        if times is None and row_bytes <= self._largest_bytes:
            times = self._times.get(self._largest)
        return min(times) if times is not None else inf

    def ran(self, shape: Shape, row_bytes: int, row_s: float) -> None:
        """A run is over."""
        times = self._times.get(shape)
        if times is None:
            if len(self._times) >= _MAX_SHAPES:
                self._times = {self._largest: self._times[self._largest]}
            times = self._times[shape] = deque(maxlen=_REMEMBERED_RUNS)
        times.append(row_s)
        if row_bytes > self._largest_bytes and most_rows(row_s, self._policy) < self._policy.max_rows:
            self._largest_bytes, self._largest = row_bytes, shape

    def was_slow(self, is_slow: bool, now: float) -> None:
        """A run on the loop held it for longer than any should, or did not. Slow ones are asked for by the thread that
        watches, so that a quick one costs nothing."""
        if is_slow or self._slow:
            self._slow.append(is_slow)
            if sum(self._slow) >= _STRIKES:
                self.leave_loop(now)

    def leave_loop(self, now: float) -> None:
        """Runs are on the thread from now on: for a minute, and twice as long each time after that, up to an hour."""
        self._slow.clear()
        self._away_until_s = now + self._away_s
        self._away_s = min(2 * self._away_s, _MOST_AWAY_S)
