"""W3C Trace Context (https://www.w3.org/TR/trace-context/): which incoming headers are well-formed, so that they may be
passed on to the cloud. A span of our own is not made: the agent stays small, and the caller's trace shows both ends.
"""

import re
from collections.abc import Mapping

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
MAX_TRACESTATE_CHARS = 512

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def incoming(metadata: Mapping[str, str | bytes]) -> tuple[str, str]:
    """(traceparent, tracestate) of a call, each empty when it is absent or malformed."""
    parent, state = metadata.get(TRACEPARENT, ""), metadata.get(TRACESTATE, "")
    if not isinstance(parent, str) or not _FORM.fullmatch(parent):
        return "", ""
    return parent, state if isinstance(state, str) and len(state) <= MAX_TRACESTATE_CHARS else ""
