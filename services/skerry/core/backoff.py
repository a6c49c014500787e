"""How long to wait before trying again: exponential with jitter, so that a fleet does not come back all at once."""


def delay_s(attempt: int, *, base_s: float, cap_s: float, u: float) -> float:
    """Seconds before retry number `attempt` (0, 1, …): base·2^attempt up to the cap, of which `u` in [0, 1) takes
    between a half and the whole."""
    whole = min(cap_s, base_s * float(1 << min(attempt, 30)))
    return whole * (0.5 + 0.5 * u)
