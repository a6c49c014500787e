"""The hidden states of one version, in memory, by sequence: bounded, isolated, forgotten after a time without use.

What may begin, go on or is refused is decided in `core.sequences`. A sequence stays on the version that began it: after
a hot swap the version before is kept for its sequences until they end or expire, and one version only; the sequences of
older ones receive REPLACED. The state moves on when a step has run, whether or not its caller still
waited for the answer; a step that did not run leaves it alone and may be repeated.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from skerry.core import sequences
from skerry.core.sequences import Ask, Key, Move

State = Sequence[NDArray[Any]]
_FRESH: State = ()


@dataclass(slots=True)
class _Held:
    state: State
    used_s: float


class SequenceStates:
    """Least recently used first, so that expiry looks at no more than what has expired."""

    def __init__(self, policy: sequences.SequencePolicy) -> None:
        self._policy = policy
        self._held: dict[Key, _Held] = {}
        self._gone: dict[Key, Move] = {}
        self._expected: Counter[Key] = Counter()
        self._beginning: set[Key] = set()
        self.expired = 0

    def __len__(self) -> int:
        return len(self._held)

    def knows(self, key: Key) -> bool:
        """Is the sequence held, or about to begin here?"""
        return key in self._held or key in self._expected

    def is_needed(self, now_s: float) -> bool:
        """Is any sequence held or about to begin?"""
        self._expire(now_s)
        return bool(self._held or self._expected)

    def expect(self, ask: Ask) -> None:
        """A start was queued: what follows it belongs here too."""
        if ask.start:
            self._expected[ask.key] += 1

    def dismiss(self, ask: Ask) -> None:
        """The queued start has come to its turn, or was dropped."""
        if ask.start and ask.key in self._expected:
            self._expected[ask.key] -= 1
            if self._expected[ask.key] <= 0:
                del self._expected[ask.key]

    def before(self, ask: Ask, model: str, *, now_s: float) -> State:
        """The state that the step starts from; empty: zeros. Raises the refusal of `core.sequences`."""
        self._expire(now_s)
        held = self._held.get(ask.key)
        move = sequences.decide(
            ask,
            held.used_s if held else None,
            self._gone.get(ask.key),
            len(self._held) + len(self._beginning),
            self._policy,
            now_s=now_s,
        )
        refused = sequences.refusal(move, ask, model, self._policy)
        if refused is not None:
            raise refused
        if move is Move.BEGIN:
            self._beginning.add(ask.key)
        return held.state if held is not None and move is Move.CONTINUE else _FRESH

    def after(self, ask: Ask, state: State, *, now_s: float) -> None:
        """Keep the state after the step, or forget the sequence when this was its end."""
        self.abandon(ask)
        self._held.pop(ask.key, None)
        self._gone.pop(ask.key, None)
        if ask.end:
            self._forget(ask.key, Move.ENDED)
        else:
            self._held[ask.key] = _Held(state, now_s)

    def abandon(self, ask: Ask) -> None:
        """The step did not run: what was held stays as it was."""
        self._beginning.discard(ask.key)

    def forget_elsewhere(self, others: "SequenceStates") -> None:
        """The sequences of `others` are gone with its version: later steps receive REPLACED."""
        for key, why in others._gone.items():
            self._forget(key, why)
        for key in others._held:
            self._forget(key, Move.REPLACED)

    def _expire(self, now_s: float) -> None:
        while self._held:
            key, held = next(iter(self._held.items()))
            if now_s - held.used_s < self._policy.idle_s:
                return
            del self._held[key]
            self.expired += 1
            self._forget(key, Move.EXPIRED)

    def _forget(self, key: Key, why: Move) -> None:
        """Remember why it is gone, of the latest `capacity` ones."""
        self._gone.pop(key, None)
        self._gone[key] = why
        while len(self._gone) > self._policy.capacity:
            del self._gone[next(iter(self._gone))]
