"""How far a node is with a version that it was assigned: the names of fleet.ModelState, as reported and stored."""

import enum


class State(enum.StrEnum):
    UNSPECIFIED = "MODEL_STATE_UNSPECIFIED"
    FETCHING = "FETCHING"
    STAGED = "STAGED"  # verified and tried, on the disk; waits for a permit
    SERVING = "SERVING"
    FETCH_FAILED = "FETCH_FAILED"  # it tries again
    REFUSED = "REFUSED"  # never again within the attempt, as the two below
    INCOMPATIBLE = "INCOMPATIBLE"
    SWAP_FAILED = "SWAP_FAILED"
