"""Says a thing once: a fault that is met in every tick is a line in the log when it appears and when it changes."""


class Told:
    """What was said last, by subject. Bounded: the oldest subject is forgotten first."""

    def __init__(self, limit: int = 1000) -> None:
        self._said: dict[str, str] = {}
        self._limit = limit

    def is_news(self, subject: str, text: str) -> bool:
        """Whether `text` is not what was said of `subject` last; from now on it is."""
        if self._said.get(subject) == text:
            return False
        self._said.pop(subject, None)
        self._said[subject] = text
        while len(self._said) > self._limit:
            del self._said[next(iter(self._said))]
        return True

    def settled(self, subject: str) -> None:
        """The fault is over: when it comes back it is news again."""
        self._said.pop(subject, None)
