"""Reads one JSON object of a custom resource with distrust: every field is asked for by name, type and range.

Each error names the object and the field in full (`EdgeModel digits: spec.offload.targetRatePermille …`) and says what
would be right; an unknown field is an error with the nearest known name. Nothing is converted silently. Of what a newer
release may have reported, unknown fields are passed over.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from skerry.core import digests, errors

T = TypeVar("T")

MAX_INT = 2**53  # what every JSON reader keeps exact
MAX_TEXT = 4096
MAX_ITEMS = 100_000

_PERCENT = re.compile(r"(0|[1-9][0-9]{0,2})%")
_COUNT = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of nodes: absolute, or a percentage of something. Written `"3"`, `3` or `"30%"`."""

    value: int
    percent: bool = False

    def ceil_of(self, total: int) -> int:
        """At most `total`; a percentage is rounded up."""
        return min(total, -(-self.value * total // 100) if self.percent else self.value)

    def floor_of(self, total: int) -> int:
        """At most `total`; a percentage is rounded down."""
        return min(total, self.value * total // 100 if self.percent else self.value)

    def __str__(self) -> str:
        return f"{self.value}%" if self.percent else str(self.value)


class Reader:
    """One object at `path` of `owner` (like `EdgeModel digits`). Call `close` when every known field was read;
    `is_open`: it may have others."""

    def __init__(self, owner: str, path: str, value: object, *, is_open: bool = False) -> None:
        self._owner, self._path, self._is_open = owner, path, is_open
        if not isinstance(value, Mapping):
            raise errors.InputError(f"{owner}: {path} must be an object, not {_show(value)}")
        self._value: Mapping[str, Any] = value
        self._known: set[str] = set()

    def fault(self, field: str, text: str) -> errors.InputError:
        """The error for `field`; the caller raises it."""
        return errors.InputError(f"{self._owner}: {self._path}.{field} {text}")

    def has(self, field: str) -> bool:
        """Is the field given? A null is not."""
        return self._take(field) is not None

    def integer(self, field: str, default: int | None, low: int = 0, high: int = MAX_INT) -> int:
        """A whole number in low..high; without a default it is required."""
        value = self._take(field)
        if value is None:
            return self._required(field, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fault(field, f"must be a whole number, not {_show(value)}")
        if not low <= value <= high:
            raise self.fault(field, f"must be in {low}..{high}, not {value}")
        return value

    def number(self, field: str, default: float | None, low: float, high: float) -> float:
        """A number in low..high, whole or not."""
        value = self._take(field)
        if value is None:
            return self._required(field, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.fault(field, f"must be a number in {low:g}..{high:g}, not {_show(value)}")
        return float(value)

    def text(self, field: str, default: str | None, *, among: Sequence[str] = (), limit: int = MAX_TEXT) -> str:
        """A string of at most `limit` characters, one of `among` when given."""
        value = self._take(field)
        if value is None:
            return self._required(field, default)
        if not isinstance(value, str) or len(value) > limit:
            raise self.fault(field, f"must be a text of at most {limit} characters, not {_show(value)}")
        if among and value not in among:
            raise self.fault(field, f"must be one of {', '.join(among)}, not {_show(value)}{_meant(value, among)}")
        return value

    def name(self, field: str, default: str | None = None) -> str:
        """The name of an object: a non-empty text without '/', so that it may become part of a path."""
        value = self.text(field, default, limit=120)
        if value != default and (not value or "/" in value or value in (".", "..")):
            raise self.fault(field, f"must be the name of an object, not {_show(value)}")
        return value

    def digest(self, field: str, default: str | None = None) -> str:
        value = self.text(field, default)
        return value if value == default else digests.check(value, f"{self._owner}: {self._path}.{field}")

    def flag(self, field: str, default: bool) -> bool:
        value = self._take(field)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fault(field, f"must be true or false, not {_show(value)}")
        return value

    def amount(self, field: str, default: Amount, low: int = 0) -> Amount:
        """A count or a percentage, as `Amount`."""
        value = self._take(field)
        if value is None:
            return default
        amount = _amount(value)
        if amount is None or (amount.percent and amount.value > 100):
            raise self.fault(field, f'must be a count like "3" or a percentage like "30%", not {_show(value)}')
        if amount.value < low:
            raise self.fault(field, f"must be at least {low}, not {amount}")
        return amount

    def mapping(self, field: str, default: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Any object, kept as it is."""
        value = self._take(field)
        if value is None:
            return self._required(field, default)
        if not isinstance(value, Mapping):
            raise self.fault(field, f"must be an object, not {_show(value)}")
        return value

    def items(self, field: str, default: Sequence[Any] | None, limit: int = MAX_ITEMS) -> Sequence[Any]:
        """Any list of at most `limit` members, kept as it is."""
        value = self._take(field)
        if value is None:
            return self._required(field, default)
        if not isinstance(value, list | tuple) or len(value) > limit:
            raise self.fault(field, f"must be a list of at most {limit} members, not {_show(value)}")
        return value

    def texts(self, field: str, default: Sequence[str] | None, longest: int = MAX_TEXT) -> tuple[str, ...]:
        texts = self.items(field, default)
        if wrong := [text for text in texts if not isinstance(text, str) or len(text) > longest]:
            raise self.fault(field, f"must hold texts of at most {longest} characters only, not {_show(wrong[0])}")
        return tuple(texts)

    def integers(self, field: str, default: Sequence[int] | None, low: int = 0) -> tuple[int, ...]:
        numbers = self.items(field, default)
        if wrong := [
            value for value in numbers if isinstance(value, bool) or not isinstance(value, int) or value < low
        ]:
            raise self.fault(field, f"must hold whole numbers of at least {low} only, not {_show(wrong[0])}")
        return tuple(numbers)

    def inner(self, field: str, parse: Callable[["Reader"], T]) -> T:
        """The object in `field` (absent: an empty one), parsed and closed."""
        value = self._take(field)
        path = f"{self._path}.{field}"
        reader = Reader(self._owner, path, {} if value is None else value, is_open=self._is_open)
        return reader.parsed(parse)

    def each(self, field: str, parse: Callable[["Reader"], T], limit: int = MAX_ITEMS) -> tuple[T, ...]:
        """Every object of the list in `field` (absent: none), parsed and closed."""
        members = self.items(field, (), limit)
        readers = (
            Reader(self._owner, f"{self._path}.{field}[{index}]", member, is_open=self._is_open)
            for index, member in enumerate(members)
        )
        return tuple(reader.parsed(parse) for reader in readers)

    def parsed(self, parse: Callable[["Reader"], T]) -> T:
        parsed = parse(self)
        self.close()
        return parsed

    def close(self) -> None:
        """Raise InputError when an unknown field is left, unless it is open."""
        for field in self._value:
            if field not in self._known and not self._is_open:
                name = field if isinstance(field, str) else repr(field)
                raise self.fault(name[:80], f"is not a known field{_meant(name, sorted(self._known))}")

    def _take(self, field: str) -> Any:
        self._known.add(field)
        return self._value.get(field)

    def _required(self, field: str, default: T | None) -> T:
        if default is None:
            raise self.fault(field, "is missing")
        return default


def read(kind: str, name: str, part: str, value: object, parse: Callable[[Reader], T], *, is_open: bool = False) -> T:
    """`value`, the `part` (spec or status) of that object, through `parse`; unknown fields raise InputError, unless it
    `is_open`."""
    return Reader(f"{kind} {name}", part, value, is_open=is_open).parsed(parse)


def _amount(value: object) -> Amount | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**9:
        return Amount(value)
    if isinstance(value, str) and _PERCENT.fullmatch(value):
        return Amount(int(value[:-1]), percent=True)
    if isinstance(value, str) and _COUNT.fullmatch(value):
        return Amount(int(value))
    return None


def _meant(value: str, among: Sequence[str]) -> str:
    """A hint at the nearest known name; else all of them."""
    lower = {known.lower(): known for known in among}
    near = difflib.get_close_matches(value[:80].lower(), lower, n=1, cutoff=0.6)
    return f": did you mean {lower[near[0]]}?" if near else f"; known are {', '.join(among)}"


def _show(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
