"""File descriptors: raised as far as the system allows at the start, and shared out so that callers cannot take those
that the process itself needs (files, children, its own connections).
"""

import resource

_ENOUGH = 65_536
_INSIDE_AT_LEAST, _INSIDE_AT_MOST = 128, 1_024


def raise_limit() -> int:
    """Raise the soft limit of this process to the hard one, up to what any of ours needs. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft


def for_connections(limit: int) -> int:
    """How many of `limit` descriptors callers may have together: a quarter is the process's own, within bounds."""
    inside = min(max(limit // 4, _INSIDE_AT_LEAST), _INSIDE_AT_MOST)
    return max(1, limit - inside)
