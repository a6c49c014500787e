"""What a peer may spend on frames that cost only us work: resets, PING, SETTINGS, empty frames, tiny window updates.

A bucket that time refills, and what we send refills too: a well-behaved peer answers our frames with control frames of
its own, so it can never run dry, while a flood sends without being answered.
"""

from skerry.rpc.h2.frames import Code, FatalError
from skerry.rpc.limits import Limits


class Credit:
    __slots__ = ("_at", "_left", "_limits", "earned_frames")

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits, self._left, self._at = limits, limits.credit, now
        self.earned_frames = 0  # raised by the sending half for frames that no tiny window made small

    def spend(self, cost: int, now: float) -> None:
        """Raises FatalError(ENHANCE_YOUR_CALM) when it is used up. `now` in seconds of a monotonic clock."""
        self._left -= cost
        if self._left < 0:
            self._refill(now)
            if self._left < 0:
                raise FatalError(Code.ENHANCE_YOUR_CALM, "too many frames without work for the server")

    def _refill(self, now: float) -> None:
        limits = self._limits
        earned = int((now - self._at) * limits.credit_per_s) + self.earned_frames * limits.credit_per_sent_frame
        self._left = min(limits.credit, self._left + earned)
        self._at, self.earned_frames = now, 0
