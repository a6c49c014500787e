"""Which status of gRPC an error of ours becomes at the gateway's doors."""

from skerry.core import errors
from skerry.gateway import enrol
from skerry.rpc.methods import CallError, Status

_STATUS: tuple[tuple[type[errors.SkerryError], Status], ...] = (
    (enrol.NotLetInError, Status.PERMISSION_DENIED),
    (errors.NotFoundError, Status.NOT_FOUND),
    (errors.TooLargeError, Status.RESOURCE_EXHAUSTED),
    (errors.UnsupportedError, Status.UNIMPLEMENTED),
    (errors.InputError, Status.INVALID_ARGUMENT),
    (errors.OverloadedError, Status.RESOURCE_EXHAUSTED),
    (errors.DeadlineError, Status.DEADLINE_EXCEEDED),
    (errors.UnavailableError, Status.UNAVAILABLE),
    (errors.ConflictError, Status.ABORTED),
    (errors.RejectedError, Status.FAILED_PRECONDITION),
    (errors.IntegrityError, Status.DATA_LOSS),
)


def call_error(exc: errors.SkerryError) -> CallError:
    return CallError(next((status for kind, status in _STATUS if isinstance(exc, kind)), Status.INTERNAL), str(exc))
