"""What an import of series did, for people and as JSON: readings, gaps, windows, what was left out and why."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skerry.cli import output

if TYPE_CHECKING:
    from skerry.cli.importing.forecaster import JudgedVersion
    from skerry.core.manifest import Manifest
    from skerry.core.series.conversion import ForecastRows
    from skerry.core.tasks import Forecast

_SHOWN = 20


def document(found: "ForecastRows") -> dict[str, Any]:
    """JSON beside the dataset's digest and counts; times in Unix ms."""
    return {
        "rows": sum(summary.rows for summary in found.summaries),
        "columns": list(found.columns),
        "holdoutFromUnixMs": int(found.time[found.split.holdout].min()),
        "series": [
            {
                "name": summary.name,
                "rows": summary.rows,
                "firstUnixMs": summary.first_ms,
                "lastUnixMs": summary.last_ms,
                "missingSteps": summary.lacking,
                "gaps": summary.gaps,
                "windows": summary.windows,
            }
            for summary in found.summaries
        ],
    }


def show(found: "ForecastRows") -> None:
    """Prints it. Times are told in UTC."""
    from skerry.core.series import timestamps

    heads = ["series", "rows", "first (UTC)", "last (UTC)", "missing steps", "gaps", "windows"]
    rows = [
        (
            summary.name or "–",
            f"{summary.rows:,}",
            timestamps.shown(summary.first_ms),
            timestamps.shown(summary.last_ms),
            f"{summary.lacking:,}",
            f"{summary.gaps:,}",
            f"{summary.windows:,}",
        )
        for summary in found.summaries[:_SHOWN]
    ]
    output.print_table("series", heads, rows)
    if len(found.summaries) > _SHOWN:
        output.say(f"and {len(found.summaries) - _SHOWN} more series")
    output.say(f"a row is {list(found.x.shape[1:])}: {', '.join(found.columns)}")
    train, holdout = (found.time[which] for which in (found.split.train, found.split.holdout))
    output.say(
        f"train {len(train):,} windows up to {timestamps.shown(int(train.max()))}, holdout {len(holdout):,} from "
        f"{timestamps.shown(int(holdout.min()))}"
    )
    _show_dropped(found.dropped)


def judged(found: "ForecastRows", forecast: "Forecast", version: "JudgedVersion") -> dict[str, Any]:
    """JSON of an imported forecaster: what it answers, what it was judged on, and how. Errors in the target's unit."""
    held, confidence = found.time[found.split.holdout], version.prepared.manifest.confidence
    return {
        **forecast.to_json(),
        "holdout": {
            **version.numbers,
            "fromUnixMs": int(held.min()),
            "toUnixMs": int(held.max()),
            "dropped": dict(found.dropped),
        },
        "threshold": confidence.threshold,
        "bound": confidence.bound,
        "gates": version.verdict.to_json()["gates"],
    }


def earlier(version: "Manifest") -> dict[str, Any]:
    """JSON of a forecaster that was imported before: its holdout is not looked at again."""
    confidence = version.confidence
    return {**version.task.to_json(), "threshold": confidence.threshold, "bound": confidence.bound}


def show_judged(told: Mapping[str, Any]) -> None:
    """Prints what `judged` tells."""
    from skerry.core.series import splitting, timestamps

    held, unit, levels = told["holdout"], told["forecast"]["unit"], told["forecast"]["quantilesPermille"]
    beside = [f"{_naive_name(season)} {_number(error)}" for season, error in held["naive"].items()]
    output.say(
        f"holdout: {held['n']:,} windows from {timestamps.shown(held['fromUnixMs'])} to "
        f"{timestamps.shown(held['toUnixMs'])} (UTC)"
    )
    bad = f"an answer is bad above {told['bound']:.6g}"
    output.say(f"mean error {_number(held['mae'])} {unit} ({', '.join(beside)}); {bad}")
    meant = (levels[-1] - levels[0]) / 1000
    output.say(f"the interval covers {held['coverage']:.1%} of the truths, {meant:.1%} is meant")
    _show_dropped({reason: count for reason, count in held["dropped"].items() if reason != splitting.EMBARGO})
    if near := held["dropped"].get(splitting.EMBARGO):
        output.say(f"left out: {near:,} windows too near to the training, or part of it ({splitting.EMBARGO})")


def _naive_name(season: str) -> str:
    return "last value" if season == "1" else f"{season} steps before"


def _number(value: float | None) -> str:
    return output.DASH if value is None else f"{value:.6g}"


def _show_dropped(dropped: Mapping[str, int]) -> None:
    from skerry.core.series import conversion

    for reason, count in dropped.items():
        output.say(f"left out: {count:,} {conversion.REASONS[reason]} ({reason})")
