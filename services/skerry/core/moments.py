"""A moment as a person types it. Without a time zone it is read as UTC, and the caller says so."""

from datetime import UTC, datetime

from skerry.core import errors


def parse(text: str, what: str) -> tuple[int, bool]:
    """Unix ms, and whether a time zone was named. Raises InputError for what is no ISO date or time."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as exc:
        raise errors.InputError(
            f"{what} {text!r:.60} is not a date that can be read in one way: write 2026-11-30, or "
            "2026-11-30T17:00+01:00 with a time zone"
        ) from exc
    has_zone = moment.tzinfo is not None
    return int((moment if has_zone else moment.replace(tzinfo=UTC)).timestamp() * 1000), has_zone
