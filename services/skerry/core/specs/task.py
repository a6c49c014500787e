"""The fields that say what a model answers, in EdgeModels, manifests and datasets: `task` and what goes with it."""

import itertools
from collections.abc import Callable, Mapping

from skerry.core import class_maps
from skerry.core.specs.reader import Reader
from skerry.core.tasks import Classification, Forecast, Task, forecast

MAX_CLASS_NAME = 256  # characters: a dataset holds no longer one
MAX_CLASSES = 10_000
MAX_WORD = 120  # characters of a target or a unit
MAX_STEP_SECONDS = 366 * 86_400
MAX_HORIZON = 100_000  # steps
MAX_SEASON = 1 << 31  # steps


def task(
    reader: Reader, default: str | None = None, fewest_classes: int = 2, longest_name: int = MAX_CLASS_NAME
) -> Task:
    """Raises InputError naming the field; also for a field that belongs to another task."""
    name = reader.text("task", default, among=tuple(_TASKS))
    for other, (field, _) in _TASKS.items():
        if other != name and reader.has(field):
            raise reader.fault(field, f"belongs to task {other}, and the task is {name}: name one of the two")
    return _TASKS[name][1](reader, fewest_classes, longest_name)


def _classification(reader: Reader, fewest: int, longest: int) -> Task:
    names = reader.texts("classNames", None, longest)
    if not fewest <= len(names) <= MAX_CLASSES or len(set(names)) != len(names):
        raise reader.fault("classNames", f"must be {fewest}..{MAX_CLASSES} names, each once; there are {len(names)}")
    former = reader.each("classMap", lambda entry: _former(entry, longest), class_maps.MAX_FORMER)
    if former and (fault := class_maps.fault(former, names)):
        raise reader.fault(f"classMap[{fault[0]}]", fault[1])
    return Classification(names, former)


def _former(reader: Reader, longest: int) -> class_maps.FormerClasses:
    names, to = reader.texts("from", None, longest), reader.mapping("to", {})
    if not 1 <= len(names) <= MAX_CLASSES:
        raise reader.fault("from", f"must be the 1..{MAX_CLASSES} classes before the change, in their order")
    for old, new in to.items():
        if not isinstance(new, str) or len(new) > longest:
            raise reader.fault(f"to.{old:.80}", "must be the name of a class; what is none any more goes under removed")
    return class_maps.FormerClasses(names, tuple(sorted(to.items())), reader.texts("removed", (), longest))


def _forecast(reader: Reader, fewest: int, longest: int) -> Task:
    if reader.has("classMap"):
        raise reader.fault("classMap", "is of classes, and the task is Forecast: leave it out")
    if not reader.has("forecast"):
        raise reader.fault("forecast", "is missing: a Forecast says what is forecast, in what unit and how far ahead")
    return reader.inner("forecast", _forecast_fields)


def _forecast_fields(reader: Reader) -> Forecast:
    horizon = reader.integer("horizon", 1, 1, MAX_HORIZON)
    steps = reader.integer("steps", 1, 1, forecast.MAX_STEPS)
    if steps > horizon:
        raise reader.fault("steps", f"must be at most the horizon, {horizon}: an answer holds its last steps")
    quantiles = reader.integers("quantilesPermille", (100, 500, 900), low=1)
    fewest, most = forecast.MIN_QUANTILES, forecast.MAX_QUANTILES
    rising = all(before < after < 1000 for before, after in itertools.pairwise(quantiles))
    if not (fewest <= len(quantiles) <= most and rising and forecast.MEDIAN in quantiles[1:-1]):
        raise reader.fault(
            "quantilesPermille",
            f"must be {fewest}..{most} numbers in 1..999 that increase, with {forecast.MEDIAN} between the first and "
            f"the last, not {list(quantiles)}",
        )
    naive = reader.integers("naive", (1,), low=1)
    distinct = len(set(naive)) == len(naive) and all(season <= MAX_SEASON for season in naive)
    if not (distinct and 1 <= len(naive) <= forecast.MAX_NAIVE):
        raise reader.fault("naive", f"must be 1..{forecast.MAX_NAIVE} seasons in steps, each once, not {naive!s:.80}")
    lowest, highest = (
        reader.number(end, None, -forecast.MAX_VALUE, forecast.MAX_VALUE) if reader.has(end) else None
        for end in ("min", "max")
    )
    if lowest is not None and highest is not None and lowest >= highest:
        raise reader.fault("max", f"must be above min, {lowest:g}, and is {highest:g}: no value would be possible")
    return Forecast(
        target=_word(reader, "target"),
        unit=_word(reader, "unit"),
        quantiles_permille=quantiles,
        step_seconds=reader.integer("stepSeconds", None, 1, MAX_STEP_SECONDS),
        horizon=horizon,
        steps=steps,
        naive=naive,
        least=lowest,
        most=highest,
    )


def _word(reader: Reader, field: str) -> str:
    value = reader.text(field, None, limit=MAX_WORD)
    if not value.strip() or not value.isprintable():
        raise reader.fault(field, "must be a printable text that is not empty")
    return value


# name -> the field that only this task has, and what reads it
_TASKS: Mapping[str, tuple[str, Callable[[Reader, int, int], Task]]] = {
    "Classification": ("classNames", _classification),
    "Forecast": ("forecast", _forecast),
}
TASKS = tuple(_TASKS)
