"""Which class a label means: its name, or a number that counts in the order of the classes.

A number can be both ('3' may be the class named 3 or the fourth one). Where both are possible and differ it is refused:
a wrong class is worse than a question. Names are compared in Unicode's composed form (NFC), so that 'ö' is 'ö' however
it is written.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skerry.core import errors

_SHOWN = 80
_LONGEST_NUMBER = 9  # digits: more are no class index
# U+FEFF is left by a byte-order mark, U+FFFD by text that was read in the wrong encoding.
_FAULTS = {"\ufeff": "a byte-order mark (U+FEFF)", "\ufffd": "a replacement character (U+FFFD)"}


@dataclass(frozen=True, slots=True)
class Classes:
    """`names` are the model's classes. `counted`: the order in which numbers count, where somebody stated one; without
    it they count in the order of `names`, and a number that could be a name as well is refused."""

    names: Sequence[str]
    counted: Sequence[str] = ()

    def of_texts(self, labels: Sequence[str]) -> list[int]:
        """The class index of each distinct label text. Raises InputError naming a label that is no class, or both
        readings of one that has two."""
        position = self._position()
        unknown = [label for label in labels if normalized(label) not in position]
        if not unknown:
            return [position[normalized(label)] for label in labels]
        numbers = [_number(label) for label in labels]
        if all(number is not None for number in numbers) and (self.counted or len(unknown) == len(labels)):
            return self.of_numbers([number for number in numbers if number is not None])
        raise errors.InputError(
            f"label {unknown[0][:_SHOWN]!r} is no class of the model: those are {_list(self.names)}{_hint(unknown)}"
        )

    def of_numbers(self, labels: Sequence[int]) -> list[int]:
        """The class index of each distinct whole number. Raises InputError as `of_texts`."""
        order = self._order()
        if self.counted:
            return [order[_in_range(label, len(order))] for label in labels]
        by_name = _numeric_names(self.names)
        named = [by_name.get(label) for label in labels]
        counted = [order[label] if 0 <= label < len(order) else None for label in labels]
        if None not in named and None in counted:
            return [index for index in named if index is not None]
        for label, name, count in zip(labels, named, counted, strict=True):
            if name is not None and name != count:
                raise errors.InputError(self._two_readings(label, name, count))
        return [order[_in_range(label, len(order))] for label in labels]

    def _position(self) -> Mapping[str, int]:
        return {normalized(name): index for index, name in enumerate(self.names)}

    def _order(self) -> list[int]:
        position = self._position()
        for name in self.counted:
            if normalized(name) not in position:
                raise errors.InputError(
                    f"label {name[:_SHOWN]!r} is no class of the model: those are {_list(self.names)}"
                )
        return [position[normalized(name)] for name in self.counted or self.names]

    def _two_readings(self, label: int, named: int, counted: int | None) -> str:
        other = (
            f"class {self.names[counted]!r} (counted from 0)" if counted is not None else "no class (counted from 0)"
        )
        return (
            f"label {label} can be class {self.names[named]!r} (by name) or {other}: "
            "give names as text exactly as the model has them, or say that numbers count by naming the classes in "
            "their order (--labels)"
        )


def normalized(name: str) -> str:
    """The composed form (NFC) of a name, in which names are compared and written."""
    return unicodedata.normalize("NFC", name)


def check_names(names: Sequence[str], what: str) -> tuple[str, ...]:
    """Class names as they are stored: composed, without a trace of a wrong encoding, distinct. Raises InputError."""
    composed = tuple(normalized(name) for name in names)
    for name in composed:
        for character, meaning in _FAULTS.items():
            if character in name:
                raise errors.InputError(f"{what}: class name {name[:_SHOWN]!r} holds {meaning}: save the text as UTF-8")
        if any(unicodedata.category(character) == "Cc" for character in name):
            raise errors.InputError(f"{what}: class name {name[:_SHOWN]!r} holds a control character")
    if twice := [name for name in composed if composed.count(name) > 1]:
        raise errors.InputError(f"{what}: class name {twice[0][:_SHOWN]!r} is given twice")
    return composed


def _number(text: str) -> int | None:
    """The whole number that `text` writes in its plain form (no sign, no leading zeros)."""
    plain = text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER and (text == "0" or text[0] != "0")
    return int(text) if plain else None


def _numeric_names(names: Sequence[str]) -> dict[int, int]:
    """Class index by the whole number that its name writes: '3', '03' and '3.0' are 3. The first of equal ones."""
    found: dict[int, int] = {}
    for index, name in enumerate(names):
        whole, _, fraction = name.partition(".")
        if whole.isascii() and whole.isdigit() and len(whole) <= _LONGEST_NUMBER and not fraction.strip("0"):
            found.setdefault(int(whole), index)
    return found


def _in_range(label: int, count: int) -> int:
    if not 0 <= label < count:
        raise errors.InputError(f"label {label} is not a class in 0..{count - 1}")
    return label


def _hint(unknown: Sequence[str]) -> str:
    if "" in unknown:
        return " (a label is empty)"
    return " (numbers count as classes only if none is a class name, or with --labels)" if _number(unknown[0]) else ""


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(name[:_SHOWN] for name in names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
