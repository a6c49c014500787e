"""Our errors as gRPC status codes: the one table of this transport, for every servicer."""

from collections.abc import Mapping

from skerry.core import errors
from skerry.rpc.methods import CallError, Status

MAX_MESSAGE_CHARS = 800

TABLE: Mapping[type[errors.SkerryError], Status] = {
    errors.NotFoundError: Status.NOT_FOUND,
    errors.TooLargeError: Status.RESOURCE_EXHAUSTED,
    errors.UnsupportedError: Status.UNIMPLEMENTED,
    errors.InputError: Status.INVALID_ARGUMENT,
    errors.OverloadedError: Status.RESOURCE_EXHAUSTED,
    errors.DeadlineError: Status.DEADLINE_EXCEEDED,
    errors.UnavailableError: Status.UNAVAILABLE,
    errors.UnauthenticatedError: Status.UNAUTHENTICATED,
    errors.ForbiddenError: Status.PERMISSION_DENIED,
    errors.ConflictError: Status.ABORTED,
    errors.RejectedError: Status.FAILED_PRECONDITION,
    errors.IntegrityError: Status.INTERNAL,
}


def of(error: errors.SkerryError) -> Status:
    """The status of the error's nearest class in the table."""
    return next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), Status.INTERNAL)


def message(error: errors.SkerryError) -> str:
    """The error's text, bounded: it may quote a caller's name of any length, and travels in a header."""
    text = str(error)
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 1] + "…"


def call_error(error: errors.SkerryError) -> CallError:
    return CallError(of(error), message(error))
