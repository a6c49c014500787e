"""Writes that outlive a process, counted as they pass, so that a test can kill the process in front of any."""

from collections.abc import Callable
from typing import Any


class Killed(BaseException):
    """The process is gone: no handler of ours may catch it."""


class Counted:
    """Passes calls on; those named are effects."""

    def __init__(self, inner: Any, effect: Callable[[], None], names: tuple[str, ...]) -> None:
        self._inner, self._effect, self._names = inner, effect, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def counted(*args: Any, **options: Any) -> Any:
            self._effect()
            return found(*args, **options)

        return counted
