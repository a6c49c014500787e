"""Who may tell the truth of an earlier request, of those who can reach this agent: the proofs that its site chose, and
how much one caller may send. Decisions about tokens are `core.feedback`'s.
"""

import collections
import hmac
from collections.abc import Callable, Collection
from pathlib import Path

from skerry.adapters import files
from skerry.agent.feedback_tokens import Tokens
from skerry.core import addresses, errors, feedback, offload
from skerry.proto import edge_pb2
from skerry.rpc.methods import Call

_NEEDS = {
    feedback.Proof.TOKEN: f"the token that came with the answer (its parameter {feedback.PARAMETER}; an answer without "
    "one was not captured, and there is nothing to label)",
    feedback.Proof.SECRET: "the site's secret (metadata `authorization: Bearer <secret>`)",
    feedback.Proof.CERTIFICATE: "a client certificate of the site's authority (on the TLS listener)",
}
_BEARER = "bearer "
_MIN_SECRET_CHARS = 16


class Access:
    """Any of `proofs` lets a caller in; none of them: nobody."""

    def __init__(self, proofs: Collection[feedback.Proof], tokens: Tokens, secret: str = "") -> None:
        self._proofs, self._tokens, self._secret = proofs, tokens, secret.encode()

    def admit(self, call: Call, request: edge_pb2.FeedbackRequest, *, horizon_ms: int = 0) -> str | None:
        """The name of the answer that the caller speaks of; None: it knows the request's id alone, and may.
        `horizon_ms`: how long after an answer of this model its truth is due. Raises UnauthenticatedError (no proof),
        ForbiddenError (a wrong one), ExpiredTokenError."""
        if not self._proofs:
            raise errors.ForbiddenError("this agent takes no feedback (SKERRY_FEEDBACK=Off)")
        if request.token and feedback.Proof.TOKEN in self._proofs:
            return self._tokens.answer_of(request.token, request.model, request.request_id, horizon_ms=horizon_ms)
        if feedback.Proof.CERTIFICATE in self._proofs and call.peer_certificate is not None:
            return None
        if feedback.Proof.SECRET in self._proofs and (given := call.metadata.get("authorization")):
            if isinstance(given, str) and given[: len(_BEARER)].lower() == _BEARER and self._is_secret(given):
                return None
            raise errors.ForbiddenError("this is not the site's secret: send it as metadata `authorization: Bearer …`")
        needed = ", or ".join(_NEEDS[proof] for proof in feedback.Proof if proof in self._proofs)
        raise errors.UnauthenticatedError(f"feedback needs {needed}")

    def _is_secret(self, given: str) -> bool:
        return hmac.compare_digest(given[len(_BEARER) :].strip().encode(), self._secret)


def read_secret(path: Path) -> str:
    """The site's secret. Raises InputError when it is too short, UnavailableError when it cannot be read."""
    secret = files.read(path, max_bytes=4096).decode(errors="replace").strip()
    if len(secret) < _MIN_SECRET_CHARS:
        raise errors.InputError(f"{path} holds no secret of at least {_MIN_SECRET_CHARS} characters")
    return secret


class CallerBudgets:
    """Keeps one caller from crowding out the others: a budget of calls for each host that they come from. `clock()` is
    monotonic seconds."""

    def __init__(
        self, clock: Callable[[], float], *, per_s: float = 50.0, burst: float = 1_000.0, max_places: int = 1_000
    ) -> None:
        self._clock, self._per_s, self._burst, self._max_places = clock, per_s, burst, max_places
        self._of_place: collections.OrderedDict[str, offload.TokenBucket] = collections.OrderedDict()

    def spend(self, peer_address: str) -> None:
        """Raises OverloadedError when the caller's budget is spent."""
        place, now_s = addresses.place_of(peer_address.rpartition(":")[0].strip("[]")), self._clock()
        budget = self._of_place.pop(place, None) or offload.TokenBucket.full(self._per_s, self._burst, now_s)
        left = budget.take(1, now_s)
        self._of_place[place] = left or budget
        if len(self._of_place) > self._max_places:
            self._of_place.popitem(last=False)  # who was silent for longest
        if left is None:
            raise errors.OverloadedError(
                f"{place or 'this caller'} sends more than {self._per_s:g} truths a second (after {self._burst:g} at "
                "once): try again later"
            )
