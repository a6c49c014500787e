"""EdgeModel.spec.warn: from which residuals on a node warns. What follows from it is `core.warnings`."""

from collections.abc import Mapping
from typing import Any

from skerry.core.specs.reader import Reader, read
from skerry.core.tasks import Forecast, Task
from skerry.core.warnings import TruthSource, WarnPolicy

MAX_RESIDUAL = 1e15
MAX_READINGS = 10_000
MAX_COLUMN = 1_000_000


def warn_of(reader: Reader, answered: Task, shape: tuple[int, ...]) -> WarnPolicy | None:
    """Of a model that answers `answered` for rows of `shape`. Raises InputError naming the field."""
    if not reader.has("warn"):
        return None
    if not isinstance(answered, Forecast):
        raise reader.fault("warn", f"is of residuals, and the model answers {answered}, which has none: leave it out")
    policy = reader.inner("warn", warn_fields)
    if policy.truth is TruthSource.NEXT_READING:
        if answered.horizon != 1:
            raise reader.fault(
                "warn.truth",
                f"is NextReading, and an answer is {answered.horizon} steps ahead, not 1: say Feedback, or forecast "
                "the next step",
            )
        if len(shape) != 2 or policy.column >= shape[1]:
            raise reader.fault(
                "warn.targetColumn", f"{policy.column} is in no row of the input, whose shape is {list(shape)}"
            )
    return policy


def parse_warn(spec: Mapping[str, Any], owner: str = "given") -> WarnPolicy:
    """EdgeModel.spec.warn alone, as nodes receive it. Raises InputError."""
    return read("EdgeModel", owner, "spec.warn", spec, warn_fields)


def warn_for_nodes(name: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """EdgeModel.spec.warn as nodes are sent it; empty: they warn of nothing. Raises InputError."""
    given = spec.get("warn")
    if given is None:
        return {}
    parse_warn(given, name)
    return dict(given)


def warn_fields(reader: Reader) -> WarnPolicy:
    above = reader.number("residualAbove", None, 0, MAX_RESIDUAL)
    over_at = reader.number("overAt", above / 2, 0, MAX_RESIDUAL)
    if over_at > above:
        raise reader.fault("overAt", f"must be at most residualAbove, {above:g}, not {over_at:g}")
    return WarnPolicy(
        above=above,
        over_at=over_at,
        readings=reader.integer("for", 3, 1, MAX_READINGS),
        truth=TruthSource(
            reader.text("truth", TruthSource.NEXT_READING.value, among=tuple(one.value for one in TruthSource))
        ),
        column=reader.integer("targetColumn", 0, 0, MAX_COLUMN),
    )
