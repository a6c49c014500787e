"""What of a captured example says whether an erasure means it: the one place that reads it from the message."""

from skerry.core.erasures import Facts
from skerry.proto import fleet_pb2

_NO_TIME = 2**62  # a truth says nothing of when its example was answered


def of_truth(truth: fleet_pb2.Truth) -> Facts:
    """Of the example that a truth is about, as far as the truth says."""
    return Facts(truth.model, truth.node, truth.example_id, truth.request_id, "", _NO_TIME)


def of(example: fleet_pb2.Example, example_id: str, stored_unix_ms: int = 0) -> Facts:
    return Facts(
        example.model,
        example.node,
        example_id,
        example.request_id,
        example.subject,
        example.answered_unix_ms,
        stored_unix_ms,
    )
