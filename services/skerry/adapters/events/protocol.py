"""Telling people that something happened to an object."""

from typing import Protocol

from skerry.adapters.objects.protocol import Object


class Events(Protocol):
    def tell(self, thing: Object, reason: str, message: str, *, warning: bool = False) -> None:
        """`reason` is one CamelCase word, `message` a sentence. Returns at once and raises nothing."""
        ...
