"""One leader at a time. The epoch rises with every new leader and fences what an old one still tries to write."""

from typing import Protocol


class Lease(Protocol):
    def acquire(self, holder: str) -> int | None:
        """Become leader: the new epoch, or None while another candidate leads."""
        ...

    def renew(self) -> bool:
        """Still leader? False means stop acting at once."""
        ...

    def release(self) -> None: ...
