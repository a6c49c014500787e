"""Seconds that pass whether this machine is awake or sleeps, from any beginning: a permit must not outlive its time
because a node was suspended. Where the system has no such clock, the monotonic one."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_s() -> float:
    return time.clock_gettime(_CLOCK)
