"""What a leader counted with its own monotonic clock: the only measure of soaks, deadlines, leases and silence.

Wall times are stamps for people and names of buckets. A step of the wall clock therefore ends nothing and prolongs
nothing; what a crash or a change of leaders loses of a count makes a soak longer, never shorter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

CLOCK_EVERY_MS = 30_000  # a clock alone is written no more often: so much of a soak may be lost in a crash
MAX_TICK_MS = 10_000  # between two plans no more passes: what nobody watched was no soak


@dataclass(frozen=True, slots=True)
class Elapsed:
    """`clock_ms`: the rollout's clock (`Status.clock_ms` and what passed since under this leader), from 1 on.
    `silence_ms`: since each node was last heard of, by name; one that was never heard of is not in it.
    `lease_ms`: since this leader first saw a permit's lease, by (node, number); one not in it is new.
    `request_ms`: since it first saw a node's request for a permit, by (node, request); one not in it is new."""

    clock_ms: int = 1
    silence_ms: Mapping[str, int] = field(default_factory=dict)
    lease_ms: Mapping[tuple[str, int], int] = field(default_factory=dict)
    request_ms: Mapping[tuple[str, int], int] = field(default_factory=dict)
