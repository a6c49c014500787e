"""Log only on change: a fault that is met in every tick is one line when it appears and one whenever it changes."""


class OnChange:
    """What was logged last, by subject. Bounded: the oldest subject is forgotten first."""

    def __init__(self, limit: int = 1000) -> None:
        self._logged: dict[str, str] = {}
        self._limit = limit

    def differs(self, subject: str, text: str) -> bool:
        """Whether `text` is not what was logged of `subject` last; from now on it is."""
        if self._logged.get(subject) == text:
            return False
        self._logged.pop(subject, None)
        self._logged[subject] = text
        while len(self._logged) > self._limit:
            del self._logged[next(iter(self._logged))]
        return True

    def forget(self, subject: str) -> None:
        """The fault is over: when it comes back it is news again."""
        self._logged.pop(subject, None)
