"""Which gRPC status a caller sees for each of our errors, whichever service raised it."""

import pytest

from skerry.core import errors
from skerry.rpc import grpc_status
from skerry.rpc.methods import Status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InputError, Status.INVALID_ARGUMENT),
        (errors.NotFoundError, Status.NOT_FOUND),
        (errors.TooLargeError, Status.RESOURCE_EXHAUSTED),
        (errors.UnsupportedError, Status.UNIMPLEMENTED),
        (errors.UnavailableError, Status.UNAVAILABLE),
        (errors.OverloadedError, Status.RESOURCE_EXHAUSTED),
        (errors.DeadlineError, Status.DEADLINE_EXCEEDED),
        (errors.RejectedError, Status.FAILED_PRECONDITION),
        (errors.ForbiddenError, Status.PERMISSION_DENIED),
        (errors.ConflictError, Status.ABORTED),
        (errors.IntegrityError, Status.INTERNAL),
        (errors.SkerryError, Status.INTERNAL),
    ],
)
def test_each_error_has_one_status(error: type[errors.SkerryError], status: Status) -> None:
    assert grpc_status.of(error("x")) is status


def test_every_error_of_core_is_in_the_table() -> None:
    named = {kind for kind in vars(errors).values() if isinstance(kind, type)} - {errors.SkerryError}
    assert set(grpc_status.TABLE) == named


def test_a_class_that_is_not_in_the_table_has_the_status_of_its_nearest_parent() -> None:
    class BusyError(errors.OverloadedError):
        pass

    assert grpc_status.of(BusyError("x")) is Status.RESOURCE_EXHAUSTED


def test_a_message_is_bounded_for_it_travels_in_a_header() -> None:
    error = grpc_status.call_error(errors.NotFoundError("n" * 100_000))
    assert (error.status, len(error.message)) == (Status.NOT_FOUND, grpc_status.MAX_MESSAGE_CHARS)
