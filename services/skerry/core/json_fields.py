"""Reading a JSON document from outside: each field checked, each error naming where it stood."""

from collections.abc import Sequence
from typing import Any

from skerry.core import errors


class Fields:
    """Fields of one JSON object, each checked, each error naming where it stood."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise errors.InputError(f"{where} must be a JSON object")
        self._value, self.where = value, where

    def _get(self, key: str, kind: type) -> Any:
        value = self._value.get(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise errors.InputError(f"{self.where}.{key}: expected {_KINDS[kind]}, got {value!r:.80}")
        return value

    def has(self, key: str) -> bool:
        return key in self._value

    def text(self, key: str) -> str:
        value: str = self._get(key, str)
        if not 0 < len(value) <= 256:
            raise errors.InputError(f"{self.where}.{key}: expected 1 to 256 characters")
        return value

    def optional_text(self, key: str) -> str:
        value: str = self._get(key, str)
        return value[:256]

    def flag(self, key: str) -> bool:
        return bool(self._get(key, bool))

    def integer(self, key: str, low: int, high: int) -> int:
        value: int = self._get(key, int)
        if not low <= value <= high:
            raise errors.InputError(f"{self.where}.{key}: {value} is not in {low}..{high}")
        return value

    def texts(self, key: str, at_least: int, at_most: int) -> Sequence[str]:
        value: list[Any] = self._get(key, list)
        if not at_least <= len(value) <= at_most or not all(isinstance(x, str) and 0 < len(x) <= 256 for x in value):
            raise errors.InputError(f"{self.where}.{key}: expected {at_least} to {at_most} short texts")
        return value

    def integers(self, key: str, at_most: int, low: int, high: int) -> Sequence[int]:
        value: list[Any] = self._get(key, list)
        if len(value) > at_most or not all(type(x) is int and low <= x <= high for x in value):
            raise errors.InputError(f"{self.where}.{key}: expected at most {at_most} integers in {low}..{high}")
        return value

    def tallies(self, key: str) -> dict[str, int]:
        value: dict[str, Any] = self._get(key, dict)
        if len(value) > 64 or not all(type(count) is int and count >= 0 for count in value.values()):
            raise errors.InputError(f"{self.where}.{key}: expected at most 64 counts by reason")
        return value

    def reader(self, key: str) -> "Fields":
        return Fields(self._get(key, dict), f"{self.where}.{key}")

    def objects(self, key: str, at_most: int) -> "dict[str, Fields]":
        value: dict[str, Any] = self._get(key, dict)
        if len(value) > at_most:
            raise errors.InputError(f"{self.where}.{key}: at most {at_most} entries")
        return {name: Fields(entry, f"{self.where}.{key}[{name!r:.80}]") for name, entry in value.items()}

    def readers(self, key: str, at_most: int) -> "list[Fields]":
        value: list[Any] = self._get(key, list)
        if len(value) > at_most:
            raise errors.InputError(f"{self.where}.{key}: at most {at_most} entries")
        return [Fields(entry, f"{self.where}.{key}[{index}]") for index, entry in enumerate(value)]


_KINDS = {str: "a text", bool: "true or false", int: "an integer", list: "a list", dict: "an object"}
