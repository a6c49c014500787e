"""The lease for tests: holders in one process share a `Board`."""

from dataclasses import dataclass


@dataclass
class Board:
    """Who leads, and the highest epoch ever given."""

    holder: object | None = None
    epoch: int = 0


class MemoryLease:
    def __init__(self, board: Board) -> None:
        self._board = board

    def acquire(self, holder: str) -> int | None:
        if self.renew():
            return self._board.epoch
        if self._board.holder is not None:
            return None
        self._board.holder = self
        self._board.epoch += 1
        return self._board.epoch

    def renew(self) -> bool:
        return self._board.holder is self

    def release(self) -> None:
        if self.renew():
            self._board.holder = None
