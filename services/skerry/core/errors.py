"""Every error skerry raises on purpose, classed by who must act. Transport codes live in one table per transport.

SkerryError
├── InputError            the caller must fix the request
│   ├── NotFoundError         the named object does not exist
│   ├── TooLargeError         a stated limit was exceeded; the message names it
│   └── UnsupportedError      this server does not implement what was asked
├── UnavailableError      retry later
│   ├── OverloadedError       a bounded queue or budget is full
│   └── DeadlineError         the caller's deadline passed
├── RejectedError         policy said no; an operator may change it
│   ├── ForbiddenError        this caller may not, whatever others may
│   ├── UnauthenticatedError  the caller did not show who it is, or what lets it in
│   └── ConflictError         somebody else wrote first: read again, decide again
└── IntegrityError        a digest, signature or file is wrong; nobody retries
"""


class SkerryError(Exception):
    """Root of all deliberate errors. The text is for people: what happened, to which object, what to do."""


class InputError(SkerryError):
    """The caller must change the request."""


class NotFoundError(InputError):
    """The named object does not exist."""


class TooLargeError(InputError):
    """A stated limit was exceeded; the message names the limit."""


class UnsupportedError(InputError):
    """What was asked for is not implemented here."""


class UnavailableError(SkerryError):
    """Nothing is wrong with the request: try again later."""


class OverloadedError(UnavailableError):
    """A bounded queue, table or budget is full."""


class DeadlineError(UnavailableError):
    """The caller's deadline passed before the work could be done."""


class RejectedError(SkerryError):
    """A policy said no. An operator may change the policy."""


class ForbiddenError(RejectedError):
    """This caller may not. Another identity or credential might."""


class UnauthenticatedError(RejectedError):
    """The caller showed nothing that lets it in; the message says what would."""


class ConflictError(RejectedError):
    """Somebody else wrote first. Read again and decide again."""


class IntegrityError(SkerryError):
    """A digest, signature or file is wrong. Retrying cannot help."""
