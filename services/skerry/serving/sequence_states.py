"""The hidden states of one version, in memory, by sequence: bounded, isolated, forgotten after a time without use.
Beside each lies the window of its last steps, where the version has windows: it begins, moves and ends with the state.

What may begin, go on or is refused is decided in `core.sequences`. A sequence stays on the version that began it: after
a hot swap the version before is kept for its sequences until they end or expire, and one version only; the sequences of
older ones receive REPLACED. The state moves on when a step has run, whether or not its caller still
waited for the answer; a step that did not run leaves it alone and may be repeated.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from skerry.adapters.telemetry.metrics import Labels, Metrics
from skerry.core import sequences
from skerry.core.sequences import Ask, Key, Move
from skerry.serving.windows import Window, WindowRoom

State = Sequence[NDArray[Any]]
_FRESH: State = ()


@dataclass(slots=True)
class _Held:
    state: State
    used_s: float
    window: Window | None


class SequenceStates:
    """Least recently used first, so that expiry looks at no more than what has expired."""

    def __init__(self, policy: sequences.SequencePolicy, windows: WindowRoom | None = None) -> None:
        self._policy, self._windows = policy, windows
        self._held: dict[Key, _Held] = {}
        self._gone: dict[Key, Move] = {}
        self._expected: Counter[Key] = Counter()
        self._beginning: set[Key] = set()
        self.expired = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def window_bytes(self) -> int:
        """What the windows of all sequences hold at most."""
        return self._windows.used_bytes if self._windows is not None else 0

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

    def after(self, ask: Ask, state: State, piece: NDArray[Any] | None = None, *, now_s: float) -> Window | None:
        """Keep the state after the step, or forget the sequence when this was its end. `piece`: the steps [t, …] that
        it took in. Gives the window that ends with them."""
        self.abandon(ask)
        held = self._held.pop(ask.key, None)
        self._gone.pop(ask.key, None)
        window = self._moved(held.window if held is not None else None, ask, is_new=held is None, piece=piece)
        if ask.end:
            self._end(window)
            self._forget(ask.key, Move.ENDED)
        else:
            self._held[ask.key] = _Held(state, now_s, window)
        return window

    def abandon(self, ask: Ask) -> None:
        """The step did not run: what was held stays as it was."""
        self._beginning.discard(ask.key)

    def forget_elsewhere(self, others: "SequenceStates") -> None:
        """The sequences of `others` are gone with its version: later steps receive REPLACED."""
        for key, why in others._gone.items():
            self._forget(key, why)
        for key in others._held:
            self._forget(key, Move.REPLACED)

    def _moved(self, window: Window | None, ask: Ask, *, is_new: bool, piece: NDArray[Any] | None) -> Window | None:
        """The window after a piece: another one where the sequence begins, for what came before says nothing of it."""
        if self._windows is None or piece is None:
            return None
        if ask.start or is_new:
            self._end(window)
            window = self._windows.begin()
        if window is not None:
            window.append(piece)
        return window

    def _end(self, window: Window | None) -> None:
        if self._windows is not None:
            self._windows.end(window)

    def _expire(self, now_s: float) -> None:
        while self._held:
            key, held = next(iter(self._held.items()))
            if now_s - held.used_s < self._policy.idle_s:
                return
            del self._held[key]
            self._end(held.window)
            self.expired += 1
            self._forget(key, Move.EXPIRED)

    def _forget(self, key: Key, why: Move) -> None:
        """Remember why it is gone, of the latest `capacity` ones."""
        self._gone.pop(key, None)
        self._gone[key] = why
        while len(self._gone) > self._policy.capacity:
            del self._gone[next(iter(self._gone))]


def register(metrics: Metrics, held: Callable[[], Mapping[Labels, SequenceStates]]) -> None:
    """The gauges of the versions that keep state, by their labels."""
    metrics.gauge(
        "skerry_sequences",
        "Sequences whose state is held.",
        ("model", "version"),
        lambda: {labels: len(states) for labels, states in held().items()},
    )
    metrics.gauge(
        "skerry_sequence_window_bytes",
        "Memory set aside for the windows of sequences, which streaming networks learn from.",
        ("model", "version"),
        lambda: {labels: states.window_bytes for labels, states in held().items()},
    )
