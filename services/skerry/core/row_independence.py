"""Does a network answer each row by itself? Rows of several callers share one run, so a network whose rows influence
one another (Softmax over the batch, batch statistics, a sum over the batch) gives callers one another's answers.

The same few rows are answered alone, together and in reverse order, and must come out alike. Running the network is the
caller's: it is given as a function.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors, tolerance

MAX_ROWS = 8

Rows = Mapping[str, NDArray[Any]]
# Rows of every input, by name -> rows of everything the network gives (outputs, hidden states), by name. Raises
# SkerryErrors.
Answer = Callable[[Rows], Rows]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is for people. `output`: the one that differs most, by `difference`, where `tolerance` is taken.
    `rows`: how many different rows were compared."""

    passed: bool
    reason: str
    output: str = ""
    difference: float = 0.0
    tolerance: float = 0.0
    rows: int = 0


def judge(answer: Answer, samples: Rows) -> Verdict:
    """Compare on up to MAX_ROWS different rows of `samples` (at least one row of every input). Runs `answer` on single
    rows, and on all of them twice. Never raises a SkerryError: a network that does not take the rows fails."""
    try:
        rows = _accepted(answer, samples)
        count = len(next(iter(rows.values())))
        singly = [answer(_take(rows, [at])) for at in range(count)]
        again = answer(_take(rows, [0]))
    except errors.SkerryError as exc:
        return Verdict(False, f"its rows cannot be compared: it does not answer a row alone ({exc})")
    if (uneven := _uneven(singly)) is not None:
        return Verdict(False, f"output {uneven!r} has another shape for each row: rows of callers cannot share a run")
    alone = {name: np.concatenate([one[name] for one in singly]) for name in singly[0]}
    if (fault := _worst({name: alone[name][:1] for name in alone}, again)) is not None:
        return Verdict(False, f"it answers the same row differently each time: {fault}. {_RANDOM}", *fault.fields, 1)
    order = list(range(count))
    for how, ordered in (("together", order), ("together in reverse order", order[::-1])):
        try:
            found = answer(_take(rows, ordered))
        except errors.SkerryError as exc:
            return Verdict(False, f"it answers a row alone, but not {count} rows {how} ({exc}). {_FIXED}")
        wanted = {name: alone[name][ordered] for name in alone}
        if (fault := _worst(wanted, found)) is not None:
            text = f"its rows influence one another: {count} rows answered alone and {how} differ; {fault}. {_MIXING}"
            return Verdict(False, text, *fault.fields, count)
    return Verdict(True, f"{count} rows answer alike alone and together", rows=count)


_MIXING = (
    "Rows of several callers share one run, so they would receive one another's answers. Export it in evaluation mode, "
    "with every operation on each row by itself (no Softmax, mean, variance or sum over the first axis)"
)
_RANDOM = "Export it in evaluation mode, without dropout or random numbers"
_FIXED = "Export it with a free first axis: rows of several callers share one run"


@dataclass(frozen=True, slots=True)
class _Fault:
    output: str
    difference: float
    tolerance: float

    @property
    def fields(self) -> tuple[str, float, float]:
        return self.output, self.difference, self.tolerance

    def __str__(self) -> str:
        return f"output {self.output!r} by {self.difference:.4g}, where {self.tolerance:.4g} is taken"


def _uneven(singly: Sequence[Rows]) -> str | None:
    """An output that is not one row of the same shape for every row."""
    for name, first in singly[0].items():
        if any(one[name].shape != (1, *first.shape[1:]) for one in singly):
            return name
    return None


def _worst(wanted: Rows, found: Rows) -> _Fault | None:
    """The output that differs most above its tolerance; None when none does."""
    faults = [
        _Fault(name, difference, allowed)
        for name, mine in wanted.items()
        if (difference := _difference(mine, found[name])) > (allowed := _allowed(mine))
    ]
    return max(faults, key=lambda fault: fault.difference / fault.tolerance, default=None)


def _allowed(wanted: NDArray[Any]) -> float:
    return tolerance.of(wanted) if wanted.dtype.kind == "f" else tolerance.MIN


def _difference(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    if wanted.shape != found.shape:
        return float("inf")
    if wanted.dtype.kind not in "fiub":
        return float((wanted != found).any())
    mine, theirs = wanted.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(mine)
    if (finite != np.isfinite(theirs)).any():
        return float("inf")  # a number in one run and none in the other
    return float(np.abs(mine[finite] - theirs[finite]).max(initial=0.0))


def _accepted(answer: Answer, samples: Rows) -> Rows:
    """Different rows of `samples`. Where all of them are alike, others are made of one, as far as the network takes
    them; else a copy of it, which still shows a sum or a Softmax over the batch."""
    rows = _different(samples)
    if len(next(iter(rows.values()))) > 1:
        return rows
    made = [rows]
    for other in (_reversed, _zeros, _shifted):
        candidate = {name: other(array) for name, array in rows.items()}
        try:
            answer(candidate)
        except errors.SkerryError:
            continue  # not a row that this network takes: an index outside its vocabulary, a text that is no word
        made.append(candidate)
    found = _different({name: np.concatenate([one[name] for one in made]) for name in rows})
    if len(next(iter(found.values()))) > 1:
        return found
    return {name: np.concatenate([array, array]) for name, array in rows.items()}


def _different(samples: Rows) -> Rows:
    """Up to MAX_ROWS rows, no two alike, spread over all of them."""
    names, count = list(samples), len(next(iter(samples.values())))
    seen: dict[tuple[object, ...], int] = {}
    for at in range(count):
        seen.setdefault(tuple(_key(samples[name][at : at + 1]) for name in names), at)
    found = list(seen.values())
    step = max(1.0, len(found) / MAX_ROWS)
    return _take(samples, [found[int(at * step)] for at in range(min(MAX_ROWS, len(found)))])


def _key(row: NDArray[Any]) -> object:
    return tuple(row.ravel().tolist()) if row.dtype.kind == "O" else row.tobytes()


def _take(rows: Rows, at: Sequence[int]) -> Rows:
    return {name: array[list(at)] for name, array in rows.items()}


def _reversed(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in another order: a vocabulary that knows the row knows these."""
    return array.reshape(len(array), -1)[:, ::-1].reshape(array.shape)


def _zeros(array: NDArray[Any]) -> NDArray[Any]:
    return np.full_like(array, b"") if array.dtype.kind == "O" else np.zeros_like(array)


def _shifted(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "b":
        return ~array
    return array + array.dtype.type(1) if array.dtype.kind in "fiu" else array
