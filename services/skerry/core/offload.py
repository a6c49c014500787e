"""Local answer or cloud? One decision per request: its confidence, the caller's time, a budget and the link's health.

The budget is a token bucket (rows per second with a burst), the link's health a circuit breaker: closed (calls pass,
consecutive failures are counted), open (calls are refused until a time), half-open (one call at a time probes). Both
are frozen values with pure transitions; `now_s` is any monotonic clock. Talking to the cloud and keeping the state
between requests are the agent's. What is captured for training is `core.sampling`.
"""

import enum
from dataclasses import dataclass, replace

from skerry.core import errors


class Route(enum.StrEnum):  # text, as it stands in replies
    LOCAL = "local"
    CLOUD = "cloud"


class Reason(enum.StrEnum):
    CONFIDENT = "Confident"  # the edge is sure enough
    LOW_CONFIDENCE = "LowConfidence"  # below the threshold: the cloud is asked
    PRIVATE = "Private"  # the privacy of the model, or of the node, keeps the row on the node
    OFFLOAD_DISABLED = "OffloadDisabled"  # the model's policy keeps every request on the node
    STATEFUL = "Stateful"  # a step of a sequence: what stands behind it is on the node, and no whole window
    NO_TEACHER = "NoTeacher"  # no larger model is known to this node
    DEADLINE_TOO_SHORT = "DeadlineTooShort"  # the caller's remaining time would not do for a call
    CIRCUIT_OPEN = "CircuitOpen"  # recent calls failed; the link rests
    BUDGET_EXHAUSTED = "BudgetExhausted"  # too many hard requests at once
    REMOTE_FAILED = "RemoteFailed"  # the cloud was asked and did not answer in time, or answered with an error


@dataclass(frozen=True, slots=True)
class OffloadPolicy:
    """`EdgeModel.spec.offload`, in base units. `budget_per_s` and `burst` count rows."""

    enabled: bool = True
    target_rate: float = 0.1
    budget_per_s: float = 20.0
    burst: float = 40.0
    min_remaining_s: float = 0.020
    timeout_s: float = 0.3
    breaker_failures: int = 5
    breaker_open_s: float = 2.0
    is_private: bool = False  # by `core.privacy`: no row may be asked about


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """`tokens` were there at `at_s`; they grow with `per_s` up to `burst`."""

    per_s: float
    burst: float
    tokens: float
    at_s: float

    @classmethod
    def full(cls, per_s: float, burst: float, now_s: float) -> "TokenBucket":
        """Raises InputError for a negative rate or burst."""
        if not (per_s >= 0 and burst >= 0):
            raise errors.InputError(f"a budget of {per_s} per second with a burst of {burst} is not possible")
        return cls(per_s, burst, burst, now_s)

    def refilled(self, now_s: float) -> "TokenBucket":
        """A clock that stands still or goes back adds nothing."""
        if now_s <= self.at_s:
            return self
        return replace(self, tokens=min(self.burst, self.tokens + (now_s - self.at_s) * self.per_s), at_s=now_s)

    def take(self, amount: float, now_s: float) -> "TokenBucket | None":
        """The bucket without `amount` tokens, or None when it holds fewer. More than a whole burst asks for a burst,
        so that a large batch is rationed and not locked out."""
        full, needed = self.refilled(now_s), min(amount, self.burst)
        return replace(full, tokens=full.tokens - needed) if 0 < needed <= full.tokens else None


class Circuit(enum.Enum):
    CLOSED = "Closed"
    OPEN = "Open"
    HALF_OPEN = "HalfOpen"


@dataclass(frozen=True, slots=True)
class Breaker:
    """`until_s`: when an open circuit lets a probe through, and when a probe that never reported is given up."""

    circuit: Circuit = Circuit.CLOSED
    failures: int = 0  # in a row, while closed
    until_s: float = 0.0

    def admit(self, policy: OffloadPolicy, now_s: float) -> "Breaker | None":
        """The breaker after letting one call pass, or None: refused. An open circuit whose time is up becomes
        half-open with this call as its probe."""
        if self.circuit is Circuit.CLOSED:
            return self
        if now_s < self.until_s:
            return None
        # A probe that is cancelled reports nothing: its lease ends, and the next call probes.
        return replace(self, circuit=Circuit.HALF_OPEN, until_s=now_s + policy.breaker_open_s + policy.timeout_s)

    def succeeded(self) -> "Breaker":
        """A call answered. While open this is a late answer from before: the probe decides, not it."""
        return self if self.circuit is Circuit.OPEN else Breaker()

    def failed(self, policy: OffloadPolicy, now_s: float) -> "Breaker":
        """A call failed: the probe, or the last of too many in a row, opens the circuit."""
        if self.circuit is Circuit.OPEN:
            return self
        failures = self.failures + 1
        if self.circuit is Circuit.HALF_OPEN or failures >= policy.breaker_failures:
            return Breaker(Circuit.OPEN, 0, now_s + policy.breaker_open_s)
        return replace(self, failures=failures)


@dataclass(frozen=True, slots=True)
class State:
    """What a node remembers between decisions for one model."""

    budget: TokenBucket
    breaker: Breaker = Breaker()

    @classmethod
    def start(cls, policy: OffloadPolicy, now_s: float) -> "State":
        return cls(TokenBucket.full(policy.budget_per_s, policy.burst, now_s))

    def under(self, policy: OffloadPolicy, now_s: float) -> "State":
        """The same state under a changed policy: spent budget stays spent, the breaker stays as it is."""
        old = self.budget.refilled(now_s)
        tokens = min(old.tokens, policy.burst)
        return replace(self, budget=TokenBucket(policy.budget_per_s, policy.burst, tokens, now_s))


@dataclass(slots=True)  # a value; not frozen, because that triples the cost of making one
class Question:
    """One request: `confidence` of its least sure row, the version's `threshold`, `rows`, and how long the caller still
    waits (None: no deadline). `is_step`: it continues a sequence of which the cloud has neither state nor window."""

    confidence: float
    threshold: float
    rows: int
    remaining_s: float | None
    has_teacher: bool
    is_step: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """`degraded`: the cloud's answer was wanted and the local one is given. `timeout_s` bounds the call of a CLOUD."""

    route: Route
    reason: Reason
    degraded: bool = False
    timeout_s: float = 0.0


_CONFIDENT = Decision(Route.LOCAL, Reason.CONFIDENT)  # most answers; made once
PRIVATE = Decision(Route.LOCAL, Reason.PRIVATE)


def decide(question: Question, policy: OffloadPolicy, state: State, *, now_s: float) -> tuple[Decision, State]:
    """The route and why, and the state after it. A token is taken, and a probe begun, only for the route CLOUD."""

    if question.confidence >= question.threshold:
        return _CONFIDENT, state

    def local(reason: Reason, *, degraded: bool = True) -> tuple[Decision, State]:
        return Decision(Route.LOCAL, reason, degraded), state

    if policy.is_private:
        return PRIVATE, state
    if not policy.enabled:
        return local(Reason.OFFLOAD_DISABLED, degraded=False)
    if question.is_step:
        return local(Reason.STATEFUL, degraded=False)
    if not question.has_teacher:
        return local(Reason.NO_TEACHER)
    remaining_s = policy.timeout_s if question.remaining_s is None else question.remaining_s
    if remaining_s < policy.min_remaining_s:
        return local(Reason.DEADLINE_TOO_SHORT)
    breaker = state.breaker.admit(policy, now_s)
    if breaker is None:
        return local(Reason.CIRCUIT_OPEN)
    budget = state.budget.take(question.rows, now_s)
    if budget is None:
        return local(Reason.BUDGET_EXHAUSTED)
    timeout_s = min(remaining_s, policy.timeout_s)
    return Decision(Route.CLOUD, Reason.LOW_CONFIDENCE, timeout_s=timeout_s), State(budget, breaker)


def answered(state: State) -> State:
    """The state after the cloud answered."""
    return replace(state, breaker=state.breaker.succeeded())


def unanswered(policy: OffloadPolicy, state: State, *, now_s: float) -> tuple[Decision, State]:
    """The cloud was asked and failed: the local answer goes back, and the breaker hears of it."""
    decision = Decision(Route.LOCAL, Reason.REMOTE_FAILED, degraded=True)
    return decision, replace(state, breaker=state.breaker.failed(policy, now_s))
