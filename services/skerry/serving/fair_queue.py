"""What waits for a run of one version, by caller: callers take turns, and who fills the queue is who is refused.

A caller is an address, as connections are counted by. A request of more rows than a run has is taken in pieces, one a
turn, so that it costs the others no more than a small one does. Bounded in requests and in bytes, of which a message
counts whole until its last piece has left; of the bytes, all versions of a process share one pool, of which each may
take as much as it leaves free.
"""

from collections import deque
from collections.abc import Callable, Iterator

from skerry.core.sequences import Key
from skerry.serving.batch_rules import BatchPolicy, QueuedRequest, Room, cut, fits


class BytePool:
    """Bytes of requests that may wait in the process."""

    def __init__(self, limit_bytes: int) -> None:
        self.free_bytes = limit_bytes


class _Caller:
    __slots__ = ("size_bytes", "works")

    def __init__(self) -> None:
        self.works: deque[QueuedRequest] = deque()
        self.size_bytes = 0


class FairQueue:
    """On one thread. Requests that are taken away without having run are the caller's to answer."""

    def __init__(self, policy: BatchPolicy, pool: BytePool) -> None:
        self._policy, self._pool = policy, pool
        self._callers: dict[str, _Caller] = {}
        self._turns: deque[str] = deque()  # whose request is next; each caller that waits is there once
        self._count = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        """Requests that wait."""
        return self._count

    @property
    def most_bytes(self) -> int:
        """What may wait here now, for what other versions leave of the pool."""
        return min(self._policy.max_queue_bytes, self.size_bytes + self._pool.free_bytes)

    def add(self, work: QueuedRequest) -> QueuedRequest | None:
        """Queue it at the end of its caller's. Gives the request that has to leave for it, which may be itself: the
        latest of the caller that holds most. The first request is taken whatever its size."""
        leaves: QueuedRequest | None = None
        if self._is_full(work.size_bytes):
            leaves = self._latest_of_largest(work)
            if leaves is work:
                return work
            self._remove(leaves)
            if self._is_full(work.size_bytes):
                # One caller's small request does not make room for a large one: the large one leaves, not many.
                self._insert(leaves, at_front=False)
                return work
        self._insert(work, at_front=False)
        return leaves

    def put_back(self, works: list[QueuedRequest]) -> None:
        """What was taken is to run after all, before anything else of its callers."""
        for work in reversed(works):
            self._insert(work, at_front=True)

    def take(
        self, room: Callable[[QueuedRequest], Room], is_wanted: Callable[[QueuedRequest], bool]
    ) -> list[QueuedRequest]:
        """The next run: of callers in turn, one shape, at most one step of a sequence, without what `is_wanted` says no
        of: it is asked about what fits the run alone, for it may give a sequence its place. `room` tells how much a run
        that begins with a request may hold."""
        batch: list[QueuedRequest] = []
        passed: list[str] = []
        keys: set[Key] = set()
        left: Room | None = None
        while self._turns and (left is None or left.rows > 0):
            name = self._turns.popleft()
            work = self._next_of(name, batch, keys)
            if work is None:
                passed.append(name)
                continue
            if left is not None and (work.is_alone or not fits(work, left)):
                self._turns.appendleft(name)
                break
            if not is_wanted(work):
                self._drop(name, work)
                if name in self._callers:
                    self._turns.appendleft(name)
                continue
            piece = work
            if left is None:
                left = room(work)
                piece = work if work.is_alone else cut(work, left)
            if piece is work:
                self._drop(name, work)
            if name in self._callers:
                self._turns.append(name)
            batch.append(piece)
            left = left.less(piece)
            if piece.ask is not None:
                keys.add(piece.ask.key)
            if piece.is_alone:
                break
        self._turns.extendleft(reversed(passed))
        return batch

    def drain(self) -> Iterator[QueuedRequest]:
        """Everything, out of the queue."""
        while self._turns:
            name = self._turns[0]
            yield self._remove(self._callers[name].works[0])

    def _next_of(self, name: str, batch: list[QueuedRequest], keys: set[Key]) -> QueuedRequest | None:
        """The caller's first request that may join the batch, still in the queue. A later step must not overtake an
        earlier one of its sequence."""
        passed: set[Key] = set()
        for work in self._callers[name].works:
            key = work.ask.key if work.ask is not None else None
            if (not batch or work.shape == batch[0].shape) and (key is None or not (key in keys or key in passed)):
                return work
            if key is not None:
                passed.add(key)
        return None

    def _is_full(self, more_bytes: int) -> bool:
        policy = self._policy
        if not self._count:
            return False
        after = self.size_bytes + more_bytes
        return self._count >= policy.max_queue or after > policy.max_queue_bytes or more_bytes > self._pool.free_bytes

    def _latest_of_largest(self, work: QueuedRequest) -> QueuedRequest:
        """Of the caller that holds most, by what there is too much of; the newcomer's when it would hold as much."""
        by_count = self._count >= self._policy.max_queue

        def weight(caller: _Caller | None) -> int:
            return 0 if caller is None else len(caller.works) if by_count else caller.size_bytes

        name = max(self._callers, key=lambda name: weight(self._callers[name]))
        mine = weight(self._callers.get(work.caller)) + (1 if by_count else work.size_bytes)
        latest = self._callers[name].works[-1]
        # What has begun to run is not thrown away for what has not.
        return work if mine >= weight(self._callers[name]) or latest.whole is not None else latest

    def _insert(self, work: QueuedRequest, *, at_front: bool) -> None:
        caller = self._callers.get(work.caller)
        if caller is None:
            caller = self._callers[work.caller] = _Caller()
            if at_front:
                self._turns.appendleft(work.caller)
            else:
                self._turns.append(work.caller)
        if at_front:
            caller.works.appendleft(work)
        else:
            caller.works.append(work)
        self._count += 1
        self._count_bytes(caller, work.held_bytes)

    def _remove(self, work: QueuedRequest) -> QueuedRequest:
        self._drop(work.caller, work)
        if work.caller not in self._callers:
            self._turns.remove(work.caller)
        return work

    def _drop(self, name: str, work: QueuedRequest) -> None:
        """Out of its caller's queue; a caller with nothing left is forgotten, but its turn stays for who took it."""
        caller = self._callers[name]
        caller.works.remove(work)
        self._count -= 1
        self._count_bytes(caller, -work.held_bytes)
        if not caller.works:
            del self._callers[name]

    def _count_bytes(self, caller: _Caller, size_bytes: int) -> None:
        caller.size_bytes += size_bytes
        self.size_bytes += size_bytes
        self._pool.free_bytes -= size_bytes
