"""Windows beside the hidden states: they begin, expire and end with them, and their memory is bounded by count."""

import manifests
import numpy as np
import pytest

from skerry.core import manifest, sequences, tensors
from skerry.core.sequences import Ask
from skerry.serving import windows
from skerry.serving.sequence_states import SequenceStates
from skerry.serving.windows import Window, WindowRoom

WINDOW, WINDOW_BYTES = 3, 3 * 2 * 4
STATE = (np.zeros(1),)


def streaming(window: int = WINDOW, shape: tuple[int, ...] = (-1, 2), datatype: str = "FP32") -> manifest.Manifest:
    return manifests.digits(
        inputs=(tensors.Spec("x", datatype, shape),),
        network={"window": window},
        state=(manifest.State("h", "h_next", (1,)),),
    )


def states(max_bytes: int = 1 << 20, **policy: float) -> SequenceStates:
    return SequenceStates(sequences.SequencePolicy(**policy), WindowRoom(streaming(), max_bytes))  # type: ignore[arg-type]


def step(held: SequenceStates, key: int | str, at: int, *, now_s: float = 0.0, end: bool = False) -> Window | None:
    """Step `at` of a sequence, as the batcher takes it."""
    ask = Ask(key, start=at == 0, end=end)
    held.before(ask, "rnn", now_s=now_s)
    return held.after(ask, STATE, np.full((1, 2), at, dtype=np.float32), now_s=now_s)


def steps_of(window: Window | None) -> list[int]:
    assert window is not None
    return [int(value) for value in window.tensor().data[0, :, 0]]


def test_a_window_is_the_last_steps_and_no_view_of_a_request() -> None:
    window, piece = Window("x", WINDOW), np.arange(10, dtype=np.float32).reshape(5, 2)
    window.append(piece[:2])
    first = window.tensor()
    window.append(piece[2:])
    piece[:] = -1
    np.testing.assert_array_equal(first.data, [[[0, 1], [2, 3]]])
    np.testing.assert_array_equal(window.tensor().data, [[[4, 5], [6, 7], [8, 9]]])
    assert window.is_full and (window.tensor().name, window.tensor().datatype) == ("x", "FP32")


def test_a_sequence_that_expired_begins_with_a_new_window_and_gives_its_room_back() -> None:
    held = states(max_bytes=WINDOW_BYTES, idle_s=10.0)
    step(held, "a", 0)
    step(held, "a", 1)
    assert steps_of(step(held, "b", 0, now_s=20.0)) == [0], "there is room for one, and that of `a` is free"
    assert held.window_bytes == WINDOW_BYTES
    assert step(held, "a", 0, now_s=21.0) is None


def test_a_step_whose_sequence_expired_while_it_ran_begins_a_window() -> None:
    held = states(idle_s=10.0)
    step(held, "a", 0)
    ask = Ask("a", start=False, end=False)
    held.before(ask, "rnn", now_s=9.0)
    step(held, "b", 0, now_s=11.0)
    assert steps_of(held.after(ask, STATE, np.full((1, 2), 1, dtype=np.float32), now_s=11.0)) == [1]


def test_10000_sequences_hold_no_more_than_the_bound_and_the_first_ones_keep_theirs() -> None:
    places = 100
    held = states(max_bytes=places * WINDOW_BYTES + 1)
    given = [step(held, key, 0) for key in range(1, 4001)]
    assert [window is not None for window in given] == [True] * places + [False] * (4000 - places)
    assert held.window_bytes == places * WINDOW_BYTES
    for key in range(1, 4001):
        window = step(held, key, 1, end=True)
        assert (window is not None) == (key <= places)
    assert held.window_bytes == 0
    for key in range(1, 10_001):
        step(held, key, 0)
        step(held, key, 0)
        step(held, key, 1, end=True)
    assert held.window_bytes == 0 and len(held) == 0


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (streaming(), WINDOW_BYTES),
        (streaming(window=5, shape=(-1, 3, 2), datatype="UINT8"), 30),
        (streaming(shape=(-1, -1)), 0),
        (streaming(shape=(-1,), datatype="BYTES"), 0),
        (manifests.digits(), 0),
    ],
    ids=["numbers", "bytes", "another free axis", "texts", "no window"],
)
def test_a_window_is_counted_whole_and_what_has_no_size_has_none(made: manifest.Manifest, size: int) -> None:
    assert windows.window_bytes(made) == size
    assert (WindowRoom(made, 1 << 20).begin() is not None) == (size > 0)


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (streaming(), ""),
        (streaming(shape=(-1, -1)), "one known shape"),
        (streaming(window=100, shape=(-1, 200, 200)), "16000000 bytes; at most 8384512 are kept and uploaded"),
    ],
    ids=["it is kept", "no size", "larger than an upload"],
)
def test_a_version_whose_windows_are_not_kept_is_told_why(made: manifest.Manifest, word: str) -> None:
    assert (windows.fault(made, 64 << 20) == "") == (word == "") and word in windows.fault(made, 64 << 20)
    assert (WindowRoom(made, 64 << 20).begin() is None) == bool(word)
