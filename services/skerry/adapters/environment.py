"""Settings from environment variables, read and checked the same way by every process that has no pydantic: the agent
and the teacher. Every fault is an InputError that names the variable."""

from collections.abc import Mapping, Sequence

from skerry.core import addresses, errors

TRANSPORTS = ("h2", "grpcio")
DEFAULT_LISTEN: addresses.Address = ("127.0.0.1", 8001)
_LIMIT = 1e9


class Variables:
    """An empty variable counts as not set."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str = "") -> str:
        return self._environment.get(name) or default

    def required(self, name: str, what: str) -> str:
        """Raises InputError that says `what` is missing."""
        if not self._environment.get(name):
            raise errors.InputError(f"{name} is not set: {what}")
        return self._environment[name]

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """One of `choices`; the first when it is not set."""
        value = self.text(name, choices[0])
        if value not in choices:
            raise errors.InputError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        return value

    def address(self, name: str, default: str = "") -> addresses.Address | None:
        """(host, port); None when neither it nor a default is set."""
        text = self.text(name, default)
        return addresses.parse(name, text) if text else None

    def address_text(self, name: str) -> str:
        """A checked `host:port` as it was written; empty when it is not set."""
        text = self.text(name)
        if text:
            addresses.parse(name, text)
        return text

    def number(self, name: str, default: float, *, low: float = 0.0) -> float:
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not low <= value < _LIMIT:  # also false for NaN
            raise errors.InputError(f"{name} must be a number of at least {low:g}, not {text!r}")
        return value

    def whole(self, name: str, default: int = 0, *, low: int = 0) -> int:
        text = self.text(name, str(default))
        value = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
        if value < low:
            raise errors.InputError(f"{name} must be a whole number of at least {low}, not {text!r}")
        return value

    def megabytes(self, name: str, default: int = 0, *, low: int = 0) -> int:
        """In bytes."""
        return self.whole(name, default, low=low) << 20
