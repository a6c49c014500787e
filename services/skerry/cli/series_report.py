"""What an import of series did, for people and as JSON: readings, gaps, windows, what was left out and why."""

from typing import TYPE_CHECKING, Any

from skerry.cli import output

if TYPE_CHECKING:
    from skerry.core.series.conversion import ForecastRows

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
    from skerry.core.series import conversion, timestamps

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
    for reason, count in found.dropped.items():
        output.say(f"left out: {count:,} {conversion.REASONS[reason]} ({reason})")
