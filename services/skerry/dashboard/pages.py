"""The dashboard's pages: views in, HTML out. Templates escape everything; nothing is read or decided here."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import jinja2

from skerry.core import audit, rollout
from skerry.core.liveness import State
from skerry.dashboard import charts, views

NODE_ROWS = 40  # models of the nodes on one page, of each node at least one
ROLLOUTS_SHOWN, RUNS_SHOWN, VERSIONS_SHOWN = 5, 10, 8

# Each state has a sign of its own, so that color is never the only difference.
ICONS = {
    "Applied": "✓", "Refused": "✕", "Conflict": "✕",
    "Online": "●", "Stale": "◐", "Offline": "○", "Unknown": "?",
    "Pass": "✓", "Fail": "✕", "Inconclusive": "?", "Error": "!",
    "Succeeded": "✓", "Failed": "✕", "Running": "▶", "Waiting": "…",
    "Progressing": "▶", "Paused": "‖", "Pending": "…", "RollingBack": "↩", "RolledBack": "↩",
    "RollbackIncomplete": "!", "Superseded": "»", "Invalid": "✕", "Unreadable": "!",
    "Overridden": "⚑", "overridden": "⚑", "done": "✓", "current": "▶", "waiting": "○", "failed": "✕",
}  # fmt: skip
_GOOD = {"Online", "Applied", "Pass", "Succeeded", "done"}
_BAD = {
    "Offline",
    "Refused",
    "Conflict",
    "Fail",
    "Error",
    "Failed",
    "RolledBack",
    "RollbackIncomplete",
    "Invalid",
    "Unreadable",
    "failed",
}
_WARN = {"Stale", "Unknown", "Inconclusive", "Paused", "RollingBack", "Overridden", "overridden"}


def overview(fleet: views.Fleet, state: State | None = None) -> str:
    """The fleet's first page. `state`: the nodes of `fleet` were chosen by it."""
    ordered = sorted(fleet.rollouts, key=lambda item: item.ended)  # running ones first, each group newest first
    return _environment.get_template("overview.html").render(
        fleet=fleet,
        nodes=fleet.nodes,
        models_shown=max(1, NODE_ROWS // max(1, len(fleet.nodes))),
        state_chosen=state,
        rollouts=ordered[:ROLLOUTS_SHOWN],
        more_rollouts=max(0, len(ordered) - ROLLOUTS_SHOWN),
        runs=fleet.runs[:RUNS_SHOWN],
        versions_shown=VERSIONS_SHOWN,
        runs_linked={run.name for run in fleet.runs[:RUNS_SHOWN]},
        root="",
    )


def node(seen: views.Node, trail: Sequence[audit.Record], now_ms: int) -> str:
    """The page of one node, one level below the first page. `trail`: what people did to it."""
    return _environment.get_template("node.html").render(node=seen, trail=trail, now_ms=now_ms, root="../")


def version(told: Mapping[str, Any], trail: Sequence[audit.Record], now_ms: int) -> str:
    """The page of one version (`core.version_report`), one level below the first page. `trail`: what people did to it
    and its rollouts."""
    kept = told["compression"]
    measure = "loss" if any("loss" in one for one in kept["tried"]) else "accuracy"
    recalls = {key: value or {} for key, value in told["perClass"].items()}
    return _environment.get_template("version.html").render(
        told=told, kept=kept, measure=measure, recalls=recalls, trail=trail, now_ms=now_ms, root="../"
    )


def trouble(message: str, root: str = "", title: str = "The fleet's state cannot be read") -> str:
    """A page that says why there is none. `root` leads to the first page."""
    return _environment.get_template("trouble.html").render(message=message, root=root, title=title)


def date(at_ms: int) -> str:
    """The day in UTC, a dash for none."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d") if 0 < at_ms < 1e14 else "–"


def tone(word: str) -> str:
    """Which of the four tones a state or outcome has: good, bad, warn or plain."""
    return next((name for name, words in (("good", _GOOD), ("bad", _BAD), ("warn", _WARN)) if word in words), "plain")


def age(at_ms: int | None, now_ms: int) -> str:
    """How long ago: `now`, `12 s`, `3 min`, `5 h`, `2 d`; a dash for never."""
    if not at_ms:
        return "–"
    seconds = max(0, now_ms - at_ms) // 1000
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return "now"


def ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def size(count: int) -> str:
    """`61 KiB`; a dash for none."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if count else "–"
        value /= 1024
    return f"{value:.1f} TiB"


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12] or "–"


def _make() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("skerry.dashboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"ratio": ratio, "number": number, "size": size, "short": short, "tone": tone}
    environment.filters["result"] = rollout.result_of
    shared: dict[str, Any] = {
        "ICONS": ICONS,
        "age": age,
        "date": date,
        "bars": charts.bars,
        "arms": charts.arms,
        "States": list(State),
    }
    environment.globals |= shared
    return environment


_environment = _make()
