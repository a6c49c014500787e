"""Which series a request is of, and when by the series' own time: parameters that its caller may give.

The node's clock says when something was answered; a row of a recorded or delayed series is of another time, and what is
held out, and what came before it, goes by that.
"""

from collections.abc import Mapping
from typing import NamedTuple

from skerry.core import errors
from skerry.core.inference import Parameter

SERIES, TIME = "skerry_series", "skerry_time"
MAX_SERIES_BYTES = 120  # in UTF-8, as datasets keep the name
MAX_UNIX_MS = 253_402_300_799_999  # the end of the year 9999


class Stamp(NamedTuple):
    """`series` empty: not given. `unix_ms` 0: not given."""

    series: str = ""
    unix_ms: int = 0


NONE = Stamp()


def of(parameters: Mapping[str, Parameter]) -> Stamp:
    """Raises InputError naming the parameter."""
    if SERIES not in parameters and TIME not in parameters:
        return NONE
    return Stamp(
        _series(parameters[SERIES]) if SERIES in parameters else "",
        _unix_ms(parameters[TIME]) if TIME in parameters else 0,
    )


def fault(series: str, unix_ms: int) -> str:
    """Why these cannot be a stamp, for people; empty: they can."""
    if len(series) > MAX_SERIES_BYTES or not series.isprintable() or len(series.encode()) > MAX_SERIES_BYTES:
        return f"a series is named by printable text of at most {MAX_SERIES_BYTES} bytes in UTF-8, not {series!r:.80}"
    if not 0 <= unix_ms <= MAX_UNIX_MS:
        return f"the time of a series is in Unix milliseconds, 1..{MAX_UNIX_MS}, not {unix_ms}"
    return ""


def _series(given: Parameter) -> str:
    text = (
        fault(given, 0) if isinstance(given, str) and given else f"must be a text that is not empty, not {given!r:.40}"
    )
    if text or not isinstance(given, str):
        raise errors.InputError(f"parameter {SERIES}: {text}")
    return given


def _unix_ms(given: Parameter) -> int:
    """Whole milliseconds, as a number or as text: clients without 64-bit integers send text."""
    number = given
    if isinstance(given, str) and given.isascii() and given.isdecimal() and len(given) <= 15:
        number = int(given)
    if not isinstance(number, int) or isinstance(number, bool) or fault("", number) or not number:
        raise errors.InputError(
            f"parameter {TIME}: must be whole Unix milliseconds of the series' own time, not {given!r:.40}"
        )
    return number
