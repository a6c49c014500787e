"""From rows as callers send them to rows as the network wants them: steps named in the manifest, under its digest.

The edge, the trainer and the judge apply the same steps through this code, so that no skew can arise. Every step works
on a whole batch and treats each row alike: rows together or alone give the same bits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors, tensors

MAX_STEPS = 16
MAX_TOKENS = 100_000
MAX_TOKEN_CHARS = 200
MAX_LENGTH = 100_000
MAX_FACTORS = 65_536


class Step(Protocol):
    """One operation on a batch x[N, ...]."""

    def apply(self, x: NDArray[Any]) -> NDArray[Any]: ...

    def fields(self) -> dict[str, Any]:
        """The step as the manifest writes it."""
        ...


@dataclass(frozen=True, slots=True)
class Affine:
    """x · factor + offset in float32; each is one number, or one per entry of the last axis."""

    factor: float | tuple[float, ...]
    offset: float | tuple[float, ...] = 0.0

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        for name, value in (("factor", self.factor), ("offset", self.offset)):
            if isinstance(value, tuple) and x.shape[-1] != len(value):
                raise errors.InputError(f"affine has {len(value)} {name}s, but the last axis has {x.shape[-1]} entries")
        out: NDArray[Any] = np.multiply(x, np.asarray(self.factor, dtype=np.float32), dtype=np.float32)
        if self.offset != 0.0:
            out += np.asarray(self.offset, dtype=np.float32)
        return out

    def fields(self) -> dict[str, Any]:
        return {"op": "affine", "factor": _plain(self.factor), "offset": _plain(self.offset)}


@dataclass(frozen=True, slots=True)
class Reshape:
    """Each row becomes `shape`; one entry may be -1."""

    shape: tuple[int, ...]

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        try:
            return x.reshape((len(x), *self.shape))
        except ValueError as exc:
            raise errors.InputError(f"rows of shape {list(x.shape[1:])} cannot become {list(self.shape)}") from exc

    def fields(self) -> dict[str, Any]:
        return {"op": "reshape", "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class Cast:
    """Another datatype, by numpy's rules; a number that does not fit raises InputError instead of wrapping."""

    datatype: str

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        dtype = tensors.DTYPES[self.datatype]
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            outside = not tensors.is_finite(x) or (x.size and (x.min() < limits.min or x.max() > limits.max))
            if x.dtype.kind in "iuf" and outside:
                raise errors.InputError(f"a value does not fit into {self.datatype} ({limits.min}..{limits.max})")
        return x.astype(dtype)

    def fields(self) -> dict[str, Any]:
        return {"op": "cast", "datatype": self.datatype}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """BYTES text (UTF-8), one per row, to int64 ids [N, length]: words split at white space.

    `tokens[i]` is `first_id + i`, an unknown word `oov_id`. A long text keeps its last `length` words, a short one is
    filled with `pad_id` in front: a recurrent network reads the last word last.
    """

    tokens: tuple[str, ...]
    length: int
    lower: bool = True
    pad_id: int = 0
    oov_id: int = 1
    first_id: int = 2
    _ids: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", {token: self.first_id + at for at, token in enumerate(self.tokens)})

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        if x.size != len(x):
            raise errors.InputError(f"a vocabulary takes one text per row, not rows of shape {list(x.shape[1:])}")
        out = np.full((len(x), self.length), self.pad_id, dtype=np.int64)
        for row, text in enumerate(x.ravel()):
            words = _words(text, self.lower)[-self.length :]
            if words:
                out[row, -len(words) :] = [self._ids.get(word, self.oov_id) for word in words]
        return out

    def fields(self) -> dict[str, Any]:
        return {
            "op": "vocabulary",
            "tokens": list(self.tokens),
            "length": self.length,
            "lower": self.lower,
            "padId": self.pad_id,
            "oovId": self.oov_id,
            "firstId": self.first_id,
        }


def apply(steps: Sequence[Step], x: NDArray[Any]) -> NDArray[Any]:
    """`x` [N, ...] through all steps. Raises InputError when a step does not fit the rows, or makes an infinity of a
    number."""
    with np.errstate(over="ignore", invalid="ignore"):  # told by the check below, with its place
        for step in steps:
            x = step.apply(x)
    if steps:
        tensors.check_finite(x, "after the preprocessing")
    return x


def parse(steps: object) -> tuple[Step, ...]:
    """The steps in a JSON list. Raises InputError that names the step and the field."""
    if not isinstance(steps, list | tuple) or len(steps) > MAX_STEPS:
        raise errors.InputError(f"preprocessing must be a list of at most {MAX_STEPS} steps")
    return tuple(_parse_step(index, fields) for index, fields in enumerate(steps))


def _parse_step(index: int, fields: object) -> Step:
    at = f"preprocessing[{index}]"
    if not isinstance(fields, Mapping) or not isinstance(fields.get("op"), str):
        raise errors.InputError(f'{at} must be an object with a text "op"')
    kind = _KINDS.get(fields["op"])
    if kind is None:
        raise errors.InputError(f"{at}: op {fields['op'][:40]!r} is unknown; known are {', '.join(_KINDS)}")
    parser, required, optional = kind
    given = set(fields) - {"op"}
    if missing := required - given:
        raise errors.InputError(f"{at} ({fields['op']}): {min(missing)} is missing")
    if unknown := given - required - optional:
        raise errors.InputError(f"{at} ({fields['op']}): {str(min(unknown, key=str))[:40]!r} is not a known field")
    return parser(at, fields)


def _parse_affine(at: str, fields: Mapping[str, Any]) -> Step:
    return Affine(_factor(f"{at}.factor", fields["factor"]), _factor(f"{at}.offset", fields.get("offset", 0.0)))


def _parse_reshape(at: str, fields: Mapping[str, Any]) -> Step:
    shape = fields["shape"]
    if not isinstance(shape, list | tuple) or not 1 <= len(shape) < tensors.MAX_RANK:
        raise errors.InputError(f"{at}.shape must be a list of 1..{tensors.MAX_RANK - 1} sizes")
    sizes = tuple(_whole(f"{at}.shape", size, -1, tensors.MAX_ELEMENTS) for size in shape)
    if 0 in sizes or sizes.count(-1) > 1:
        raise errors.InputError(f"{at}.shape {list(sizes)} must hold positive sizes and at most one -1")
    return Reshape(sizes)


def _parse_cast(at: str, fields: Mapping[str, Any]) -> Step:
    datatype = fields["datatype"]
    if not isinstance(datatype, str) or datatype not in tensors.DTYPES or datatype in ("BYTES", "BF16"):
        raise errors.InputError(f"{at}.datatype must be one of BOOL, INT8 … FP64, not {str(datatype)[:40]!r}")
    return Cast(datatype)


def _parse_vocabulary(at: str, fields: Mapping[str, Any]) -> Step:
    tokens, lower = fields["tokens"], fields.get("lower", True)
    if not isinstance(tokens, list | tuple) or not 1 <= len(tokens) <= MAX_TOKENS:
        raise errors.InputError(f"{at}.tokens must be a list of 1..{MAX_TOKENS} words")
    for token in tokens:
        if not isinstance(token, str) or not token or len(token) > MAX_TOKEN_CHARS:
            raise errors.InputError(f"{at}.tokens must hold texts of 1..{MAX_TOKEN_CHARS} characters")
    if len(set(tokens)) != len(tokens):
        raise errors.InputError(f"{at}.tokens must be distinct")
    if not isinstance(lower, bool):
        raise errors.InputError(f"{at}.lower must be true or false")
    pad, oov, first = (
        _whole(f"{at}.{name}", fields.get(name, default), 0, 1 << 31)
        for name, default in (("padId", 0), ("oovId", 1), ("firstId", 2))
    )
    return Vocabulary(tuple(tokens), _whole(f"{at}.length", fields["length"], 1, MAX_LENGTH), lower, pad, oov, first)


_Parser = Callable[[str, Mapping[str, Any]], Step]
_KINDS: Mapping[str, tuple[_Parser, frozenset[str], frozenset[str]]] = {
    "affine": (_parse_affine, frozenset({"factor"}), frozenset({"offset"})),
    "reshape": (_parse_reshape, frozenset({"shape"}), frozenset()),
    "cast": (_parse_cast, frozenset({"datatype"}), frozenset()),
    "vocabulary": (
        _parse_vocabulary,
        frozenset({"tokens", "length"}),
        frozenset({"lower", "padId", "oovId", "firstId"}),
    ),
}


def _factor(at: str, value: object) -> float | tuple[float, ...]:
    if isinstance(value, list | tuple):
        if not 1 <= len(value) <= MAX_FACTORS:
            raise errors.InputError(f"{at} must hold 1..{MAX_FACTORS} numbers")
        return tuple(_number(at, entry) for entry in value)
    return _number(at, value)


def _number(at: str, value: object) -> float:
    # float32 is what the network sees: a number beyond it would become an infinity in every row.
    limit = float(np.finfo(np.float32).max)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= limit:
        raise errors.InputError(f"{at} must be a finite number within float32")
    return float(value)


def _whole(at: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise errors.InputError(f"{at} must be a whole number in {low}..{high}")
    return value


def _plain(value: float | tuple[float, ...]) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value


def _words(text: object, lower: bool) -> list[str]:
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as exc:
            raise errors.InputError("a text is not UTF-8") from exc
    if not isinstance(text, str):
        raise errors.InputError(f"a vocabulary takes texts, not {type(text).__name__}")
    return (text.lower() if lower else text).split()
